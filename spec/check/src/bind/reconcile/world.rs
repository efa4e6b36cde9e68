//! Real nodes whose catalogs drift apart: what is committed, damaged, edited, and told by the feed.
//!
//! The nodes are those of `Journal`: an edit is an entry of a real journal that is pushed.

use std::collections::BTreeSet;
use std::sync::Arc;

use counterfoil_protocol::catalog::{CatalogEdit, FieldChange};
use counterfoil_protocol::cloud::catalog::{Edit, Edits, delta_with_edits, snapshot};
use counterfoil_protocol::cloud::{Cloud, Input, Output, Site, compaction};
use counterfoil_protocol::event::Body;
use counterfoil_protocol::reconcile::mirror::Mirror;
use counterfoil_protocol::terminal::catalog::{Wanted, beside, wanted};
use counterfoil_protocol::terminal::row::CatalogItem;
use counterfoil_protocol::terminal::{self, Draft, Terminal, edits};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{DeltaAnswer, SnapshotPage};
use counterfoil_storage::Memory;
use counterfoil_storage::memory::{Failure, Image};

use crate::bind::catalog::constants::Constants as Plain;
use crate::bind::catalog::items::{entity, field, id_of, item_of};
use crate::bind::catalog::rows::{decided, item_in, local_edits, state_of, till_item};
use crate::bind::journal::constants as journal;
use crate::bind::journal::rows::number;
use crate::bind::journal::world::{World as Nodes, name, register, site, till};
use crate::bind::nodes::{at_once, opened};

use super::compare::{Applied, Check};
use super::constants::{Constants, DAMAGED, Left, STRAY, edit_value, first};
use super::sums::hash;

/// More entities than there are: pages are whole.
const PAGE: usize = 100;
/// No lease is ever noted in these runs.
const LIFE: Millis = Millis(1_000_000_000);

/// Everything there is.
#[derive(Clone)]
pub(super) struct World {
    pub(super) constants: Constants,
    pub(super) nodes: Nodes,
    /// What the cloud answers from, beside its rows.
    pub(super) mirror: Mirror,
    pub(super) check: Check,
    pub(super) left: Left,
    /// The entity of each edit.
    pub(super) edits: Vec<u64>,
    pub(super) applied: Option<Applied>,
    /// What is broken on purpose, to show that it is noticed.
    pub(super) sabotage: Sabotage,
}

/// What goes wrong on the till's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    Lost,
    Changed,
    Sum,
}

/// Something that is broken on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sabotage {
    #[default]
    None,
    /// The till loses a row with each delta.
    RowForgotten,
    /// A plan does not know of pending edits.
    EditsIgnored,
}

impl World {
    /// Returns a till with the cloud's first catalog, and proven.
    pub(super) fn new(constants: &Constants) -> Self {
        let nodes = Nodes::new(&journal::Constants {
            tills: 1,
            items: 1,
            batch: 1,
            general: true,
            ..journal::Constants::default()
        });
        let mut world = Self {
            constants: constants.clone(),
            nodes,
            mirror: Mirror::new(site().shop, [7; 16]),
            check: Check::Idle,
            left: constants.left,
            edits: Vec::new(),
            applied: None,
            sabotage: Sabotage::None,
        };
        let whole = (1..=constants.items).map(|item| (item, Some(first(item))));
        world.commit(whole.collect());
        world.snapshot(None);
        world.delta(None);
        world
    }

    pub(super) fn cloud(&self) -> Memory<Cloud> {
        opened(&self.nodes.cloud)
    }

    pub(super) fn till(&self) -> &Image<Terminal> {
        &self.nodes.machines[0].as_ref().expect("the till is installed").image
    }

    fn at_cloud(&mut self, input: Input) {
        let outputs = self.nodes.at_cloud(&[input], None).expect("an open store works");
        let well = matches!(outputs[..], [Output::Edited { .. } | Output::Compacted { .. }]);
        assert!(well, "{outputs:?}");
    }

    /// Returns what the cloud has of an entity: its content and its version.
    pub(super) fn held(&self, item: u64) -> (u64, u64) {
        item_in(&Plain::default(), &self.nodes.cloud, item).unwrap_or_default()
    }

    /// The operator gives entities their contents, or deletes them.
    pub(super) fn commit(&mut self, contents: Vec<(u64, Option<u64>)>) {
        let edits = contents.into_iter().map(|(item, value)| {
            let entity = value.map(|value| entity(&Plain::default(), item, value));
            Edit { branch: None, id: id_of(item), entity }
        });
        let edits = Edits::new(site().shop, edits.collect()).expect("entities of the shop");
        self.at_cloud(Input::EditCatalog(edits));
    }

    /// All tombstones leave the cloud.
    pub(super) fn compact(&mut self) {
        let (shop, now) = (site().shop, self.nodes.now);
        let plan = at_once(compaction::plan(&self.cloud(), shop, now, LIFE));
        if let Some(plan) = plan.expect("an open store answers") {
            self.at_cloud(Input::Compact(plan));
        }
    }

    /// A disk that is not what it was.
    pub(super) fn harm(&mut self, item: u64, harm: Harm) {
        let mut state = state_of(self.till());
        let held = till_item(&Plain::default(), self.till(), item).ok().flatten();
        let (key, record) = match harm {
            Harm::Lost => (terminal::Key::Item(id_of(item)), None),
            Harm::Changed => {
                let content = entity(&Plain::default(), item, DAMAGED).canonical();
                let version = held.map_or(0, |(_, version)| version);
                let row = CatalogItem { version, content: content.into() };
                (terminal::Key::Item(id_of(item)), Some(terminal::Record::Item(row)))
            }
            Harm::Sum => {
                state.digest = state.digest.with(hash(item, STRAY));
                (terminal::Key::Catalog, Some(terminal::Record::Catalog(state)))
            }
        };
        let machine = self.nodes.machine(1);
        let mut memory = machine.rows();
        memory.plant(key, record.map(Arc::new));
        machine.image = memory.image();
    }

    /// The till asks for what has changed, and takes the answer in.
    pub(super) fn delta(&mut self, fails: Option<Failure>) {
        let rows = self.nodes.machine(1).rows();
        let Wanted::Delta(from) = at_once(wanted(&rows)).expect("an open store answers") else {
            unreachable!("no snapshot is under way")
        };
        let asked = at_once(edits::asked(&rows)).expect("an open store answers");
        let cloud = self.cloud();
        let answer = delta_with_edits(&cloud, site(), till(1), from, PAGE, &asked);
        let frame = self.answered(answer).encode();
        let answer = DeltaAnswer::decode(&frame).expect("the cloud's own frame");
        self.take(terminal::Input::Delta(answer), fails);
        if self.sabotage == Sabotage::RowForgotten {
            self.harm(1, Harm::Lost);
        }
    }

    fn answered<T, E: std::fmt::Debug>(&self, answer: impl Future<Output = Result<T, E>>) -> T {
        at_once(answer).expect("an open store answers")
    }

    /// The till compares its rows with all that the cloud has, and takes that over.
    pub(super) fn snapshot(&mut self, fails: Option<Failure>) {
        let rows = self.nodes.machine(1).rows();
        let wanted = at_once(wanted(&rows)).expect("an open store answers");
        let Wanted::Snapshot { pinned, after } = wanted else {
            unreachable!("a snapshot is under way")
        };
        let Site { shop, branch } = site();
        let cloud = self.cloud();
        let page = snapshot(&cloud, shop, branch, pinned, after, PAGE);
        let frame = self.answered(page).encode();
        let page = SnapshotPage::decode(&frame).expect("the cloud's own frame");
        let run = self.answered(beside(&rows, page));
        self.take(terminal::Input::CatalogRun(run), fails);
    }

    fn take(&mut self, input: terminal::Input, fails: Option<Failure>) {
        let now = self.nodes.now;
        let output = self.nodes.machine(1).step(now, input, fails);
        let well = matches!(output, Some(terminal::Output::Catalogued(_)) | None);
        assert!(well, "a catalog that can be read: {output:?}");
    }

    /// Returns the entities with pending edits.
    pub(super) fn pending(&self) -> BTreeSet<u64> {
        let pending = local_edits(self.till()).pending();
        pending.into_iter().filter_map(|id| item_of(id).ok()).collect()
    }

    /// Returns those of them whose edits the cloud has decided.
    pub(super) fn decided(&self) -> BTreeSet<u64> {
        let known = decided(&self.nodes.cloud);
        let waiting = local_edits(self.till()).waiting.into_iter();
        let of = waiting.filter(|held| {
            let edit = number(held.local_id.as_str());
            held.decided.is_none() && edit.is_some_and(|edit| known.contains(&edit))
        });
        of.filter_map(|held| item_of(held.entity).ok()).collect()
    }

    /// Somebody at the till writes into a field.
    pub(super) fn edit(&mut self, item: u64) {
        let (edit, plain) = (self.edits.len() as u64 + 1, Plain::default());
        let held = till_item(&plain, self.till(), item).ok().flatten();
        let (value, version) = held.expect("what is edited is there");
        // What was written before is seen as it was before that.
        let seen = if value == edit_value(item) { first(item) } else { value };
        let change =
            FieldChange::new(field(&plain, item, seen), field(&plain, item, edit_value(item)));
        let change = change.expect("another content of the field");
        let edited = CatalogEdit::new(id_of(item), version, vec![change]).expect("one field");
        let draft = Draft {
            pos: register(),
            local_id: name(edit),
            at: self.nodes.now,
            reference: String::new(),
            body: Body::CatalogEdited(edited),
        };
        let now = self.nodes.now;
        let output = self.nodes.machine(1).step(now, terminal::Input::Record(draft), None);
        assert!(matches!(output, Some(terminal::Output::Recorded { .. })), "{output:?}");
        self.edits.push(item);
    }

    /// The till offers so many of its edits; whatever answer was on its way is lost.
    pub(super) fn offer(&mut self, items: usize) {
        self.nodes.forget(1);
        self.nodes.agree(1);
        let at = self.nodes.now.after(terminal::RETRY_CAP);
        if self.nodes.push(1, items, at) {
            self.nodes.serve();
        }
    }

    /// The program of the till starts anew: a comparison is volatile.
    pub(super) fn restart(&mut self) {
        self.nodes.restart(1, false);
        self.check = Check::Idle;
    }
}
