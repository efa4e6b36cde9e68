//! Real nodes with a catalog: what the operator commits, what tills ask and are told, what the
//! first till edits.
//!
//! The nodes are those of `Journal`: an edit is an entry of a real journal that is pushed.

use std::collections::BTreeSet;

use counterfoil_protocol::catalog::{CatalogEdit, EntityId, FieldChange};
use counterfoil_protocol::cloud::catalog::{Edit, Edits, delta_with_edits, snapshot};
use counterfoil_protocol::cloud::{self, Cloud, Compact, Input, Output, Site, compaction};
use counterfoil_protocol::event::{Body, Event};
use counterfoil_protocol::session::follow::{Follower, Input as Heard, Output as Does};
use counterfoil_protocol::session::{Config, Fault};
use counterfoil_protocol::terminal::catalog::{Wanted, beside, wanted};
use counterfoil_protocol::terminal::{self, Draft, edits};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{DeltaAnswer, EditName, SnapshotPage};
use counterfoil_protocol::wire::message::Push;
use counterfoil_storage::Memory;
use counterfoil_storage::memory::{Failure, Image};

use crate::bind::journal::constants as journal;
use crate::bind::journal::rows::number as number_of;
use crate::bind::journal::world::{Asked, World as Nodes, name, register, site, till};
use crate::bind::nodes::{at_once, opened};

use super::constants::{Constants, Left};
use super::halves::Halves;
use super::items::{edit_value, entity, field, id_of};
use super::rows::{cloud_item, decided, floor_of, local_edits, till_item};

/// How long a lease lives in these runs: longer than any of them, unless it is let lapse.
pub(super) const LIFE: Millis = Millis(1_000_000_000);

/// Everything there is.
#[derive(Clone)]
pub(super) struct World {
    pub(super) constants: Constants,
    pub(super) nodes: Nodes,
    /// When the cloud's backup was made.
    pub(super) archived_at: Millis,
    pub(super) plan: Option<Planned>,
    /// The version in each till's last question.
    pub(super) asked: Vec<Option<u64>>,
    pub(super) talk: Vec<Talk>,
    pub(super) left: Left,
    /// Who says when each till asks, if it may not at any time.
    pub(super) followers: Vec<Option<Asker>>,
    /// The entity of each edit.
    pub(super) edits: Vec<u64>,
    /// The edits of the push whose answer is on its way to the first till, in their order.
    pub(super) offered: Vec<u64>,
    /// Which edits the catalog truly had that a till has just taken a page of.
    pub(super) taken: Option<BTreeSet<u64>>,
    /// What is broken on purpose, to show that it is noticed.
    pub(super) sabotage: Sabotage,
}

/// A plan of compaction, and the cloud's rows when it was made.
#[derive(Clone)]
pub(super) struct Planned {
    pub(super) plan: Compact,
    pub(super) rows: Image<Cloud>,
}

/// What is under way between a till and the cloud.
#[derive(Clone)]
pub(super) enum Talk {
    Rest,
    AskRun {
        pinned: Option<u64>,
        after: Option<EntityId>,
    },
    AskDelta(Question),
    /// The cloud puts a delta together, from rows of then on.
    Reading(Question, Image<Cloud>),
    /// The bytes of a delta; which edits were held when it was begun, and when it was ended.
    Delta {
        asked: Question,
        held: BTreeSet<u64>,
        truly: BTreeSet<u64>,
        frame: Vec<u8>,
    },
    /// The bytes of a run.
    Run(Vec<u8>),
}

/// The question for a delta.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) from: u64,
    pub(super) edits: Vec<EditName>,
}

/// A till's follower, and the request for whose answer it waits.
#[derive(Clone)]
pub(super) struct Asker {
    follower: Follower,
    asked: u64,
}

/// Something that is broken on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sabotage {
    #[default]
    None,
    /// A compaction does not raise the floor.
    FloorStays,
    /// A till loses a row with each page.
    RowForgotten,
    /// Each run of a snapshot names the head of its own time.
    PinMoves,
}

impl World {
    /// Returns tills that were installed, and a cloud with nothing in its catalog.
    pub(super) fn new(constants: &Constants) -> Self {
        let nodes = Nodes::new(&journal::Constants {
            tills: constants.tills,
            items: 1,
            batch: 1,
            general: true,
            ..journal::Constants::default()
        });
        let mut world = Self {
            constants: constants.clone(),
            archived_at: nodes.now,
            nodes,
            plan: None,
            asked: vec![None; constants.tills],
            talk: vec![Talk::Rest; constants.tills],
            left: constants.left,
            followers: vec![None; constants.tills],
            edits: Vec::new(),
            offered: Vec::new(),
            taken: None,
            sabotage: Sabotage::None,
        };
        for number in 1..=constants.tills {
            world.begins(number);
        }
        world
    }

    fn cloud(&self) -> Memory<Cloud> {
        opened(&self.nodes.cloud)
    }

    fn at_cloud(&mut self, input: Input) -> Output {
        let outputs = self.nodes.at_cloud(&[input], None).expect("an open store works");
        outputs.into_iter().next().expect("each input has its output")
    }

    /// The operator gives an entity its content, or deletes it.
    pub(super) fn write(&mut self, item: u64, value: Option<u64>) {
        let content = value.map(|value| entity(&self.constants, item, value));
        let edit = Edit { branch: None, id: id_of(item), entity: content };
        let edits = Edits::new(site().shop, vec![edit]).expect("one entity of the shop");
        let output = self.at_cloud(Input::EditCatalog(edits));
        assert!(matches!(output, Output::Edited { .. }), "{output:?}");
    }

    /// The version in a till's question is noted; returns whether that is worth a row.
    pub(super) fn note(&mut self, number: usize) -> bool {
        let version = self.asked[number - 1].expect("only what was asked is noted");
        let lease = Input::Lease { site: site(), terminal: till(number), version };
        let noted = self.at_cloud(lease) == Output::Leased(true);
        if noted {
            self.asked[number - 1] = None;
        }
        noted
    }

    pub(super) fn plan(&mut self) -> bool {
        let planned = at_once(compaction::plan(&self.cloud(), site().shop, self.nodes.now, LIFE));
        let Some(plan) = planned.expect("an open store answers") else { return false };
        self.plan = Some(Planned { plan, rows: self.nodes.cloud.clone() });
        true
    }

    pub(super) fn compact(&mut self) {
        let Planned { plan, .. } = self.plan.take().expect("only what was planned is done");
        let before = self.nodes.cloud.clone();
        let output = self.at_cloud(Input::Compact(plan));
        assert!(matches!(output, Output::Compacted { .. }), "{output:?}");
        if self.sabotage == Sabotage::FloorStays {
            let floor = floor_of(&before);
            let key = cloud::Key::Floor(site().shop);
            let now = compaction::Floor { version: floor.version, ..floor_of(&self.nodes.cloud) };
            let mut memory = self.cloud();
            memory.plant(key, Some(std::sync::Arc::new(cloud::Record::Floor(now))));
            self.nodes.cloud = memory.image();
        }
    }

    pub(super) fn ask(&mut self, number: usize) {
        let rows = self.nodes.machine(number).rows();
        let (talk, asked) = match at_once(wanted(&rows)).expect("an open store answers") {
            Wanted::Snapshot { pinned, after } => (Talk::AskRun { pinned, after }, pinned),
            Wanted::Delta(from) => {
                let edits = at_once(edits::asked(&rows)).expect("an open store answers");
                let text = EditName::to_text(&edits);
                let edits = EditName::from_text(&text).expect("a till's own question");
                (Talk::AskDelta(Question { from, edits }), Some(from))
            }
        };
        (self.talk[number - 1], self.asked[number - 1]) = (talk, asked);
    }

    /// The cloud begins to put a delta together, or says at once that it cannot.
    pub(super) fn begin(&mut self, number: usize) {
        let Talk::AskDelta(question) = self.talk[number - 1].clone() else {
            unreachable!("only what was asked is answered")
        };
        let rows = self.nodes.cloud.clone();
        self.talk[number - 1] = Talk::Reading(question, rows);
        // Nothing has changed since: if there is no way from there, that is known by now.
        if let (DeltaAnswer::Resync, _) = self.read(number, 1) {
            self.end(number, 1);
        }
    }

    /// The other half, with so many entities in a page of the shop.
    pub(super) fn end(&mut self, number: usize, limit: usize) {
        let (answer, held) = self.read(number, limit);
        let Talk::Reading(asked, _) = self.talk[number - 1].clone() else {
            unreachable!("only what was begun ends")
        };
        let (truly, frame) = (decided(&self.nodes.cloud), answer.encode());
        self.talk[number - 1] = Talk::Delta { asked, held, truly, frame };
    }

    fn read(&self, number: usize, limit: usize) -> (DeltaAnswer, BTreeSet<u64>) {
        let Talk::Reading(question, rows) = &self.talk[number - 1] else {
            unreachable!("only what was begun is read")
        };
        let (first, second) = (opened(rows), self.cloud());
        let halves = Halves::new(&first, &second);
        let Question { from, edits } = question;
        let answer = delta_with_edits(&halves, site(), till(number), *from, limit, edits);
        let asked = edits.iter().filter_map(|edit| number_of(edit.local_id.as_str()));
        let there = decided(rows);
        let held = asked.filter(|edit| there.contains(edit)).collect();
        (at_once(answer).expect("an open store answers"), held)
    }

    /// The cloud answers with a run of one entity; what it is pinned to may be noted.
    pub(super) fn run(&mut self, number: usize) {
        let Talk::AskRun { pinned, after } = self.talk[number - 1] else {
            unreachable!("only what was asked is answered")
        };
        let Site { shop, branch } = site();
        let pinned = if self.sabotage == Sabotage::PinMoves { None } else { pinned };
        let page = at_once(snapshot(&self.cloud(), shop, branch, pinned, after, 1));
        let page = page.expect("an open store answers");
        self.asked[number - 1] = Some(page.pinned);
        self.talk[number - 1] = Talk::Run(page.encode());
    }

    /// A till takes an answer in. If the power fails, the program starts anew.
    pub(super) fn take(&mut self, number: usize, fails: Option<Failure>) {
        let talk = std::mem::replace(&mut self.talk[number - 1], Talk::Rest);
        let (now, sabotage) = (self.nodes.now, self.sabotage);
        if let Some(asker) = &mut self.followers[number - 1] {
            asker.follower.handle_input(now, Heard::Answered(asker.asked, Ok(())));
            let does = asker.follower.poll_output();
            assert_eq!(does, Some(Does::Commit), "an answer that is waited for is committed");
        }
        let machine = self.nodes.machine(number);
        let (input, truly) = match talk {
            Talk::Delta { frame, truly, .. } => {
                let answer = DeltaAnswer::decode(&frame).expect("the cloud's own frame");
                (terminal::Input::Delta(answer), Some(truly))
            }
            Talk::Run(frame) => {
                let page = SnapshotPage::decode(&frame).expect("the cloud's own frame");
                let run = at_once(beside(&machine.rows(), page)).expect("an open store answers");
                (terminal::Input::CatalogRun(run), None)
            }
            Talk::Rest | Talk::AskRun { .. } | Talk::AskDelta(_) | Talk::Reading(..) => {
                unreachable!("only an answer is taken")
            }
        };
        let output = machine.step(now, input, fails);
        match (output, &mut self.followers[number - 1]) {
            (Some(terminal::Output::Catalogued(standing)), Some(asker)) => {
                asker.follower.handle_input(now, Heard::Committed(Some(standing)));
            }
            (Some(terminal::Output::Catalogued(_)) | None, _) => {}
            (Some(other), _) => unreachable!("a catalog that can be read: {other:?}"),
        }
        if sabotage == Sabotage::RowForgotten {
            let mut memory = machine.rows();
            let held =
                machine.image.rows().keys().find(|key| matches!(key, terminal::Key::Item(_)));
            if let Some(key) = held.copied() {
                memory.plant(key, None);
            }
            machine.image = memory.image();
        }
        self.taken = truly;
        if fails.is_some() {
            self.restart(number);
        }
    }

    /// Somebody at the first till writes into a field what nobody wrote before.
    pub(super) fn edit(&mut self, item: u64) {
        self.nodes.carry_over(1);
        let edit = self.edits.len() as u64 + 1;
        let (constants, now) = (self.constants.clone(), self.nodes.now);
        let machine = self.nodes.machine(1);
        let over = local_edits(&machine.image);
        let over = over.waiting.iter().find(|waiting| waiting.entity == id_of(item));
        let over = over.and_then(|waiting| number_of(waiting.local_id.as_str()));
        let (value, version) = till_item(&constants, &machine.image, item)
            .ok()
            .flatten()
            .expect("what is edited is there");
        let seen = field(&constants, item, over.map_or(value, edit_value));
        let change = FieldChange::new(seen, field(&constants, item, edit_value(edit)));
        let change = change.expect("another content of the field");
        let edited = CatalogEdit::new(id_of(item), version, vec![change]).expect("one field");
        let draft = Draft {
            pos: register(),
            local_id: name(edit),
            at: now,
            reference: String::new(),
            body: Body::CatalogEdited(edited),
        };
        let output = machine.step(now, terminal::Input::Record(draft), None);
        assert!(matches!(output, Some(terminal::Output::Recorded { .. })), "{output:?}");
        self.edits.push(item);
    }

    /// The first till greets, and offers so many of those that wait; the answer is on its way.
    pub(super) fn offer(&mut self, items: usize) {
        self.nodes.agree(1);
        let at = self.nodes.now.after(terminal::RETRY_CAP);
        if !self.nodes.push(1, items, at) {
            return;
        }
        let request = self.nodes.requests.first().expect("it was pushed");
        let Asked::Push(frame) = &request.asks else { unreachable!("it is a push") };
        let push = Push::decode(frame).expect("a till's own frame");
        let edits = push.items.iter().filter_map(|item| {
            let event = Event::from_canonical(&item.payload).ok()?;
            number_of(event.local_id().as_str())
        });
        self.offered = edits.collect();
        self.nodes.serve();
    }

    /// The first till hears what became of what it has offered.
    pub(super) fn hear(&mut self) {
        self.nodes.receive(1, None);
        self.offered.clear();
    }

    pub(super) fn restart(&mut self, number: usize) {
        self.nodes.restart(number, false);
        self.begins(number);
    }

    /// The program of a till has begun: it waits for nothing.
    pub(super) fn begins(&mut self, number: usize) {
        self.talk[number - 1] = Talk::Rest;
        if self.constants.by_follower {
            let follower = Follower::new(Config::default(), number as u64, self.nodes.now);
            self.followers[number - 1] = Some(Asker { follower, asked: 0 });
        }
        if number == 1 {
            self.offered.clear();
        }
    }

    /// Lets the follower of a till do the next thing that it wants to; returns what that is in the
    /// specification.
    pub(super) fn turn(&mut self, number: usize) -> Option<&'static str> {
        let asker = self.followers[number - 1].as_mut()?;
        match asker.follower.poll_output() {
            None => {
                self.waits(number);
                None
            }
            Some(Does::Ask(asked)) => {
                asker.asked = asked;
                self.ask(number);
                Some("Ask")
            }
            Some(Does::Commit) => unreachable!("committed with its answer"),
        }
    }

    /// The follower of a till waits until it waits no longer.
    pub(super) fn waits(&mut self, number: usize) {
        if let Some(asker) = &mut self.followers[number - 1] {
            let then = self.nodes.now.max(asker.follower.wake_at());
            asker.follower.handle_input(then, Heard::Wake);
            self.nodes.now = then;
        }
    }

    /// The connection of a till breaks.
    pub(super) fn breaks(&mut self, number: usize) {
        self.talk[number - 1] = Talk::Rest;
        let now = self.nodes.now;
        if let Some(asker) = &mut self.followers[number - 1] {
            asker.follower.handle_input(now, Heard::Answered(asker.asked, Err(Fault::Transport)));
        }
    }

    /// Returns the leases that live at a time, by their tills.
    pub(super) fn leases(&self, cloud: &Image<Cloud>, now: Millis) -> Vec<Option<u64>> {
        let lease = |number| match cloud_item(cloud, &self.lease_key(number)) {
            Some(cloud::Record::Lease(lease)) if lease.live(now, LIFE) => Some(lease.version),
            _ => None,
        };
        (1..=self.constants.tills).map(lease).collect()
    }

    pub(super) fn lease_key(&self, number: usize) -> cloud::Key {
        assert!(number <= self.constants.tills, "each till has its lease");
        cloud::Key::Lease(site().shop, site().branch, till(number))
    }

    /// Returns the time at which the lease of a till has lapsed, if it lives.
    pub(super) fn lapses_at(&self, number: usize) -> Option<Millis> {
        match cloud_item(&self.nodes.cloud, &self.lease_key(number)) {
            Some(cloud::Record::Lease(lease)) if lease.live(self.nodes.now, LIFE) => {
                Some(lease.seen.after(LIFE).after(Millis(1)))
            }
            _ => None,
        }
    }
}
