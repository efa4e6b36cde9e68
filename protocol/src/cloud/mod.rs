//! The cloud's role: it greets tills, takes their journals in, and posts each event once.
//!
//! | input | decision | module |
//! |---|---|---|
//! | [`Input::Enrol`], [`Input::Revoke`] | who may speak | here |
//! | [`Input::Hello`] | where a till's journals stand | `greet` |
//! | [`Input::Push`] | journal, ledger, stock; edits, corrections | `ingest`, [`edited`] |
//! | [`Input::DefineProduct`] | what can be sold | here |
//! | [`Input::EditCatalog`] | what can be sold, version by version | [`catalog`] |
//! | [`Input::Inbox`] | online orders, and who has heard of them | [`inbox`] |
//! | [`Input::DrawSketchSecret`] | under which key catalogs are compared | here |
//! | [`Input::Lease`], [`Input::Compact`] | which deletions may leave | [`compaction`] |
//! | [`Input::AddUser`], [`Input::RevokeUser`] | who may speak without a journal | [`users`] |
//! | [`Input::Bring`] | sales and adjustments without a journal | [`direct`] |
//! | [`Input::Decide`] | what becomes of events that wait | [`decide`] |
//! | [`Input::Logged`] | any of these, with an entry in the operators' log | [`log`] |
//! | [`Input::SetThresholds`] | of which stocks somebody is told | [`threshold`] |
//! | [`Input::RollUp`] | what pushes have moved, added to the stock | [`rollup`] |
//!
//! What was posted of a register's session is kept by [`sessions`].
//!
//! A till's push needs its own lane and the ledger rows of its events, and nothing that another
//! till writes: tills never wait for each other. Only a push that edits the catalog takes the
//! shop's feed, as an operator does.

mod admit;
mod book;
pub mod catalog;
pub mod compaction;
mod corrected;
mod damage;
pub mod decide;
pub mod direct;
pub mod edited;
mod greet;
pub mod heads;
pub mod inbox;
mod ingest;
mod key;
pub mod log;
mod posting;
pub mod rollup;
pub mod row;
pub mod sessions;
pub mod stocks;
pub mod threshold;
mod touched;
pub mod users;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::codec::{self, MESSAGE_BYTES_MAX};
use crate::event::{EVENT_BYTES_MAX, Event, EventError};
use crate::hash::{Hash, link, payload_hash};
use crate::identity::{BranchId, EventKey, ProductId, ShopId, TerminalId, UserId};
use crate::machine::{Machine, ReadSet, Rows};
use crate::persist::{Damaged, Persist};
use crate::problem::Denial;
use crate::time::Millis;
use crate::wire::message::{Hello, PUSH_ITEMS_MAX, Push, PushAnswer, ServerId, Welcome};

use admit::{admit, enrol, revoke, sketch_secret};
pub use catalog::{Edit, Edits};
pub use compaction::Compact;
pub use edited::{EditNote, FieldNote};
pub use greet::LANES_MAX;
pub use inbox::{InboxKey, InboxRecord};
pub use rollup::RollUp;
pub use row::{Key, Record};
pub use touched::Touched;

/// The cloud's role, with the policy it decides by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cloud {
    /// What to do with lines of products that nobody defined.
    pub unknown_products: UnknownProducts,
}

/// The policy of S2.4 for unknown products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownProducts {
    /// Post them: the catalog is kept elsewhere.
    #[default]
    Accept,
    /// Park the event until the product is defined or in the catalog; the till hears
    /// `POS_SYNC_PRODUCT_UNKNOWN`.
    Park,
}

/// Where a terminal stands: everything a till sees and does stays within it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct Site {
    /// The tenant.
    pub shop: ShopId,
    /// The place of business.
    pub branch: BranchId,
}

/// Whoever sent a request, as the transport has read it from the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The terminal that the credential names.
    pub terminal: TerminalId,
    /// The digest of the presented secret.
    pub secret: Hash,
    /// The site of that terminal when the request was authenticated: it names the stock rows.
    pub site: Site,
}

/// What the cloud is asked.
#[derive(Clone, Debug)]
pub enum Input {
    /// Enrols a terminal, or gives an enrolled one a new credential.
    Enrol {
        /// Which terminal.
        terminal: TerminalId,
        /// Where it stands. An enrolled terminal keeps its site.
        site: Site,
        /// The digest of its secret.
        secret: Hash,
        /// When the secret runs out.
        expires_at: Option<Millis>,
    },
    /// Revokes a terminal: its queue stays on the till, in quarantine.
    Revoke {
        /// Which terminal.
        terminal: TerminalId,
    },
    /// Adds a product to a shop's catalog.
    DefineProduct {
        /// Whose catalog.
        shop: ShopId,
        /// Which product.
        product: ProductId,
    },
    /// Adds what was moved to the stock.
    RollUp(RollUp),
    /// Changes a shop's catalog.
    EditCatalog(Edits),
    /// Draws the key of a shop's sketches, if it has none yet.
    DrawSketchSecret {
        /// Whose.
        shop: ShopId,
        /// Random.
        fresh: [u8; 16],
    },
    /// A till introduces itself.
    Hello {
        /// Who.
        caller: Caller,
        /// What it says; already checked.
        hello: Hello,
    },
    /// A till offers journal entries.
    Push {
        /// Who.
        caller: Caller,
        /// Which history, and its entries.
        offer: Offer,
    },
    /// An order, or anything else about a branch's inbox.
    Inbox(inbox::Input),
    /// Notes that a till will ask for the catalog from this version on.
    Lease {
        /// Where it stands.
        site: Site,
        /// Who.
        terminal: TerminalId,
        /// The version that it has, or that its snapshot is pinned to.
        version: u64,
    },
    /// Takes deletions out of the feed that no till needs any more.
    Compact(Compact),
    /// Adds a user, or gives one a new credential and other scopes.
    AddUser(users::AddUser),
    /// Revokes a user.
    RevokeUser(UserId),
    /// A user brings events that are in no journal yet.
    Bring(direct::Brought),
    /// A person has decided about an event that waits.
    Decide(Box<decide::Decide>),
    /// Somebody has settled what a low stock was about.
    Settle {
        /// Whose stock.
        site: Site,
        /// Which product.
        product: ProductId,
        /// By which movement it fell below its threshold.
        movement: u64,
    },
    /// Says below which stocks somebody is told.
    SetThresholds(threshold::Thresholds),
    /// Does something as an operator, and notes it.
    Logged(log::Logged),
}

/// A push whose payloads have been read, and all that can be said of them without a database.
#[derive(Clone, Debug)]
pub struct Offer {
    pub(crate) terminal: TerminalId,
    pub(crate) shop: ShopId,
    pub(crate) epoch: crate::identity::Epoch,
    pub(crate) items: Vec<Offered>,
}

/// One offered entry. Bytes that are no event are kept all the same: they hold a place in the
/// chain, and a person can look at them.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    pub(crate) seq: u64,
    pub(crate) chain: Hash,
    pub(crate) payload_hash: Hash,
    pub(crate) payload: Arc<[u8]>,
    /// The chain hash that this entry has been shown to continue: that of the one offered before.
    pub(crate) continues: Option<Hash>,
    /// The event, and the name it has once it is posted.
    pub(crate) event: Result<(Event, ServerId), EventError>,
}

impl Offer {
    /// Reads the payloads of a checked push from a till of `shop`. This is the costly part; it
    /// needs no database, so that each request does it for itself before the group commit.
    #[must_use]
    pub fn read(push: Push, shop: ShopId) -> Self {
        assert!(!push.items.is_empty(), "a checked push has items");
        assert!(push.items.len() <= PUSH_ITEMS_MAX, "a checked push has so many items");
        let (mut before, mut last) = (None, 0);
        let offered = push.items.len();
        let mut items = Vec::with_capacity(offered);
        for item in push.items {
            assert!(item.seq > last, "a checked push rises from 1");
            assert!(item.payload.len() <= EVENT_BYTES_MAX, "a checked push bounds its payloads");
            last = item.seq;
            let payload_hash = payload_hash(&item.payload);
            let chain = item.chain_hash;
            let event = Event::from_canonical(&item.payload).map(|event| {
                let name = row::server_id(shop, &event.key(push.terminal_id));
                (event, name)
            });
            let continues = before.filter(|before| link(*before, item.seq, payload_hash) == chain);
            before = Some(chain);
            let (seq, payload) = (item.seq, item.payload);
            items.push(Offered { seq, chain, payload_hash, payload, continues, event });
        }
        assert!(items[0].continues.is_none(), "before the first entry none was offered");
        assert_eq!(items.len(), offered, "each item is read, whatever its bytes are");
        Self { terminal: push.terminal_id, shop, epoch: push.epoch, items }
    }

    /// Returns each entry's number, the key of its event if it is one, and its payload hash.
    pub fn entries(&self) -> impl Iterator<Item = (u64, Option<EventKey>, Hash)> + '_ {
        self.items.iter().map(|item| {
            let key = item.event.as_ref().ok().map(|(event, _)| event.key(self.terminal));
            (item.seq, key, item.payload_hash)
        })
    }

    /// Returns which history the entries belong to.
    #[must_use]
    pub const fn epoch(&self) -> crate::identity::Epoch {
        self.epoch
    }

    /// Returns how many entries are offered.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns whether nothing is offered.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// What the cloud answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The terminal may speak.
    Enrolled,
    /// The terminal stands at another site; enrolment changes no site.
    OtherSite(Site),
    /// The terminal may no longer speak.
    Revoked,
    /// There is no such terminal.
    NoSuchTerminal,
    /// The product can be sold.
    Defined,
    /// The catalog is as asked for.
    Edited {
        /// The version of the catalog now.
        version: u64,
        /// How many entities were changed; the others were so already.
        changed: u32,
    },
    /// The key of the shop's sketches.
    SketchSecret([u8; 16]),
    /// So many pushes' movements are in the stock rows now.
    RolledUp(u64),
    /// Whether the till holds a lease now; if not, it is to compare by snapshot.
    Leased(bool),
    /// The feed is compacted as far as planned; nothing was removed if the plan was old.
    Compacted {
        /// The newest deletion that was ever taken away.
        floor: u64,
        /// How many tombstones were taken away now.
        removed: u32,
    },
    /// Where the till's journals stand.
    Welcome(Welcome),
    /// What became of the offered entries.
    Pushed(PushAnswer),
    /// The till is not listened to.
    Denied(Denial),
    /// The terminal was moved while the request was under way: authenticate again.
    Moved,
    /// What became of something about a branch's inbox.
    Inbox(inbox::Output),
    /// The name is that of a shop's book: no till can have it.
    NameReserved,
    /// The user may speak.
    UserAdded,
    /// There is no such user.
    NoSuchUser,
    /// The user lacks this scope.
    Forbidden(users::Scope),
    /// What became of each event that a user brought.
    Brought(Vec<direct::Outcome>),
    /// The user's history has grown too far meanwhile: read its head again, nothing was written.
    HeadMoved,
    /// What became of an event that waited.
    Decided(decide::Decided),
    /// There is no such event, or no longer as it was read.
    NoSuchEvent,
    /// The notice is gone.
    Settled,
    /// The thresholds are set.
    ThresholdsSet {
        /// How many were others before.
        changed: u32,
    },
}

impl Machine for Cloud {
    type Input = Input;
    type Output = Output;
    type Key = Key;
    type Record = Record;

    fn reads(&self, input: &Input, keys: &mut ReadSet<Key>) {
        match input {
            Input::Enrol { terminal, .. } | Input::Revoke { terminal } => {
                keys.insert(Key::Terminal(*terminal));
            }
            Input::DefineProduct { shop, product } => {
                keys.insert(Key::Product(*shop, *product));
            }
            Input::RollUp(rolled) => rollup::reads(rolled, keys),
            Input::EditCatalog(edits) => catalog::reads(edits, keys),
            Input::DrawSketchSecret { shop, .. } => keys.insert(Key::SketchSecret(*shop)),
            Input::Lease { site, terminal, .. } => compaction::reads_lease(*site, *terminal, keys),
            Input::Compact(plan) => compaction::reads(plan, keys),
            Input::Hello { caller, hello } => {
                keys.insert(Key::Terminal(caller.terminal));
                greet::reads(caller, hello, keys);
            }
            Input::Push { caller, offer } => {
                keys.insert(Key::Terminal(caller.terminal));
                ingest::reads(*self, caller, offer, keys);
            }
            Input::Inbox(input) => inbox::reads(input, keys),
            Input::AddUser(users::AddUser { user, .. }) | Input::RevokeUser(user) => {
                keys.insert(Key::User(*user));
            }
            Input::Bring(brought) => direct::reads(brought, keys),
            Input::Decide(decide) => decide::reads(decide, keys),
            Input::Settle { site, product, movement } => {
                keys.insert(Key::Notice(site.shop, site.branch, *product, *movement));
            }
            Input::SetThresholds(thresholds) => threshold::reads(thresholds, keys),
            Input::Logged(logged) => {
                keys.insert(Key::LogHead);
                self.reads(&logged.input, keys);
            }
        }
    }

    fn step(&self, now: Millis, input: &Input, rows: &mut Rows<'_, Self>) -> Output {
        match input {
            Input::Enrol { terminal, site, secret, expires_at } => {
                enrol(rows, now, *terminal, *site, *secret, *expires_at)
            }
            Input::Revoke { terminal } => revoke(rows, *terminal),
            Input::DefineProduct { shop, product } => {
                rows.put(Key::Product(*shop, *product), Record::Product);
                Output::Defined
            }
            Input::RollUp(rolled) => rollup::step(rows, now, rolled),
            Input::EditCatalog(edits) => catalog::step(rows, now, edits),
            Input::DrawSketchSecret { shop, fresh } => sketch_secret(rows, *shop, *fresh),
            Input::Lease { site, terminal, version } => {
                compaction::lease(rows, now, *site, *terminal, *version)
            }
            Input::Compact(plan) => compaction::step(rows, now, plan),
            Input::Hello { caller, hello } => match admit(rows, now, caller, hello.terminal_id) {
                Ok(()) => greet::step(rows, now, caller, hello),
                Err(refusal) => refusal,
            },
            Input::Push { caller, offer } => match admit(rows, now, caller, offer.terminal) {
                Ok(()) => ingest::step(*self, rows, now, caller, offer),
                Err(refusal) => refusal,
            },
            Input::Inbox(input) => inbox::step(rows, now, input),
            Input::AddUser(wish) => users::add(rows, now, wish),
            Input::RevokeUser(user) => users::revoke(rows, *user),
            Input::Bring(brought) => direct::step(rows, now, brought),
            Input::Decide(decide) => decide::step(rows, now, decide),
            Input::Settle { site, product, movement } => {
                rows.remove(Key::Notice(site.shop, site.branch, *product, *movement));
                Output::Settled
            }
            Input::SetThresholds(thresholds) => threshold::step(rows, thresholds),
            Input::Logged(logged) => log::step(*self, rows, now, logged),
        }
    }
}

impl Persist for Cloud {
    fn key_bytes(key: &Key, out: &mut Vec<u8>) {
        key.write(out);
    }

    fn key_from_bytes(bytes: &[u8]) -> Result<Key, Damaged> {
        Key::read(bytes)
    }

    fn record_bytes(record: &Record, out: &mut Vec<u8>) {
        let start = out.len();
        codec::encode_into(row::ROW_VERSION, record, out);
        assert!(out.len() > start + 1, "a record has a version and a body");
        assert!(out.len() - start <= MESSAGE_BYTES_MAX, "what is written can be read again");
    }

    fn record_from_bytes(key: &Key, bytes: &[u8]) -> Result<Record, Damaged> {
        let record: Record = codec::decode_row(row::ROW_VERSION, bytes)
            .map_err(|_| Damaged { what: "cloud record", why: "its bytes have another shape" })?;
        if !record.belongs_to(key) {
            let why = "it stands under a key of another kind";
            return Err(Damaged { what: "cloud record", why });
        }
        match damage::contradiction(key, &record) {
            Some(why) => Err(Damaged { what: "cloud record", why }),
            None => Ok(record),
        }
    }
}
