//! Verifies a whole cloud database against the laws, from its rows and nothing else.
//!
//! | law | what is recomputed |
//! |---|---|
//! | `JournalIntact` | the segments of each history, its chain, its head |
//! | `NoPhantom` | each payload against its hash, and its hash against its place in the journal |
//! | `ZeroLoss` | each place in a journal against the ledger, conflicts and opaque bytes |
//! | `NoDuplicate` | each terminal's sums against its posted events |
//! | `NoDuplicate` | each register session against its posted events (`audit::sessions`) |
//! | `OwnershipHolds` | each posted edit against what was noted of it, and each note |
//! | `StockIsSum` | each stock row against the movements of posted events and of orders |
//! | `InboxOnce` | the inboxes of branches, see `ordered` |
//! | `CatalogConverges` | each entity against the feed, and what all add up to |
//!
//! It reads committed rows page by page, one terminal at a time, so it works beside a running
//! node; only on a database at rest is every finding a true one.

mod sessions;

mod edits;

mod catalog;

use std::collections::{BTreeMap, BTreeSet};

use counterfoil_protocol::cloud::direct::is_book;
use counterfoil_protocol::cloud::row::{Fate, Kept, Lane, Ledger, Stock};
use counterfoil_protocol::cloud::{Cloud, Key, Record};
use counterfoil_protocol::event::{Event, Figures};
use counterfoil_protocol::hash::{Hash, genesis, link, payload_hash};
use counterfoil_protocol::identity::{BranchId, Epoch, EventKey, ProductId, ShopId, TerminalId};
use counterfoil_protocol::journal::{SEGMENT_ENTRIES, Segment};
use counterfoil_protocol::machine::Query;
use serde::Serialize;

use self::sessions::Recount;
use crate::ordered::check_inboxes;
use crate::pages::{Kind, OF_TERMINALS, Pages, all, of_terminal, terminal_after};

/// The most problems that are told one by one; the others are counted.
pub const PROBLEMS_MAX: usize = 1_000;

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Enrolled terminals.
    pub terminals: u64,
    /// Histories.
    pub lanes: u64,
    /// Journal entries in them.
    pub entries: u64,
    /// Events with their effects.
    pub posted: u64,
    /// Events that wait.
    pub parked: u64,
    /// Second payloads under a taken key.
    pub conflicts: u64,
    /// Journal entries that are no event.
    pub opaque: u64,
    /// Partings of histories.
    pub forks: u64,
    /// Stock rows.
    pub stock: u64,
    /// Register sessions.
    pub sessions: u64,
    /// Edits of the catalog from tills.
    pub edits: u64,
    /// Online orders.
    pub orders: u64,
    /// Events in the inboxes of branches.
    pub inbox_events: u64,
    /// Products that were defined beside the catalog.
    pub products: u64,
    /// Entities of the catalog.
    pub entities: u64,
    /// How many problems there are.
    pub problems_found: u64,
    /// The first [`PROBLEMS_MAX`] of them.
    pub problems: Vec<Problem>,
}

/// Something that breaks a law.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The law, by its name.
    pub law: &'static str,
    /// Which row, or which part of the database.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl Report {
    /// Returns whether nothing breaks a law.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.problems_found == 0
    }

    /// Returns each count with its name, for a table.
    #[must_use]
    pub const fn counts(&self) -> [(&'static str, u64); 16] {
        [
            ("terminals", self.terminals),
            ("histories", self.lanes),
            ("journal entries", self.entries),
            ("events posted", self.posted),
            ("events parked", self.parked),
            ("conflicts", self.conflicts),
            ("opaque entries", self.opaque),
            ("forks", self.forks),
            ("stock rows", self.stock),
            ("register sessions", self.sessions),
            ("edits of tills", self.edits),
            ("orders", self.orders),
            ("inventory events", self.inbox_events),
            ("defined products", self.products),
            ("catalog entities", self.entities),
            ("problems", self.problems_found),
        ]
    }

    pub(crate) fn problem(
        &mut self,
        law: &'static str,
        place: impl ToString,
        what: impl Into<String>,
    ) {
        self.problems_found += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { law, place: place.to_string(), what: what.into() });
        }
    }
}

/// Verifies what the rows say of each other. That the engine's structure is sound, and that each
/// row can be read, is `KeyValue::check`'s to say.
///
/// # Errors
/// The query's: the database cannot be read to its end, which is a finding in itself.
pub async fn check<Q: Query<Cloud>>(reads: &Q) -> Result<Report, Q::Error> {
    let mut report = Report::default();
    let mut movements = Movements::new();
    let mut recount = Recount::default();
    let mut after = None;
    while let Some(terminal) = next_terminal(reads, after).await? {
        check_terminal(reads, terminal, &mut report, &mut movements, &mut recount).await?;
        after = Some(terminal);
    }
    check_inboxes(reads, &mut report, &mut movements).await?;
    check_stock(reads, &mut report, movements).await?;
    sessions::check(reads, &mut report, recount).await?;
    edits::noted(reads, &mut report).await?;
    catalog::check(reads, &mut report).await?;
    Ok(report)
}

pub(crate) type Movements = BTreeMap<(ShopId, BranchId, ProductId), Stock>;

/// Returns the next terminal that any row names, enrolled or not.
async fn next_terminal<Q: Query<Cloud>>(
    reads: &Q,
    after: Option<TerminalId>,
) -> Result<Option<TerminalId>, Q::Error> {
    let mut next: Option<TerminalId> = None;
    for kind in OF_TERMINALS {
        let found = terminal_after(reads, kind, after).await?;
        next = match (next, found) {
            (Some(next), Some(found)) => Some(next.min(found)),
            (next, found) => next.or(found),
        };
    }
    Ok(next)
}

/// One terminal's rows, as far as they must agree with each other.
struct Scope<'a> {
    terminal: TerminalId,
    report: &'a mut Report,
    /// The payload hash at each place of its journals.
    places: BTreeMap<(Epoch, u64), Hash>,
    /// The payload hashes that are kept somewhere.
    kept: BTreeSet<Hash>,
    /// What its lanes say was posted.
    said: Figures,
    /// What its posted events add up to.
    posted: Figures,
    /// Its posted edits of the catalog.
    edits: Vec<edits::Posted>,
}

async fn check_terminal<Q: Query<Cloud>>(
    reads: &Q,
    terminal: TerminalId,
    report: &mut Report,
    movements: &mut Movements,
    recount: &mut Recount,
) -> Result<(), Q::Error> {
    let mut scope = Scope {
        terminal,
        report,
        places: BTreeMap::new(),
        kept: BTreeSet::new(),
        said: Figures::default(),
        posted: Figures::default(),
        edits: Vec::new(),
    };
    let lanes = scope.lanes(reads).await?;
    scope.enrolment(reads, lanes.len()).await?;
    scope.segments(reads, &lanes).await?;
    let pages = |kind| Pages::new(reads, of_terminal(kind, terminal));
    let mut originals = Vec::new();
    pages(Kind::Ledger)
        .each(|key, record| {
            if let (Key::Ledger(key), Record::Ledger(ledger)) = (key, record) {
                originals.extend(scope.ledger(key, &ledger, movements, recount));
            }
        })
        .await?;
    scope.originals(reads, originals).await?;
    let posted = std::mem::take(&mut scope.edits);
    edits::decided(reads, scope.report, posted).await?;
    for kind in [Kind::Conflict, Kind::Opaque] {
        pages(kind).each(|key, record| scope.kept(&key, &record)).await?;
    }
    pages(Kind::Fork).each(|_, _| scope.report.forks += 1).await?;
    scope.nothing_lost();
    Ok(())
}

impl Scope<'_> {
    async fn lanes<Q: Query<Cloud>>(
        &mut self,
        reads: &Q,
    ) -> Result<BTreeMap<Epoch, Lane>, Q::Error> {
        let mut lanes = BTreeMap::new();
        Pages::new(reads, of_terminal(Kind::Lane, self.terminal))
            .each(|key, record| {
                if let (Key::Lane(_, epoch), Record::Lane(lane)) = (key, record) {
                    lanes.insert(epoch, lane);
                }
            })
            .await?;
        for lane in lanes.values() {
            self.report.lanes += 1;
            self.report.entries += lane.head;
            self.said = self.said.plus(lane.posted);
        }
        Ok(lanes)
    }

    async fn enrolment<Q: Query<Cloud>>(
        &mut self,
        reads: &Q,
        lanes: usize,
    ) -> Result<(), Q::Error> {
        if is_book(self.terminal) {
            return Ok(()); // the cloud writes it itself, for users
        }
        let row = reads.get(&Key::Terminal(self.terminal)).await?;
        let Some(Record::Terminal(terminal)) = row else {
            self.problem("JournalIntact", "enrolment", "rows name a terminal that is not enrolled");
            return Ok(());
        };
        self.report.terminals += 1;
        if u64::from(terminal.lanes) != lanes as u64 {
            let what = format!("{} histories were begun, {lanes} are there", terminal.lanes);
            self.problem("JournalIntact", "enrolment", what);
        }
        Ok(())
    }

    async fn segments<Q: Query<Cloud>>(
        &mut self,
        reads: &Q,
        lanes: &BTreeMap<Epoch, Lane>,
    ) -> Result<(), Q::Error> {
        let terminal = self.terminal;
        let mut ends: BTreeMap<Epoch, (u64, Hash)> =
            lanes.keys().map(|epoch| (*epoch, (0, genesis(terminal, *epoch)))).collect();
        Pages::new(reads, of_terminal(Kind::Segment, terminal))
            .each(|key, record| {
                let (Key::Segment(_, epoch, number), Record::Segment(segment)) = (key, record)
                else {
                    return;
                };
                match ends.get_mut(&epoch) {
                    Some(end) => self.segment(epoch, number, &segment, end),
                    None => self.problem(
                        "JournalIntact",
                        format!("history {epoch}"),
                        "a segment belongs to no history",
                    ),
                }
            })
            .await?;
        for (epoch, lane) in lanes {
            let (seq, chain) = ends[epoch];
            if seq != lane.head {
                let what = format!("its head is {}, its segments end at {seq}", lane.head);
                self.problem("JournalIntact", format!("history {epoch}"), what);
            } else if chain != lane.hash {
                let what = "its chain does not verify to its head";
                self.problem("JournalIntact", format!("history {epoch}"), what);
            }
        }
        Ok(())
    }

    fn segment(&mut self, epoch: Epoch, number: u64, segment: &Segment, end: &mut (u64, Hash)) {
        let place = format!("history {epoch}, segment {number}");
        let first = Segment::first(number);
        if first != end.0 + 1 {
            let what = format!("it begins at {first}, the one before ended at {}", end.0);
            self.problem("JournalIntact", &place, what);
        } else if segment.start != end.1 {
            self.problem("JournalIntact", &place, "it does not continue the chain before it");
        }
        let held = segment.payloads.len() as u64;
        if held == 0 || held > SEGMENT_ENTRIES {
            self.problem("JournalIntact", &place, format!("it holds {held} entries"));
        }
        let mut chain = segment.start;
        let mut seq = end.0;
        for (at, payload) in (first..).zip(&segment.payloads) {
            chain = link(chain, at, *payload);
            seq = at;
            self.places.insert((epoch, at), *payload);
        }
        *end = (seq, chain);
    }

    /// Checks a ledger row; returns the sale that a posted refund needs.
    fn ledger(
        &mut self,
        key: EventKey,
        ledger: &Ledger,
        movements: &mut Movements,
        recount: &mut Recount,
    ) -> Option<(EventKey, EventKey, ShopId)> {
        if matches!(ledger.fate, Fate::Withdrawn(_)) && ledger.payload.is_empty() {
            return None; // withdrawn before it came
        }
        let hash = self.payload(&key, ledger.epoch, ledger.seq, &ledger.payload);
        if hash != ledger.payload_hash {
            self.problem("NoPhantom", key, "its payload is not that of its hash");
        }
        let event = match Event::from_canonical(&ledger.payload) {
            Ok(event) => event,
            Err(error) => {
                self.problem("NoPhantom", key, format!("its payload is no event: {error}"));
                return None;
            }
        };
        if event.key(self.terminal) != key {
            self.problem("NoPhantom", key, "its payload is the event of another key");
        }
        match ledger.fate {
            Fate::Parked(_) => {
                self.report.parked += 1;
                return None;
            }
            Fate::Posted => self.report.posted += 1,
            Fate::Rejected | Fate::Withdrawn(_) | Fate::Refused(_) => return None,
        }
        self.posted = self.posted.plus(event.figures());
        recount.count(ledger.site, self.terminal, &event);
        self.edits.extend(event.edit().map(|edit| (key, ledger.site.shop, edit.clone())));
        for movement in event.movements() {
            let place = (ledger.site.shop, ledger.site.branch, movement.product);
            let sum = movements.entry(place).or_default();
            sum.quantity.0 = sum.quantity.0.saturating_add(movement.delta.0);
            sum.movements += 1;
        }
        event.original().map(|original| (key, original, ledger.site.shop))
    }

    async fn originals<Q: Query<Cloud>>(
        &mut self,
        reads: &Q,
        originals: Vec<(EventKey, EventKey, ShopId)>,
    ) -> Result<(), Q::Error> {
        for (refund, original, shop) in originals {
            let posted = match reads.get(&Key::Ledger(original)).await? {
                Some(Record::Ledger(row)) => row.fate == Fate::Posted && row.site.shop == shop,
                Some(_) | None => false,
            };
            let decision = reads.get(&Key::Decision(shop, refund)).await?;
            let accepted = matches!(decision, Some(Record::Decision(d)) if d.accepted);
            if !posted && !accepted {
                let what = "a refund of it is posted, the sale itself is not";
                self.problem("NoPhantom", original, what);
            }
        }
        Ok(())
    }

    fn kept(&mut self, key: &Key, record: &Record) {
        match (key, record) {
            (Key::Conflict(event, claimed), Record::Conflict(kept)) => {
                self.report.conflicts += 1;
                if self.bytes(event, kept) != *claimed {
                    self.problem("NoPhantom", event, "a conflict's payload is not of its hash");
                }
            }
            (Key::Opaque(_, epoch, seq), Record::Opaque(kept)) => {
                self.report.opaque += 1;
                let place = format!("history {epoch}, entry {seq}");
                self.bytes(&place, kept);
                if (kept.epoch, kept.seq) != (*epoch, *seq) {
                    self.problem("NoPhantom", place, "its bytes say another place");
                }
            }
            (_, _) => {}
        }
    }

    fn bytes(&mut self, place: &impl ToString, kept: &Kept) -> Hash {
        self.payload(place, kept.epoch, kept.seq, &kept.payload)
    }

    /// Checks a payload against the place in the journal that it came from.
    fn payload(&mut self, place: &impl ToString, epoch: Epoch, seq: u64, payload: &[u8]) -> Hash {
        let hash = payload_hash(payload);
        self.kept.insert(hash);
        if self.places.get(&(epoch, seq)) != Some(&hash) {
            let what = format!("entry {seq} of history {epoch} has another payload, or is missing");
            self.problem("NoPhantom", place.to_string(), what);
        }
        hash
    }

    fn nothing_lost(&mut self) {
        let places = std::mem::take(&mut self.places);
        for ((epoch, seq), hash) in places {
            if !self.kept.contains(&hash) {
                let place = format!("history {epoch}, entry {seq}");
                self.problem("ZeroLoss", place, "its payload is kept nowhere");
            }
        }
        if self.said != self.posted {
            let what = format!(
                "its histories say {:?}, its posted events are {:?}",
                self.said, self.posted
            );
            self.problem("NoDuplicate", "sums", what);
        }
    }

    fn problem(&mut self, law: &'static str, place: impl ToString, what: impl Into<String>) {
        let place = format!("terminal {}: {}", self.terminal, place.to_string());
        self.report.problem(law, place, what);
    }
}

async fn check_stock<Q: Query<Cloud>>(
    reads: &Q,
    report: &mut Report,
    mut movements: Movements,
) -> Result<(), Q::Error> {
    let mut held = Movements::new();
    Pages::new(reads, all(Kind::Stock))
        .each(|key, record| {
            if let (Key::Stock(shop, branch, product), Record::Stock(stock)) = (key, record) {
                report.stock += 1;
                held.insert((shop, branch, product), stock);
            }
        })
        .await?;
    Pages::new(reads, all(Kind::Movements))
        .each(|key, record| {
            if let (Key::Movements(shop, branch, _), Record::Movements(moved)) = (key, record) {
                for moved in moved {
                    let sum = held.entry((shop, branch, moved.product)).or_default();
                    *sum = sum.plus(moved.by);
                }
            }
        })
        .await?;
    for ((shop, branch, product), stock) in held {
        let sum = movements.remove(&(shop, branch, product)).unwrap_or_default();
        if sum != stock {
            let place = format!("shop {shop}, branch {branch}, product {product}");
            let what = format!("stock is {stock:?}, its movements are {sum:?}");
            report.problem("StockIsSum", place, what);
        }
    }
    for ((shop, branch, product), sum) in movements {
        let place = format!("shop {shop}, branch {branch}, product {product}");
        report.problem("StockIsSum", place, format!("no stock is kept, its movements are {sum:?}"));
    }
    Ok(())
}
