//! Ingest: take entries into the cloud's copy of a journal, and post each event once.
//!
//! > **`NoDuplicate`**: a sale, and each of its effects, counts once in the cloud, however often
//! > it was sent.
//!
//! Journal and ledger are two questions. The journal asks "is this the next entry of this
//! history?", and takes it whatever it says, so that one bad item never blocks its neighbours.
//! The ledger asks "is this event known?", by its key and payload, whichever history brings it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::corrected;
use super::edited;
use super::inbox::{InboxKey, feed};
use super::row::{Fate, Kept, Lane, Ledger, Moved, Stock, Waiting};
use super::sessions::Session;
use super::{Caller, Cloud, Key, Offer, Offered, Output, Record, Site, UnknownProducts};
use crate::catalog::EntityId;
use crate::event::{EVENT_BYTES_MAX, Event};
use crate::hash::{Hash, link};
use crate::identity::{Epoch, EventKey, ProductId, SessionId, ShopId, TerminalId};
use crate::inbox::{InboxEvent, Reference, relayed_event_id};
use crate::journal::Segment;
use crate::machine::{ReadSet, Rows};
use crate::problem::ErrorCode;
use crate::time::Millis;
use crate::wire::message::{ItemResult, PUSH_ITEMS_MAX, PushAnswer, ServerId, Stopped, Verdict};

pub(super) fn reads(cloud: Cloud, caller: &Caller, offer: &Offer, keys: &mut ReadSet<Key>) {
    let id = caller.terminal;
    assert!(!offer.is_empty() && offer.len() <= PUSH_ITEMS_MAX, "a checked push is bounded");
    keys.reserve(4 * offer.len() + 16); // a ledger row each, and what they move, named twice
    keys.insert(Key::Lane(id, offer.epoch));
    let segments = offer.items.iter().map(|item| Segment::number(item.seq));
    let mut before = None;
    keys.extend(
        segments
            .filter(|number| before.replace(*number) != Some(*number))
            .map(|number| Key::Segment(id, offer.epoch, number)),
    );
    // Kind by kind, in the order of the keys: what is in order need not be sorted.
    let events = || offer.items.iter().filter_map(|item| item.event.as_ref().ok());
    for (event, _) in events() {
        keys.insert(Key::Ledger(event.key(id)));
        keys.extend(event.original().map(Key::Ledger));
    }
    let unread = offer.items.iter().filter(|item| item.event.is_err());
    debug_assert_eq!(events().count() + unread.clone().count(), offer.len(), "each is named");
    keys.extend(unread.map(|item| Key::Opaque(id, offer.epoch, item.seq)));
    let (mut moved, mut session) = (Vec::<ProductId>::new(), None);
    for (event, _) in events() {
        corrected::reads(id, event, keys);
        // Most events of a push are of one session.
        let of = event.session().map(|session| session_key(caller, event, session));
        keys.extend(of.filter(|of| session.replace(*of) != Some(*of)));
        if let Some(edit) = event.edit() {
            edited::reads(caller.site.shop, event.key(id), edit, keys);
        }
        if cloud.unknown_products == UnknownProducts::Park {
            moved.extend(event.movements().map(|movement| movement.product));
        }
    }
    let site = caller.site;
    // Most sales move the same products: each is named once, in the order of the keys.
    moved.sort_unstable();
    moved.dedup();
    debug_assert!(moved.is_sorted_by(|a, b| a < b), "each product is named once, in order");
    keys.extend(moved.iter().map(|product| Key::Product(site.shop, *product)));
    keys.extend(moved.iter().map(|product| listed(site.shop, *product)));
    keys.insert(InboxKey::Relay(site.shop, site.branch).into());
    keys.insert(InboxKey::Head(site.shop, site.branch).into());
}

fn session_key(caller: &Caller, event: &Event, session: SessionId) -> Key {
    Key::Session(caller.site.shop, caller.terminal, event.pos(), session)
}

/// The row by which the shop's catalog makes a product known.
const fn listed(shop: ShopId, product: ProductId) -> Key {
    Key::Item(shop, None, EntityId::product(product))
}

pub(super) fn step(
    cloud: Cloud,
    rows: &mut Rows<'_, Cloud>,
    now: Millis,
    caller: &Caller,
    offer: &Offer,
) -> Output {
    let id = caller.terminal;
    assert_eq!(offer.shop, caller.site.shop, "an offer is read for the shop of its caller");
    assert_eq!(offer.terminal, id, "a till is admitted as itself");
    let Some(lane) = rows.lane(id, offer.epoch).cloned() else {
        let stopped = Some(Stopped::UnknownEpoch);
        return Output::Pushed(PushAnswer { head: 0, results: Vec::new(), stopped });
    };
    let before = lane.clone();
    let relayed = rows.relays(caller.site).then(Vec::new);
    let moved = BTreeMap::new();
    let (open, grown, shown, counting) = (None, false, None, None);
    let mut ingest = Ingest {
        cloud,
        rows,
        now,
        caller,
        offer,
        lane,
        open,
        grown,
        shown,
        moved,
        counting,
        relayed,
    };
    let mut first = None;
    let mut results = Vec::with_capacity(offer.items.len());
    let mut stopped = None;
    for item in &offer.items {
        match ingest.take(item) {
            Ok(verdict) => {
                if let (None, Verdict::Created(name)) = (first, verdict) {
                    first = Some(name);
                }
                results.push(ItemResult { seq: item.seq, verdict });
            }
            Err(reason) => {
                stopped = Some(reason);
                break;
            }
        }
    }
    ingest.close();
    ingest.keep_session();
    ingest.keep_movements(first);
    ingest.relay();
    let lane = ingest.lane;
    let whole = results.len() == offer.items.len();
    assert_eq!(whole, stopped.is_none(), "each item has its result, or there is a reason");
    assert!(lane.head >= before.head, "a journal only grows");
    assert!(lane.head - before.head <= results.len() as u64, "each new entry has its result");
    let posted = lane.posted.events - before.posted.events;
    assert!(posted <= results.len() as u64, "each result posts one event at most");
    assert!(first.is_none() || posted > 0, "what has a name is posted");
    assert!(lane.head > before.head || lane.hash == before.hash, "no entry is exchanged");
    assert!(lane.parent == before.parent && lane.since == before.since, "a beginning stays");
    let head = lane.head;
    if lane != before {
        // Sending everything again changes nothing, and so writes nothing.
        rows.put(Key::Lane(id, offer.epoch), Record::Lane(Lane { seen: now, ..lane }));
    }
    Output::Pushed(PushAnswer { head, results, stopped })
}

/// Where an event that is being taken in stands.
#[derive(Clone, Copy)]
pub(super) struct Item {
    pub(super) site: Site,
    pub(super) terminal: TerminalId,
    pub(super) epoch: Epoch,
    pub(super) seq: u64,
}

struct Ingest<'a, 'r> {
    cloud: Cloud,
    rows: &'a mut Rows<'r, Cloud>,
    now: Millis,
    caller: &'a Caller,
    offer: &'a Offer,
    lane: Lane,
    open: Option<(u64, Segment)>,
    grown: bool,
    /// The last entry that the copy was found to hold, and its chain hash.
    shown: Option<(u64, Hash)>,
    /// What this push moves.
    moved: BTreeMap<ProductId, Stock>,
    /// The register session that was counted last; it is written back when another is.
    counting: Option<(Key, Session)>,
    /// What the other tills of the branch are to hear of it; none if they hear nothing.
    relayed: Option<Vec<InboxEvent>>,
}

impl Ingest<'_, '_> {
    fn take(&mut self, item: &Offered) -> Result<Verdict, Stopped> {
        self.journal(item)?;
        assert!(item.seq <= self.lane.head, "an item is posted only from the journal");
        match &item.event {
            Ok((event, name)) => Ok(self.post(item, event, *name)),
            Err(_) => {
                self.keep_opaque(item);
                Ok(Verdict::Refused(ErrorCode::EventInvalid))
            }
        }
    }

    /// Takes the entry into the journal, or recognises it.
    fn journal(&mut self, item: &Offered) -> Result<(), Stopped> {
        assert!(item.seq > 0, "a journal counts from 1");
        if item.seq > self.lane.head + 1 {
            return Err(Stopped::Gap);
        }
        if item.seq <= self.lane.head {
            return if self.holds(item) { Ok(()) } else { Err(Stopped::Forked) };
        }
        assert_eq!(item.seq, self.lane.head + 1, "the next entry follows the head");
        let before = self.lane.hash;
        let linked = item.continues == Some(before)
            || link(before, item.seq, item.payload_hash) == item.chain;
        if !linked {
            return Err(Stopped::Forked);
        }
        let number = Segment::number(item.seq);
        self.segment(number);
        // What this push has appended itself need not be shown again.
        let whole = self.grown || self.segment(number).ends_with(item.seq - 1, before);
        if !whole {
            // The rows of the copy are damaged: it cannot be shown to continue, so it does not.
            return Err(Stopped::Forked);
        }
        self.segment(number).push(item.seq, item.payload_hash, item.chain);
        self.grown = true;
        self.lane.head = item.seq;
        self.lane.hash = item.chain;
        Ok(())
    }

    /// Returns whether the copy holds this very entry. The chain hash alone would not do: it is
    /// only claimed to be that of these bytes.
    fn holds(&mut self, item: &Offered) -> bool {
        assert!(item.seq > 0 && item.seq <= self.lane.head, "only what is held is recognised");
        let shown = self.shown.take();
        assert!(shown.is_none_or(|(seq, _)| seq < item.seq), "entries are offered in order");
        let segment = self.segment(Segment::number(item.seq));
        // What continues an entry that the copy holds has the copy's chain, if it has its payload.
        let same = segment.payload_at(item.seq) == Some(item.payload_hash)
            && (shown
                .is_some_and(|(seq, chain)| seq + 1 == item.seq && item.continues == Some(chain))
                || segment.chain_at(item.seq) == Some(item.chain));
        self.shown = same.then_some((item.seq, item.chain));
        same
    }

    /// Returns a segment to read or to append to; it is written back when another is wanted.
    fn segment(&mut self, number: u64) -> &mut Segment {
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            self.close();
            let held = self.rows.segment(self.caller.terminal, self.offer.epoch, number).cloned();
            assert!(!self.grown, "what has grown is written before another is opened");
            self.open = Some((number, held.unwrap_or_else(|| Segment::new(self.lane.hash))));
        }
        let (open, segment) = self.open.as_mut().expect("opened above");
        assert_eq!(*open, number, "the segment is the one that was asked for");
        segment
    }

    /// Writes the open segment back, if it has grown.
    fn close(&mut self) {
        let Some((number, segment)) = self.open.take() else { return };
        if self.grown {
            assert!(!segment.payloads.is_empty(), "what has grown is not empty");
            assert_eq!(number, Segment::number(self.lane.head), "only the last segment grows");
            debug_assert_eq!(
                Segment::of(segment.start, segment.payloads.clone()).chain_at(self.lane.head),
                Some(self.lane.hash),
                "the copy verifies up to its head"
            );
            let key = Key::Segment(self.caller.terminal, self.offer.epoch, number);
            self.rows.put(key, Record::Segment(segment));
            self.grown = false;
        }
    }

    /// Posts the event if it is new and can be posted; answers as before if it is known.
    fn post(&mut self, item: &Offered, event: &Event, name: ServerId) -> Verdict {
        let key = event.key(self.caller.terminal);
        let known = self.rows.ledger(key);
        if let Some(known) = known {
            if known.payload_hash != item.payload_hash {
                self.keep_conflict(item, key);
                return Verdict::Refused(ErrorCode::EventInvalid);
            }
            match known.fate {
                Fate::Posted => {
                    return self.posted(event, name).unwrap_or(Verdict::Existing(name));
                }
                Fate::Rejected => return Verdict::Refused(ErrorCode::EventInvalid),
                Fate::Refused(code) => return Verdict::Refused(code),
                Fate::Withdrawn(_) => {
                    self.keep_withdrawn(item, key, known.clone());
                    return Verdict::Refused(ErrorCode::Withdrawn);
                }
                Fate::Parked(_) => {}
            }
        }
        let first = known.map(|known| (known.epoch, known.seq, known.at));
        let (epoch, seq, at) = first.unwrap_or((self.offer.epoch, item.seq, self.now));
        let before = known.map(|known| known.fate);
        assert_ne!(before, Some(Fate::Posted), "what is posted is not posted again");
        let fate = self.judge(event);
        if before != Some(fate) {
            let entry = Ledger {
                site: self.caller.site,
                payload_hash: item.payload_hash,
                payload: Arc::clone(&item.payload),
                epoch,
                seq,
                at,
                fate,
            };
            self.rows.put(Key::Ledger(key), Record::Ledger(entry));
            if before.is_some() || fate != Fate::Posted {
                self.list(key, fate, at);
            }
        }
        if matches!(fate, Fate::Posted | Fate::Parked(_)) {
            let (site, terminal) = (self.caller.site, self.caller.terminal);
            corrected::withdraw(self.rows, self.now, Item { site, terminal, epoch, seq }, event);
        }
        match fate {
            Fate::Posted => {
                self.apply(item, event);
                self.posted(event, name).unwrap_or(Verdict::Created(name))
            }
            Fate::Parked(code) => Verdict::Parked(code),
            Fate::Refused(code) => Verdict::Refused(code),
            Fate::Rejected | Fate::Withdrawn(_) => Verdict::Refused(ErrorCode::EventInvalid),
        }
    }

    /// Puts the event on the list of those that wait, or takes it off.
    fn list(&mut self, key: EventKey, fate: Fate, since: Millis) {
        let row = Key::Waiting(self.caller.site.shop, key);
        assert_eq!(key.terminal, self.caller.terminal, "a till's events are its own");
        match fate {
            Fate::Parked(code) => self.rows.keep(row, Record::Waiting(Waiting { code, since })),
            Fate::Posted | Fate::Rejected | Fate::Withdrawn(_) | Fate::Refused(_) => {
                self.rows.retract(row);
            }
        }
    }

    /// Returns the answer to a posted edit of the catalog; other events have theirs.
    fn posted(&self, event: &Event, name: ServerId) -> Option<Verdict> {
        event.edit()?;
        let (shop, key) = (self.caller.site.shop, event.key(self.caller.terminal));
        edited::answer(self.rows, shop, key, name).map(Verdict::Edited)
    }

    /// Decides whether the event can have its effects now.
    fn judge(&self, event: &Event) -> Fate {
        let shop = self.caller.site.shop;
        if let Some(code) = corrected::refusal(self.rows, self.caller.terminal, event) {
            return Fate::Refused(code);
        }
        if let Some(original) = event.original() {
            let posted = self.rows.ledger(original).is_some_and(|original| {
                original.fate == Fate::Posted && original.site.shop == shop
            });
            if !posted {
                return Fate::Parked(ErrorCode::OriginalPending);
            }
        }
        if self.cloud.unknown_products == UnknownProducts::Park
            && !event.movements().all(|movement| self.is_known(shop, movement.product))
        {
            return Fate::Parked(ErrorCode::ProductUnknown);
        }
        Fate::Posted
    }

    /// Returns whether the product was defined, or is in the shop's catalog and not deleted.
    fn is_known(&self, shop: ShopId, product: ProductId) -> bool {
        assert_eq!(shop, self.caller.site.shop, "a till sells what its own shop has");
        let entity = EntityId::product(product);
        self.rows.get(&Key::Product(shop, product)).is_some()
            || self.rows.item(shop, None, entity).is_some_and(|item| item.content.is_some())
    }

    /// Gives the event its effects: stock movements, what a till's edit may change, totals.
    fn apply(&mut self, item: &Offered, event: &Event) {
        let (shop, key) = (self.caller.site.shop, event.key(self.caller.terminal));
        if let Some(edit) = event.edit() {
            edited::decide(self.rows, self.now, shop, key, edit);
        }
        for (number, movement) in (0..).zip(event.movements()) {
            if let Some(relayed) = &mut self.relayed {
                relayed.push(InboxEvent {
                    id: relayed_event_id(shop, &key, item.payload_hash, number),
                    created_at: event.at(),
                    product: movement.product,
                    delta: movement.delta,
                    reference: Reference::Sale(key),
                });
            }
            let sum = self.moved.entry(movement.product).or_default();
            *sum = sum.plus(Stock { quantity: movement.delta, movements: 1 });
            assert!(sum.movements > 0, "what moves is counted");
        }
        let moves = event.body().moves_goods();
        assert!(!moves || !self.moved.is_empty(), "an event moves something");
        self.count(event);
        self.lane.posted = self.lane.posted.plus(event.figures());
    }

    /// Counts an event in the register session that it names, if it names one.
    fn count(&mut self, event: &Event) {
        let (Some(session), Some(currency)) = (event.session(), event.body().currency()) else {
            return;
        };
        let key = session_key(self.caller, event, session);
        if self.counting.as_ref().is_none_or(|(counting, _)| *counting != key) {
            self.keep_session();
            let shop = self.caller.site.shop;
            let held = self.rows.session(shop, self.caller.terminal, event.pos(), session);
            let held = held.cloned();
            let row = held.unwrap_or_else(|| Session::new(self.caller.site, currency));
            self.counting = Some((key, row));
        }
        let (counting, row) = self.counting.as_mut().expect("read above");
        assert_eq!(*counting, key, "an event counts in the session that it names");
        row.take(self.now, event);
    }

    /// Writes the session that was counted last.
    fn keep_session(&mut self) {
        if let Some((key, row)) = self.counting.take() {
            assert!(matches!(key, Key::Session(..)), "a session has a key of its kind");
            self.rows.put(key, Record::Session(Box::new(row)));
        }
        assert!(self.counting.is_none(), "what was counted is written");
    }

    /// Writes what this push has moved. The row cannot be declared, as nobody knows yet what will
    /// be posted; it is new, as an event is posted once.
    fn keep_movements(&mut self, first: Option<ServerId>) {
        assert!(first.is_some() || self.moved.is_empty(), "what moves something was posted");
        let Some(first) = first.filter(|_| !self.moved.is_empty()) else { return };
        assert!(self.lane.posted.events > 0, "what is posted is in the books of its history");
        let moved = core::mem::take(&mut self.moved);
        let moved = moved.into_iter().map(|(product, by)| Moved { product, by }).collect();
        let site = self.caller.site;
        let key = Key::Movements(site.shop, site.branch, first);
        self.rows.append(key, Record::Movements(moved));
    }

    /// Lets the other tills of the branch hear of what this push moved, if they are to.
    fn relay(&mut self) {
        let Some(events) = self.relayed.take().filter(|events| !events.is_empty()) else { return };
        assert!(self.lane.posted.events > 0, "only what is posted is relayed");
        feed::append(self.rows, self.now, self.caller.site, Some(self.caller.terminal), &events);
    }

    fn keep_conflict(&mut self, item: &Offered, key: EventKey) {
        assert_eq!(key.terminal, self.caller.terminal, "a till's conflicts are its own");
        assert!(item.event.is_ok(), "only an event has a key to conflict with");
        self.rows.keep(Key::Conflict(key, item.payload_hash), Record::Conflict(self.kept(item)));
    }

    /// Keeps the bytes of an event that was withdrawn before they came.
    fn keep_withdrawn(&mut self, item: &Offered, key: EventKey, known: Ledger) {
        assert_eq!(known.payload_hash, item.payload_hash, "it is the event that was named");
        assert_eq!(key.terminal, self.caller.terminal, "a till's events are its own");
        assert!(matches!(known.fate, Fate::Withdrawn(_)), "what counts has its bytes");
        if known.payload.is_empty() {
            let (payload, epoch, seq) = (Arc::clone(&item.payload), self.offer.epoch, item.seq);
            let entry = Ledger { payload, epoch, seq, ..known };
            self.rows.put(Key::Ledger(key), Record::Ledger(entry));
        }
    }

    fn keep_opaque(&mut self, item: &Offered) {
        assert!(item.event.is_err(), "an event is not opaque");
        let key = Key::Opaque(self.caller.terminal, self.offer.epoch, item.seq);
        if self.rows.get(&key).is_none() {
            self.rows.put(key, Record::Opaque(self.kept(item)));
        }
    }

    fn kept(&self, item: &Offered) -> Kept {
        assert!(item.payload.len() <= EVENT_BYTES_MAX, "a checked push bounds its payloads");
        assert!(item.seq <= self.lane.head, "only what is in the journal is kept for a person");
        Kept {
            epoch: self.offer.epoch,
            seq: item.seq,
            at: self.now,
            payload: item.payload.to_vec(),
        }
    }
}
