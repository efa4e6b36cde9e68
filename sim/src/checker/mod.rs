//! The checkers: they see what a node durably stores and what it sends, and nothing else.
//!
//! They are fed by every commit of every node (the rows it touched), at both levels of the
//! simulator. They share with what they check the types of the rows and of the wire, the codec and
//! the hashes; what an event moves, where a journal stands and what a law says is their own.

mod backup;
mod catalog;
mod compaction;
mod fact;
mod family;
mod inbox;
mod ownership;
mod plan;
mod sessions;
mod state;
mod whole;

pub use backup::{CloudBackup, DeviceBackup};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use counterfoil_protocol::catalog::EntityId;
use counterfoil_protocol::cloud::row::{Fate, Ledger};
use counterfoil_protocol::cloud::{self, Site};
use counterfoil_protocol::event::Event;
use counterfoil_protocol::hash::{Hash, genesis, link, payload_hash};
use counterfoil_protocol::identity::{Epoch, EventKey, PosId, ProductId, SessionId, TerminalId};
use counterfoil_protocol::inbox::EventId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::machine::Slot;
use counterfoil_protocol::terminal::edits::Waiting;
use counterfoil_protocol::terminal::row::{CatalogState, Entry, State};
use counterfoil_protocol::terminal::{self, Identity};
use counterfoil_protocol::wire::message::ServerId;
use counterfoil_storage::Ordered;

use self::catalog::History;
use self::fact::{Committed, Fact, Names, Table, moves};
use self::family::Families;
use self::inbox::Inbox;
use self::sessions::{Name, Posted};
use self::state::states_at;
use self::whole::{States, Wrote};
use crate::law::{Law, Tally, Violation};

/// What a till's commit writes.
pub type TillWrites = [Slot<terminal::Key, terminal::Record>];
/// What the cloud's commit writes.
pub type CloudWrites = [Slot<cloud::Key, cloud::Record>];
/// The rows of a till.
pub type TillRows = Ordered<terminal::Key, Arc<terminal::Record>>;
/// The rows of the cloud.
pub type CloudRows = Ordered<cloud::Key, Arc<cloud::Record>>;

/// What tills have committed, what the cloud has held, and how often each law was put to the test.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    /// How often each law was checked.
    pub tally: Tally,
    committed: Table<Fact, Box<Committed>>,
    posted_ever: Names<Fact>,
    /// The cloud's name for each event, as a till was told it first.
    names: Table<Fact, ServerId>,
    /// What the cloud holds as posted now.
    posted: Names<Fact>,
    /// How often the cloud has answered an item with a failure of its own.
    item_failures: Table<Fact, u64>,
    devices: Vec<Device>,
    lanes: BTreeMap<(TerminalId, Epoch), Mirror>,
    /// What the cloud has posted of each register session.
    sessions: BTreeMap<Name, Posted>,
    catalog: History,
    /// Those that a restore of the cloud has ended.
    former_catalogs: Vec<History>,
    inbox: Inbox,
    families: Families,
}

/// What the checkers know of one device: a till's machine, or a copy of it.
#[derive(Clone, Debug)]
struct Device {
    identity: Identity,
    /// What it must get into the cloud.
    owed: Names<Fact>,
    /// Of those, what another has the place of.
    replaced: Names<Fact>,
    receipts: BTreeMap<(PosId, Epoch), u64>,
    /// The register sessions that are open on it.
    open: BTreeMap<PosId, SessionId>,
    catalog: Option<CatalogState>,
    /// Whether its catalog was the cloud's at its version, when it was last looked at.
    exact: bool,
    /// What lies over its catalog.
    edits: Vec<Waiting>,
    /// What ever did.
    ever_edited: BTreeSet<EntityId>,
    /// The inventory events that it has applied.
    applied: Names<EventId>,
    /// What those moved.
    moved: Table<ProductId, i64>,
    /// Rows of its catalog that its disk has changed, until it writes them again.
    drifted: BTreeSet<EntityId>,
    /// Those that drifted at any time.
    ever_drifted: BTreeSet<EntityId>,
    /// The barcodes of its products, as those bytes say.
    codes: Table<EntityId, (Arc<[u8]>, Vec<Label>)>,
}

/// The checkers' own copy of a journal's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mirror {
    head: u64,
    hash: Hash,
}

impl Checker {
    /// Adds a device; devices are numbered from 0.
    pub fn add_device(&mut self, identity: Identity) -> usize {
        self.devices.push(Device {
            identity,
            owed: Names::default(),
            replaced: Names::default(),
            receipts: BTreeMap::new(),
            open: BTreeMap::new(),
            catalog: None,
            exact: false,
            edits: Vec::new(),
            ever_edited: BTreeSet::new(),
            applied: Names::default(),
            moved: Table::default(),
            drifted: BTreeSet::new(),
            ever_drifted: BTreeSet::new(),
            codes: Table::default(),
        });
        self.devices.len() - 1
    }

    /// A till has committed what is `written`.
    ///
    /// # Errors
    /// The first law that does not hold.
    pub fn till_committed(
        &mut self,
        at_ms: u64,
        device: usize,
        written: &TillWrites,
    ) -> Result<(), Violation> {
        for (key, record) in written {
            let (terminal::Key::Entry(epoch, seq), Some(terminal::Record::Entry(entry))) =
                (key, record.as_deref())
            else {
                continue;
            };
            match entry.state {
                State::Open => self.noted(at_ms, device, *epoch, entry)?,
                State::Synced(name) => self.synced(at_ms, device, (*seq, entry), name)?,
                State::Moved(_) | State::Replaced(_) => {}
            }
            self.noted_replaced(device, entry);
        }
        Ok(())
    }

    fn fact(&self, device: usize, entry: &Entry) -> Fact {
        Fact::new(self.devices[device].identity.terminal, entry.payload_hash)
    }

    /// Returns what a till has committed with this digest and these very bytes.
    fn known(&self, terminal: TerminalId, hash: Hash, bytes: &[u8]) -> Option<&Committed> {
        let known = self.committed.get(&Fact::new(terminal, hash)).map(AsRef::as_ref);
        known.filter(|known| known.payload == hash && *known.bytes == *bytes)
    }

    fn noted(
        &mut self,
        at_ms: u64,
        device: usize,
        epoch: Epoch,
        entry: &Entry,
    ) -> Result<(), Violation> {
        let fact = self.fact(device, entry);
        let Identity { shop, branch, terminal } = self.devices[device].identity;
        let owner = &mut self.devices[device];
        // The same entry is written again when an answer changes its state, or when it moves.
        if !owner.owed.insert(fact) {
            return Ok(());
        }
        let key = EventKey { terminal, pos: entry.pos, local_id: entry.local_id };
        let Ok(event) = Event::from_canonical(&entry.payload) else {
            let what = || format!("{key} is stored as bytes that are no event");
            return self.tally.check(Law::NoPhantom, at_ms, false, what);
        };
        // From here on these bytes are known by their digest, and need not be digested again.
        if payload_hash(&entry.payload) != entry.payload_hash {
            let what = || format!("{key} is stored under the digest of other bytes");
            return self.tally.check(Law::NoPhantom, at_ms, false, what);
        }
        let session = self.noted_in_session(at_ms, device, &event)?;
        self.noted_in_family(terminal, fact, &event);
        let committed = Committed {
            session,
            key,
            bytes: Arc::clone(&entry.payload),
            payload: entry.payload_hash,
            site: Site { shop, branch },
            moves: moves(&event),
            edit: event.edit().cloned(),
        };
        self.committed.insert(fact, Box::new(committed));
        let owner = &mut self.devices[device];
        let Some(receipt) = event.receipt() else { return Ok(()) };
        let series = (entry.pos, receipt.series);
        let last = owner.receipts.entry(series).or_default();
        let before = std::mem::replace(last, receipt.number);
        let holds = receipt.number == before + 1 && receipt.series.number <= epoch.number;
        self.tally.check(Law::ReceiptsGapless, at_ms, holds, || {
            let (pos, series) = series;
            format!("register {pos} printed {} of series {series} after {before}", receipt.number)
        })
    }

    fn synced(
        &mut self,
        at_ms: u64,
        device: usize,
        (seq, entry): (u64, &Entry),
        name: ServerId,
    ) -> Result<(), Violation> {
        let fact = self.fact(device, entry);
        let held = self.posted_ever.contains(&fact);
        self.tally.check(Law::AckedIsDurable, at_ms, held, || {
            let (pos, id) = (entry.pos, entry.local_id);
            format!("{pos}/{id} (entry {seq}) is marked synced, and the cloud never held it")
        })?;
        // Whoever asks again, from a backup or a copy too, is answered as the first time.
        let first = *self.names.entry(fact).or_insert(name);
        self.tally.check(Law::NoDuplicate, at_ms, first == name, || {
            let (pos, id) = (entry.pos, entry.local_id);
            format!("{pos}/{id} (entry {seq}) has two names in the cloud: {first:?} and {name:?}")
        })
    }

    /// The cloud has committed what is `written`; `sites` are those of the tills that were
    /// answered, and those that were rolled up.
    ///
    /// # Errors
    /// The first law that does not hold.
    pub fn cloud_committed(
        &mut self,
        at_ms: u64,
        sites: &BTreeSet<Site>,
        written: &CloudWrites,
    ) -> Result<(), Violation> {
        self.catalog_committed(at_ms, written)?;
        let mut posted = Vec::new();
        self.cloud_edits(at_ms, !sites.is_empty(), written)?;
        self.inbox_committed(at_ms, sites, written)?;
        for (key, record) in written {
            match (key, record.as_deref()) {
                (cloud::Key::Ledger(key), Some(cloud::Record::Ledger(row))) => {
                    posted.extend(self.ledger(at_ms, *key, row)?);
                }
                (cloud::Key::Segment(terminal, epoch, number), Some(record)) => {
                    self.segment(at_ms, (*terminal, *epoch), *number, record)?;
                }
                (
                    cloud::Key::Stock(shop, branch, _) | cloud::Key::Movements(shop, branch, _),
                    Some(_),
                ) => {
                    let site = Site { shop: *shop, branch: *branch };
                    let holds = sites.contains(&site);
                    self.tally.check(Law::BranchIsolation, at_ms, holds, || {
                        format!("stock of {branch} was moved from another branch")
                    })?;
                }
                _ => {}
            }
        }
        self.sessions_committed(at_ms, &posted, written)
    }

    /// Returns the event if it is posted.
    fn ledger(
        &mut self,
        at_ms: u64,
        key: EventKey,
        row: &Ledger,
    ) -> Result<Option<Fact>, Violation> {
        let fact = Fact::new(key.terminal, row.payload_hash);
        // What is withdrawn before it comes has no bytes yet.
        let unbrought = matches!(row.fate, Fate::Withdrawn(_)) && row.payload.is_empty();
        let known = if unbrought {
            self.committed.get(&fact).map(AsRef::as_ref)
        } else {
            self.known(key.terminal, row.payload_hash, &row.payload)
        };
        let holds = known.is_some_and(|known| known.key == key);
        let site = known.map(|known| known.site);
        self.tally.check(Law::NoPhantom, at_ms, holds, || {
            format!("the cloud holds {key} with bytes that no till committed")
        })?;
        self.tally.check(Law::BranchIsolation, at_ms, site == Some(row.site), || {
            format!("{key} was committed at {site:?} and is held under {:?}", row.site)
        })?;
        if row.fate != Fate::Posted {
            return Ok(None);
        }
        self.posted_ever.insert(fact);
        let first = self.posted.insert(fact);
        self.tally.check(Law::NoDuplicate, at_ms, first, || format!("{key} is posted twice"))?;
        self.posted_in_family(at_ms, key, fact)?;
        Ok(Some(fact))
    }

    fn segment(
        &mut self,
        at_ms: u64,
        lane: (TerminalId, Epoch),
        number: u64,
        record: &cloud::Record,
    ) -> Result<(), Violation> {
        let cloud::Record::Segment(segment) = record else {
            return self.tally.check(Law::JournalIntact, at_ms, false, || {
                format!("{} {}: a segment is no segment", lane.0, lane.1)
            });
        };
        let fresh = || Mirror { head: 0, hash: genesis(lane.0, lane.1) };
        let mirror = self.lanes.entry(lane).or_insert_with(fresh);
        let first = number * 16 + 1;
        let last = first + segment.payloads.len() as u64 - 1;
        let follows = mirror.head + 1 >= first && last >= mirror.head;
        let head = mirror.head;
        if follows {
            let skip = (mirror.head + 1 - first) as usize;
            for payload in segment.payloads.iter().skip(skip) {
                mirror.head += 1;
                mirror.hash = link(mirror.hash, mirror.head, *payload);
            }
        }
        self.tally.check(Law::JournalIntact, at_ms, follows, || {
            format!("{} {}: entries {first}..{last} do not follow {head}", lane.0, lane.1)
        })
    }

    /// The entries that a till's last commit has written, among its rows as they stand now.
    ///
    /// # Errors
    /// [`Law::NeverForgotten`].
    pub fn till_entries(
        &mut self,
        at_ms: u64,
        device: usize,
        rows: &TillRows,
        written: &TillWrites,
    ) -> Result<(), Violation> {
        let wrote = Wrote::of(written);
        if wrote.catalog {
            self.rewritten(device, written);
            self.till_catalog(at_ms, device, rows, written)?;
            self.till_edits(at_ms, device, rows, written)?;
        }
        if wrote.inbox {
            self.till_inbox(at_ms, device, written)?;
        }
        let Some(terminal::Record::Meta(meta)) = rows.get(&terminal::Key::Meta).map(Arc::as_ref)
        else {
            return Ok(());
        };
        let mut places = written.iter().filter_map(|(key, _)| {
            let terminal::Key::Entry(epoch, seq) = key else { return None };
            Some((*epoch, *seq))
        });
        let first = places.next();
        let among = first.zip(places.next_back());
        let among = among.map(|(first, last)| States::between(rows, meta, first, last));
        for (key, record) in written {
            self.attempts(at_ms, device, rows, (key, record.as_deref()))?;
            let terminal::Key::Entry(epoch, seq) = *key else { continue };
            let place = terminal::Place { epoch, seq };
            // What has left for the archive is among the rows as it was.
            let own = record.as_deref().or_else(|| rows.get(key).map(Arc::as_ref));
            let moved =
                matches!(own, Some(terminal::Record::Entry(Entry { state: State::Moved(_), .. })));
            let states = match &among {
                _ if moved => 1,
                Some(among) => among.at(place),
                None => states_at(rows, meta, place),
            };

            self.tally.check(Law::NeverForgotten, at_ms, states == 1, || {
                format!("entry {epoch} {seq} is in {states} states")
            })?;
        }
        Ok(())
    }

    /// Only an answer of the cloud about the item itself costs an attempt (B.5): whatever else
    /// did would stop an item that nothing is wrong with.
    fn attempts(
        &mut self,
        at_ms: u64,
        device: usize,
        rows: &TillRows,
        written: (&terminal::Key, Option<&terminal::Record>),
    ) -> Result<(), Violation> {
        let (place, attempts) = match written {
            (terminal::Key::Queue(epoch, seq), Some(terminal::Record::Queue(queued))) => {
                ((*epoch, *seq), queued.attempts)
            }
            (terminal::Key::Attention(epoch, seq), Some(terminal::Record::Attention(held))) => {
                ((*epoch, *seq), held.attempts)
            }
            _ => return Ok(()),
        };
        if attempts == 0 {
            return Ok(());
        }
        let Some(terminal::Record::Entry(entry)) =
            rows.get(&terminal::Key::Entry(place.0, place.1)).map(Arc::as_ref)
        else {
            return Ok(());
        };
        let fact = self.fact(device, entry);
        let answered = self.item_failures.get(&fact).copied().unwrap_or(0);
        self.tally.check(Law::QueueDrains, at_ms, u64::from(attempts) <= answered, || {
            let (pos, id) = (entry.pos, entry.local_id);
            format!("{pos}/{id} has used {attempts} attempts, the cloud failed it {answered} times")
        })
    }

    /// The cloud answers that it has not posted an item.
    pub fn failed_item(&mut self, key: EventKey, hash: Hash) {
        *self.item_failures.entry(Fact::new(key.terminal, hash)).or_default() += 1;
    }

    /// An answer leaves the cloud that calls `key` posted: its rows must be durable by now.
    ///
    /// # Errors
    /// [`Law::OutputAfterCommit`].
    pub fn answered(
        &mut self,
        at_ms: u64,
        key: EventKey,
        hash: Hash,
        rows: &CloudRows,
    ) -> Result<(), Violation> {
        let held = match rows.get(&cloud::Key::Ledger(key)).map(Arc::as_ref) {
            Some(cloud::Record::Ledger(row)) => {
                row.payload_hash == hash && row.fate == Fate::Posted
            }
            _ => false,
        };
        self.tally.check(Law::OutputAfterCommit, at_ms, held, || {
            format!("{key} is answered as posted before that is durable")
        })
    }

    /// Returns how many events tills have committed.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.committed.len() as u64
    }
}

/// Returns what a commit has written under a key, if it has written it; rows stand in their order.
fn written_under<'a, K: Ord, R>(written: &'a [Slot<K, R>], key: &K) -> Option<Option<&'a R>> {
    let place = written.binary_search_by(|(written, _)| written.cmp(key)).ok()?;
    Some(written[place].1.as_deref())
}
