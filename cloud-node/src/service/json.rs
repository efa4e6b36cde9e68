//! The JSON form of a push, for callers without the binary codec.
//!
//! ```json
//! {"terminalId": "T-1", "epoch": {"number": 1, "nonce": 17}, "items": [
//!   {"seq": 1, "chainHash": "64 hex digits", "event": {"posId": "P-1", "...": "..."}},
//!   {"seq": 2, "chainHash": "64 hex digits", "payload": "hex of canonical bytes"}]}
//! ```
//!
//! An item carries either `event`, whose canonical bytes this node makes, or `payload`, the
//! canonical bytes themselves. Three things a caller should know:
//!
//! - The chain is over *canonical bytes*. An `event` that cannot be parsed has none, so its raw
//!   JSON text is handed on in their place: the role never takes it for an event. The caller's
//!   chain hash cannot be that of the raw text, so the answer is `stopped: "forked"` at that item,
//!   with everything before it kept. Correct the event, or send the bytes that were hashed as
//!   `payload`: then even bytes that are no event get their verdict, and the next items theirs.
//! - The same holds for a `payload` that is not hexadecimal.
//! - `nonce` is a 64-bit number and travels as a JSON number. JavaScript rounds numbers above
//!   2^53: choose the nonce below that, or keep its digits as text on your side.

use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{Epoch, TerminalId};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::event::EventAny;
use counterfoil_protocol::wire::message::{PUSH_ITEMS_MAX, Push, PushItem};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::bad_json;
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PushJson<'a> {
    terminal_id: TerminalId,
    epoch: Epoch,
    #[serde(borrow)]
    items: Vec<ItemJson<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ItemJson<'a> {
    seq: u64,
    chain_hash: Hash,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(default)]
    payload: Option<String>,
}

/// Reads a push; its bounds are not checked yet.
pub(super) fn read(bytes: &[u8]) -> Result<Push, Problem> {
    let push: PushJson<'_> = serde_json::from_slice(bytes).map_err(|error| bad_json(&error))?;
    if push.items.len() > PUSH_ITEMS_MAX {
        let detail = format!("a push has at most {PUSH_ITEMS_MAX} items: send fewer at once");
        return Err(Problem::new(ErrorCode::EventInvalid, detail));
    }
    let items = push.items.into_iter().map(item).collect::<Result<_, _>>()?;
    Ok(Push { terminal_id: push.terminal_id, epoch: push.epoch, items })
}

fn item(item: ItemJson<'_>) -> Result<PushItem, Problem> {
    let payload = match (item.event, item.payload) {
        (Some(event), None) => canonical(event.get()),
        (None, Some(hex)) => from_hex(&hex).unwrap_or_else(|| hex.into_bytes()),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::new(
                ErrorCode::EventInvalid,
                format!("item {} needs either `event` or `payload`: correct it", item.seq),
            ));
        }
    };
    Ok(PushItem { seq: item.seq, chain_hash: item.chain_hash, payload: payload.into() })
}

fn canonical(event: &str) -> Vec<u8> {
    let parsed = serde_json::from_str::<EventAny>(event).ok().and_then(|wire| wire.parse().ok());
    parsed.map_or_else(|| event.as_bytes().to_vec(), |event| event.canonical())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_or_refused() {
        for (text, expected) in [
            ("", Some(&[][..])),
            ("00ff", Some(&[0x00, 0xff])),
            ("Ab", Some(&[0xab])),
            ("abc", None),
            ("zz", None),
            ("é", None),
        ] {
            assert_eq!(from_hex(text).as_deref(), expected, "{text}");
        }
    }
}
