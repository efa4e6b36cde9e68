//! What the tests of reconcile share: a till and a cloud with a catalog, and rows that drift.
#![allow(dead_code, reason = "each test file uses its own part of the kit")]
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]
#![allow(unreachable_pub, reason = "one module, compiled into each test file")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use counterfoil_protocol::catalog::{Digest, Entity, EntityId, Kind};
use counterfoil_protocol::cloud::catalog::{delta, snapshot};
use counterfoil_protocol::cloud::{self, Cloud, Edit, Edits};
use counterfoil_protocol::identity::{BranchId, CategoryId, ProductId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::reconcile::mirror::Mirror;
use counterfoil_protocol::reconcile::plan::Approved;
use counterfoil_protocol::reconcile::{
    Inputs, Next, Plan, PlanRefusal, Refusal, Verify, census, reduced,
};
use counterfoil_protocol::terminal::catalog::{Standing, Wanted, beside, wanted};
use counterfoil_protocol::terminal::reconcile::{Application, Applied};
use counterfoil_protocol::terminal::row::{CatalogItem, CatalogState};
use counterfoil_protocol::terminal::{Identity, Input, Key, Output, Record};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{
    BranchPriceV1, CategoryV1, CustomerV1, DeltaAnswer, EntityV1, ProductV1,
};
use counterfoil_protocol::wire::reconcile::{
    EntitiesAnswer, EntitiesAsk, ReconcileAnswer, ReconcileAsk,
};

use crate::support::{Node, Till, block_on, site};

pub const NOW: Millis = Millis(1_000);

pub fn label(text: &str) -> Label {
    Label::parse(text).unwrap()
}

pub fn sku(text: &str) -> EntityId {
    EntityId::product(ProductId(label(text)))
}

pub fn product_wire(id: &str, name: &str, price_minor: i64) -> ProductV1 {
    ProductV1 {
        product_id: ProductId(label(id)),
        name: name.into(),
        barcodes: Vec::new(),
        price_minor,
        currency: "GBP".into(),
        tax_ppm: 200_000,
        unit: label("pcs"),
        category: None,
        active: true,
    }
}

pub fn product(id: &str, name: &str, price: i64) -> Entity {
    Entity::parse(EntityV1::Product(product_wire(id, name, price))).unwrap()
}

pub fn category(id: &str, name: &str) -> Entity {
    let category_id = CategoryId(label(id));
    Entity::parse(EntityV1::Category(CategoryV1 { category_id, name: name.into() })).unwrap()
}

pub fn customer(id: &str, name: &str) -> Entity {
    let wire = CustomerV1 { customer_id: label(id), name: name.into() };
    Entity::parse(EntityV1::Customer(wire)).unwrap()
}

pub fn branch_price(id: &str, price_minor: i64) -> Entity {
    let wire = BranchPriceV1 { product_id: ProductId(label(id)), price_minor };
    Entity::parse(EntityV1::BranchPrice(wire)).unwrap()
}

/// A shop with one till, and a cloud that answers it as a node would.
#[derive(Clone)]
pub struct Shop {
    pub node: Node,
    pub till: Till,
    pub mirror: Mirror,
    pub edits: BTreeSet<EntityId>,
    pub bytes: usize,
    pub round_trips: usize,
}

/// How a verification ended.
#[derive(Clone, Debug)]
pub enum Ended {
    Plan(Box<Plan>),
    Snapshot(Option<u64>),
    Again,
    Refused(Refusal),
}

impl Shop {
    pub fn new() -> Self {
        let mut node = Node::new(Cloud::default());
        let fresh = *b"a secret of 16 B";
        let draw = cloud::Input::DrawSketchSecret { shop: site().shop, fresh };
        let cloud::Output::SketchSecret(secret) = node.run(NOW, draw) else { panic!() };
        let mirror = Mirror::new(site().shop, secret);
        let (edits, bytes, round_trips) = (BTreeSet::new(), 0, 0);
        Self { node, till: Till::install(1), mirror, edits, bytes, round_trips }
    }

    /// A shop whose till has these.
    pub fn with(entities: &[Entity]) -> Self {
        let mut shop = Self::new();
        for part in entities.chunks(500) {
            shop.put(part);
        }
        shop.settle();
        shop
    }

    pub fn put(&mut self, entities: &[Entity]) {
        let edits = entities.iter().map(|entity| {
            let branch = entity.id().kind.of_branch().then_some(site().branch);
            Edit { branch, id: entity.id(), entity: Some(entity.clone()) }
        });
        self.edit(edits.collect());
    }

    pub fn edit(&mut self, edits: Vec<Edit>) {
        let edits = Edits::new(site().shop, edits).unwrap();
        let output = self.node.run(NOW, cloud::Input::EditCatalog(edits));
        assert!(matches!(output, cloud::Output::Edited { .. }), "{output:?}");
    }

    pub fn delete(&mut self, id: EntityId) {
        let branch = id.kind.of_branch().then_some(site().branch);
        self.edit(vec![Edit { branch, id, entity: None }]);
    }

    /// The till asks once, and hears the answer.
    pub fn follow(&mut self) -> Standing {
        let (shop, branch) = (site().shop, site().branch);
        let input = match block_on(wanted(&self.till.store)).unwrap() {
            Wanted::Delta(from) => {
                let answer = block_on(delta(&self.node.store, shop, branch, from, 1_000)).unwrap();
                Input::Delta(DeltaAnswer::decode(&answer.encode()).unwrap())
            }
            Wanted::Snapshot { pinned, after } => {
                let run = snapshot(&self.node.store, shop, branch, pinned, after, 1_000);
                let page = block_on(run).unwrap();
                Input::CatalogRun(block_on(beside(&self.till.store, page)).unwrap())
            }
        };
        match self.till.run(NOW, input) {
            Output::Catalogued(standing) => standing,
            other => panic!("{other:?}"),
        }
    }

    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.follow().proven {
                return;
            }
        }
        panic!("the catalog does not come to rest");
    }

    /// Puts a row onto the till's disk behind everybody's back.
    pub fn plant(&mut self, entity: &Entity) {
        self.plant_bytes(entity.id(), &entity.canonical());
    }

    pub fn plant_bytes(&mut self, id: EntityId, content: &[u8]) {
        let version = self.item(id).map_or(1, |item| item.version);
        let item = CatalogItem { version, content: Arc::from(content) };
        self.till.store.rows.insert(Key::Item(id), Record::Item(item));
    }

    pub fn lose(&mut self, id: EntityId) {
        assert!(self.till.store.rows.remove(&Key::Item(id)).is_some());
    }

    pub fn item(&self, id: EntityId) -> Option<CatalogItem> {
        match self.till.store.rows.get(&Key::Item(id)) {
            Some(Record::Item(item)) => Some(item.clone()),
            _ => None,
        }
    }

    pub fn state(&self) -> CatalogState {
        block_on(reduced(&self.till.store)).unwrap().unwrap()
    }

    pub fn begin(&self) -> Verify {
        let census = block_on(census(&self.till.store)).unwrap();
        let meta = self.till.meta();
        Verify::new(meta.identity, &self.state(), census).unwrap()
    }

    pub fn answer(&mut self, ask: &ReconcileAsk) -> ReconcileAnswer {
        let ask = ReconcileAsk::decode(&ask.encode()).unwrap();
        let branch = site().branch;
        let head = block_on(self.mirror.settle(&self.node.store, branch)).unwrap().unwrap();
        self.mirror.answer(branch, head, &ask)
    }

    pub fn entities(&mut self, ask: &EntitiesAsk) -> EntitiesAnswer {
        let ask = EntitiesAsk::decode(&ask.encode()).unwrap();
        block_on(self.mirror.entities_of(&self.node.store, site().branch, &ask)).unwrap()
    }

    /// Verifies, with every message as bytes.
    pub fn verify(&mut self) -> Ended {
        let mut verify = self.begin();
        let mut next = Next::Ask(verify.ask());
        loop {
            let outcome = match next {
                Next::Ask(ask) => {
                    let answer = self.answer(&ask).encode();
                    self.count(ask.encode().len() + answer.len());
                    verify.answered(ReconcileAnswer::decode(&answer).unwrap())
                }
                Next::Fetch(ask) => {
                    let answer = self.entities(&ask).encode();
                    self.count(ask.encode().len() + answer.len());
                    verify.rows(EntitiesAnswer::decode(&answer).unwrap())
                }
                Next::Ready => return self.planned(&verify),
                Next::Again => return Ended::Again,
                Next::Snapshot { estimated } => return Ended::Snapshot(estimated),
            };
            match outcome {
                Ok(further) => next = further,
                Err(refusal) => return Ended::Refused(refusal),
            }
        }
    }

    fn count(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.round_trips += 1;
    }

    pub fn planned(&self, verify: &Verify) -> Ended {
        let inputs = block_on(Inputs::read(&self.till.store, verify, self.edits.clone())).unwrap();
        match verify.plan(&inputs) {
            Ok(plan) => Ended::Plan(Box::new(plan)),
            Err(refusal) => Ended::Refused(refusal),
        }
    }

    /// Verifies, and must get a plan.
    pub fn plan(&mut self) -> Plan {
        match self.verify() {
            Ended::Plan(plan) => *plan,
            other => panic!("no plan: {other:?}"),
        }
    }

    /// Applies a plan as a driver does: through JSON, with a new census.
    pub fn apply(&mut self, plan: &Plan) -> Result<Applied, PlanRefusal> {
        let plan = Approved::new(read_back(plan))?;
        let application = Application { plan, seen: self.seen(), edits: self.edits.clone() };
        match self.till.run(NOW, Input::ApplyPlan(Box::new(application))) {
            Output::PlanApplied(applied) => Ok(applied),
            Output::PlanRefused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    /// Whether no snapshot is under way, which would compare every row anyway.
    pub fn begin_possible(&self) -> bool {
        self.state().progress.is_none()
    }

    fn seen(&self) -> Digest {
        block_on(census(&self.till.store)).unwrap().digest()
    }

    pub fn identity(&self) -> Identity {
        self.till.meta().identity
    }

    /// What the till has.
    pub fn held(&self) -> BTreeMap<EntityId, Vec<u8>> {
        let items = self.till.store.rows.iter().filter_map(|(key, record)| match (key, record) {
            (Key::Item(id), Record::Item(item)) => Some((*id, item.content.to_vec())),
            _ => None,
        });
        items.collect()
    }

    /// What its branch has in the cloud.
    pub fn truth(&self) -> BTreeMap<EntityId, Vec<u8>> {
        let ours = |branch: Option<BranchId>| branch.is_none_or(|branch| branch == site().branch);
        let rows = self.node.store.rows.iter();
        let items = rows.filter_map(|(key, record)| match (key, record) {
            (cloud::Key::Item(_, branch, id), cloud::Record::Item(item)) if ours(*branch) => {
                item.content.as_ref().map(|content| (*id, content.to_vec()))
            }
            _ => None,
        });
        items.collect()
    }
}

fn read_back(plan: &Plan) -> Plan {
    Plan::from_json(plan.json().as_bytes()).unwrap()
}

/// Products `p0000 ..`.
pub fn many(count: usize) -> Vec<Entity> {
    let one = |number: usize| {
        product(&format!("p{number:05}"), &format!("Product {number}"), 100 + number as i64)
    };
    (0..count).map(one).collect()
}

pub const fn kind(kind: Kind, id: Label) -> EntityId {
    EntityId { kind, id }
}
