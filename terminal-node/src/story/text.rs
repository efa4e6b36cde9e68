//! The way of an event in words.

use std::fmt::Write as _;

use counterfoil_protocol::terminal::Parted;
use counterfoil_protocol::terminal::diary::{Outcome, Silence};
use counterfoil_protocol::time::Millis;

use super::{Spot, Step, Story, What};
use crate::books::Standing;

impl Story {
    /// Returns the story for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let _infallible = writeln!(text, "{name:<12}{value}");
        };
        line(&self.kind, &format!("{} of register {}", self.local_event_id, self.pos_id));
        line("recorded", &format!("{} (the time printed on it)", utc(self.at_ms)));
        line("receipt", self.receipt.as_deref().unwrap_or("none"));
        if !self.reference.is_empty() {
            line("reference", &self.reference);
        }
        if let Some(total) = self.total {
            let (minor, sign) =
                (total.minor.unsigned_abs(), if total.minor < 0 { "-" } else { "" });
            let amount = format!("{sign}{}.{:02} {}", minor / 100, minor % 100, total.currency);
            line("total", &amount);
        }
        for before in &self.before {
            line("stood at", &spot(*before));
        }
        line("stands at", &spot(self.place));
        line("state", state(self.state));
        if let Some(id) = self.server_id {
            line("posted as", &id.0.to_string());
        }
        if let Some(order) = &self.order_id {
            line("order", order);
        }
        let offered = match self.offers {
            0 => "never, as far as is known".to_owned(),
            1 => "once, as far as is known".to_owned(),
            times => format!("{times} times, as far as is known"),
        };
        if let Some(by) = self.replaced_by {
            line("replaced by", by.as_str());
        }
        for of in &self.corrects {
            line("in place of", of.as_str());
        }
        line("offered", &offered);
        line("next", &self.next.text);
        text.push('\n');
        for (index, step) in self.steps.iter().enumerate() {
            let _infallible = writeln!(text, "{}  {}", utc(step.at_ms), said(step));
            if index == 0 && self.steps_left_out > 0 {
                let _infallible = writeln!(text, "    ... {} steps ...", self.steps_left_out);
            }
        }
        if self.steps.is_empty() {
            text.push_str("nothing is noted of it yet\n");
        }
        for unknown in &self.unknown {
            let _infallible = writeln!(text, "not known: {unknown}");
        }
        if let Some(cloud) = &self.cloud {
            text.push('\n');
            text.push_str(&cloud.text());
        }
        text
    }
}

fn spot(spot: Spot) -> String {
    format!("history {}, entry {}", spot.epoch, spot.seq)
}

const fn state(state: Standing) -> &'static str {
    match state {
        Standing::Pending => "waits",
        Standing::NeedsAttention => "needs attention",
        Standing::Synced => "synced: the cloud durably holds it",
        Standing::Replaced => "replaced: another counts in its place, this one is kept as it is",
    }
}

fn said(step: &Step) -> String {
    let mut said = match &step.what {
        What::Started => "the till's program was started".to_owned(),
        What::Parted { why, epoch } => {
            let why = match why {
                Parted::Copied => "the database may be a copy",
                Parted::Restored => "the database was restored from a backup",
                Parted::LostTail => "the cloud has later entries than this database",
                Parted::Forked => "the cloud has other entries than this database",
            };
            format!("{why}: a new history was opened, {epoch}")
        }
        What::Carried { from, to } => {
            format!("carried over from {} to {}", spot(*from), spot(*to))
        }
        What::Retried => "a person wanted another try".to_owned(),
        What::SetAside => {
            "a person set it aside: it is not sent until it is tried again".to_owned()
        }
        What::Replaced { by } => format!("a person let {by} count in its place"),
        What::Offered { place, times, last_ms, outcome, code: _ } => {
            let mut said = format!("offered as {}: {}", spot(*place), answer(*outcome));
            if *times > 1 {
                let _infallible = write!(said, ", {times} times until {}", utc(*last_ms));
            }
            said
        }
    };
    if !step.durable {
        said += " (in this program's memory only, so far)";
    }
    said
}

fn answer(outcome: Outcome) -> String {
    match outcome {
        Outcome::Unheard(why) => {
            let why = match why {
                Silence::NoAnswer => "no connection, or it was lost",
                Silence::Trouble => "the cloud had trouble of its own",
                Silence::Denied => "the cloud does not listen to this till",
                Silence::SlowDown => "the cloud asked to slow down",
                Silence::TooLarge => "too large for the way to the cloud",
                Silence::NotUnderstood => "the cloud does not understand this program",
            };
            format!("no answer was heard ({why}); it may have come through all the same")
        }
        Outcome::NotLookedAt => "the cloud stopped before it".to_owned(),
        Outcome::Created => "posted".to_owned(),
        Outcome::Existing => "the cloud had it already, from an earlier offer".to_owned(),
        Outcome::Parked(code) => format!("kept without effect yet, {code}"),
        Outcome::Refused(code) => format!("refused, {code}"),
        Outcome::Edited(_) => "the edit was decided".to_owned(),
    }
}

/// Returns a time as people write it, in UTC, to the millisecond.
#[must_use]
pub fn utc(at: Millis) -> String {
    const DAY: u64 = 86_400_000;
    let (days, rest) = (at.0 / DAY, at.0 % DAY);
    // Days since 0000-03-01, in eras of 400 years: the leap day comes last in each.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let of_year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * of_year + of_year / 4 - of_year / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = of_year + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, millis) = (rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_write_them() {
        for (millis, text) in [
            (0, "1970-01-01 00:00:00.000Z"),
            (951_782_399_999, "2000-02-28 23:59:59.999Z"),
            (951_782_400_000, "2000-02-29 00:00:00.000Z"),
            (951_868_800_000, "2000-03-01 00:00:00.000Z"),
            (1_700_000_000_000, "2023-11-14 22:13:20.000Z"),
            (4_107_542_400_000, "2100-03-01 00:00:00.000Z"),
            (1_767_225_599_001, "2025-12-31 23:59:59.001Z"),
        ] {
            assert_eq!(utc(Millis(millis)), text);
        }
    }

    #[test]
    fn the_end_of_time_is_a_time_too() {
        assert!(utc(Millis(u64::MAX)).ends_with('Z'));
    }
}
