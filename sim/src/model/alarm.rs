//! The alarms of a till: when each of its parts wants to be woken.

use counterfoil_protocol::session::Input as Heard;
use counterfoil_protocol::session::follow::Input as Follow;
use counterfoil_protocol::session::inbox::Input as Collect;
use counterfoil_protocol::time::Millis;

use super::{Happening, Scheduled, World};
use crate::law::Violation;

/// A part of a till that wakes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Session,
    Follower,
    Collector,
}

/// When the alarm of each part is set for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alarms([Option<u64>; 3]);

impl Alarms {
    fn of(&mut self, part: Part) -> &mut Option<u64> {
        let Self([session, follower, collector]) = self;
        match part {
            Part::Session => session,
            Part::Follower => follower,
            Part::Collector => collector,
        }
    }
}

impl World {
    /// Sets the alarm of a part of a till, unless it rings earlier anyway: then the part finds
    /// nothing to do and sets the next.
    pub(super) fn set_alarm(&mut self, till: usize, part: Part, at: Millis) {
        self.set_alarm_us(till, part, (at.0 * 1000).max(self.now_us));
    }

    pub(super) fn set_alarm_us(&mut self, till: usize, part: Part, at_us: u64) {
        let host = &mut self.tills[till];
        let life = host.life;
        let alarm = host.alarms.of(part);
        if alarm.is_none_or(|alarm| at_us < alarm) {
            *alarm = Some(at_us);
            self.at(at_us, Happening::Wake(till, life, part));
        }
    }

    /// Takes an alarm out of the world; whether it is still set for now. It is not if it was set
    /// earlier meanwhile, or if its till has been started anew.
    pub(super) fn rings(&mut self, next: &Scheduled) -> bool {
        let Happening::Wake(till, life, part) = next.what else { return true };
        let host = &mut self.tills[till];
        let alarm = host.alarms.of(part);
        if host.life != life || *alarm != Some(next.at_us) {
            return false;
        }
        *alarm = None;
        true
    }

    pub(super) fn wake(&mut self, till: usize, part: Part) -> Result<(), Violation> {
        match part {
            Part::Session => self.hear(till, Heard::Wake),
            Part::Follower => self.follow(till, Follow::Wake),
            Part::Collector => self.collect(till, Collect::Wake),
        }
    }
}
