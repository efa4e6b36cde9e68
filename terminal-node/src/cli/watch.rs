//! `watch`: the state of a till that runs, as it changes.
//!
//! On a terminal one screen that is drawn anew; elsewhere a line for each change.

use std::io::{self, IsTerminal as _, Write as _};

use counterfoil_protocol::time::Millis;
use serde_json::Value;
use tokio::sync::watch;

use super::Failure;
use super::access::{Access, Way};
use super::args::At;
use super::show::{Show, ago, table};
use crate::client::Client;
use crate::ports::{Clock as _, SystemClock};
use crate::story::utc;

/// How many events of the queue are on the screen.
const QUEUE: usize = 8;
/// How many notes.
const NOTES: usize = 8;
/// Goes to the first place of the screen and clears it.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// The most bytes of one event.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

pub(super) async fn watch(show: Show, at: At) -> Result<(), Failure> {
    let access = Access::to_read(at.home()).await?;
    let Way::Daemon(client) = access.way() else {
        let why = "no daemon runs: start `terminal-node run`, or look with `terminal-node status`";
        return Err(Failure::Network(why.to_owned()));
    };
    let (told, mut heard) = watch::channel(Value::Null);
    let mut events = Events::default();
    let listening = client.stream("/events", |part| {
        if let Some(status) = events.take(part)? {
            told.send_replace(status);
        }
        Ok(())
    });
    let showing = async {
        while heard.changed().await.is_ok() {
            let status = heard.borrow_and_update().clone();
            draw(show, client, &status).await?;
        }
        Ok(())
    };
    tokio::select! {
        ended = listening => {
            ended??;
            Err(Failure::Network("the daemon has ended".to_owned()))
        }
        shown = showing => shown,
    }
}

async fn draw(show: Show, client: &Client, status: &Value) -> Result<(), Failure> {
    let text = if show.json {
        format!("{status}\n")
    } else if io::stdout().is_terminal() {
        let queue: Value = client.get(&format!("/queue?limit={QUEUE}")).await?;
        let notes: Value = client.get(&format!("/diary?limit={NOTES}")).await?;
        format!("{CLEAR}{}", screen(status, &queue, &notes))
    } else {
        line(status, SystemClock.now())
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// One line for a log.
fn line(status: &Value, now: Millis) -> String {
    let count = |name: &str| status[name].as_u64().unwrap_or_default();
    let state = status["connection"]["state"].as_str().unwrap_or("unknown");
    let why = status["connection"]["explanation"].as_str();
    let why = why.map_or_else(String::new, |why| format!(" ({why})"));
    let safe = if status["safeToSwitchOff"] == true { ", safe to switch off" } else { "" };
    format!(
        "{} {state}{why}: {} waiting, {} need attention, {} synced{safe}\n",
        utc(now),
        count("pending"),
        count("needsAttention"),
        count("synced"),
    )
}

fn screen(status: &Value, queue: &Value, notes: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let identity = &status["identity"];
    let mut screen =
        format!("till {}, cloud {}\n", text(&identity["terminal"]), text(&status["cloud"]));
    screen += &line(status, SystemClock.now());
    let heard = status["link"]["lastSuccessMs"].as_u64().map_or_else(|| "never".to_owned(), ago);
    screen += &format!("the cloud was heard: {heard}\n\n");
    let mut waiting = table();
    waiting.set_header(["waits", "event", "kind", "tries", "why"]);
    for item in queue.as_array().map(Vec::as_slice).unwrap_or_default() {
        waiting.add_row([
            if item["needsAttention"] == true { "for a person" } else { "for the cloud" }
                .to_owned(),
            format!("{}/{}", text(&item["posId"]), text(&item["localEventId"])),
            text(&item["kind"]),
            item["attempts"].to_string(),
            text(&item["code"]),
        ]);
    }
    screen += &format!("{waiting}\n\nwhat came of speaking to the cloud, newest last:\n");
    for note in notes.as_array().map(Vec::as_slice).unwrap_or_default() {
        screen += &format!("{}\n", note_line(note));
    }
    screen
}

/// A note in one line.
fn note_line(note: &Value) -> String {
    let what = &note["what"];
    let at = utc(Millis(note["atMs"].as_u64().unwrap_or_default()));
    let kind = what["kind"].as_str().unwrap_or("-");
    let mut said = format!("{at} {kind}");
    for run in what["runs"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let (first, count) = (run["first"].as_u64(), run["count"].as_u64());
        let (first, count) = (first.unwrap_or_default(), count.unwrap_or_default());
        let last = first.saturating_add(count.saturating_sub(1));
        let outcome = &run["outcome"];
        let outcome = if outcome.is_null() {
            String::new()
        } else {
            format!(" {}", outcome.to_string().replace(['{', '}', '"'], ""))
        };
        said += &if count == 1 {
            format!(" {first}{outcome}")
        } else {
            format!(" {first}-{last}{outcome}")
        };
    }
    said
}

/// Server-sent events, as far as the till sends them: the data of each is one line.
#[derive(Default)]
struct Events(Vec<u8>);

impl Events {
    /// Takes a part of the stream in, and returns the last state that it completes.
    fn take(&mut self, part: &[u8]) -> io::Result<Option<Value>> {
        self.0.extend_from_slice(part);
        let mut last = None;
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            if let Some(data) = line.strip_prefix(b"data: ") {
                last = Some(serde_json::from_slice(data)?);
            }
        }
        if self.0.len() > EVENT_BYTES_MAX {
            return Err(io::Error::other("the daemon tells something without an end"));
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let stream = b"event: status\ndata: {\"a\":1}\n\n:\n\nevent: status\ndata: {\"a\":2}\n\n";
        for cut in 1..stream.len() {
            let mut events = Events::default();
            let (one, two) = stream.split_at(cut);
            let first = events.take(one).expect("readable");
            let last = events.take(two).expect("readable").or(first);
            assert_eq!(last, Some(json!({ "a": 2 })), "cut at {cut}");
        }
        let mut events = Events::default();
        assert!(events.take(&vec![b'x'; EVENT_BYTES_MAX + 1]).is_err(), "it has a bound");
        assert!(Events::default().take(b"data: no json\n").is_err());
    }

    #[test]
    fn a_line_says_what_a_cashier_would_ask() {
        let status = json!({
            "pending": 3, "needsAttention": 1, "synced": 7, "safeToSwitchOff": false,
            "connection": { "state": "offline", "explanation": "this machine has no network" },
        });
        let said = line(&status, Millis(1_700_000_000_000));
        let expected = "2023-11-14 22:13:20.000Z offline (this machine has no network): 3 waiting, \
                        1 need attention, 7 synced\n";
        assert_eq!(said, expected);
        let note = json!({ "atMs": 0, "what": { "kind": "offered", "runs": [
            { "first": 1, "count": 3, "outcome": "created" },
            { "first": 4, "count": 1, "outcome": { "parked": "POS_SYNC_PRODUCT_UNKNOWN" } },
        ] } });
        let expected = "1970-01-01 00:00:00.000Z offered 1-3 created 4 \
                        parked:POS_SYNC_PRODUCT_UNKNOWN";
        assert_eq!(note_line(&note), expected);
    }
}
