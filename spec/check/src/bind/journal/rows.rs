//! How the mapping reads a till's rows, and the bytes of an event.

use counterfoil_protocol::event::Event;
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::terminal::row::{Entry, Meta, State};
use counterfoil_protocol::terminal::{Key, Record, Terminal};
use counterfoil_storage::memory::Image;

use crate::bind::bound::{Unmapped, unmapped};

use super::world::register;

/// Each row of a journal is one of an entry that the books know, and so is each name.
pub(crate) fn no_stray_rows(image: &Image<Terminal>, meta: &Meta) -> Result<(), Unmapped> {
    let known = |epoch: Epoch, seq: u64| {
        let closed = meta.closed.iter().find(|closed| closed.epoch == epoch);
        let head = if epoch == meta.epoch { meta.head } else { closed.map_or(0, |c| c.head) };
        (1..=head).contains(&seq)
    };
    for (key, record) in image.rows().iter() {
        let fits = match (key, &**record) {
            (Key::Entry(epoch, seq), _)
            | (Key::Queue(epoch, seq), _)
            | (Key::Attention(epoch, seq), _) => known(*epoch, *seq),
            (Key::Local(_, name), Record::Local(local)) => {
                let entry = entry(image, local.place.epoch, local.place.seq)?;
                entry.local_id == *name && !matches!(entry.state, State::Moved(_))
            }
            _ => true,
        };
        if !fits {
            return unmapped(format!("the row {key:?}"));
        }
    }
    Ok(())
}

pub(crate) fn row<'a>(image: &'a Image<Terminal>, key: &Key) -> Option<&'a Record> {
    image.rows().get(key).map(|record| &**record)
}

pub(crate) fn meta(image: &Image<Terminal>) -> Option<&Meta> {
    match row(image, &Key::Meta) {
        Some(Record::Meta(meta)) => Some(meta),
        _ => None,
    }
}

pub(crate) fn entry(image: &Image<Terminal>, epoch: Epoch, seq: u64) -> Result<&Entry, Unmapped> {
    match row(image, &Key::Entry(epoch, seq)) {
        Some(Record::Entry(entry)) => Ok(entry),
        _ => unmapped(format!("a journal that lacks entry {seq}")),
    }
}

pub(crate) fn last_receipt(image: &Image<Terminal>, epoch: Epoch) -> u64 {
    match row(image, &Key::Series(register())) {
        Some(Record::Series(series)) if series.epoch == epoch => series.last,
        _ => 0,
    }
}

/// An event is its name and its sale: both stand in its bytes.
pub(crate) fn event(payload: &[u8]) -> Result<(u64, u64), Unmapped> {
    let Ok(event) = Event::from_canonical(payload) else { return unmapped("opaque bytes") };
    match (number(event.local_id().as_str()), number(event.reference())) {
        (Some(name), Some(sale)) => Ok((name, sale)),
        _ => unmapped(format!("an event named {}", event.local_id())),
    }
}

pub(crate) fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}
