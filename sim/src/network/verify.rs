//! Verification at the network level: rows drift on a till's disk, and somebody has the till
//! compare its catalog with the cloud's and applies the plan, or leaves that to the till.

use std::sync::Arc;
use std::time::Duration;

use counterfoil_protocol::reconcile::Plan;
use counterfoil_protocol::terminal::Key;
use counterfoil_terminal::till::TillError;
use counterfoil_terminal::transport::Connector;
use counterfoil_terminal::verify::{Verified, Verifier, VerifyError};

use super::config;
use super::drive::Drive;
use super::scene::{Scene, TillSlot, lock};
use super::till::{SimTill, paused, transport};
use super::wire::Who;
use crate::coverage::Transition;
use crate::model::verify::{drawn_drift, reason_transition};
use crate::plan::DriftKind;
use crate::story::What;

/// How long after a verification the next one begins, once faults have ended.
const AGAIN: Duration = Duration::from_secs(1);

/// Somebody verifies a till's catalog now and then, anew with each new credential; after the faults
/// until nothing differs.
pub(super) async fn verify(scene: Arc<Scene>, slot: Arc<TillSlot>, till: SimTill) {
    let mut token = slot.token.subscribe();
    loop {
        let text = token.borrow_and_update().clone();
        let transport = transport(&scene, &slot, &text, Who::Verifier);
        let verifier = Verifier::new(till.clone(), transport, config(scene.sabotage));
        tokio::select! {
            biased;
            changed = token.changed() => changed.expect("the slot outlives its host"),
            // The store has failed: the host is about to end.
            _failed = rounds(&scene, &slot, &till, verifier) => return,
        }
    }
}

async fn rounds<C: Connector>(
    scene: &Scene,
    slot: &TillSlot,
    till: &SimTill,
    mut verifier: Verifier<super::observe::Watched<counterfoil_protocol::terminal::Terminal>, C>,
) -> Result<std::convert::Infallible, TillError> {
    loop {
        let us = lock(&slot.verify).between(1, scene.plan.verify_every_ms * 2_000);
        if !paused(scene, Duration::from_micros(us)).await {
            if lock(&slot.state).clean_since_heal {
                return std::future::pending().await;
            }
            tokio::time::sleep(AGAIN).await;
        }
        let since_heal = scene.is_healed();
        // What a till does by itself each night, or somebody who reads the plan.
        let done = if lock(&slot.verify).happens(200_000) {
            verifier.mend().await
        } else {
            match verifier.verify().await {
                Ok(verified) => look(scene, slot, till, verified, since_heal).await,
                Err(error) => Err(error),
            }
        };
        match done {
            Ok(()) => {}
            Err(VerifyError::Till(error)) => return Err(error),
            Err(VerifyError::NotReady) => scene.saw(Transition::VerifyNotReady),
            Err(VerifyError::Plan(refusal)) => {
                let text = || format!("a plan is refused: {refusal}");
                scene.tell(slot.lane(), What::Note, text);
                scene.saw(Transition::TillPlan);
                scene.saw(Transition::PlanRefused);
            }
            Err(error @ (VerifyError::Link(_) | VerifyError::Busy | VerifyError::Refused(_))) => {
                scene.tell(slot.lane(), What::Note, || format!("no verification: {error}"));
                scene.saw(Transition::VerifyFailed);
            }
        }
    }
}

/// Somebody looks at what a comparison has shown, and has it mended.
async fn look(
    scene: &Scene,
    slot: &TillSlot,
    till: &SimTill,
    verified: Verified,
    since_heal: bool,
) -> Result<(), VerifyError> {
    let plan = match verified {
        Verified::Plan(plan) => plan,
        Verified::Snapshot { .. } => {
            scene.saw(Transition::VerifySnapshot);
            till.fetch_whole().await?;
            return Ok(());
        }
    };
    say(scene, slot, &plan);
    for item in &plan.items {
        scene.saw(reason_transition(item.reason));
    }
    if plan.is_clean() {
        scene.saw(Transition::PlanClean);
        lock(&slot.state).clean_since_heal |= since_heal;
        return Ok(());
    }
    let us = lock(&slot.verify).between(1_000, 3_000_000);
    tokio::time::sleep(Duration::from_micros(us)).await;
    till.apply_plan(*plan).await?;
    Ok(())
}

/// Who replays a seed reads the plan as a shop manager would.
fn say(scene: &Scene, slot: &TillSlot, plan: &Plan) {
    for line in plan.text().lines() {
        scene.tell(slot.lane(), What::Note, || line.to_owned());
    }
}

impl Drive<'_> {
    /// A row of a till's catalog changes on its disk, and nobody says so. A till that is off, or
    /// whose last commit may be lost, is spared.
    pub(super) fn drift(&self, till: usize, kind: DriftKind) {
        let scene = &self.scene;
        if scene.plan.verify_every_ms == 0 || scene.plan.catalog_edit_every_ms == 0 {
            return; // nobody would ever look
        }
        let slot = scene.till(till);
        let mut mirror = lock(&slot.mirror);
        if !lock(&slot.state).up || mirror.uncertain.is_some() || !slot.disk.works() {
            return;
        }
        let (fault, id, record) = drawn_drift(&mut lock(&slot.drift), &mirror.rows, kind);
        if !slot.planted.plant(Key::Item(id), record.clone()) {
            return; // it has not opened its store yet
        }
        match record {
            Some(record) => mirror.rows.insert(Key::Item(id), record),
            None => mirror.rows.remove(&Key::Item(id)),
        };
        scene.board().checker.drifted(till, id);
        scene.injected(fault);
    }
}
