//! Events without a journal: the cloud keeps it for whoever brings them (S1, S2, S3).
//!
//! An HTTP client of the contracts has a name for each sale and nothing else. So each shop has a
//! *book*: a journal that the cloud writes itself, one history in it for each user, and an entry
//! for whatever a user brings. The ledger has the event under the key (book, `http`, the client's
//! name), and the book's name is a digest of the shop: so (shop, client's name) *is* the key of the
//! row, and stays unique whichever user, route or node brings it (S2.8). From there on a sale is a
//! sale: stock, sums, exports and checks know no difference. Why: `docs/decisions/0013-book.md`.
//!
//! > **`NoDuplicate`**: a sale, and each of its effects, counts once in the cloud, however often
//! > it was sent.
//!
//! | what comes | what becomes of it |
//! |---|---|
//! | a new name | posted, `created`; or kept without effect if a product is unknown |
//! | a known name, the same event | `existing`; or posted now, if its product is known by now |
//! | a known name, another event | both are kept, the first one counts (B.2) |
//! | an unknown customer | the sale is posted without |

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::book::receipt_of;
pub use super::book::{book, history, is_book};
use super::posting::{self, Posting};
use super::row::{self, Fate, Kept, Lane, Ledger};
use super::users::{self, Scope, UserCaller};
use super::{Cloud, Key, Output, Record, Site};
use crate::catalog::{EntityId, Kind};
use crate::event::{Adjustment, Body, Event, EventError, Figures, Trade};
use crate::hash::{Hash, genesis, link, payload_hash};
use crate::identity::{
    Epoch, EventKey, LocalEventId, PosId, ProductId, ShopId, TerminalId, UserId,
};
use crate::journal::{SEGMENT_ENTRIES, Segment};
use crate::label::Label;
use crate::machine::{Query, ReadSet, Rows};
use crate::problem::ErrorCode;
use crate::time::Millis;
use crate::wire::message::ServerId;

/// The most events in one request.
pub const EVENTS_MAX: usize = 200;
/// The register of every event of a book.
pub const POS: PosId = match PosId::parse("http") {
    Ok(pos) => pos,
    Err(_) => panic!("a short word is a name"),
};

/// In whose history an operator's events stand.
pub const OPERATOR: UserId = match UserId::parse("operator") {
    Ok(user) => user,
    Err(_) => panic!("a short word is a name"),
};

/// By how many segments a journal may have grown since its head was read.
const SLACK: u64 = 4;

const _: () = assert!(EVENTS_MAX > 0, "a request brings something");
const _: () = assert!(EVENTS_MAX as u64 / SEGMENT_ENTRIES < 64, "a request reads few segments");

/// An event, and all that can be said of it without a database.
#[derive(Clone, Debug)]
pub struct Direct {
    shop: ShopId,
    event: Event,
    payload: Arc<[u8]>,
    payload_hash: Hash,
    name: ServerId,
    customer: Option<Label>,
    command: Option<Label>,
}

impl Direct {
    /// Makes a sale of a shop, under the client's name for it.
    ///
    /// # Errors
    /// [`EventError`] names the rule that is broken.
    pub fn sale(
        shop: ShopId,
        id: LocalEventId,
        at: Millis,
        trade: Trade,
    ) -> Result<Self, EventError> {
        Self::new(shop, id, at, Body::Sale(trade))
    }

    /// Makes an adjustment of a stock, under the client's name for it.
    ///
    /// # Errors
    /// [`EventError`] names the rule that is broken.
    pub fn adjustment(
        shop: ShopId,
        id: LocalEventId,
        at: Millis,
        adjustment: Adjustment,
    ) -> Result<Self, EventError> {
        Self::new(shop, id, at, Body::Adjustment(adjustment))
    }

    /// Names the customer; one that the shop does not know is left out.
    #[must_use]
    pub fn for_customer(self, customer: Option<Label>) -> Self {
        Self { customer, ..self }
    }

    /// Names the command that brings it (S3.4).
    #[must_use]
    pub fn by_command(self, command: Option<Label>) -> Self {
        Self { command, ..self }
    }

    fn new(shop: ShopId, id: LocalEventId, at: Millis, body: Body) -> Result<Self, EventError> {
        let receipt = body.trade().map(|_| receipt_of(id));
        let reference = alloc::string::String::new();
        let event = Event { pos: POS, local_id: id, at, receipt, reference, session: None, body };
        let (event, bytes) = event.seal()?;
        assert!(event.session().is_none(), "a book has no register sessions");
        assert!(event.original().is_none(), "a refund does not come without a journal");
        assert!(event.body().moves_goods(), "only goods come without a journal");
        let name = row::server_id(shop, &event.key(book(shop)));
        assert!(!bytes.is_empty(), "an event has bytes");
        let (payload_hash, payload) = (payload_hash(&bytes), Arc::from(bytes));
        let (customer, command) = (None, None);
        assert_eq!(event.pos(), POS, "every event of a book is of its register");
        Ok(Self { shop, event, payload, payload_hash, name, customer, command })
    }

    /// Returns the client's name for it.
    #[must_use]
    pub const fn id(&self) -> LocalEventId {
        self.event.local_id()
    }

    /// Returns how many bytes it has.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.payload.len()
    }

    fn key(&self) -> EventKey {
        self.event.key(book(self.shop))
    }
}

/// Events that one user brings: each has its own fate, all have one commit.
#[derive(Clone, Debug)]
pub struct Brought {
    caller: UserCaller,
    /// An operator brings them, whom the transport has let in.
    trusted: bool,
    /// The head of the user's history when it was read: it names the segments.
    head: u64,
    events: Vec<Direct>,
}

/// What became of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Posted now.
    Created(ServerId),
    /// Posted before.
    Existing(ServerId),
    /// Kept, without effect until this product is known.
    ProductUnknown(ProductId),
    /// Kept, never with effect: another event has this name.
    NameTaken,
    /// Not kept: the command has brought another event before.
    CommandTaken,
    /// Kept without effect by another branch, which alone can post it.
    OtherBranch,
    /// A person decided against it.
    Rejected,
}

impl Brought {
    /// Puts a request together; `head` is as [`head`] reads it.
    ///
    /// # Panics
    /// Without events, with more than [`EVENTS_MAX`], or with those of another shop.
    #[must_use]
    pub fn new(caller: UserCaller, head: u64, events: Vec<Direct>) -> Self {
        assert!((1..=EVENTS_MAX).contains(&events.len()), "a request is bounded at the border");
        let shop = caller.site.shop;
        assert!(events.iter().all(|direct| direct.shop == shop), "a user speaks for one shop");
        Self { caller, trusted: false, head, events }
    }

    /// The same for an operator: in the history of [`OPERATOR`], with every scope.
    ///
    /// # Panics
    /// As [`Self::new`].
    #[must_use]
    pub fn of_operator(site: Site, head: u64, events: Vec<Direct>) -> Self {
        let caller = UserCaller { user: OPERATOR, secret: Hash::default(), site };
        let brought = Self::new(caller, head, events);
        assert_eq!(brought.caller.user, OPERATOR, "an operator has a history of its own");
        assert!(!brought.trusted, "only this makes an operator's");
        Self { trusted: true, ..brought }
    }

    /// Returns where its events happened.
    #[must_use]
    pub const fn site(&self) -> Site {
        self.caller.site
    }

    /// Returns what its caller must be allowed to do.
    fn scopes(&self) -> impl Iterator<Item = Scope> + '_ {
        self.events.iter().map(|direct| match direct.event.body() {
            Body::Adjustment(_) => Scope::StockAdjust,
            Body::Sale(_)
            | Body::Refund { .. }
            | Body::SessionOpened(_)
            | Body::CashMoved(_)
            | Body::SessionClosed(_)
            | Body::CatalogEdited(_)
            | Body::Correction(_) => Scope::SalesCreate,
        })
    }

    fn epoch(&self) -> Epoch {
        history(self.caller.user)
    }

    /// Returns the numbers of the first and the last segment that it can write to.
    fn segments(&self) -> (u64, u64) {
        let first = Segment::number(self.head.saturating_add(1));
        let last = Segment::number(self.head.saturating_add(self.events.len() as u64));
        assert!(first <= last, "a journal grows");
        assert!(last - first <= EVENTS_MAX as u64 / SEGMENT_ENTRIES + 1, "few segments are read");
        (first, last.saturating_add(SLACK))
    }
}

/// Returns where a user's history ends.
///
/// # Errors
/// The query's.
pub async fn head<Q: Query<Cloud>>(query: &Q, shop: ShopId, user: UserId) -> Result<u64, Q::Error> {
    Ok(match query.get(&Key::Lane(book(shop), history(user))).await? {
        Some(Record::Lane(lane)) => lane.head,
        Some(_) | None => 0,
    })
}

pub(super) fn reads(brought: &Brought, keys: &mut ReadSet<Key>) {
    let UserCaller { user, site, .. } = brought.caller;
    let (book, epoch) = (book(site.shop), brought.epoch());
    assert!(!brought.events.is_empty(), "a request brings something");
    keys.insert(Key::User(user));
    keys.insert(Key::Lane(book, epoch));
    let (first, last) = brought.segments();
    assert!(last >= first + SLACK, "a journal may grow before this is decided");
    keys.extend((first..=last).map(|number| Key::Segment(book, epoch, number)));
    for direct in &brought.events {
        let key = direct.key();
        keys.insert(Key::Ledger(key));
        keys.insert(Key::Conflict(key, direct.payload_hash));
        keys.extend(direct.command.map(|command| Key::Command(site.shop, command)));
        keys.extend(direct.customer.map(|customer| customer_key(site.shop, customer)));
        for movement in direct.event.movements() {
            posting::reads_product(site.shop, movement.product, keys);
        }
    }
    posting::reads(site, keys);
}

const fn customer_key(shop: ShopId, id: Label) -> Key {
    Key::Item(shop, None, EntityId { kind: Kind::Customer, id })
}

pub(super) fn step(rows: &mut Rows<'_, Cloud>, now: Millis, brought: &Brought) -> Output {
    let admitted = users::admit(rows, now, &brought.caller, brought.scopes());
    if let (Err(refusal), false) = (admitted, brought.trusted) {
        return refusal;
    }
    let (book, epoch) = (book(brought.caller.site.shop), brought.epoch());
    let lane = rows.lane(book, epoch).cloned();
    let lane = lane.unwrap_or_else(|| Lane {
        head: 0,
        hash: genesis(book, epoch),
        parent: None,
        since: now,
        seen: now,
        posted: Figures::default(),
    });
    let (first, last) = brought.segments();
    let most = lane.head + brought.events.len() as u64;
    if Segment::number(lane.head + 1) < first || Segment::number(most) > last {
        return Output::HeadMoved;
    }
    let before = lane.clone();
    assert!(!brought.events.is_empty(), "a request brings something");
    let posting = Posting::begin(rows, brought.caller.site);
    let mut booking = Booking { rows, now, brought, book, lane, open: None, posting };
    let outcomes: Vec<Outcome> = brought.events.iter().map(|event| booking.take(event)).collect();
    booking.close();
    let Booking { lane, posting, rows, .. } = booking;
    posting.end(rows, now, None);
    assert!(lane.head >= before.head && lane.head <= most, "each event has one entry at most");
    assert!(lane.head > before.head || lane.hash == before.hash, "no entry is exchanged");
    assert_eq!(outcomes.len(), brought.events.len(), "each event has its answer");
    let posted = lane.posted.events - before.posted.events;
    let created = outcomes.iter().filter(|what| matches!(what, Outcome::Created(_))).count();
    assert_eq!(posted, created as u64, "what is created is posted, and nothing else");
    assert!(lane.parent == before.parent && lane.since == before.since, "a beginning stays");
    if lane != before {
        rows.put(Key::Lane(book, epoch), Record::Lane(Lane { seen: now, ..lane }));
    }
    Output::Brought(outcomes)
}

struct Booking<'a, 'r> {
    rows: &'a mut Rows<'r, Cloud>,
    now: Millis,
    brought: &'a Brought,
    book: TerminalId,
    lane: Lane,
    /// The segment that has grown, if one has.
    open: Option<(u64, Segment)>,
    posting: Posting,
}

impl Booking<'_, '_> {
    fn take(&mut self, direct: &Direct) -> Outcome {
        let shop = self.brought.caller.site.shop;
        if let Some(command) = direct.command {
            let key = Key::Command(shop, command);
            match self.rows.get(&key) {
                Some(Record::Command(brought)) if *brought != direct.id() => {
                    return Outcome::CommandTaken;
                }
                Some(_) => {}
                None => self.rows.put(key, Record::Command(direct.id())),
            }
        }
        match self.rows.ledger(direct.key()).cloned() {
            Some(known) if known.payload_hash != direct.payload_hash => self.conflict(direct),
            Some(known) => self.again(direct, known),
            None => self.first(direct),
        }
    }

    fn first(&mut self, direct: &Direct) -> Outcome {
        let (key, site) = (direct.key(), self.brought.caller.site);
        let seq = self.enter(direct.payload_hash);
        assert!(self.rows.ledger(key).is_none(), "a name is taken once");
        assert_eq!(seq, self.lane.head, "an entry is the last one");
        let missing = posting::unknown(self.rows, site.shop, &direct.event);
        let fate = match missing {
            Some(_) => Fate::Parked(ErrorCode::ProductUnknown),
            None => Fate::Posted,
        };
        let entry = Ledger {
            site,
            payload_hash: direct.payload_hash,
            payload: Arc::clone(&direct.payload),
            epoch: self.brought.epoch(),
            seq,
            at: self.now,
            fate,
        };
        self.rows.put(Key::Ledger(key), Record::Ledger(entry));
        if let Some(customer) = direct.customer.filter(|customer| self.knows(*customer)) {
            // New with the ledger's row, which was absent.
            self.rows.append(Key::Buyer(site.shop, direct.id()), Record::Buyer(customer));
        }
        match missing {
            Some(product) => {
                let waiting = row::Waiting { code: ErrorCode::ProductUnknown, since: self.now };
                self.rows.keep(Key::Waiting(site.shop, key), Record::Waiting(waiting));
                Outcome::ProductUnknown(product)
            }
            None => self.apply(direct),
        }
    }

    fn again(&mut self, direct: &Direct, known: Ledger) -> Outcome {
        assert_eq!(known.payload_hash, direct.payload_hash, "it is the same event");
        match known.fate {
            Fate::Posted => return Outcome::Existing(direct.name),
            // No till's correction reaches a book: nothing of it is withdrawn.
            Fate::Rejected | Fate::Withdrawn(_) | Fate::Refused(_) => return Outcome::Rejected,
            Fate::Parked(_) => {}
        }
        let site = self.brought.caller.site;
        if known.site != site {
            return Outcome::OtherBranch;
        }
        if let Some(product) = posting::unknown(self.rows, site.shop, &direct.event) {
            return Outcome::ProductUnknown(product);
        }
        if known.epoch != self.brought.epoch() || self.lane.posted.events >= self.lane.head {
            // Another user brought it first: what this one posts is in its own history too.
            self.enter(direct.payload_hash);
        }
        let key = direct.key();
        assert_ne!(known.fate, Fate::Posted, "what is posted is not posted again");
        assert_ne!(known.fate, Fate::Rejected, "a decision is final");
        self.rows.put(Key::Ledger(key), Record::Ledger(Ledger { fate: Fate::Posted, ..known }));
        self.rows.retract(Key::Waiting(site.shop, key));
        self.apply(direct)
    }

    /// Keeps another event under a name that was taken, once.
    fn conflict(&mut self, direct: &Direct) -> Outcome {
        let key = Key::Conflict(direct.key(), direct.payload_hash);
        if self.rows.get(&key).is_none() {
            let seq = self.enter(direct.payload_hash);
            assert_eq!(seq, self.lane.head, "an entry is the last one");
            let (epoch, payload) = (self.brought.epoch(), direct.payload.to_vec());
            let kept = Kept { epoch, seq, at: self.now, payload };
            self.rows.put(key, Record::Conflict(kept));
        }
        Outcome::NameTaken
    }

    fn apply(&mut self, direct: &Direct) -> Outcome {
        self.posting.add(direct.key(), direct.payload_hash, &direct.event, direct.name);
        self.lane.posted = self.lane.posted.plus(direct.event.figures());
        assert!(self.lane.posted.events > 0, "what is posted is counted");
        debug_assert!(self.lane.posted.events <= self.lane.head, "what is posted has an entry");
        Outcome::Created(direct.name)
    }

    fn knows(&self, customer: Label) -> bool {
        let shop = self.brought.caller.site.shop;
        let id = EntityId { kind: Kind::Customer, id: customer };
        self.rows.item(shop, None, id).is_some_and(|item| item.content.is_some())
    }

    /// Enters a payload into the user's history, and returns its place.
    fn enter(&mut self, payload: Hash) -> u64 {
        let (seq, before) = (self.lane.head + 1, self.lane.hash);
        let (number, epoch) = (Segment::number(seq), self.brought.epoch());
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            self.close();
            let held = self.rows.segment(self.book, epoch, number).cloned();
            self.open = Some((number, held.unwrap_or_else(|| Segment::new(before))));
        }
        let chain = link(before, seq, payload);
        let (open, segment) = self.open.as_mut().expect("opened above");
        assert_eq!(*open, number, "an entry has its segment");
        if segment.payloads.len() as u64 == (seq - 1) % SEGMENT_ENTRIES {
            segment.push(seq, payload, chain);
        }
        // Otherwise the row is damaged, which the check finds: the sale is taken all the same.
        self.lane.head = seq;
        self.lane.hash = chain;
        assert!(seq > 0, "a journal counts from 1");
        assert_eq!(Segment::number(seq), number, "an entry belongs to one segment");
        seq
    }

    fn close(&mut self) {
        let Some((number, segment)) = self.open.take() else { return };
        if segment.payloads.is_empty() {
            return; // a row is missing, which the check finds
        }
        assert!(number <= Segment::number(self.lane.head.max(1)), "only what was entered grows");
        let key = Key::Segment(self.book, self.brought.epoch(), number);
        self.rows.put(key, Record::Segment(segment));
    }
}
