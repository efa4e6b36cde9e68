//! A comparison, as a driver carries it on: the real machine, and real frames.

use std::collections::BTreeSet;

use counterfoil_protocol::catalog::{Digest, EntityId};
use counterfoil_protocol::reconcile::plan::Approved;
use counterfoil_protocol::reconcile::{Inputs, Next, Plan, Verify, census, reduced};
use counterfoil_protocol::terminal::reconcile::Application;
use counterfoil_protocol::terminal::{Input, Output, Terminal};
use counterfoil_protocol::wire::reconcile::{
    EntitiesAnswer, EntitiesAsk, ReconcileAnswer, ReconcileAsk,
};
use counterfoil_storage::memory::{Failure, Image};

use crate::bind::catalog::rows::{local_edits, state_of};
use crate::bind::journal::world::site;
use crate::bind::nodes::at_once;

use super::world::{Sabotage, World};

/// A comparison under way.
#[derive(Clone)]
pub(super) enum Check {
    Idle,
    Ask(Counted),
    /// The bytes of what the cloud has said, and of the question for rows.
    Fetch {
        counted: Counted,
        told: Vec<u8>,
        question: Vec<u8>,
    },
    /// The bytes of the question for rows and of its answer, if anything differs.
    Ready {
        counted: Counted,
        told: Vec<u8>,
        rows: Option<(Vec<u8>, Vec<u8>)>,
    },
    /// The plan, as it is kept for people.
    Plan(String),
}

/// What a census has found: the machine, the bytes of its first question, and the sum that was
/// kept.
#[derive(Clone)]
pub(super) struct Counted {
    verify: Verify,
    pub(super) ask: Vec<u8>,
    pub(super) stored: Digest,
}

/// A plan that was applied, and the till's disk before and after it.
#[derive(Clone)]
pub(super) struct Applied {
    pub(super) plan: String,
    pub(super) edits: BTreeSet<EntityId>,
    pub(super) before: Image<Terminal>,
    pub(super) after: Image<Terminal>,
}

impl World {
    /// The till counts its rows.
    pub(super) fn census(&mut self) {
        let machine = self.nodes.machine(1);
        let (rows, identity) = (machine.rows(), machine.identity);
        let state = at_once(reduced(&rows)).expect("an open store answers");
        let census = at_once(census(&rows)).expect("an open store answers");
        let verify = state.and_then(|state| Verify::new(identity, &state, census));
        let verify = verify.expect("no snapshot is under way");
        let (ask, stored) = (verify.ask().encode(), state_of(self.till()).digest);
        self.check = Check::Ask(Counted { verify, ask, stored });
    }

    /// The cloud says which rows differ, in as many answers as it takes.
    pub(super) fn cells(&mut self) {
        let Check::Ask(mut counted) = std::mem::replace(&mut self.check, Check::Idle) else {
            unreachable!("only what was asked is answered")
        };
        let (cloud, branch) = (self.cloud(), site().branch);
        let mut frame = counted.ask.clone();
        loop {
            let ask = ReconcileAsk::decode(&frame).expect("a till's own frame");
            let head = at_once(self.mirror.settle(&cloud, branch)).expect("an open store answers");
            let head = head.expect("nothing is committed meanwhile");
            let told = self.mirror.answer(branch, head, &ask).encode();
            let answer = ReconcileAnswer::decode(&told).expect("the cloud's own frame");
            match counted.verify.answered(answer) {
                Ok(Next::Ask(more)) => frame = more.encode(),
                Ok(Next::Fetch(question)) => {
                    let question = question.encode();
                    self.check = Check::Fetch { counted, told, question };
                    return;
                }
                Ok(Next::Ready) => {
                    self.check = Check::Ready { counted, told, rows: None };
                    return;
                }
                Ok(Next::Again | Next::Snapshot { .. }) | Err(_) => return,
            }
        }
    }

    /// The cloud says what stands in these rows by now.
    pub(super) fn fetch(&mut self) {
        let check = std::mem::replace(&mut self.check, Check::Idle);
        let Check::Fetch { mut counted, told, question } = check else {
            unreachable!("only what was asked is answered")
        };
        let (cloud, branch) = (self.cloud(), site().branch);
        let ask = EntitiesAsk::decode(&question).expect("a till's own frame");
        let settled = at_once(self.mirror.settle(&cloud, branch)).expect("an open store answers");
        assert!(settled.is_ok(), "nothing is committed meanwhile");
        let answer = at_once(self.mirror.entities_of(&cloud, branch, &ask));
        let frame = answer.expect("an open store answers").encode();
        let answer = EntitiesAnswer::decode(&frame).expect("the cloud's own frame");
        if let Ok(Next::Ready) = counted.verify.rows(answer) {
            self.check = Check::Ready { counted, told, rows: Some((question, frame)) };
        }
    }

    fn spared(&self) -> BTreeSet<EntityId> {
        if self.sabotage == Sabotage::EditsIgnored {
            return BTreeSet::new();
        }
        local_edits(self.till()).pending()
    }

    /// Makes the plan, unless something does not fit.
    pub(super) fn make_plan(&mut self) {
        let check = std::mem::replace(&mut self.check, Check::Idle);
        let Check::Ready { counted, .. } = check else { unreachable!("everything is known") };
        let (rows, edits) = (self.nodes.machine(1).rows(), self.spared());
        let inputs = at_once(Inputs::read(&rows, &counted.verify, edits));
        let plan = counted.verify.plan(&inputs.expect("an open store answers"));
        if let Ok(plan) = plan {
            self.check = Check::Plan(plan.json());
        }
    }

    /// Applies the plan, or nothing; a count of the rows and the commit are one piece.
    pub(super) fn apply(&mut self, fails: Option<Failure>) {
        let Check::Plan(json) = std::mem::replace(&mut self.check, Check::Idle) else {
            unreachable!("there is a plan")
        };
        let plan = Plan::from_json(json.as_bytes()).expect("a till's own plan");
        let plan = Approved::new(plan).expect("a plan that was made can be applied");
        let (now, edits, before) = (self.nodes.now, self.spared(), self.till().clone());
        let machine = self.nodes.machine(1);
        let seen = at_once(census(&machine.rows())).expect("an open store answers").digest();
        let application = Application { plan, seen, edits };
        let input = Input::ApplyPlan(Box::new(application));
        let told = machine.clone().step(now, input.clone(), None);
        machine.step(now, input, fails);
        let after = self.till().clone();
        match told {
            Some(Output::PlanApplied(_)) if fails != Some(Failure::Before) => {
                let edits = local_edits(&before).pending();
                self.applied = Some(Applied { plan: json, edits, before, after });
            }
            Some(Output::PlanApplied(_) | Output::PlanRefused(_)) => {}
            other => unreachable!("a plan has its own answers: {other:?}"),
        }
    }
}
