//! What `docs/protocol.md` tells step by step of a restored till, its clone and a restored cloud is
//! what the real session and roles do: each step is played, written down, and compared.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod support;

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use counterfoil_protocol::cloud::{self, Cloud};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::session::{Answer, Commit, Config, Input, Nudge, Output, Session};
use counterfoil_protocol::terminal::pull::{self, Batch, Limits};
use counterfoil_protocol::terminal::row::State;
use counterfoil_protocol::terminal::{self, Backlog};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::{Hello, Push, PushAnswer, Verdict, Welcome};
use support::rows::{always, at_rest, entries, event, lanes, ledger};
use support::{Node, Till, block_on, sale};

const PAGE: &str = include_str!("../../docs/protocol.md");

/// A device with a till's program on it.
#[derive(Clone)]
struct Device {
    name: &'static str,
    till: Till,
    session: Session,
    /// What it draws if it has to open a new history because of a greeting.
    nonce: u64,
}

/// The cloud, the time, and what has happened since the last step.
#[derive(Clone)]
struct World {
    node: Node,
    now: Millis,
    said: String,
    steps: BTreeMap<String, String>,
}

impl World {
    fn say(&mut self, who: &str, what: &dyn Display) {
        let what = what.to_string();
        for (at, line) in what.lines().enumerate() {
            let who = if at == 0 { who } else { "" };
            writeln!(self.said, "{who:<11}{line}").unwrap();
        }
    }

    /// Ends a step with what stands on these devices and in the cloud.
    fn step(&mut self, name: &str, devices: &[&Device]) {
        for device in devices {
            let stands = device.stands();
            self.say(device.name, &stands);
        }
        let held = cloud_stands(&self.node);
        self.say("cloud", &held);
        let said = std::mem::take(&mut self.said);
        assert_eq!(self.steps.insert(name.to_owned(), said), None, "{name} is one step");
        for device in devices {
            let committed = ledger(&self.node).into_iter().map(|(k, l)| (k, l.payload_hash));
            always(&device.till, &self.node, &committed.collect());
        }
    }
}

impl Device {
    /// Starts the program: `fresh` is what it draws.
    fn start(name: &'static str, mut till: Till, fresh: u64, world: &mut World) -> Self {
        let parted = till.open(world.now, fresh);
        let doubt =
            parted.map_or_else(|| "the same database".into(), |parted| format!("{parted:?}"));
        world.say(name, &format!("starts: {doubt}, in {}", till.meta().epoch));
        let session = Session::new(Config::default(), fresh, world.now);
        Self { name, till, session, nonce: fresh }
    }

    fn sell(&mut self, world: &mut World, id: &str) {
        let recorded = self.till.record(world.now, sale(id, id));
        let terminal::Output::Recorded { place, receipt: Some(receipt), again: false } = recorded
        else {
            panic!("not recorded: {recorded:?}")
        };
        assert_eq!(receipt.series, place.epoch);
        let (epoch, seq, number) = (place.epoch, place.seq, receipt.number);
        world.say(self.name, &format!("sells {id}: entry {seq} of {epoch}, receipt {number}"));
    }

    /// Wakes the session when it wants to be woken, and lets it speak until it rests.
    fn wake(&mut self, world: &mut World) {
        world.now = Millis(world.now.0.max(self.session.wake_at().at.0));
        self.speak(world, Input::Wake);
    }

    fn nudge(&mut self, world: &mut World) {
        self.speak(world, Input::Nudge(Nudge::Recorded));
    }

    fn speak(&mut self, world: &mut World, input: Input) {
        self.session.handle_input(world.now, input);
        while let Some(output) = self.session.poll_output() {
            let input = match output {
                Output::Hello(request) => {
                    let answer = self.greet(world);
                    Input::Answered(request, Ok(Answer::Welcome(answer)))
                }
                Output::Push(request, items) => self.push(world, request, items),
                Output::Commit(commit) => Input::Committed(self.commit(world, commit)),
            };
            self.session.handle_input(world.now, input);
        }
        let reason = self.session.wake_at().reason;
        world.say(self.name, &format!("rests: {reason:?}"));
    }

    fn greet(&self, world: &mut World) -> Welcome {
        let hello = self.till.hello(world.now);
        world.say(&format!("{} -> cloud", self.name), &hello_text(&hello));
        let welcome = match world.node.greet(world.now, &hello) {
            cloud::Output::Welcome(welcome) => Welcome::decode(&welcome.encode()).unwrap(),
            other => panic!("not welcomed: {other:?}"),
        };
        world.say(&format!("cloud -> {}", self.name), &welcome_text(&welcome));
        welcome
    }

    fn push(&self, world: &mut World, request: u64, items: usize) -> Input {
        let limits = Limits { items, ..Limits::default() };
        let (store, meta) = (&self.till.store, self.till.meta());
        let push = match block_on(pull::batch(store, &meta, world.now, limits)).unwrap() {
            Batch::Push(push) => push,
            Batch::Wait(span) => return Input::NothingToPush(Some(span)),
            Batch::Empty => return Input::NothingToPush(None),
        };
        world.say(&format!("{} -> cloud", self.name), &push_text(&push));
        let answer = match world.node.push(world.now, &push) {
            cloud::Output::Pushed(answer) => PushAnswer::decode(&answer.encode()).unwrap(),
            other => panic!("not answered: {other:?}"),
        };
        world.say(&format!("cloud -> {}", self.name), &answer_text(&answer));
        Input::Answered(request, Ok(Answer::Pushed(push.epoch, answer)))
    }

    fn commit(&mut self, world: &mut World, commit: Commit) -> Backlog {
        let (input, what) = match commit {
            Commit::Welcomed(welcome) => {
                (terminal::Input::Welcomed { welcome, nonce: self.nonce }, "the welcome")
            }
            Commit::Answered(epoch, answer) => {
                (terminal::Input::Answered { epoch, answer }, "the answer")
            }
            Commit::Denied(denial) => (terminal::Input::Denied(denial), "the denial"),
            Commit::Adopt => {
                let (store, meta) = (&self.till.store, self.till.meta());
                let part = block_on(pull::adoption(store, &meta)).unwrap();
                let part = part.expect("something is left to look at");
                let names = part.entries.iter().map(|(seq, _, id)| format!(" {seq} {id}"));
                let names: String = names.collect();
                let (from, through) = (part.from, part.through);
                let named = if names.is_empty() { " nothing" } else { &names };
                world.say(self.name, &format!("carries over from {from}:{named}, to {through}"));
                (terminal::Input::Adopt(part), "")
            }
        };
        let terminal::Output::Settled(backlog) = self.till.run(world.now, input) else { panic!() };
        if !what.is_empty() {
            let meta = self.till.meta();
            let parted = backlog.parted.map_or(String::new(), |parted| format!("{parted:?}: "));
            let now = format!("{parted}{} acked {}", meta.epoch, meta.acked);
            world.say(self.name, &format!("commits {what}: {now}"));
        }
        backlog
    }

    fn stands(&self) -> String {
        let meta = self.till.meta();
        let mut text =
            format!("{} head {}:{} acked {}", meta.epoch, meta.head, short(meta.hash), meta.acked);
        if let Some(parent) = meta.parent {
            write!(text, ", follows {} after {}", parent.epoch, parent.common).unwrap();
        }
        text += &self.entries_of(meta.epoch, meta.acked);
        for closed in meta.closed.iter().rev() {
            let (epoch, kept) = (closed.epoch, closed.kept);
            let (head, hash) = (closed.head, short(closed.hash));
            let settled = if closed.unsettled() { "to be carried over" } else { "settled" };
            write!(text, "\n{epoch} head {head}:{hash} closed, kept {kept}, {settled}").unwrap();
            text += &self.entries_of(epoch, kept);
        }
        text
    }

    fn entries_of(&self, epoch: Epoch, held: u64) -> String {
        let mut text = String::new();
        for (place, entry) in entries(&self.till).iter().filter(|(place, _)| place.epoch == epoch) {
            let state = match entry.state {
                State::Open => "waits",
                State::Synced(_) if place.seq <= held => "synced",
                State::Synced(_) => "offered again",
                State::Moved(_) => "carried over",
                State::Replaced(_) => "replaced",
            };
            write!(text, "\n  {} {} {state}", place.seq, entry.local_id).unwrap();
        }
        text
    }
}

fn short(hash: Hash) -> String {
    hash.to_string()[..8].to_owned()
}

/// The word of a plain enum, as it travels in JSON.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap();
    let object = value.as_object().and_then(|object| object.keys().next().cloned());
    object.or_else(|| value.as_str().map(str::to_owned)).unwrap()
}

fn hello_text(hello: &Hello) -> String {
    let mut text = String::from("Hello");
    for lane in &hello.lanes {
        write!(text, "\n  {} acked {}, points", lane.epoch, lane.acked).unwrap();
        for point in &lane.points {
            write!(text, " {}:{}", point.seq, short(point.hash)).unwrap();
        }
        if let Some(parent) = lane.parent {
            write!(text, ", parent {} common {}", parent.epoch, parent.common).unwrap();
        }
    }
    text
}

fn welcome_text(welcome: &Welcome) -> String {
    let mut text = String::from("Welcome");
    for lane in &welcome.lanes {
        let (epoch, common) = (lane.epoch, lane.common);
        let (head, hash) = (lane.head.seq, short(lane.head.hash));
        let standing = word(&lane.standing);
        write!(text, "\n  {epoch} head {head}:{hash}, common {common}, {standing}").unwrap();
    }
    text
}

fn push_text(push: &Push) -> String {
    let items = push.items.iter().map(|item| {
        let id = event(&item.payload).local_id();
        format!(" {} {id}", item.seq)
    });
    format!("Push {}:{}", push.epoch, items.collect::<Vec<_>>().join(","))
}

fn answer_text(answer: &PushAnswer) -> String {
    let results = answer.results.iter().map(|result| {
        let verdict: Verdict = result.verdict;
        format!(", {} {}", result.seq, word(&verdict))
    });
    let stopped = answer.stopped.map_or(String::new(), |why| format!(", stopped {}", word(&why)));
    format!("PushAnswer head {}{}{stopped}", answer.head, results.collect::<String>())
}

fn cloud_stands(node: &Node) -> String {
    let mut text = String::new();
    for (epoch, lane) in lanes(node) {
        writeln!(text, "{epoch} head {}:{}", lane.head, short(lane.hash)).unwrap();
    }
    for (key, record) in &node.store.rows {
        if let (cloud::Key::Fork(_, left, _), cloud::Record::Fork(fork)) = (key, record) {
            let (next, common, head) = (fork.successor, fork.common, fork.cloud_head);
            writeln!(text, "fork {left} -> {next}: common {common}, cloud head {head}").unwrap();
        }
    }
    let posted: String = ledger(node).keys().map(|key| format!(" {}", key.local_id)).collect();
    write!(text, "posted{posted}").unwrap();
    text
}

/// The page's fenced blocks that begin with `step`, by what follows that word.
fn told() -> BTreeMap<String, String> {
    let blocks = PAGE.split("```step ").skip(1).map(|block| {
        let (name, rest) = block.split_once('\n').unwrap();
        (name.to_owned(), rest.split_once("```").unwrap().0.to_owned())
    });
    blocks.collect()
}

/// Plays what everybody goes through before the disks are lost: returns A's backup, the clone, the
/// cloud as it was an hour before, and the world.
fn until_the_disks_are_lost() -> (Till, Device, Node, World) {
    let (said, steps) = (String::new(), BTreeMap::new());
    let node = Node::new(Cloud::default());
    let mut world = World { node, now: Millis(1_000), said, steps };

    // Yesterday: `b` is sold when the link is down, then the backup is taken.
    let mut a = Device::start("A", Till::install(7), 2, &mut world);
    a.sell(&mut world, "a");
    a.wake(&mut world);
    a.sell(&mut world, "b");
    let backup = a.till.clone();
    world.step("1", &[&a]);

    // This morning: a new start, one more sale; then the whole device is copied.
    let mut a = Device::start("A", a.till, 3, &mut world);
    a.sell(&mut world, "c");
    a.wake(&mut world);
    let mut b = Device::start("B", a.till.clone(), 0xc1, &mut world);
    b.wake(&mut world);
    world.step("2", &[&a, &b]);

    // Both sell on; the clone comes second.
    a.sell(&mut world, "d");
    a.nudge(&mut world);
    b.sell(&mut world, "x");
    b.nudge(&mut world);
    b.wake(&mut world);
    let an_hour_ago = world.node.clone();
    world.step("3", &[&a, &b]);

    // The hour that the cloud will lose.
    a.sell(&mut world, "e");
    a.nudge(&mut world);
    b.sell(&mut world, "y");
    b.nudge(&mut world);
    world.step("4", &[&a, &b]);

    let till = Till { witness: a.till.witness, ..backup };
    (till, b, an_hour_ago, world)
}

fn compare(played: &BTreeMap<String, String>) {
    let told = told();
    if told != *played {
        let blocks = played.iter().map(|(name, text)| format!("```step {name}\n{text}```\n"));
        panic!("the page tells otherwise; this is what happens:\n{}", blocks.collect::<String>());
    }
}

#[test]
fn each_step_of_the_walk_through_is_what_happens() {
    let (restored, b, an_hour_ago, mut world) = until_the_disks_are_lost();
    world.node = an_hour_ago;
    let (mut b, backup) = (b, restored.clone());
    let before = world.clone();

    // The cloud is an hour back, A is a day back, its witness is not.
    let mut a = Device::start("A", restored, 0xa1, &mut world);
    a.sell(&mut world, "f");
    world.step("5", &[&a]);
    a.wake(&mut world);
    world.step("6", &[&a]);
    b.sell(&mut world, "z");
    b.nudge(&mut world);
    b.wake(&mut world);
    world.step("7", &[&a, &b]);
    at_rest(&b.till, &world.node);
    at_rest(&a.till, &world.node);

    // The same, but the backup has brought A's witness back too.
    let mut other = World { said: String::new(), steps: BTreeMap::new(), ..before };
    let meta = backup.meta();
    let witness =
        counterfoil_protocol::identity::Witness { install: meta.install, boot: meta.boot };
    let unnoticed = Till { witness: Some(witness), ..backup };
    let mut a = Device::start("A", unnoticed, 0xa1, &mut other);
    a.sell(&mut other, "f");
    a.wake(&mut other);
    other.step("unnoticed", &[&a]);
    at_rest(&a.till, &other.node);

    world.steps.extend(other.steps);
    compare(&world.steps);
}
