//! What the roles came to, held against the rows that the bundle tells.

use counterfoil_protocol::terminal::row::{Closed, Entry, State};
use counterfoil_protocol::terminal::{Key, Place, Record};

use super::{Stage, TILL};
use crate::incident::{History, Stood, Waits};
use crate::story::{Lane, What};

impl Stage<'_> {
    /// Compares the till's books, journal and queue.
    pub(super) fn compare(&mut self) {
        let mut differs = Vec::new();
        self.books(&mut differs);
        self.journal(&mut differs);
        self.queue(&mut differs);
        if differs.is_empty() {
            self.world.tell(Lane::World, What::Note, || {
                "books, journal and queue are as the bundle tells them".to_owned()
            });
        }
        differs.into_iter().for_each(|what| self.differ(what));
    }

    fn books(&self, differs: &mut Vec<String>) {
        let (incident, meta) = (self.incident, self.meta(TILL));
        let told = incident.histories[incident.histories.len() - 1];
        let mut same = |what: &str, told: String, came: String| {
            if told != came {
                differs.push(format!("{what}: the bundle says {told}, the roles {came}"));
            }
        };
        same("the current history", full(told), full(History { kept: None, ..now(&meta) }));
        same("answered up to", incident.acked.to_string(), meta.acked.to_string());
        let away = |denial: Option<_>| format!("{denial:?}");
        same("turned away", away(incident.quarantined), away(meta.quarantined));
        let first = incident.first_history();
        let played = &incident.histories[first..incident.histories.len() - 1];
        for history in played {
            let came = meta.closed.iter().find(|closed| closed.epoch == history.epoch);
            let came = came.map_or_else(|| "none".to_owned(), |closed| full(of(closed)));
            same("a closed history", full(*history), came);
        }
    }

    fn journal(&self, differs: &mut Vec<String>) {
        let first = self.incident.first_history();
        let played = &self.incident.histories[first..];
        for (place, told) in &self.incident.entries {
            if !played.iter().any(|history| history.epoch == place.epoch) {
                continue;
            }
            let Some(entry) = self.entry(*place) else {
                differs.push(format!("entry {} of {} is not there", place.seq, place.epoch));
                continue;
            };
            let came = match entry.state {
                State::Open => Stood::Open,
                State::Synced(_) => Stood::Synced,
                State::Replaced(by) => Stood::Replaced(by),
                State::Moved(to) => Stood::Moved(to),
            };
            let named = (entry.pos, entry.local_id) == (told.pos, told.local_id);
            if came != told.state || !named {
                let (seq, epoch, said) = (place.seq, place.epoch, told.state);
                differs.push(format!(
                    "entry {seq} of {epoch}: the bundle says {said:?}, the roles {came:?}"
                ));
            }
        }
    }

    fn entry(&self, place: Place) -> Option<&Entry> {
        let rows = self.world.tills[TILL].store.memory.rows();
        match rows.get(&Key::Entry(place.epoch, place.seq)).map(AsRef::as_ref) {
            Some(Record::Entry(entry)) => Some(entry),
            Some(_) | None => None,
        }
    }

    fn queue(&self, differs: &mut Vec<String>) {
        if !self.incident.whole_queue {
            return;
        }
        let rows = self.world.tills[TILL].store.memory.rows();
        for (key, record) in rows {
            let (place, came) = match (key, record.as_ref()) {
                (Key::Queue(epoch, seq), Record::Queue(queued)) => {
                    let (attempts, code) = (queued.attempts, queued.code);
                    let waits = Waits { needs_attention: false, attempts, code };
                    (Place { epoch: *epoch, seq: *seq }, waits)
                }
                (Key::Attention(epoch, seq), Record::Attention(held)) => {
                    let (attempts, code) = (held.attempts, Some(held.code));
                    let waits = Waits { needs_attention: true, attempts, code };
                    (Place { epoch: *epoch, seq: *seq }, waits)
                }
                _ => continue,
            };
            let told = self.incident.queue.get(&place);
            if told != Some(&came) {
                let seq = place.seq;
                differs.push(format!("in the queue, entry {seq}: told {told:?}, came {came:?}"));
            }
        }
        for place in self.incident.queue.keys() {
            let entry = self.entry(*place);
            let waits = rows.contains_key(&Key::Queue(place.epoch, place.seq))
                || rows.contains_key(&Key::Attention(place.epoch, place.seq))
                || entry.is_some_and(|entry| matches!(entry.state, State::Synced(_)));
            if !waits {
                let seq = place.seq;
                differs.push(format!("entry {seq} waits in the bundle, and not with the roles"));
            }
        }
    }
}

const fn of(closed: &Closed) -> History {
    History { epoch: closed.epoch, head: closed.head, kept: Some(closed.kept) }
}

const fn now(meta: &counterfoil_protocol::terminal::row::Meta) -> History {
    History { epoch: meta.epoch, head: meta.head, kept: None }
}

/// A history in words, with all of what tells it apart.
fn full(history: History) -> String {
    let History { epoch, head, kept } = history;
    let kept = kept.map_or_else(String::new, |kept| format!(", {kept} of them kept"));
    format!("{} ({:016x}) with {head} entries{kept}", epoch.number, epoch.nonce)
}
