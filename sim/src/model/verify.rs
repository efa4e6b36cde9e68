//! Verification in the model: rows drift on a till's disk, and somebody has them compared and the
//! plan applied, beside everything else that happens.

use std::sync::Arc;

use counterfoil_protocol::catalog::{Entity, EntityId, Kind as EntityKind};
use counterfoil_protocol::cloud::Site;
use counterfoil_protocol::cloud::{Input as CloudInput, Key as CloudKey, Record as CloudRecord};
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::reconcile::mirror::Mirror;
use counterfoil_protocol::reconcile::plan::{Approved, Reason};
use counterfoil_protocol::reconcile::{Inputs, Next, Plan, Verify, census, reduced};
use counterfoil_protocol::session::{Fault, Nudge};
use counterfoil_protocol::terminal::reconcile::Application;
use counterfoil_protocol::terminal::row::CatalogItem;
use counterfoil_protocol::terminal::{Input, Key, Output, Record};
use counterfoil_protocol::wire::catalog::{BranchPriceV1, DeltaAnswer, EntityV1, ProductV1};
use counterfoil_protocol::wire::reconcile::{
    EntitiesAnswer, EntitiesAsk, ReconcileAnswer, ReconcileAsk,
};

use super::log::lane;
use super::{Happening, Kind as Asks, Reply, World, shop};
use crate::checker::TillRows;
use crate::coverage::{Injected, Transition};
use crate::law::Violation;
use crate::observed::{answered, at_once};
use crate::plan::DriftKind;
use crate::rng::Stream;
use crate::story::What;

/// Requests of a verification are numbered from here, those of the follower below.
pub(super) const VERIFIES_FROM: u64 = 1 << 36;
/// How long after a verification that led to nothing the next one begins, once faults have ended.
const AGAIN_US: u64 = 1_000_000;

/// A till's verification: volatile, and one at a time.
pub(super) struct Verifying {
    under_way: Option<Verify>,
    plan: Option<Plan>,
    request: u64,
    /// It began after the faults had ended.
    since_heal: bool,
    pub(super) clean_since_heal: bool,
    when: Stream,
    drift: Stream,
}

impl Verifying {
    pub(super) fn new(seed: u64, number: usize) -> Self {
        Self {
            under_way: None,
            plan: None,
            request: VERIFIES_FROM,
            since_heal: false,
            clean_since_heal: false,
            when: Stream::new(seed, "till/verify", number as u64),
            drift: Stream::new(seed, "till/drift", number as u64),
        }
    }

    /// The program ends: what it had in mind is gone.
    pub(super) fn forget(&mut self) {
        self.under_way = None;
        self.plan = None;
    }
}

impl World {
    pub(super) fn schedule_verify(&mut self, till: usize) {
        let every = self.plan.verify_every_ms;
        if every > 0 && self.plan.catalog_edit_every_ms > 0 {
            let us = self.tills[till].verifying.when.between(1, every * 2_000);
            self.after(us, Happening::Verify(till));
        }
    }

    /// Somebody verifies a till's catalog.
    pub(super) fn verify(&mut self, till: usize) -> Result<(), Violation> {
        if !self.healed {
            self.schedule_verify(till);
        }
        if !self.tills[till].up {
            return Ok(());
        }
        let host = &mut self.tills[till];
        let state = answered(at_once(reduced(&host.store)));
        let census = answered(at_once(census(&host.store)));
        let verify = state.and_then(|state| Verify::new(host.identity, &state, census));
        host.verifying.since_heal = self.healed;
        host.verifying.plan = None;
        let Some(verify) = verify else {
            host.coverage.saw(Transition::VerifyNotReady);
            host.verifying.under_way = None;
            return self.verify_again(till);
        };
        let ask = verify.ask();
        host.verifying.under_way = Some(verify);
        self.send_verify(till, Asks::Reconcile, ask.encode());
        Ok(())
    }

    fn verify_again(&mut self, till: usize) -> Result<(), Violation> {
        let host = &self.tills[till];
        if self.healed && self.plan.verify_every_ms > 0 && !host.verifying.clean_since_heal {
            self.after(AGAIN_US, Happening::Verify(till));
        }
        Ok(())
    }

    fn send_verify(&mut self, till: usize, kind: Asks, bytes: Vec<u8>) {
        let verifying = &mut self.tills[till].verifying;
        verifying.request += 1;
        let number = verifying.request;
        self.send(till, number, kind, bytes);
    }

    /// An answer for a till's verification arrives. One that never does leaves it where it is, and
    /// the next one begins anew.
    pub(super) fn hear_verify(
        &mut self,
        till: usize,
        number: u64,
        reply: Reply,
    ) -> Result<(), Violation> {
        let host = &mut self.tills[till];
        if number != host.verifying.request {
            return Ok(());
        }
        let Some(mut verify) = host.verifying.under_way.take() else { return Ok(()) };
        let next = match reply {
            Reply::Reconcile(bytes) => {
                ReconcileAnswer::decode(&bytes).ok().and_then(|answer| verify.answered(answer).ok())
            }
            Reply::Entities(bytes) => {
                EntitiesAnswer::decode(&bytes).ok().and_then(|answer| verify.rows(answer).ok())
            }
            Reply::Fault(_)
            | Reply::Welcome(_)
            | Reply::Pushed(..)
            | Reply::Session(_)
            | Reply::Pending(_)
            | Reply::Acked(_)
            | Reply::Delta(_)
            | Reply::Run(_) => None,
        };
        match next {
            Some(Next::Ask(ask)) => {
                host.coverage.saw(Transition::VerifyMore);
                host.verifying.under_way = Some(verify);
                self.send_verify(till, Asks::Reconcile, ask.encode());
                Ok(())
            }
            Some(Next::Fetch(ask)) => {
                host.verifying.under_way = Some(verify);
                self.send_verify(till, Asks::Entities, ask.encode());
                Ok(())
            }
            Some(Next::Ready) => self.verified(till, &verify),
            Some(Next::Snapshot { .. }) => {
                host.coverage.saw(Transition::VerifySnapshot);
                let whole = Input::Delta(DeltaAnswer::Resync);
                self.till_step(till, &whole, true)?;
                self.nudge_follower(till)?;
                self.verify_again(till)
            }
            Some(Next::Again) => {
                host.coverage.saw(Transition::VerifyAgain);
                self.nudge_follower(till)?;
                self.verify_again(till)
            }
            None => {
                host.coverage.saw(Transition::VerifyFailed);
                self.verify_again(till)
            }
        }
    }

    fn nudge_follower(&mut self, till: usize) -> Result<(), Violation> {
        use counterfoil_protocol::session::follow::Input as Heard;
        self.follow(till, Heard::Nudge(Nudge::Manual))
    }

    /// Everything is known: there is a plan, which somebody reads for a while.
    fn verified(&mut self, till: usize, verify: &Verify) -> Result<(), Violation> {
        let host = &mut self.tills[till];
        let inputs =
            answered(at_once(Inputs::read(&host.store, verify, host.local_edits().pending())));
        let Ok(plan) = verify.plan(&inputs) else {
            host.coverage.saw(Transition::VerifyFailed);
            self.nudge_follower(till)?;
            return self.verify_again(till);
        };
        for item in &plan.items {
            host.coverage.saw(reason_transition(item.reason));
        }
        if plan.is_clean() {
            host.coverage.saw(Transition::PlanClean);
            host.verifying.clean_since_heal |= host.verifying.since_heal;
            return self.verify_again(till);
        }
        let life = host.life;
        let us = host.verifying.when.between(1_000, 3_000_000);
        host.verifying.plan = Some(plan);
        self.after(us, Happening::ApplyPlan(till, life));
        Ok(())
    }

    /// Who replays a seed reads the plan as a shop manager would.
    fn say_plan(&mut self, till: usize, plan: &Plan) {
        if self.story.is_some() {
            let text = plan.text();
            text.lines().for_each(|line| self.tell(lane(till), What::Note, || line.to_owned()));
        }
    }

    /// The plan is applied as a driver does it: a count of the rows and the commit are one piece.
    pub(super) fn apply_plan(&mut self, till: usize, life: u32) -> Result<(), Violation> {
        if self.tills[till].life != life || !self.tills[till].up {
            return self.verify_again(till);
        }
        let Some(plan) = self.tills[till].verifying.plan.take() else { return Ok(()) };
        self.say_plan(till, &plan);
        let Ok(plan) = Approved::new(plan) else {
            unreachable!("a plan that was made can be applied")
        };
        let host = &self.tills[till];
        let seen = answered(at_once(census(&host.store))).digest();
        let edits = host.local_edits().pending();
        let application = Application { plan, seen, edits };
        let input = Input::ApplyPlan(Box::new(application));
        match self.till_step(till, &input, true)? {
            Some(Output::PlanApplied(_)) => {
                self.tills[till].coverage.saw(Transition::PlanApplied);
                self.nudge_follower(till)?;
            }
            Some(Output::PlanRefused(_)) => {
                self.tills[till].coverage.saw(Transition::PlanRefused);
            }
            Some(_) => unreachable!("a plan has its own answers"),
            None => {}
        }
        self.verify_again(till)
    }

    /// The cloud answers from its committed rows and its mirror of them.
    pub(super) fn serve_verify(
        &mut self,
        site: Site,
        kind: Asks,
        bytes: &[u8],
    ) -> Result<Reply, Violation> {
        if !self.settle_mirror(site)? {
            return Ok(Reply::Fault(Fault::Server));
        }
        let Some(mirror) = &mut self.cloud.mirror else { unreachable!("it was settled") };
        let store = &self.cloud.store;
        if kind == Asks::Entities {
            let Ok(ask) = EntitiesAsk::decode(bytes) else {
                return Ok(Reply::Fault(Fault::Rejected));
            };
            self.coverage.saw(Transition::EntitiesAsked);
            let answer = at_once(mirror.entities_of(store, site.branch, &ask));
            return Ok(Reply::Entities(answered(answer).encode()));
        }
        let Ok(ask) = ReconcileAsk::decode(bytes) else {
            return Ok(Reply::Fault(Fault::Rejected));
        };
        let Ok(head) = answered(at_once(mirror.settle(store, site.branch))) else {
            unreachable!("nothing is committed while the model's cloud reads")
        };
        let answer = mirror.answer(site.branch, head, &ask);
        self.coverage.saw(answer_transition(&answer));
        Ok(Reply::Reconcile(answer.encode()))
    }

    /// Brings the mirror to the head for a branch; `false` if the cloud cannot draw its key.
    fn settle_mirror(&mut self, site: Site) -> Result<bool, Violation> {
        if self.cloud.mirror.is_none() {
            let mut fresh = [0; 16];
            fresh[..8].copy_from_slice(&self.cloud.secrecy.draw().to_le_bytes());
            let draw = CloudInput::DrawSketchSecret { shop: shop(), fresh };
            if !self.administer(Transition::CloudSketchSecret, draw)? {
                return Ok(false);
            }
            let row = self.cloud.store.memory.rows().get(&CloudKey::SketchSecret(shop()));
            let Some(CloudRecord::SketchSecret(secret)) = row.map(Arc::as_ref) else {
                return Ok(false);
            };
            self.cloud.mirror = Some(Mirror::new(shop(), *secret));
        }
        let (mirror, store) = (&mut self.cloud.mirror, &self.cloud.store);
        if let Some(mirror) = mirror {
            let settled = answered(at_once(mirror.settle(store, site.branch)));
            assert!(settled.is_ok(), "nothing is committed while the model's cloud reads");
        }
        Ok(true)
    }

    /// A row of a till's catalog changes on its disk, and nobody says so.
    pub(super) fn drift(&mut self, till: usize, kind: DriftKind) {
        if self.plan.verify_every_ms == 0 || self.plan.catalog_edit_every_ms == 0 {
            return; // nobody would ever look
        }
        let host = &mut self.tills[till];
        let rows = host.store.memory.rows();
        let (fault, id, record) = drawn_drift(&mut host.verifying.drift, rows, kind);
        if !host.store.plant(Key::Item(id), record.clone()) {
            return;
        }
        host.planted(&Key::Item(id), record);
        self.checker.drifted(host.device, id);
        self.coverage.injected(fault);
    }
}

/// Draws what a disk makes of a row of a till's catalog, or of a place where none was: the fault,
/// whose row it is, and what stands there afterwards.
pub(crate) fn drawn_drift(
    rng: &mut Stream,
    rows: &TillRows,
    kind: DriftKind,
) -> (Injected, EntityId, Option<Arc<Record>>) {
    let items = rows.iter().filter_map(|(key, record)| match (key, &**record) {
        (Key::Item(id), Record::Item(item)) => Some((*id, item.clone())),
        _ => None,
    });
    let held: Vec<(EntityId, CatalogItem)> = items.collect();
    let name = Label::parse(&format!("sku-{}", rng.below(60))).expect("a short name");
    let extra = if rng.happens(400_000) {
        EntityId::branch_price(ProductId(name))
    } else {
        EntityId::product(ProductId(name))
    };
    let one = if held.is_empty() { None } else { Some(rng.pick(&held).clone()) };
    // Its version may be wrong too.
    let bogus = rng.happens(300_000).then(|| rng.below(1_000));
    let noise = rng.below(1 << 40);
    let (fault, id, record) = match (kind, one) {
        (DriftKind::Missing, Some((id, _))) => (Injected::DriftMissing, id, None),
        (DriftKind::Changed, Some((id, item))) => {
            let version = bogus.unwrap_or(item.version);
            (Injected::DriftChanged, id, Some((version, content(id, noise))))
        }
        (DriftKind::Corrupt, Some((id, item))) => {
            let version = bogus.unwrap_or(item.version);
            (Injected::DriftCorrupt, id, Some((version, noise.to_le_bytes().to_vec())))
        }
        (_, _) => {
            let version = bogus.unwrap_or(1);
            (Injected::DriftExtra, extra, Some((version, content(extra, noise))))
        }
    };
    let record = record.map(|(version, content)| {
        let content = Arc::from(content);
        Arc::new(Record::Item(CatalogItem { version, content }))
    });
    (fault, id, record)
}

/// Returns what an item of a plan is counted as.
pub(crate) const fn reason_transition(reason: Reason) -> Transition {
    match reason {
        Reason::Lost => Transition::PlanLost,
        Reason::Drifted => Transition::PlanDrifted,
        Reason::Unreadable => Transition::PlanUnreadable,
        Reason::DeletedInCloud => Transition::PlanDeleted,
        Reason::UnknownToCloud => Transition::PlanUnknown,
        Reason::EditedHere | Reason::NewInCloud => Transition::PlanPending,
    }
}

/// Returns what an answer to a comparison is counted as.
pub(crate) const fn answer_transition(answer: &ReconcileAnswer) -> Transition {
    match answer {
        ReconcileAnswer::InSync(_) => Transition::ReconcileInSync,
        ReconcileAnswer::Cells(_) => Transition::ReconcileCells,
        ReconcileAnswer::TooLarge { .. } => Transition::ReconcileTooLarge,
        ReconcileAnswer::Ahead { .. } => Transition::ReconcileAhead,
        ReconcileAnswer::Moved { .. } => Transition::ReconcileMoved,
    }
}

/// Returns content that nobody in the cloud ever gave this entity.
fn content(id: EntityId, noise: u64) -> Vec<u8> {
    let price_minor = 10_000 + noise.cast_signed() % 1_000_000;
    let product_id = ProductId(id.id);
    let wire = if id.kind == EntityKind::BranchPrice {
        EntityV1::BranchPrice(BranchPriceV1 { product_id, price_minor })
    } else {
        EntityV1::Product(ProductV1 {
            product_id,
            name: "drifted".to_owned(),
            barcodes: Vec::new(),
            price_minor,
            currency: "GBP".to_owned(),
            tax_ppm: 0,
            unit: Label::parse("pcs").expect("a short name"),
            category: None,
            active: true,
        })
    };
    Entity::parse(wire).expect("within its bounds").canonical()
}
