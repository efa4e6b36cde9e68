//! The inbox at the network level: the real service takes orders in, the real loop collects them.

use counterfoil_protocol::cloud::inbox::{self, Output};
use counterfoil_protocol::cloud::{Input, Site};
use counterfoil_terminal::collect::CollectLoop;
use counterfoil_terminal::till::{Till, TillError, TillStore};
use counterfoil_terminal::transport::{Connector, Transport};

use super::config;
use super::drive::{Drive, Due, shop};
use super::scene::{Errand, Scene, lock};
use crate::coverage::Transition;
use crate::model::inbox::{order_transition, stands_at_head};
use crate::plan::Plan;

/// The events of one page: few, so that most batches have several.
const PAGE: usize = 5;

impl Drive<'_> {
    pub(super) fn start_orders(&mut self, plan: &Plan) {
        if plan.order_every_ms > 0 {
            self.after(plan.order_every_ms, Due::Order);
        }
        if plan.relay {
            self.after(plan.chaos_ms / 8, Due::Relay);
        }
    }

    /// Customers order and cancel, until the faults end. What the cloud did not confirm is entered
    /// again by the operator.
    pub(super) fn order(&mut self) {
        if self.scene.is_healed() {
            return;
        }
        let every_ms = self.scene.plan.order_every_ms;
        let wait = self.front.wait(every_ms * 2);
        self.after(wait, Due::Order);
        let branches = u64::from(self.scene.plan.branches.max(1));
        let input = Input::Inbox(self.front.drawn(self.now_ms(), branches));
        self.scene.send_operator(Errand { input, fault: None, token: None });
    }

    /// Somebody has the tills of all branches hear of each other.
    pub(super) fn switch_relay_on(&self) {
        for branch in 0..self.scene.plan.branches.max(1) {
            let site = Site { shop: shop(), branch: self.scene.plan.branch(u64::from(branch)) };
            let input = Input::Inbox(inbox::Input::Relay { site, on: true });
            self.scene.send_operator(Errand { input, fault: None, token: None });
        }
    }

    /// Every till stands at the end of its branch's inbox, and the cloud knows.
    pub(super) fn inbox_drained(&self) -> bool {
        let cloud = lock(&self.scene.cloud.mirror);
        self.scene.tills().iter().all(|slot| {
            let till = lock(&slot.mirror);
            stands_at_head(&cloud.rows, slot.identity, &till.rows)
        })
    }

    pub(super) fn check_inboxes(&self) {
        let cloud = lock(&self.scene.cloud.mirror);
        for slot in self.scene.tills() {
            let till = lock(&slot.mirror);
            self.scene.judge(|checker, at| {
                checker.inbox_drained(at, slot.number, &till.rows, &cloud.rows)
            });
        }
    }
}

/// Counts what became of an order.
pub(super) fn done(
    scene: &Scene,
    input: &inbox::Input,
    output: &counterfoil_protocol::cloud::Output,
) {
    if let inbox::Input::Relay { .. } = input {
        return scene.saw(Transition::InboxRelay);
    }
    if let counterfoil_protocol::cloud::Output::Inbox(output) = output {
        scene.saw(match output {
            Output::Acked(_) => Transition::InboxAck,
            Output::Placed { .. }
            | Output::OrderTaken
            | Output::Cancelled { .. }
            | Output::NoSuchOrder
            | Output::Set => order_transition(output),
        });
    }
}

/// Collects a till's inventory events, if the plan has any; else it never ends.
pub(super) async fn collect<S: TillStore, C: Connector>(
    scene: &Scene,
    till: Till<S>,
    transport: Transport<C>,
) -> Result<std::convert::Infallible, TillError> {
    if scene.plan.order_every_ms == 0 && !scene.plan.relay {
        std::future::pending::<()>().await;
    }
    CollectLoop::new(till, transport, config(scene.sabotage)).paging(PAGE).run().await
}
