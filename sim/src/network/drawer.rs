//! Register sessions at the network level: a cashier opens, counts and closes the drawers of a till
//! through its API. The till's own loop asks what the cloud makes of it.

use counterfoil_protocol::terminal::{Output, SessionDraft};
use counterfoil_terminal::till::TillError;

use super::scene::{Scene, TillSlot, lock};
use super::till::{SimTill, at_work};
use crate::coverage::Transition;
use crate::model::sessions::{act_transition, drawn_act};
use crate::story::What;

/// A cashier does something with a drawer, and will do something again, until the faults end.
pub(super) async fn tend(scene: &Scene, slot: &TillSlot, till: &SimTill) -> Result<(), TillError> {
    let every_ms = scene.plan.session_every_ms;
    if every_ms == 0 || scene.sales.is_some() {
        return Ok(());
    }
    let unsure = lock(&slot.state).unsure_act.clone();
    if let Some(draft) = unsure {
        act(scene, slot, till, draft).await?;
    }
    loop {
        let us = lock(&slot.drawer).below(every_ms * 2_000) + 1;
        if !at_work(scene, slot, us).await {
            return Ok(());
        }
        let draft = drawn(scene, slot);
        act(scene, slot, till, draft).await?;
    }
}

fn drawn(scene: &Scene, slot: &TillSlot) -> SessionDraft {
    let at = slot.wall(scene.now_ms());
    let mut rng = lock(&slot.drawer);
    if rng.happens(50_000)
        && let Some(last) = &lock(&slot.state).last_act
    {
        return last.clone();
    }
    drawn_act(&mut rng, &lock(&slot.mirror).rows, &slot.registers, at)
}

/// Does it. If the till dies of it, the cashier does not know, and will try the same again.
async fn act(
    scene: &Scene,
    slot: &TillSlot,
    till: &SimTill,
    draft: SessionDraft,
) -> Result<(), TillError> {
    lock(&slot.state).unsure_act = Some(draft.clone());
    let output = till.session(draft.clone()).await?;
    let mut state = lock(&slot.state);
    state.unsure_act = None;
    if let Some(seen) = Transition::of_act(&output) {
        scene.saw(seen);
    }
    if let Output::Recorded { again: false, place, .. } = output {
        scene.saw(act_transition(&draft.act));
        let text = || format!("entry {} of a session", place.seq);
        scene.tell(slot.lane(), What::Commit, text);
        state.last_act = Some(draft);
    }
    Ok(())
}
