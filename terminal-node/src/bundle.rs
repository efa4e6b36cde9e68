//! What a till hands to whoever looks into an incident: its books, its queue, the end of its
//! journal and its diary, in one JSON document without a secret.
//!
//! Unless contents are asked for, every name (shop, till, register, event, product, reference) is
//! replaced by a mask: the same name has the same mask within one bundle, and no two bundles have
//! masks in common, as each is made with random numbers that are in none. Digests of events are
//! masked too: who can guess an event could confirm the guess by them. Amounts are left out. Times
//! stay. `docs/till.md` has the form.

use counterfoil_protocol::event::Event;
use counterfoil_protocol::hash::{Hash, secret_hash};
use counterfoil_protocol::identity::{Epoch, EventKey};
use counterfoil_protocol::terminal::Place;
use counterfoil_protocol::terminal::diary::{Note, Noted};
use counterfoil_protocol::terminal::row::{Entry, Meta, State};
use counterfoil_protocol::wire::event::EventAny;
use serde::Serialize;
use serde_json::{Value, json};

use crate::books::QueueItem;
use crate::receipts::Backwards;
use crate::till::{Till, TillError, TillStore};

/// The version of a bundle's form. Version 2 tells of a refund what it takes back (`original`), and
/// of a correction whose place it takes (`corrects`).
pub const BUNDLE_VERSION: u32 = 2;
/// The most journal entries of a bundle.
pub const BUNDLE_ENTRIES_MAX: usize = 10_000;
/// The journal entries of a bundle, if nobody says how many.
pub const BUNDLE_ENTRIES: usize = 1_000;
/// The most events of the queue in a bundle.
const QUEUE_MAX: usize = 1_000;
/// The most bytes of a bundle's entries with their contents: the newest that fit.
const CONTENTS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// So many of the newest journal entries.
    pub entries: usize,
    /// Names, amounts and digests as they are.
    pub contents: bool,
}

/// What only whoever has the database open can tell.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inside {
    redacted: bool,
    identity: Value,
    epoch: Epoch,
    head: u64,
    head_hash: String,
    acked: u64,
    closed: Vec<Value>,
    quarantined: Option<&'static str>,
    pending: u64,
    needs_attention: u64,
    synced: u64,
    queue: Vec<Value>,
    entries: Vec<Value>,
    diary: Vec<Value>,
    /// What the program that runs knows and has not written yet.
    memory: Vec<Value>,
}

/// Names as they are told: masked, or as they are.
struct Mask {
    contents: bool,
    secret: [u64; 4],
}

impl Mask {
    fn name(&self, name: &str) -> String {
        if self.contents { name.to_owned() } else { format!("~{}", self.digest(name.as_bytes())) }
    }

    fn hash(&self, hash: Hash) -> String {
        if self.contents { hash.to_string() } else { format!("~{}", self.digest(&hash.0)) }
    }

    fn digest(&self, bytes: &[u8]) -> String {
        let mut secret: Vec<u8> = self.secret.iter().flat_map(|part| part.to_le_bytes()).collect();
        secret.extend_from_slice(bytes);
        secret_hash(&secret).to_string()[..16].to_owned()
    }
}

impl<S: TillStore> Till<S> {
    /// Puts a bundle's inside together.
    ///
    /// # Errors
    /// The store's.
    pub async fn bundle(&self, wish: Wish) -> Result<Inside, TillError> {
        let secret = [self.draw(), self.draw(), self.draw(), self.draw()];
        let mask = Mask { contents: wish.contents, secret };
        let meta = self.meta().await?;
        let status = self.status().await?;
        let queue = self.queue(QUEUE_MAX).await?;
        let entries = self.newest(&meta, &mask, wish.entries.min(BUNDLE_ENTRIES_MAX)).await?;
        let diary = self.diary().await?;
        let identity = &meta.identity;
        Ok(Inside {
            redacted: !wish.contents,
            identity: json!({
                "shop": mask.name(identity.shop.as_str()),
                "branch": mask.name(identity.branch.as_str()),
                "terminal": mask.name(identity.terminal.as_str()),
            }),
            epoch: meta.epoch,
            head: meta.head,
            head_hash: mask.hash(meta.hash),
            acked: meta.acked,
            closed: closed(&meta, &mask),
            quarantined: meta.quarantined.map(|denial| denial.explain()),
            pending: status.pending,
            needs_attention: status.needs_attention,
            synced: status.synced,
            queue: queue.iter().map(|item| waiting(item, &mask)).collect(),
            entries,
            diary: diary.iter().map(|(number, note)| noted(Some(*number), note)).collect(),
            memory: self.jotted().iter().map(|note| noted(None, note)).collect(),
        })
    }

    /// Returns the newest entries, oldest first.
    async fn newest(&self, meta: &Meta, mask: &Mask, most: usize) -> Result<Vec<Value>, TillError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut back = Backwards::of(meta);
        while let Some(page) = back.next(self).await? {
            for (place, entry) in page.into_iter().rev() {
                bytes += if mask.contents { entry.payload.len() } else { 0 };
                if entries.len() == most || bytes > CONTENTS_BYTES_MAX {
                    entries.reverse();
                    return Ok(entries);
                }
                entries.push(told(place, &entry, mask));
            }
        }
        entries.reverse();
        Ok(entries)
    }
}

fn closed(meta: &Meta, mask: &Mask) -> Vec<Value> {
    let closed = meta.closed.iter().map(|closed| {
        json!({
            "epoch": closed.epoch, "head": closed.head, "headHash": mask.hash(closed.hash),
            "kept": closed.kept, "next": closed.next, "unsettled": closed.unsettled(),
        })
    });
    closed.collect()
}

fn waiting(item: &QueueItem, mask: &Mask) -> Value {
    json!({
        "epoch": item.epoch, "seq": item.seq, "register": mask.name(item.pos_id.as_str()),
        "event": mask.name(item.local_event_id.as_str()), "kind": item.kind,
        "needsAttention": item.needs_attention, "attempts": item.attempts, "dueMs": item.due_ms,
        "code": item.code,
    })
}

fn told(place: Place, entry: &Entry, mask: &Mask) -> Value {
    let event = Event::from_canonical(&entry.payload).ok();
    let state = match entry.state {
        State::Open => json!("open"),
        State::Synced(id) => json!({ "synced": mask.hash(id.0) }),
        State::Replaced(by) => json!({ "replaced": mask.name(by.as_str()) }),
        State::Moved(to) => json!({ "moved": { "epoch": to.epoch, "seq": to.seq } }),
    };
    let mut told = json!({
        "epoch": place.epoch, "seq": place.seq, "register": mask.name(entry.pos.as_str()),
        "event": mask.name(entry.local_id.as_str()),
        "kind": event.as_ref().map_or("unreadable", Event::kind),
        "atMs": event.as_ref().map(Event::at), "bytes": entry.payload.len(),
        "payloadHash": mask.hash(entry.payload_hash), "chainHash": mask.hash(entry.chain),
        "state": state,
    });
    if let Some(event) = &event {
        related(&mut told, event, mask);
    }
    if let (true, Some(event)) = (mask.contents, event) {
        told["content"] = json!(EventAny::from_event(&event));
    }
    told
}

/// Tells which other events an event names.
fn related(told: &mut Value, event: &Event, mask: &Mask) {
    if let Some(EventKey { terminal, pos, local_id }) = event.original() {
        told["original"] = json!({
            "terminal": mask.name(terminal.as_str()), "register": mask.name(pos.as_str()),
            "event": mask.name(local_id.as_str()),
        });
    }
    let of = event.corrected().iter().map(|of| mask.name(of.local_id.as_str()));
    let of: Vec<String> = of.collect();
    if !of.is_empty() {
        told["corrects"] = json!(of);
    }
}

/// A note as it is told: it has no name in it, only places, times and codes.
pub(crate) fn noted(number: Option<u64>, note: &Note) -> Value {
    let what = match &note.what {
        Noted::Started => json!({ "kind": "started" }),
        Noted::Parted { why, epoch } => json!({ "kind": "parted", "why": why, "epoch": epoch }),
        Noted::Retried(Place { epoch, seq }) => {
            json!({ "kind": "retried", "epoch": epoch, "seq": seq })
        }
        Noted::SetAside(Place { epoch, seq }) => {
            json!({ "kind": "setAside", "epoch": epoch, "seq": seq })
        }
        // What has its place is told by its entry.
        Noted::Replaced { place: Place { epoch, seq }, by: _ } => {
            json!({ "kind": "replaced", "epoch": epoch, "seq": seq })
        }
        Noted::Carried { from, entries } => {
            let runs = entries.iter().map(|(first, n)| json!({ "first": first, "count": n }));
            json!({ "kind": "carried", "from": from, "runs": runs.collect::<Vec<_>>() })
        }
        Noted::Offered { epoch, times, last, runs } => {
            let runs = runs.iter().map(
                |run| json!({ "first": run.first, "count": run.count, "outcome": run.outcome }),
            );
            let runs: Vec<Value> = runs.collect();
            json!({
                "kind": "offered", "epoch": epoch, "times": times, "lastMs": last, "runs": runs,
            })
        }
    };
    json!({ "number": number, "atMs": note.at, "what": what })
}
