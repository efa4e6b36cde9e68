//! What operators did: an entry for each action, in the transaction of the action itself.
//!
//! An action without its entry, or an entry without its action, cannot be. Entries are numbered in
//! the order of their commits, and nothing changes or removes them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Cloud, Input, Key, Output, Record};
use crate::identity::ShopId;
use crate::machine::{Machine as _, Query, Rows};
use crate::time::Millis;

/// The most entries in one page of a list.
pub const LIST_MAX: usize = 200;
/// The most bytes of what an entry names.
pub const TEXT_MAX: usize = 128;

const _: () = assert!(LIST_MAX > 0, "a page of a list gets on");
const _: () = assert!(TEXT_MAX >= 3 * 36 + 2, "the key of an event can be named");

/// What an operator does, before it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Who.
    pub actor: String,
    /// What, in one word.
    pub action: String,
    /// In which shop, if in one.
    pub shop: Option<ShopId>,
    /// To what.
    pub target: String,
}

/// What an operator did. For ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When.
    pub at: Millis,
    /// Who.
    pub actor: String,
    /// What, in one word.
    pub action: String,
    /// In which shop, if in one.
    pub shop: Option<ShopId>,
    /// To what.
    pub target: String,
    /// Whether it was done; if not, it was refused.
    pub done: bool,
}

/// An action with its entry.
#[derive(Clone, Debug)]
pub struct Logged {
    pub(super) note: Note,
    pub(super) input: Box<Input>,
}

impl Logged {
    /// Puts an action and its entry together; texts beyond [`TEXT_MAX`] are cut.
    #[must_use]
    pub fn new(note: Note, input: Input) -> Self {
        let Note { actor, action, shop, target } = note;
        let note = Note { actor: cut(actor), action: cut(action), shop, target: cut(target) };
        assert!(note.target.len() <= TEXT_MAX, "an entry is bounded");
        assert!(!note.action.is_empty(), "an entry says what was done");
        Self { note, input: Box::new(input) }
    }
}

fn cut(mut text: String) -> String {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    assert!(text.len() <= TEXT_MAX, "what is cut is bounded");
    text
}

pub(super) fn step(
    cloud: Cloud,
    rows: &mut Rows<'_, Cloud>,
    now: Millis,
    logged: &Logged,
) -> Output {
    let output = cloud.step(now, &logged.input, rows);
    let last = match rows.get(&Key::LogHead) {
        Some(Record::LogHead(last)) => *last,
        Some(_) | None => 0,
    };
    let Note { actor, action, shop, target } = logged.note.clone();
    let entry = LogEntry { at: now, actor, action, shop, target, done: done(&output) };
    assert!(entry.target.len() <= TEXT_MAX, "an entry is bounded");
    assert!(entry.action.len() <= TEXT_MAX && entry.actor.len() <= TEXT_MAX, "all of it is");
    let number = last.saturating_add(1);
    assert!(number > last, "entries are numbered in order");
    rows.append(Key::Log(number), Record::Log(entry));
    rows.put(Key::LogHead, Record::LogHead(number));
    output
}

/// Returns whether the output says that what was asked for was done.
fn done(output: &Output) -> bool {
    use super::inbox::Output as Inbox;
    !matches!(
        output,
        Output::OtherSite(_)
            | Output::NoSuchTerminal
            | Output::NoSuchUser
            | Output::NoSuchEvent
            | Output::NameReserved
            | Output::Denied(_)
            | Output::Forbidden(_)
            | Output::Moved
            | Output::HeadMoved
            | Output::Decided(super::decide::Decided::Waits(_))
            | Output::Inbox(Inbox::OrderTaken | Inbox::NoSuchOrder)
    )
}

/// Returns the entries below `before`, the newest first, a page of [`LIST_MAX`] at most.
///
/// # Errors
/// The query's.
pub async fn entries<Q: Query<Cloud>>(
    query: &Q,
    before: Option<u64>,
) -> Result<Vec<(u64, LogEntry)>, Q::Error> {
    let last = match query.get(&Key::LogHead).await? {
        Some(Record::LogHead(last)) => last,
        Some(_) | None => 0,
    };
    let end = before.map_or(last, |before| last.min(before.saturating_sub(1)));
    let first = end.saturating_sub(LIST_MAX as u64 - 1).max(1);
    let page = query.scan(&Key::Log(first), &Key::Log(end.saturating_add(1)), LIST_MAX).await?;
    let entries = page.into_iter().rev().filter_map(|row| match row {
        (Key::Log(number), Record::Log(entry)) => Some((number, entry)),
        _ => None,
    });
    let entries: Vec<_> = entries.collect();
    assert!(entries.len() <= LIST_MAX, "a page is bounded");
    assert!(entries.is_sorted_by(|a, b| a.0 > b.0), "the newest come first");
    assert!(entries.iter().all(|(number, _)| *number <= end), "a page ends where it was asked");
    Ok(entries)
}
