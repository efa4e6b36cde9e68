//! The catalog at the network level: somebody edits it, and the tills follow with their real loop,
//! each on a connection of its own.

use std::sync::Arc;

use counterfoil_protocol::cloud::{self, Input};
use counterfoil_protocol::terminal;
use counterfoil_terminal::follow::FollowLoop;

use super::config;
use super::drive::{Drive, Due, shop};
use super::scene::{Errand, Scene, TillSlot, lock};
use super::till::{SimTill, transport};
use super::wire::Who;
use crate::coverage::Transition;
use crate::model::catalog::drawn_commit;
use crate::model::edits::local_edits;

impl Drive<'_> {
    /// Somebody edits the catalog, until the faults end.
    pub(super) fn edit_catalog(&mut self) {
        let scene = Arc::clone(&self.scene);
        if scene.is_healed() {
            return;
        }
        let branches = u64::from(scene.plan.branches.max(1));
        let input = Input::EditCatalog(drawn_commit(&mut self.editor, branches));
        scene.send_operator(Errand { input, fault: None, token: None });
        let ms = self.editor.between(1, scene.plan.catalog_edit_every_ms * 2);
        self.after(ms, Due::EditCatalog);
    }
}

/// Follows the catalog, anew with each new credential.
pub(super) async fn follow(scene: Arc<Scene>, slot: Arc<TillSlot>, till: SimTill) {
    let mut token = slot.token.subscribe();
    loop {
        let text = token.borrow_and_update().clone();
        let transport = transport(&scene, &slot, &text, Who::Follower);
        let mut following = FollowLoop::new(till.clone(), transport, config(scene.sabotage));
        let turning = async {
            loop {
                let asked_since_heal = scene.is_healed();
                // The store has failed: the host is about to end.
                let Ok(standing) = following.turn().await else { return };
                if standing.is_some_and(|standing| standing.proven) {
                    scene.saw(Transition::CatalogProven);
                    lock(&slot.state).followed_since_heal |= asked_since_heal;
                }
            }
        };
        tokio::select! {
            biased;
            changed = token.changed() => changed.expect("the slot outlives its host"),
            () = turning => return,
        }
    }
}

/// Returns whether every till has the catalog of the cloud, as far as it knows.
pub(super) fn followed(scene: &Scene) -> bool {
    scene.tills().iter().all(|slot| has_followed(scene, slot))
}

/// Returns whether a till has the catalog of the cloud, as far as it knows.
pub(super) fn has_followed(scene: &Scene, slot: &TillSlot) -> bool {
    if scene.plan.catalog_edit_every_ms == 0 {
        return true;
    }
    let head =
        match lock(&scene.cloud.mirror).rows.get(&cloud::Key::Feed(shop())).map(AsRef::as_ref) {
            Some(cloud::Record::Feed(feed)) => feed.version,
            Some(_) | None => 0,
        };
    let mirror = lock(&slot.mirror);
    let at_head = match mirror.rows.get(&terminal::Key::Catalog).map(AsRef::as_ref) {
        Some(terminal::Record::Catalog(state)) => state.proven && state.version == Some(head),
        Some(_) | None => false,
    };
    // What is decided goes with the proof that comes after.
    let decided = local_edits(&mirror.rows).waiting.iter().any(|edit| edit.decided.is_some());
    let state = lock(&slot.state);
    let verified = scene.plan.verify_every_ms == 0 || state.clean_since_heal;
    at_head && !decided && verified && state.followed_since_heal
}
