//! The driver: it steps the simulation tick by tick, and is the only one who ends hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use counterfoil_cloud::credential::Token;
use counterfoil_protocol::cloud::{Cloud, Input, Site};
use counterfoil_protocol::event::Body;
use counterfoil_protocol::identity::{BranchId, PosId, ProductId, ShopId, TerminalId, Witness};
use counterfoil_protocol::terminal::{Identity, Terminal};
use tokio::sync::watch;
use turmoil::Sim;

use super::goodbye::Goodbyes;
use super::observe::{self, Mirror, Planted};
use super::scene::{Credential, Errand, Node, Scene, TillSlot, TillState, lock};
use super::{Disks, Sabotage, catalog, cloud, till};
use crate::coverage::Injected;
use crate::disk::Disk;
use crate::law::Law;
use crate::model::inbox::StoreFront;
use crate::model::{START, work};
use crate::plan::Plan;
use crate::rng::Stream;
use crate::runner::Outcome;
use crate::sales::Sales;
use crate::story::{Lane, What};

/// The grain of the simulation: latencies are rounded up to it, and hosts take turns in it.
const TICK: Duration = Duration::from_millis(10);
/// How long a healed world may take until every queue is empty.
const DRAIN_MS: u64 = 10 * 60 * 1000;
/// How often it is asked whether every queue is empty.
const DRAINED_EVERY_MS: u64 = 100;

/// Something that will happen between two ticks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    Fault(usize),
    Restart(Node),
    /// A partition may have ended.
    Link(usize),
    Enrol(usize),
    /// A till that was moved away may have drained.
    Retire(usize),
    DefineProducts(u64),
    EditCatalog,
    Order,
    Relay,
    Heal,
}

pub(super) struct Drive<'a> {
    pub(super) sim: Sim<'a>,
    pub(super) scene: Arc<Scene>,
    pub(super) luck: Stream,
    secrets: Stream,
    /// Whoever edits the catalog.
    pub(super) editor: Stream,
    /// The online store.
    pub(super) front: StoreFront,
    agenda: BTreeMap<(u64, u64), Due>,
    made: u64,
}

/// What a new till's device starts with.
pub(super) struct Device {
    pub(super) disk: Disk,
    pub(super) mirror: Mirror<Terminal>,
    pub(super) witness: Option<Witness>,
    pub(super) token: String,
    pub(super) skew_ms: i64,
}

pub(super) fn run(
    plan: &Plan,
    sales: Option<Arc<Sales>>,
    keep_log: bool,
    sabotage: Sabotage,
) -> (Outcome, Disks) {
    let scene = Arc::new(Scene::new(plan, sales, sabotage, keep_log));
    let mut drive = Drive::new(plan, Arc::clone(&scene));
    drive.start();
    drive.live();
    let sim_ms = drive.now_ms();
    drive.end();
    let mut syncs = scene.cloud.disk.syncs();
    for slot in scene.tills() {
        syncs += slot.disk.syncs();
    }
    let broken = scene.board().violation.as_ref().map(ToString::to_string);
    if let Some(broken) = broken {
        scene.tell(Lane::World, What::Violation, || broken);
    }
    let mut board = scene.board();
    let outcome = Outcome {
        violation: board.violation.take(),
        coverage: board.coverage.clone(),
        tally: board.checker.tally,
        events: board.checker.events(),
        sim_ms,
        digest: *board.trace.finalize().as_bytes(),
        story: board.story.take().unwrap_or_default(),
    };
    (outcome, Disks { recoveries: board.recoveries, syncs })
}

impl Drive<'_> {
    fn new(plan: &Plan, scene: Arc<Scene>) -> Self {
        let (fastest, slowest) = latency(plan);
        let sim = turmoil::Builder::new()
            .rng_seed(plan.seed)
            .enable_random_order()
            .tick_duration(TICK)
            .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(START))
            .simulation_duration(Duration::from_secs(86_400))
            .min_message_latency(fastest)
            .max_message_latency(slowest)
            .tcp_capacity(1024)
            .build();
        Self {
            sim,
            scene,
            luck: Stream::new(plan.seed, "network/driver", 0),
            secrets: Stream::new(plan.seed, "network/secrets", 0),
            editor: Stream::new(plan.seed, "catalog/editor", 0),
            front: StoreFront::new(plan),
            agenda: BTreeMap::new(),
            made: 0,
        }
    }

    fn start(&mut self) {
        let scene = Arc::clone(&self.scene);
        let plan = scene.plan.clone();
        lock(&scene.cloud.state).up = true;
        let shared = Arc::clone(&scene);
        self.sim.host(cloud::NAME, move || cloud::live(Arc::clone(&shared)));
        for number in 0..plan.tills as usize {
            self.add_new_till(plan.branch(number as u64), 0);
            if self.luck.happens(150_000) {
                let late = self.luck.below(plan.chaos_ms / 2);
                self.after(late, Due::Enrol(number));
            } else {
                self.enrol(number);
            }
        }
        for (index, timed) in plan.faults.iter().enumerate() {
            self.after(timed.at_ms.min(plan.chaos_ms), Due::Fault(index));
        }
        if plan.park_unknown {
            for batch in 0..4 {
                self.after(plan.chaos_ms * (batch + 1) / 4, Due::DefineProducts(batch));
            }
        }
        if plan.catalog_edit_every_ms > 0 {
            self.after(plan.catalog_edit_every_ms, Due::EditCatalog);
        }
        self.start_orders(&plan);
        self.after(plan.chaos_ms, Due::Heal);
    }

    /// Adds a till with an empty disk.
    pub(super) fn add_new_till(&mut self, branch: BranchId, skew_ms: i64) {
        let scene = Arc::clone(&self.scene);
        let number = scene.count();
        let terminal = TerminalId::parse(&format!("till-{number}")).expect("a short name");
        let identity = Identity { shop: shop(), branch, terminal };
        let device = scene.board().checker.add_device(identity);
        assert_eq!(device, number, "devices are numbered as tills are");
        let luck = Stream::new(scene.plan.seed, "network/till/disk", number as u64);
        self.add_till(
            identity,
            Device {
                disk: Disk::new(luck, scene.disk_plan()),
                mirror: Mirror::default(),
                witness: None,
                // Nobody knows this credential until the till is enrolled.
                token: Token::new(terminal, [0; 32]).reveal(),
                skew_ms,
            },
        );
    }

    /// Adds a till's host; it starts with the next tick.
    pub(super) fn add_till(&mut self, identity: Identity, device: Device) {
        let number = self.scene.count();
        let seed = self.scene.plan.seed;
        let stream = |name: &str| Stream::new(seed, name, number as u64);
        let register = |name: &str| PosId::parse(name).expect("a short name");
        let slot = Arc::new(TillSlot {
            number,
            name: format!("host-{number}"),
            identity,
            disk: device.disk,
            goodbyes: Goodbyes::default(),
            mirror: Arc::new(Mutex::new(device.mirror)),
            witness: Arc::new(Mutex::new(device.witness)),
            token: watch::Sender::new(device.token),
            skew_ms: AtomicI64::new(device.skew_ms),
            entropy: Arc::new(Mutex::new(stream("till/entropy"))),
            luck: Mutex::new(stream("till/luck")),
            link: Mutex::new(stream("till/link")),
            work: Mutex::new(stream("till/work")),
            drawer: Mutex::new(stream("till/drawer")),
            edits: Mutex::new(stream("till/edits")),
            verify: Mutex::new(stream("till/verify")),
            drift: Mutex::new(stream("till/drift")),
            planted: Planted::default(),
            registers: [register("pos-1"), register("pos-2")],
            state: Mutex::new(TillState { up: true, ..TillState::default() }),
        });
        self.scene.add_till(Arc::clone(&slot));
        let scene = Arc::clone(&self.scene);
        let name = slot.name.clone();
        self.sim.host(name, move || till::live(Arc::clone(&scene), Arc::clone(&slot)));
    }

    fn live(&mut self) {
        let end_ms = self.scene.plan.chaos_ms + DRAIN_MS;
        loop {
            let now = self.now_ms();
            self.scene.set_now(now);
            while let Some(entry) = self.agenda.first_entry() {
                if entry.key().0 > now {
                    break;
                }
                let due = entry.remove();
                self.happen(due);
            }
            self.sim.step().expect("no host ends by itself");
            self.scene.set_now(self.now_ms());
            self.bury();
            if self.scene.board().violation.is_some() {
                return;
            }
            if self.scene.is_healed()
                && now.is_multiple_of(DRAINED_EVERY_MS)
                && self.scene.tills().iter().all(|slot| slot.drained())
                && catalog::followed(&self.scene)
                && self.inbox_drained()
            {
                self.check_everything();
                return;
            }
            if now > end_ms {
                self.not_drained();
                return;
            }
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Fault(index) => self.inject(self.scene.plan.faults[index].fault),
            Due::Restart(node) => self.restart(node),
            Due::Link(till) => self.connect(till),
            Due::Enrol(till) => {
                if !self.scene.is_healed() {
                    self.enrol(till);
                }
            }
            Due::Retire(till) => self.retire(till),
            Due::DefineProducts(batch) => self.define_products(batch),
            Due::EditCatalog => self.edit_catalog(),
            Due::Order => self.order(),
            Due::Relay => self.switch_relay_on(),
            Due::Heal => self.heal(),
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.sim.elapsed().as_millis() as u64
    }

    pub(super) fn after(&mut self, ms: u64, due: Due) {
        self.made += 1;
        self.agenda.insert((self.now_ms() + ms, self.made), due);
    }

    /// Ends the hosts whose stores have failed within the last tick.
    fn bury(&mut self) {
        let crashes = std::mem::take(&mut self.scene.board().crashes);
        for crash in crashes {
            self.take_down(crash.node, crash.down_ms);
        }
    }

    /// Ends a host. Its disk is cut, or has failed, already: what destructors do now is in vain.
    ///
    /// Half of the time the network is cut too, so that nobody hears of it: a destructor would
    /// say goodbye on each connection, and a machine without power does not.
    pub(super) fn take_down(&mut self, node: Node, down_ms: u64) {
        let scene = Arc::clone(&self.scene);
        let up = match node {
            Node::Cloud => std::mem::take(&mut lock(&scene.cloud.state).up),
            Node::Till(number) => std::mem::take(&mut lock(&scene.till(number).state).up),
        };
        if !up {
            return;
        }
        scene.tell(node.lane(), What::Crash, || format!("goes down for {down_ms} ms"));
        let silent = self.luck.happens(500_000);
        let concerned = match node {
            Node::Cloud => scene.tills(),
            Node::Till(number) => vec![scene.till(number)],
        };
        if silent {
            for slot in &concerned {
                self.sim.partition(slot.name.as_str(), cloud::NAME);
            }
        }
        match node {
            Node::Cloud => {
                scene.cloud.goodbyes.goes_down();
                self.sim.crash(cloud::NAME);
            }
            Node::Till(number) => {
                let slot = scene.till(number);
                slot.goodbyes.goes_down();
                self.sim.crash(slot.name.as_str());
            }
        }
        if silent {
            for slot in &concerned {
                self.connect(slot.number);
            }
        }
        self.after(down_ms.max(1), Due::Restart(node));
    }

    pub(super) fn restart(&mut self, node: Node) {
        let scene = Arc::clone(&self.scene);
        let was_up = match node {
            Node::Cloud => std::mem::replace(&mut lock(&scene.cloud.state).up, true),
            Node::Till(number) => std::mem::replace(&mut lock(&scene.till(number).state).up, true),
        };
        if was_up {
            return;
        }
        scene.tell(node.lane(), What::Start, || "starts".to_owned());
        match node {
            Node::Cloud => self.sim.bounce(cloud::NAME),
            Node::Till(number) => self.sim.bounce(scene.till(number).name.as_str()),
        }
    }

    /// Sets the link between a till and the cloud to what the partitions of now ask for.
    pub(super) fn connect(&self, till: usize) {
        let now = self.now_ms();
        let slot = self.scene.till(till);
        let (to, from) = {
            let state = lock(&slot.state);
            (now < state.cut_to_ms, now < state.cut_from_ms)
        };
        let name = slot.name.as_str();
        self.sim.repair(name, cloud::NAME);
        match (to, from) {
            (true, true) => self.sim.partition(name, cloud::NAME),
            (true, false) => self.sim.partition_oneway(name, cloud::NAME),
            (false, true) => self.sim.partition_oneway(cloud::NAME, name),
            (false, false) => {}
        }
    }

    /// Enrols a till (again), with a new secret that the till learns once it is durable.
    pub(super) fn enrol(&mut self, till: usize) {
        let Identity { shop, branch, terminal } = self.scene.till(till).identity;
        let mut random = [0; 32];
        for part in random.chunks_mut(8) {
            part.copy_from_slice(&self.secrets.draw().to_le_bytes());
        }
        let token = Token::new(terminal, random);
        let digest = token.digest();
        let credential = Credential { text: token.reveal(), digest };
        let site = Site { shop, branch };
        self.scene.send_operator(Errand {
            input: Input::Enrol { terminal, site, secret: digest, expires_at: None },
            fault: None,
            token: Some((terminal, credential)),
        });
    }

    /// Defines a quarter of the products.
    pub(super) fn define_products(&self, batch: u64) {
        let products = match &self.scene.sales {
            Some(sales) => sold_products(sales),
            None => (0..work::PRODUCTS).map(work::product).collect(),
        };
        let quarter = products.into_iter().enumerate();
        for (_, product) in quarter.filter(|(index, _)| *index as u64 % 4 == batch) {
            let input = Input::DefineProduct { shop: shop(), product };
            self.scene.send_operator(Errand { input, fault: None, token: None });
        }
    }

    /// The power goes everywhere; what was acknowledged must be on the disks, and all of it.
    fn check_everything(&mut self) {
        let scene = Arc::clone(&self.scene);
        let slots = scene.tills();
        scene.cloud.disk.power_cut();
        self.sim.crash(cloud::NAME);
        for slot in &slots {
            slot.disk.power_cut();
            self.sim.crash(slot.name.as_str());
            let node = Node::Till(slot.number);
            let _opened = observe::open::<Terminal>(&scene, node, &slot.disk, &slot.mirror);
        }
        let cloud = &scene.cloud;
        let _opened = observe::open::<Cloud>(&scene, Node::Cloud, &cloud.disk, &cloud.mirror);
        self.check_inboxes();
        let mirror = lock(&cloud.mirror);
        scene.judge(|checker, at| checker.drained(at, &mirror.rows));
        scene.judge(|checker, at| checker.sessions_drained(at, &mirror.rows));
        for slot in slots.iter().filter(|_| scene.plan.catalog_edit_every_ms > 0) {
            let rows = &lock(&slot.mirror).rows;
            scene.judge(|checker, at| checker.catalog_drained(at, slot.number, rows));
            scene.judge(|checker, at| checker.edits_drained(at, slot.number, rows));
        }
        if let Some(sales) = &scene.sales {
            scene.judge(|checker, at| checker.sums(at, &mirror.rows, sales.figures));
        }
    }

    fn not_drained(&self) {
        let slots = self.scene.tills();
        let stuck: Vec<String> = slots
            .iter()
            .filter(|slot| !slot.drained() || !catalog::has_followed(&self.scene, slot))
            .map(|slot| format!("till {}: {}", slot.number, slot.explain()))
            .collect();
        let injected = self.scene.board().coverage.fault(Injected::Loss);
        self.scene.judge(|checker, at| {
            checker.tally.check(Law::QueueDrains, at, false, || {
                format!(
                    "after {DRAIN_MS} ms without faults ({injected} requests were lost before): {}",
                    stuck.join("; ")
                )
            })
        });
    }

    /// Ends every host while the simulation still stands: their destructors need it.
    fn end(&mut self) {
        self.sim.crash(cloud::NAME);
        for slot in self.scene.tills() {
            self.sim.crash(slot.name.as_str());
        }
    }
}

fn sold_products(sales: &Sales) -> BTreeSet<ProductId> {
    let mut products = BTreeSet::new();
    for draft in sales.tills.iter().flatten() {
        match &draft.body {
            Body::Sale(trade) | Body::Refund { trade, .. } => {
                products.extend(trade.lines.iter().map(|line| line.product));
            }
            Body::Adjustment(adjustment) => {
                products.extend(adjustment.lines.iter().map(|line| line.product));
            }
            Body::SessionOpened(_) | Body::CashMoved(_) | Body::SessionClosed(_) => {}
            Body::CatalogEdited(_) | Body::Correction(_) => {}
        }
    }
    products
}

/// Returns how long a message takes at least, and at most.
fn latency(plan: &Plan) -> (Duration, Duration) {
    let fastest = Duration::from_micros(plan.link.latency_us);
    (fastest, fastest + Duration::from_micros(plan.link.jitter_us))
}

pub(super) fn shop() -> ShopId {
    ShopId::parse("shop").expect("a short name")
}
