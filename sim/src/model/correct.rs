//! What cashiers make of a sale that could not be posted: they correct it, set it aside, or let
//! the other one count.

use counterfoil_protocol::event::{Body, Event};
use counterfoil_protocol::identity::{LocalEventId, PosId};
use counterfoil_protocol::session::{Input as Heard, Nudge};
use counterfoil_protocol::terminal::row::Entry;
use counterfoil_protocol::terminal::{Draft, Input, Key, Output, Place, Record, correct};

use super::faults::BEFORE_ALL;
use super::work::{drawn_name, trade};
use super::{Happening, World};
use crate::law::Violation;
use crate::observed::{answered, at_once};
use crate::rng::Stream;

impl World {
    /// Schedules the first look at what failed, if anybody looks.
    pub(super) fn start_correcting(&mut self, till: usize) {
        let every = self.plan.correct_every_ms;
        if every > 0 {
            let us = self.tills[till].corrections.below(every * 1_000);
            self.after(us, Happening::Correct(till));
        }
    }

    /// A cashier looks at what failed, and will look again.
    pub(super) fn correct(&mut self, till: usize) -> Result<(), Violation> {
        if self.healed || self.tills[till].moved {
            return Ok(());
        }
        let us = self.tills[till].corrections.below(self.plan.correct_every_ms * 2_000);
        self.after(us + 1, Happening::Correct(till));
        let failed = self.failed(till);
        let host = &mut self.tills[till];
        let (again, aside) = (host.corrections.happens(50_000), host.corrections.happens(150_000));
        let picked = host.corrections.below(failed.len().max(1) as u64) as usize;
        if !host.up {
            return Ok(());
        }
        if again && let Some((original, draft)) = host.last_correction.clone() {
            return self.correct_sale(till, original, draft);
        }
        let Some(place) = failed.get(picked).copied() else { return Ok(()) };
        let Some(entry) = self.readable(till, place) else { return Ok(()) };
        let (pos, failed_id) = (entry.pos, entry.local_id);
        if aside {
            self.till_step(till, &Input::SetAside(place), true)?;
            return Ok(());
        }
        if let Some(way) = self.other_way(till, pos, failed_id) {
            self.till_step(till, &way, true)?;
            return self.hear(till, Heard::Nudge(Nudge::Manual));
        }
        let at = self.wall(till);
        let rng = &mut self.tills[till].corrections;
        let local_id = if rng.happens(50_000) { own_name(rng) } else { drawn_name(rng) };
        let body = Body::Sale(trade(rng));
        let draft = Draft { pos, local_id, at, reference: String::new(), body };
        self.correct_sale(till, failed_id, draft)
    }

    fn correct_sale(
        &mut self,
        till: usize,
        original: LocalEventId,
        draft: Draft,
    ) -> Result<(), Violation> {
        let store = self.tills[till].both();
        let planned = answered(at_once(correct::plan(&store, original, draft.clone())));
        let Some(input) = planned else { return Ok(()) };
        if let Some(Output::Recorded { .. }) = self.till_step(till, &input, true)? {
            self.tills[till].last_correction = Some((original, draft));
        }
        self.hear(till, Heard::Nudge(Nudge::Recorded))
    }

    /// Lets the other one count, if the cloud has said that it does.
    pub(super) fn other_way(
        &self,
        till: usize,
        pos: PosId,
        local_id: LocalEventId,
    ) -> Option<Input> {
        answered(at_once(correct::yielding(&self.tills[till].both(), pos, local_id)))
    }

    /// Returns where what has failed is: what needs attention, and what waits for another try.
    fn failed(&self, till: usize) -> Vec<Place> {
        let rows = self.tills[till].store.memory.rows();
        let queue = rows.range(Key::Queue(BEFORE_ALL, 0)..Key::Attention(BEFORE_ALL, 0));
        let waits = queue.filter_map(|(key, record)| match (key, &**record) {
            (Key::Queue(epoch, seq), Record::Queue(queued)) if queued.code.is_some() => {
                Some(Place { epoch: *epoch, seq: *seq })
            }
            _ => None,
        });
        self.attention(till).into_iter().chain(waits).collect()
    }

    /// Returns the entry at a place, if a person could make anything of it.
    fn readable(&self, till: usize, place: Place) -> Option<&Entry> {
        let rows = self.tills[till].store.memory.rows();
        let row = rows.get(&Key::Entry(place.epoch, place.seq))?;
        let Record::Entry(entry) = &**row else { return None };
        Event::from_canonical(&entry.payload).is_ok().then_some(entry)
    }
}

/// Callers that number their corrections themselves give a copy of a till the same ones.
fn own_name(rng: &mut Stream) -> LocalEventId {
    LocalEventId::parse(&format!("own-fix-{}", rng.below(6))).expect("a short name")
}
