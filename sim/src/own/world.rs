//! One run: an event heap, nodes with stores in memory, and links between them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use counterfoil_protocol::machine;
use counterfoil_protocol::time::Millis;
use counterfoil_storage::memory::{Failure, Image, Memory};

use super::{Act, Broken, Input, Key, Laws, Node, Outcome, REST, Record, System};
use crate::observed::at_once;
use crate::plan::{Fault, Plan};
use crate::rng::Stream;
use crate::story::Lane;
use crate::story::{Step, Story, What};

/// The most steps of a run: a system that goes on and on is stopped, and told so.
const STEPS_MAX: u64 = 2_000_000;
/// When the world begins, on its clocks.
const DAWN_MS: i64 = 1_700_000_000_000;
/// How much longer a slow message takes.
const SLOW: u64 = 100;

/// Runs a plan.
#[must_use]
pub fn run<S: System + ?Sized>(system: &S, plan: &Plan, tell: bool) -> Outcome {
    let mut world = World::new(system, plan, tell);
    let broken = world.live().err();
    if let Some(broken) = &broken {
        world.tell(Lane::World, What::Violation, || broken.to_string());
    }
    Outcome {
        broken,
        laws: world.laws,
        faults: world.faults,
        commits: world.commits,
        sim_ms: world.now_us / 1_000,
        digest: *world.digest.finalize().as_bytes(),
        story: world.story,
    }
}

/// What all nodes durably hold at one moment.
pub struct View<'a, S: System + ?Sized> {
    hosts: &'a [Host<S>],
}

impl<S: System + ?Sized> fmt::Debug for View<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("tills", &self.tills()).finish_non_exhaustive()
    }
}

impl<'a, S: System + ?Sized> View<'a, S> {
    /// Returns how many tills there are.
    #[must_use]
    pub const fn tills(&self) -> u32 {
        self.hosts.len() as u32 - 1
    }

    /// Returns every node, the cloud first.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + use<S> {
        nodes(self.hosts.len())
    }

    /// Returns a row of a node.
    ///
    /// # Panics
    /// If there is no such till.
    #[must_use]
    pub fn get(&self, node: Node, key: &Key<S>) -> Option<&'a Record<S>> {
        self.hosts[index(node)].store.rows().get(key).map(AsRef::as_ref)
    }

    /// Returns the rows of a node, in the order of their keys.
    ///
    /// # Panics
    /// If there is no such till.
    pub fn rows(
        &self,
        node: Node,
    ) -> impl Iterator<Item = (&'a Key<S>, &'a Record<S>)> + use<'a, S> {
        self.hosts[index(node)].store.rows().iter().map(|(key, row)| (key, row.as_ref()))
    }
}

/// A node, its disk, and its link.
pub(super) struct Host<S: System + ?Sized> {
    pub(super) store: Memory<S::Machine>,
    pub(super) backup: Option<Image<S::Machine>>,
    pub(super) up: bool,
    /// How often it has crashed: what it meant to do later in an earlier life is forgotten.
    pub(super) life: u32,
    pub(super) clock_off_ms: i64,
    /// Until when nothing it sends arrives.
    pub(super) cut_to_us: u64,
    /// Until when nothing arrives that is sent to it.
    pub(super) cut_from_us: u64,
    commits: Stream,
    link: Stream,
    work: Stream,
}

impl<S: System + ?Sized> Host<S> {
    fn new(seed: u64, number: u64) -> Self {
        let stream = |name| Stream::new(seed, name, number);
        Self {
            store: Memory::new(),
            backup: None,
            up: true,
            life: 0,
            clock_off_ms: 0,
            cut_to_us: 0,
            cut_from_us: 0,
            commits: stream("own/commits"),
            link: stream("own/link"),
            work: stream("own/work"),
        }
    }
}

/// Something that is going to happen.
pub(super) enum Happening<I> {
    /// Somebody asks something of a till.
    Work(u32),
    /// A message arrives; the number is its name in the story.
    Arrive {
        from: Node,
        to: Node,
        input: Arc<I>,
        message: u64,
    },
    /// A node asks itself, if it still lives.
    Due {
        node: Node,
        life: u32,
        input: I,
    },
    /// A node comes up.
    Start(Node, u32),
    Strike(Fault),
    /// The faults end.
    Heal,
}

pub(super) struct World<'a, S: System + ?Sized> {
    system: &'a S,
    plan: &'a Plan,
    pub(super) now_us: u64,
    healed: bool,
    /// What happens at the same time happens in the order in which it was planned.
    planned: u64,
    heap: BTreeMap<(u64, u64), Happening<Input<S>>>,
    hosts: Vec<Host<S>>,
    pub(super) throttled_until_us: u64,
    laws: Laws,
    faults: BTreeMap<&'static str, u64>,
    commits: u64,
    digest: blake3::Hasher,
    story: Option<Story>,
}

fn nodes(count: usize) -> impl Iterator<Item = Node> {
    std::iter::once(Node::Cloud).chain((1..count as u32).map(|number| Node::Till(number - 1)))
}

const fn index(node: Node) -> usize {
    match node {
        Node::Cloud => 0,
        Node::Till(number) => number as usize + 1,
    }
}

impl<'a, S: System + ?Sized> World<'a, S> {
    fn new(system: &'a S, plan: &'a Plan, tell: bool) -> Self {
        let hosts = (0..=u64::from(plan.tills.max(1))).map(|number| Host::new(plan.seed, number));
        let mut world = Self {
            system,
            plan,
            now_us: 0,
            healed: false,
            planned: 0,
            heap: BTreeMap::new(),
            hosts: hosts.collect(),
            throttled_until_us: 0,
            laws: Laws::default(),
            faults: BTreeMap::new(),
            commits: 0,
            digest: blake3::Hasher::new(),
            story: tell.then(Story::default),
        };
        for timed in plan.faults.iter().filter(|timed| timed.at_ms < plan.chaos_ms) {
            world.after(timed.at_ms * 1_000, Happening::Strike(timed.fault));
        }
        world.after(plan.chaos_ms * 1_000, Happening::Heal);
        for node in nodes(world.hosts.len()) {
            world.after(0, Happening::Start(node, 0));
        }
        for till in 0..world.view().tills() {
            let us = world.host_mut(Node::Till(till)).work.below(plan.sale_every_ms * 2_000);
            world.after(us, Happening::Work(till));
        }
        world
    }

    fn live(&mut self) -> Result<(), Broken> {
        let end_us = (self.plan.chaos_ms + REST.0) * 1_000;
        let mut steps = 0;
        while let Some(((at_us, _), happening)) = self.heap.pop_first() {
            if at_us > end_us {
                break;
            }
            assert!(at_us >= self.now_us, "time goes on");
            self.now_us = at_us;
            steps += 1;
            if steps > STEPS_MAX {
                let what = format!("after {STEPS_MAX} steps it still goes on");
                return Err(Broken { law: "Ends", at_ms: at_us / 1_000, what });
            }
            self.happen(happening).map_err(|broken| self.dated(broken))?;
        }
        let view = View { hosts: &self.hosts };
        let rested = self.system.at_rest(&view, &mut self.laws);
        rested.map_err(|broken| self.dated(broken))
    }

    const fn dated_ms(&self) -> u64 {
        self.now_us / 1_000
    }

    fn dated(&self, broken: Broken) -> Broken {
        Broken { at_ms: self.dated_ms(), ..broken }
    }

    fn happen(&mut self, happening: Happening<Input<S>>) -> Result<(), Broken> {
        match happening {
            Happening::Work(till) => {
                let node = Node::Till(till);
                if self.healed {
                    return Ok(());
                }
                let host = &mut self.hosts[index(node)];
                let us = host.work.below(self.plan.sale_every_ms * 2_000) + 1;
                let wish = self.system.work(till, &mut host.work);
                let up = host.up;
                self.after(us, Happening::Work(till));
                match wish.filter(|_| up) {
                    Some(input) => self.decide(node, &input),
                    None => Ok(()),
                }
            }
            Happening::Arrive { from, to, input, message } => {
                let lost = self.is_cut(from, to) || !self.hosts[index(to)].up;
                if lost {
                    return Ok(());
                }
                self.note(to, What::Receive(message), || format!("{input:?} from {from}"));
                self.decide(to, &input)
            }
            Happening::Due { node, life, input } => {
                let host = &self.hosts[index(node)];
                if host.up && host.life == life { self.decide(node, &input) } else { Ok(()) }
            }
            Happening::Start(node, life) => {
                let host = &mut self.hosts[index(node)];
                if host.life != life {
                    return Ok(());
                }
                host.up = true;
                host.store.reopen();
                self.note(node, What::Start, || "starts".to_owned());
                let acts = self.system.started(node, &View { hosts: &self.hosts });
                self.carry_out(node, acts);
                Ok(())
            }
            Happening::Strike(fault) => {
                self.strike(fault);
                Ok(())
            }
            Happening::Heal => {
                self.heal();
                Ok(())
            }
        }
    }

    /// A node decides on an input, in a transaction that may be its last.
    fn decide(&mut self, node: Node, input: &Input<S>) -> Result<(), Broken> {
        let (crash_ppm, error_ppm) = (self.plan.crash_ppm, self.plan.storage_error_ppm);
        let healed = self.healed;
        let host = &mut self.hosts[index(node)];
        let mut down_ms = None;
        if !healed {
            let crashes = host.commits.happens(crash_ppm);
            let fails = host.commits.happens(error_ppm);
            if crashes || fails {
                let after = host.commits.happens(500_000);
                host.store.fail_next(if after { Failure::After } else { Failure::Before });
                down_ms = Some(if crashes { host.commits.between(10, 2_000) } else { 0 });
            }
        }
        let now = DAWN_MS + (self.now_us / 1_000) as i64;
        let now = Millis(now.saturating_add(host.clock_off_ms).max(0) as u64);
        let machine = self.system.machine(node);
        let inputs = std::slice::from_ref(input);
        let outputs = at_once(machine::run(&machine, &mut host.store, now, inputs));
        self.commits += 1;
        self.note(node, What::Commit, || format!("{input:?}"));
        let outputs = if let Ok(outputs) = outputs {
            self.host_mut(node).store.reopen(); // a commit without a write does not fail
            outputs
        } else {
            let down_ms = down_ms.unwrap_or_default();
            self.count(if down_ms > 0 { "crash at a commit" } else { "storage error" });
            self.crash(node, down_ms, "loses its power at this commit");
            Vec::new()
        };
        self.digest.update(&self.now_us.to_le_bytes());
        self.digest.update(format!("{node} {input:?} {outputs:?}").as_bytes());
        self.system.always(&View { hosts: &self.hosts }, &mut self.laws)?;
        for output in outputs {
            let acts = self.system.follow(node, input, output, &View { hosts: &self.hosts });
            self.carry_out(node, acts);
        }
        Ok(())
    }

    fn carry_out(&mut self, node: Node, acts: Vec<Act<Input<S>>>) {
        let life = self.hosts[index(node)].life;
        for act in acts {
            match act {
                Act::After { span, input } => {
                    self.after(span.0 * 1_000, Happening::Due { node, life, input });
                }
                Act::Send { to, input } => self.send(node, to, input),
            }
        }
    }

    fn send(&mut self, from: Node, to: Node, input: Input<S>) {
        let message = self.story.as_mut().map_or(0, Story::message);
        self.note(from, What::Send(message), || format!("{input:?} to {to}"));
        let link = if self.healed { Default::default() } else { self.plan.link };
        let lossy = match to {
            Node::Cloud => {
                link.loss_ppm + link.reset_ppm + link.rate_limit_ppm + link.server_error_ppm
            }
            Node::Till(_) => link.answer_loss_ppm,
        };
        // A link is its till's; the cloud has none.
        let till = if to == Node::Cloud { from } else { to };
        let draws = &mut self.hosts[index(till)].link;
        let (lost, twice) = (draws.happens(lossy), draws.happens(link.duplicate_ppm));
        let mut way = || {
            let us = link.latency_us.max(300) + draws.below(link.jitter_us + 1);
            if draws.happens(link.slow_ppm) { us * SLOW } else { us }
        };
        let ways = [way(), way()];
        if lost {
            self.count("loss");
        }
        if self.is_cut(from, to) || lost {
            return;
        }
        let input = Arc::new(input);
        for us in ways.into_iter().take(if twice { 2 } else { 1 }) {
            let input = Arc::clone(&input);
            self.after(us, Happening::Arrive { from, to, input, message });
        }
        if twice {
            self.count("duplicate");
        }
    }

    fn is_cut(&self, from: Node, to: Node) -> bool {
        let throttled = to == Node::Cloud && self.now_us < self.throttled_until_us;
        let sends = from != Node::Cloud && self.now_us < self.hosts[index(from)].cut_to_us;
        let hears = to != Node::Cloud && self.now_us < self.hosts[index(to)].cut_from_us;
        throttled || sends || hears
    }

    fn heal(&mut self) {
        self.healed = true;
        self.throttled_until_us = 0;
        self.fault_note("the faults end");
        for node in nodes(self.hosts.len()) {
            let host = self.host_mut(node);
            (host.cut_to_us, host.cut_from_us) = (0, 0);
            if !host.up {
                let life = host.life;
                self.after(0, Happening::Start(node, life));
            }
        }
    }

    pub(super) fn after(&mut self, us: u64, happening: Happening<Input<S>>) {
        self.planned += 1;
        self.heap.insert((self.now_us + us, self.planned), happening);
    }

    /// Returns the till of that number: one that does not exist is another.
    pub(super) const fn till(&self, number: u32) -> Node {
        Node::Till(number % self.view().tills())
    }

    pub(super) fn host_mut(&mut self, node: Node) -> &mut Host<S> {
        &mut self.hosts[index(node)]
    }

    pub(super) fn count(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    pub(super) fn fault_note(&mut self, text: &str) {
        self.tell(Lane::World, What::Fault, || text.to_owned());
    }

    pub(super) fn note(&mut self, node: Node, what: What, text: impl FnOnce() -> String) {
        self.tell(node.lane(), what, text);
    }

    fn tell(&mut self, lane: Lane, what: What, text: impl FnOnce() -> String) {
        let at_us = self.now_us;
        if let Some(story) = &mut self.story {
            story.add(Step { at_us, lane, what, text: text() });
        }
    }

    const fn view(&self) -> View<'_, S> {
        View { hosts: self.hosts.as_slice() }
    }
}
