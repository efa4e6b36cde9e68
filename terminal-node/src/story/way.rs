//! The steps of an event's way, from the notes of the diary; and what they leave open.

use counterfoil_protocol::terminal::Place;
use counterfoil_protocol::terminal::diary::{Note, Noted, Outcome};
use counterfoil_protocol::time::Millis;

use super::{STEPS_MAX, Step, What, utc};

/// What is asked of the diary.
pub(super) struct Way<'a> {
    /// Where the event stood, oldest first, and stands.
    pub(super) places: &'a [Place],
    /// The time that is printed on it.
    pub(super) since: Millis,
    /// Whether the cloud durably holds it.
    pub(super) settled: bool,
}

impl Way<'_> {
    /// Returns what happened to the event, and how many steps in the middle were left out.
    pub(super) fn steps(&self, diary: &[(u64, Note)], jotted: &[Note]) -> (Vec<Step>, usize) {
        let mut steps = Vec::new();
        let noted = diary.iter().map(|(_, note)| (note, true));
        for (note, durable) in noted.chain(jotted.iter().map(|note| (note, false))) {
            steps.extend(of_note(note, self.places, durable));
        }
        // What the till went through before the event was there, or after it had arrived for good,
        // is no part of its way.
        let own = |step: &Step| matches!(step.what, What::Offered { .. } | What::Carried { .. });
        let first = steps.iter().position(own).unwrap_or(steps.len());
        let settled = steps.iter().rposition(settles).filter(|_| self.settled);
        let mut index = 0;
        steps.retain(|step| {
            let at = index;
            index += 1;
            let under_way = at >= first || step.at_ms >= self.since;
            own(step) || (under_way && settled.is_none_or(|settled| at < settled))
        });
        let left_out = steps.len().saturating_sub(STEPS_MAX);
        if left_out > 0 {
            steps.drain(1..=left_out);
        }
        (steps, left_out)
    }

    /// Returns what nobody here can know.
    pub(super) fn unknown(&self, diary: &[(u64, Note)], steps: &[Step]) -> Vec<String> {
        let mut unknown = Vec::new();
        match diary.first() {
            None => unknown.push(
                "everything about offers: this database was never opened by a program that notes \
                 them"
                    .to_owned(),
            ),
            Some((1, note)) if note.at <= self.since => {}
            Some((number, note)) if note.at > self.since => unknown.push(format!(
                "what came of speaking to the cloud before {}: {}",
                utc(note.at),
                if *number > 1 {
                    "older notes are dropped"
                } else {
                    "nothing was noted before, or the event has another time printed on it"
                }
            )),
            Some(_) => {}
        }
        let answered = steps.iter().any(settles);
        if self.settled && !answered {
            unknown.push("when it was posted: no note of that answer is left".to_owned());
        }
        let parted = steps.iter().any(|step| matches!(step.what, What::Parted { .. }));
        if self.places.len() > 1 && !parted {
            unknown.push(
                "why it was carried over: no note is left of why a new history was opened"
                    .to_owned(),
            );
        }
        unknown.extend(steps.iter().filter_map(parting));
        let restarted = steps.iter().any(|step| matches!(step.what, What::Started));
        if restarted {
            unknown.push(
                "an offer just before the program was started anew, if nothing was heard of it: \
                 that is noted with the next commit, and a program that is killed forgets it"
                    .to_owned(),
            );
        }
        if existed_unasked(steps) {
            unknown.push(
                "by which offer it was posted: the cloud had it already when it first answered, \
                 so an earlier offer came through whose answer was lost"
                    .to_owned(),
            );
        }
        unknown
    }
}

/// Counts the offers.
pub(super) fn offers(steps: &[Step]) -> u64 {
    let times = |step: &Step| match step.what {
        What::Offered { times, .. } => u64::from(times),
        What::Started
        | What::Parted { .. }
        | What::Carried { .. }
        | What::Retried
        | What::Replaced { .. }
        | What::SetAside => 0,
    };
    steps.iter().map(times).sum()
}

fn settles(step: &Step) -> bool {
    matches!(step.what, What::Offered { outcome, .. } if outcome.settles())
}

/// Says what a parting hides, if it hides anything.
fn parting(step: &Step) -> Option<String> {
    use counterfoil_protocol::terminal::Parted;
    let What::Parted { why, .. } = step.what else { return None };
    let cause = match why {
        Parted::Copied => "this database was copied, or its witness was lost",
        Parted::Restored => "this database was restored from a backup",
        Parted::LostTail => "this database lacks entries that the cloud has",
        Parted::Forked => "another copy of this database went on by itself",
    };
    let at = utc(step.at_ms);
    Some(format!("what the other copy did with it: {cause}, which was noticed {at}"))
}

/// Whether the first answer was that the cloud had it, and no offer before is known that may have
/// brought it there.
fn existed_unasked(steps: &[Step]) -> bool {
    for step in steps {
        let What::Offered { outcome, .. } = step.what else { continue };
        match outcome {
            Outcome::Existing => return true,
            Outcome::NotLookedAt => {}
            Outcome::Unheard(_)
            | Outcome::Created
            | Outcome::Parked(_)
            | Outcome::Refused(_)
            | Outcome::Edited(_) => return false,
        }
    }
    false
}

/// Returns the step that a note is of this event's way, if it is one.
pub(super) fn of_note(note: &Note, places: &[Place], durable: bool) -> Option<Step> {
    let what = match &note.what {
        Noted::Started => What::Started,
        Noted::Parted { why, epoch } => What::Parted { why: *why, epoch: *epoch },
        Noted::Retried(place) => places.contains(place).then_some(What::Retried)?,
        Noted::SetAside(place) => places.contains(place).then_some(What::SetAside)?,
        Noted::Replaced { place, by } => {
            places.contains(place).then_some(What::Replaced { by: *by })?
        }
        Noted::Carried { from, entries } => {
            let covers = |seq: u64| {
                entries.iter().any(|(first, count)| seq >= *first && seq - *first < *count)
            };
            let at = places.iter().position(|p| p.epoch == *from && covers(p.seq))?;
            // What stands there still was looked at, and not carried over.
            let to = places.get(at + 1)?;
            What::Carried { from: places[at].into(), to: (*to).into() }
        }
        Noted::Offered { epoch, times, last, runs } => {
            let found = places.iter().filter(|place| place.epoch == *epoch).find_map(|place| {
                let run = runs.iter().find(|run| run.covers(place.seq))?;
                Some((*place, run.outcome))
            });
            let (place, outcome) = found?;
            let code = match outcome {
                Outcome::Parked(code) | Outcome::Refused(code) => Some(code),
                Outcome::Unheard(_)
                | Outcome::NotLookedAt
                | Outcome::Created
                | Outcome::Existing
                | Outcome::Edited(_) => None,
            };
            let place = place.into();
            What::Offered { place, times: *times, last_ms: *last, outcome, code }
        }
    };
    Some(Step { at_ms: note.at, what, durable })
}
