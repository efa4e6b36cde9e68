//! What tills say of themselves beside what they ask anyway: kept in memory, for people.
//!
//! ```text
//! counterfoil-till: version=0.1.0; pending=3; oldest-ms=12345; now-ms=1700000000000
//! ```
//!
//! Nothing is decided by it. A header that is not exactly of this form is ignored, and a node that
//! was started anew knows nothing until a till asks it something.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use counterfoil_protocol::identity::TerminalId;
use counterfoil_protocol::time::Millis;

/// The header.
const HEADER: &str = "counterfoil-till";
/// The most bytes of it.
const HEADER_BYTES_MAX: usize = 160;
/// The most bytes of a version.
const VERSION_BYTES_MAX: usize = 32;
/// Numbers stay below what every language can tell apart.
const NUMBER_MAX: u64 = 1 << 53;
/// The most terminals that are remembered.
const TERMINALS_MAX: usize = 20_000;
/// The most terminals whose oldest event is told one by one.
pub(super) const TOLD_MAX: usize = 1_000;

/// What a till has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Its program's version.
    pub(super) version: String,
    /// How many events wait.
    pub(super) pending: u64,
    /// How long the oldest of them has waited by now, in milliseconds; none if none waits.
    pub(super) oldest: Option<u64>,
    /// By how much its clock was ahead of this node's, in milliseconds; the request's way to the
    /// node makes it smaller.
    pub(super) ahead: i64,
}

#[derive(Clone, Debug)]
struct Known {
    seen: Millis,
    said: Option<Said>,
    said_at: Millis,
}

/// What is known of tills.
#[derive(Debug, Default)]
pub(super) struct Presence(Mutex<BTreeMap<TerminalId, Known>>);

impl Presence {
    /// Notes a request of a till that was let in.
    pub(super) fn heard(&self, terminal: TerminalId, headers: &HeaderMap, now: Millis) {
        let said = read(headers, now);
        let mut tills = self.lock();
        if tills.len() >= TERMINALS_MAX && !tills.contains_key(&terminal) {
            make_room(&mut tills);
        }
        let known = tills.entry(terminal).or_insert(Known { seen: now, said: None, said_at: now });
        known.seen = now;
        if said.is_some() {
            (known.said, known.said_at) = (said, now);
        }
    }

    /// Notes that so many events of a till wait no longer: its next word may be long in coming.
    pub(super) fn settled(&self, terminal: TerminalId, events: u64) {
        if let Some(said) = self.lock().get_mut(&terminal).and_then(|known| known.said.as_mut()) {
            said.pending = said.pending.saturating_sub(events);
            said.oldest = said.oldest.filter(|_| said.pending > 0);
        }
    }

    /// Returns when a till was last heard, and what it said, as of now.
    pub(super) fn of(&self, terminal: TerminalId, now: Millis) -> Option<(Millis, Option<Said>)> {
        let known = self.lock().get(&terminal).cloned()?;
        Some((known.seen, known.as_of(now)))
    }

    /// Returns what waits at the tills, as lines that a Prometheus server reads.
    pub(super) fn text(&self, live: usize, now: Millis) -> String {
        let mut pending = 0_u64;
        let mut ages = Vec::new();
        for (terminal, known) in &*self.lock() {
            let Some(said) = known.as_of(now) else { continue };
            pending = pending.saturating_add(said.pending);
            ages.push((std::cmp::Reverse(said.oldest.unwrap_or_default()), *terminal));
        }
        ages.sort_unstable();
        let left_out = ages.len().saturating_sub(TOLD_MAX);
        ages.truncate(TOLD_MAX);
        let mut text = format!(
            "# HELP queued_events Events that wait at the tills heard since this node's start.\n\
             # TYPE queued_events gauge\nqueued_events {pending}\n\
             # HELP live_streams Tills that listen to this node for news.\n\
             # TYPE live_streams gauge\nlive_streams {live}\n\
             # HELP oldest_unsynced_left_out Tills beyond those whose oldest event is told.\n\
             # TYPE oldest_unsynced_left_out gauge\noldest_unsynced_left_out {left_out}\n\
             # HELP oldest_unsynced_seconds How long a till's oldest event has waited.\n\
             # TYPE oldest_unsynced_seconds gauge\n\
             # UNIT oldest_unsynced_seconds seconds\n"
        );
        for (std::cmp::Reverse(age), terminal) in ages {
            let (name, secs, ms) = (escaped(terminal.as_str()), age / 1_000, age % 1_000);
            let _ = writeln!(text, "oldest_unsynced_seconds{{terminal=\"{name}\"}} {secs}.{ms:03}");
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TerminalId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// What it said, with what has waited waiting on.
    fn as_of(&self, now: Millis) -> Option<Said> {
        let mut said = self.said.clone()?;
        said.oldest = said.oldest.map(|age| age.saturating_add(now.since(self.said_at).0));
        Some(said)
    }
}

/// Forgets the half that has been silent for longer.
fn make_room(tills: &mut BTreeMap<TerminalId, Known>) {
    let mut seen: Vec<Millis> = tills.values().map(|known| known.seen).collect();
    seen.sort_unstable();
    let half = seen[seen.len() / 2];
    tills.retain(|_, known| known.seen > half);
}

fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Reads the header, if there is exactly one, and it is of the form.
fn read(headers: &HeaderMap, now: Millis) -> Option<Said> {
    let mut values = headers.get_all(HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    parse(value.as_bytes(), now)
}

fn parse(value: &[u8], now: Millis) -> Option<Said> {
    if value.len() > HEADER_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.split("; ");
    let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
    let version = part("version")?;
    let pending = number(part("pending")?)?;
    let oldest = number(part("oldest-ms")?)?;
    let clock = number(part("now-ms")?)?;
    let written = version.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-".contains(&b));
    if parts.next().is_some() || version.is_empty() || version.len() > VERSION_BYTES_MAX || !written
    {
        return None;
    }
    Some(Said {
        version: version.to_owned(),
        pending,
        oldest: (pending > 0).then_some(oldest),
        ahead: i64::try_from(clock).ok()?.saturating_sub_unsigned(now.0),
    })
}

/// Reads plain digits: no sign, no zero in front.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let first = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|number| plain && first && *number < NUMBER_MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000);

    fn till(name: &str) -> TerminalId {
        TerminalId::parse(name).unwrap()
    }

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (HEADER.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_header_is_of_the_form_or_ignored() {
        let good = "version=0.1.0; pending=3; oldest-ms=12345; now-ms=1000500";
        let said = Said { version: "0.1.0".into(), pending: 3, oldest: Some(12_345), ahead: 500 };
        assert_eq!(parse(good.as_bytes(), NOW), Some(said));
        let idle = parse(b"version=1-rc+2; pending=0; oldest-ms=0; now-ms=0", NOW).unwrap();
        assert_eq!((idle.oldest, idle.ahead), (None, -1_000_000));
        let long = format!("version={}; pending=0; oldest-ms=0; now-ms=0", "1".repeat(33));
        for bad in [
            "",
            "version=0.1.0",
            "version=; pending=3; oldest-ms=1; now-ms=1",
            "version=\u{e9}; pending=3; oldest-ms=1; now-ms=1",
            "version=1 2; pending=3; oldest-ms=1; now-ms=1",
            "pending=3; version=1; oldest-ms=1; now-ms=1",
            "version=1; pending=-3; oldest-ms=1; now-ms=1",
            "version=1; pending=+3; oldest-ms=1; now-ms=1",
            "version=1; pending=03; oldest-ms=1; now-ms=1",
            "version=1; pending=; oldest-ms=1; now-ms=1",
            "version=1; pending=9007199254740992; oldest-ms=1; now-ms=1",
            "version=1; pending=99999999999999999999; oldest-ms=1; now-ms=1",
            "version=1; pending=3; oldest-ms=1; now-ms=1; more=1",
            "version=1; pending=3; oldest-ms=1; now-ms=1; ",
            "version=1;pending=3;oldest-ms=1;now-ms=1",
            &long,
        ] {
            assert_eq!(parse(bad.as_bytes(), NOW), None, "{bad}");
        }
        assert_eq!(read(&headers(&[good, good]), NOW), None, "one header, or none");
    }

    #[test]
    fn what_waits_grows_older_until_it_is_settled() {
        let presence = Presence::default();
        let word = headers(&["version=1; pending=3; oldest-ms=500; now-ms=1000000"]);
        presence.heard(till("T"), &word, NOW);
        let later = Millis(NOW.0 + 1_000);
        // A request without a readable word tells only that the till is there.
        presence.heard(till("T"), &headers(&["x"]), later);
        let (seen, said) = presence.of(till("T"), later).unwrap();
        assert_eq!((seen, said.unwrap().oldest), (later, Some(1_500)));
        presence.settled(till("T"), 2);
        assert_eq!(presence.of(till("T"), later).unwrap().1.unwrap().pending, 1);
        presence.settled(till("T"), 2);
        let said = presence.of(till("T"), later).unwrap().1.unwrap();
        assert_eq!((said.pending, said.oldest), (0, None));
        assert!(presence.of(till("U"), later).is_none());
    }

    #[test]
    fn the_thousand_that_wait_longest_are_told_and_the_rest_is_counted() {
        let presence = Presence::default();
        for n in 0..=TOLD_MAX as u64 + 1 {
            let word = format!("version=1; pending=2; oldest-ms={}; now-ms=1", n * 1_000 + 7);
            presence.heard(till(&format!("T\"{n}")), &headers(&[&word]), NOW);
        }
        let text = presence.text(4, NOW);
        let lines = text.lines().filter(|line| line.starts_with("oldest_unsynced_seconds{"));
        assert_eq!(lines.count(), TOLD_MAX);
        for line in [
            "queued_events 2004",
            "live_streams 4",
            "oldest_unsynced_left_out 2",
            "oldest_unsynced_seconds{terminal=\"T\\\"1001\"} 1001.007",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}: {text}");
        }
        assert!(!text.contains("T\\\"0\""), "the youngest are left out");
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let presence = Presence::default();
        for n in 0..=TERMINALS_MAX as u64 {
            presence.heard(till(&format!("T{n}")), &HeaderMap::new(), Millis(n));
        }
        assert!(presence.lock().len() <= TERMINALS_MAX);
        assert!(presence.of(till(&format!("T{TERMINALS_MAX}")), NOW).is_some(), "the newest");
        assert!(presence.of(till("T0"), NOW).is_none(), "those silent longest make room");
    }
}
