//! `CatalogConverges` under compaction: whatever is edited, leased, lapsed, compacted, lost or
//! restored, no page leaves a deletion out in silence, no live lease loses a tombstone, and every
//! till that asks often enough has the cloud's catalog.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod compaction_racing;
mod support;

use std::collections::BTreeMap;

use counterfoil_protocol::catalog::{Entity, EntityId};
use counterfoil_protocol::cloud::catalog::{delta, snapshot};
use counterfoil_protocol::cloud::compaction::{floor, plan, worth_noting};
use counterfoil_protocol::cloud::row::{Floor, Lease};
use counterfoil_protocol::cloud::{self, Cloud, Compact, Edit, Edits, Key, Record};
use counterfoil_protocol::hash::secret_hash;
use counterfoil_protocol::identity::{BranchId, ProductId, TerminalId};
use counterfoil_protocol::terminal::catalog::{Wanted, beside, wanted};
use counterfoil_protocol::terminal::row::CatalogState;
use counterfoil_protocol::terminal::{self, Input};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{BranchPriceV1, CategoryV1, DeltaAnswer, EntityV1};
use proptest::prelude::*;
use support::{Node, Till, block_on, site};

/// How long a lease lives here.
const LIFE: Millis = Millis(1_000);
const TILLS: usize = 3;

type Books = BTreeMap<(Option<BranchId>, EntityId), Vec<u8>>;

fn name(number: u8) -> ProductId {
    ProductId::parse(&format!("p{number:03}")).unwrap()
}

fn category(number: u8, text: i64) -> Entity {
    let category_id = counterfoil_protocol::identity::CategoryId(name(number).0);
    Entity::parse(EntityV1::Category(CategoryV1 { category_id, name: format!("c{text}") })).unwrap()
}

fn branch_price(number: u8, price_minor: i64) -> Entity {
    let wire = BranchPriceV1 { product_id: name(number), price_minor };
    Entity::parse(EntityV1::BranchPrice(wire)).unwrap()
}

fn till_id(till: usize) -> TerminalId {
    TerminalId::parse(&format!("C-{till}")).unwrap()
}

#[derive(Clone)]
struct Shop {
    node: Node,
    /// What the branch sees at each version.
    history: Vec<Books>,
    books: Books,
}

struct World {
    shop: Shop,
    backup: Shop,
    tills: Vec<Till>,
    till_backup: Till,
    planned: Vec<Compact>,
    now: Millis,
    /// A restored cloud may tell what another history has told: then drift is real.
    restored: bool,
    resyncs: u32,
    removed: u32,
}

#[derive(Clone, Debug)]
enum Move {
    Edit(Vec<(bool, u8, Option<i64>)>),
    Ask { till: usize, limit: usize, lease: bool },
    Plan,
    Compact(usize),
    Pass(u64),
    BackUpCloud,
    RestoreCloud,
    BackUpTill,
    RestoreTill(usize),
}

impl World {
    fn new() -> Self {
        let mut node = Node::new(Cloud::default());
        for till in 0..TILLS {
            let enrol = cloud::Input::Enrol {
                terminal: till_id(till),
                site: site(),
                secret: secret_hash(b"secret"),
                expires_at: None,
            };
            assert_eq!(node.run(Millis(0), enrol), cloud::Output::Enrolled);
        }
        let shop = Shop { node, history: vec![Books::new()], books: Books::new() };
        let tills: Vec<Till> = (0..TILLS).map(|till| Till::install(till as u64 + 1)).collect();
        Self {
            backup: shop.clone(),
            shop,
            till_backup: tills[0].clone(),
            tills,
            planned: Vec::new(),
            now: Millis(10_000),
            restored: false,
            resyncs: 0,
            removed: 0,
        }
    }

    fn step(&mut self, step: Move) {
        match step {
            Move::Edit(edits) => self.edit(&edits),
            Move::Ask { till, limit, lease } => self.ask(till, limit, lease),
            Move::Plan => self.plan(),
            Move::Compact(which) => {
                if !self.planned.is_empty() {
                    let planned = self.planned[which % self.planned.len()].clone();
                    self.compact(planned);
                }
            }
            Move::Pass(ms) => self.now = self.now.after(Millis(ms)),
            Move::BackUpCloud => self.backup = self.shop.clone(),
            Move::RestoreCloud => {
                self.shop = self.backup.clone();
                self.restored = true;
                self.planned.clear(); // a node that restores has begun anew
            }
            Move::BackUpTill => self.till_backup = self.tills[0].clone(),
            Move::RestoreTill(till) => self.tills[till] = self.till_backup.clone(),
        }
    }

    fn edit(&mut self, wishes: &[(bool, u8, Option<i64>)]) {
        let mut edits: Vec<Edit> = Vec::new();
        for (own, number, price) in wishes {
            let (branch, id, entity) = if *own {
                let id = EntityId::branch_price(name(*number));
                (Some(site().branch), id, price.map(|price| branch_price(*number, price)))
            } else {
                let id = category(*number, 0).id();
                (None, id, price.map(|price| category(*number, price)))
            };
            if edits.iter().all(|edit| edit.id != id) {
                match &entity {
                    Some(entity) => self.shop.books.insert((branch, id), entity.canonical()),
                    None => self.shop.books.remove(&(branch, id)),
                };
                edits.push(Edit { branch, id, entity });
            }
        }
        let edits = Edits::new(site().shop, edits).unwrap();
        let output = self.shop.node.run(self.now, cloud::Input::EditCatalog(edits));
        let cloud::Output::Edited { version, .. } = output else { panic!("{output:?}") };
        self.shop.history.truncate(usize::try_from(version).unwrap());
        self.shop.history.push(self.shop.books.clone());
    }

    /// A question, its lease if one is worth it, and its answer.
    fn ask(&mut self, till: usize, limit: usize, lease: bool) {
        let (shop, branch) = (site().shop, site().branch);
        let store = &self.shop.node.store;
        let wants = block_on(wanted(&self.tills[till].store)).unwrap();
        let (input, version) = match wants {
            Wanted::Delta(from) => {
                let answer = block_on(delta(store, shop, branch, from, limit)).unwrap();
                let resync = matches!(answer, DeltaAnswer::Resync);
                self.resyncs += u32::from(resync);
                (Input::Delta(answer), (!resync).then_some(from))
            }
            Wanted::Snapshot { pinned, after } => {
                let page = block_on(snapshot(store, shop, branch, pinned, after, limit)).unwrap();
                let pinned = page.pinned;
                let run = block_on(beside(&self.tills[till].store, page)).unwrap();
                (Input::CatalogRun(run), Some(pinned))
            }
        };
        if lease && let Some(version) = version {
            self.lease(till, version);
        }
        let output = self.tills[till].run(self.now, input);
        assert!(matches!(output, terminal::Output::Catalogued(_)), "{output:?}");
        self.check_till(till, matches!(wants, Wanted::Delta(_)));
    }

    fn lease(&mut self, till: usize, version: u64) {
        let (site, terminal) = (site(), till_id(till));
        let store = &self.shop.node.store;
        let asked = worth_noting(store, site, terminal, version, self.now, LIFE);
        if block_on(asked).unwrap() {
            self.shop.node.run(self.now, cloud::Input::Lease { site, terminal, version });
        }
    }

    fn plan(&mut self) {
        let planned = plan(&self.shop.node.store, site().shop, self.now, LIFE);
        self.planned.extend(block_on(planned).unwrap());
    }

    fn compact(&mut self, planned: Compact) {
        let before = self.floor();
        let tombstones = self.tombstones();
        let lowest = self.leases().into_iter().filter(|lease| lease.live(self.now, LIFE));
        let lowest = lowest.map(|lease| lease.version).min();
        let output = self.shop.node.run(self.now, cloud::Input::Compact(planned));
        let cloud::Output::Compacted { floor, removed } = output else { panic!("{output:?}") };
        self.removed += removed;
        assert!(floor >= before.version, "the floor never sinks");
        let left = self.tombstones();
        for version in tombstones.iter().filter(|version| !left.contains(version)) {
            assert!(lowest.is_none_or(|lowest| *version <= lowest), "taken under a live lease");
            assert!(*version <= floor, "whoever asks from below has to hear of it");
        }
        assert_eq!(tombstones.len() - left.len(), removed as usize, "what is told is so");
    }

    fn floor(&self) -> Floor {
        block_on(floor(&self.shop.node.store, site().shop)).unwrap()
    }

    fn leases(&self) -> Vec<Lease> {
        let rows = self.shop.node.store.rows.values();
        rows.filter_map(|row| if let Record::Lease(lease) = row { Some(*lease) } else { None })
            .collect()
    }

    fn tombstones(&self) -> Vec<u64> {
        let rows = self.shop.node.store.rows.values();
        let gone = rows.filter_map(|row| match row {
            Record::Item(item) if item.content.is_none() => Some(item.version),
            _ => None,
        });
        gone.collect()
    }

    fn state(&self, till: usize) -> CatalogState {
        match self.tills[till].store.rows.get(&terminal::Key::Catalog) {
            Some(terminal::Record::Catalog(state)) => *state,
            _ => CatalogState::default(),
        }
    }

    fn held(&self, till: usize) -> BTreeMap<EntityId, Vec<u8>> {
        let rows = self.tills[till].store.rows.iter();
        rows.filter_map(|(key, record)| match (key, record) {
            (terminal::Key::Item(id), terminal::Record::Item(item)) => {
                Some((*id, item.content.to_vec()))
            }
            _ => None,
        })
        .collect()
    }

    /// A till whose last page ended at the head has exactly what the cloud has there. (Before that,
    /// what a snapshot has brought may be newer than the till's version.)
    fn check_till(&self, till: usize, by_delta: bool) {
        let state = self.state(till);
        let (false, true, None) = (self.restored, by_delta, state.progress) else { return };
        assert_eq!(state.drifts, 0, "a page left something out, and the proof found it");
        if !state.proven {
            return;
        }
        let version = usize::try_from(state.version.unwrap()).unwrap();
        assert_eq!(self.held(till), seen(&self.shop.history[version]), "a gap at {version}");
    }

    fn settle(&mut self, till: usize) {
        for _ in 0..400 {
            self.ask(till, 3, true);
            if self.state(till).proven {
                assert_eq!(self.held(till), seen(&self.shop.books));
                return;
            }
        }
        panic!("the catalog does not come to rest: {:?}", self.state(till));
    }
}

fn seen(books: &Books) -> BTreeMap<EntityId, Vec<u8>> {
    books.iter().map(|((_, id), content)| (*id, content.clone())).collect()
}

fn any_move() -> impl Strategy<Value = Move> {
    let price = prop_oneof![1 => (0..5_i64).prop_map(Some), 1 => Just(None)];
    let edits = prop::collection::vec((any::<bool>(), 0..8_u8, price), 1..5);
    prop_oneof![
        8 => edits.prop_map(Move::Edit),
        12 => (0..TILLS, 1..4_usize, prop::bool::weighted(0.8))
            .prop_map(|(till, limit, lease)| Move::Ask { till, limit, lease }),
        6 => Just(Move::Plan),
        6 => (0..50_usize).prop_map(Move::Compact),
        3 => (0..LIFE.0).prop_map(Move::Pass),
        1 => Just(Move::BackUpTill),
        1 => (0..TILLS).prop_map(Move::RestoreTill),
    ]
}

fn any_move_and_restores() -> impl Strategy<Value = Move> {
    prop_oneof![20 => any_move(), 1 => Just(Move::BackUpCloud), 1 => Just(Move::RestoreCloud)]
}

fn live(moves: Vec<Move>) {
    let mut world = World::new();
    for step in moves {
        world.step(step);
    }
    for till in 0..TILLS {
        world.settle(till);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_page_has_a_gap_and_no_live_lease_loses_a_tombstone(
        moves in prop::collection::vec(any_move(), 1..90),
    ) {
        live(moves);
    }

    #[test]
    fn a_cloud_that_is_restored_to_before_a_compaction_converges_too(
        moves in prop::collection::vec(any_move_and_restores(), 1..90),
    ) {
        live(moves);
    }
}

/// Six categories, all tills at the head, then two of them deleted.
fn with_two_deleted() -> World {
    let mut world = World::new();
    for number in 0..6 {
        world.edit(&[(false, number, Some(1)), (true, number, Some(1))]);
    }
    for till in 0..TILLS {
        world.settle(till);
    }
    world.edit(&[(false, 1, None)]);
    world.edit(&[(true, 2, None)]);
    world
}

fn compact_all(world: &mut World) -> u32 {
    let before = world.removed;
    world.plan();
    while let Some(planned) = world.planned.pop() {
        world.compact(planned);
    }
    world.removed - before
}

#[test]
fn a_live_lease_holds_what_its_till_has_not_heard_of() {
    let mut world = with_two_deleted();
    assert_eq!(compact_all(&mut world), 0, "nobody has heard of the deletions");
    for till in 0..TILLS {
        world.settle(till);
        world.lease(till, 8);
    }
    assert_eq!(world.tombstones(), [7, 8]);
    // The leases are as young as before: what a till has come further is noted later.
    assert_eq!(compact_all(&mut world), 0);
    world.now = world.now.after(LIFE);
    for till in 0..TILLS {
        world.settle(till);
    }
    assert_eq!(compact_all(&mut world), 2);
    assert_eq!(world.floor().version, 8);
    assert_eq!(world.resyncs, 0, "nobody was sent back");
}

#[test]
fn a_lapsed_till_compares_and_loses_nothing_of_its_own() {
    let mut world = with_two_deleted();
    let sold = world.tills[0].sell(world.now, support::sale("s-1", "tea"));
    let work: Vec<_> = world.tills[0].store.rows.clone().into_iter().filter(of_its_own).collect();
    world.now = world.now.after(Millis(LIFE.0 + 1));
    assert_eq!(compact_all(&mut world), 2, "all leases have lapsed");
    assert!(world.leases().is_empty(), "a lapsed lease leaves with what it held");
    world.settle(0);
    assert_eq!(world.resyncs, 1, "an answer, not a gap");
    assert_eq!(world.state(0).drifts, 0, "nor a proof that had to find it");
    let rows = world.tills[0].store.rows.clone().into_iter();
    assert_eq!(rows.filter(of_its_own).collect::<Vec<_>>(), work, "entry {} stays", sold.seq);
}

fn of_its_own((key, _): &(terminal::Key, terminal::Record)) -> bool {
    !matches!(key, terminal::Key::Catalog | terminal::Key::Item(_))
}

#[test]
fn a_snapshot_pinned_below_the_floor_misses_no_deletion() {
    let mut world = World::new();
    for number in 0..9 {
        world.edit(&[(false, number, Some(1))]);
    }
    world.ask(0, 4, false); // brings 0 to 3, and holds no lease
    world.edit(&[(false, 0, None)]);
    assert_eq!(compact_all(&mut world), 1);
    world.settle(0);
    assert!(world.resyncs == 1, "the delta from the pinned version is below the floor");
}

#[test]
fn a_snapshot_under_way_holds_a_lease_at_its_pinned_version() {
    let mut world = World::new();
    for number in 0..9 {
        world.edit(&[(false, number, Some(1))]);
    }
    world.ask(0, 4, true);
    world.edit(&[(false, 0, None)]);
    assert_eq!(compact_all(&mut world), 0);
    world.settle(0);
    assert_eq!(world.resyncs, 0);
}

#[test]
fn a_plan_that_is_old_takes_nothing_away() {
    type Spoil = fn(&mut World);
    let cases: [(&str, Spoil, u32); 5] = [
        ("nothing has happened", |_| {}, 2),
        ("a till came that the plan does not know", |world| world.lease(2, 6), 0),
        ("a lapsed till was heard of", |world| world.lease(0, 6), 0),
        ("another compaction was faster", |world| assert_eq!(compact_all(world), 2), 0),
        ("one came back to life", |world| world.edit(&[(false, 1, Some(9))]), 1),
    ];
    for (case, spoil, expected) in cases {
        let mut world = with_two_deleted();
        world.now = world.now.after(Millis(LIFE.0 + 1));
        let gone = Key::Lease(site().shop, site().branch, till_id(2));
        assert!(world.shop.node.store.rows.remove(&gone).is_some());
        world.plan();
        let planned = world.planned.pop().unwrap();
        spoil(&mut world);
        let before = world.removed;
        world.compact(planned);
        assert_eq!(world.removed - before, expected, "{case}");
    }
}

#[test]
fn a_large_shop_is_compacted_in_bounded_steps() {
    use cloud::catalog::EDITS_MAX;
    use cloud::compaction::TOMBSTONES_MAX;
    let id = |number: usize| {
        let name = ProductId::parse(&format!("n{number:04}")).unwrap();
        (name, EntityId::branch_price(name))
    };
    let commit = |world: &mut World, first: usize, price: Option<i64>| {
        let edits = (first..first + EDITS_MAX).map(|number| {
            let (name, id) = id(number);
            let entity = price.map(|price_minor| {
                let wire = BranchPriceV1 { product_id: name, price_minor };
                Entity::parse(EntityV1::BranchPrice(wire)).unwrap()
            });
            Edit { branch: Some(site().branch), id, entity }
        });
        let edits = Edits::new(site().shop, edits.collect()).unwrap();
        world.shop.node.run(world.now, cloud::Input::EditCatalog(edits));
    };
    let mut world = World::new();
    for price in [Some(1), None] {
        (0..6).for_each(|part| commit(&mut world, part * EDITS_MAX, price));
    }
    let (mut steps, mut removed) = (0, 0);
    loop {
        let before = world.removed;
        world.plan();
        let Some(planned) = world.planned.pop() else { break };
        assert!(planned.len() <= TOMBSTONES_MAX, "a step is bounded");
        world.compact(planned);
        removed += world.removed - before;
        steps += 1;
        assert!(steps < 100, "each step goes on");
    }
    assert_eq!(removed as usize, 6 * EDITS_MAX);
    assert!(steps > 3, "one step would have been too large");
    assert!(world.tombstones().is_empty());
    let places = world.shop.node.store.rows.keys().filter(|key| matches!(key, Key::Change(..)));
    assert_eq!(places.count(), 0, "a place in the feed leaves with its tombstone");
}
