//! Compaction at the network level: the real one, beside everything else that the cloud does.

use std::time::Duration;

use counterfoil_cloud::committer::Submit;
use counterfoil_cloud::compaction::{Commits, compact};
use counterfoil_cloud::service::Reads;
use counterfoil_cloud::world::Clock;
use counterfoil_protocol::cloud::{Input, Output};

use super::cloud::ALONE;
use super::drive::shop;
use super::scene::{Scene, lock};
use super::till::paused;
use crate::coverage::Transition;
use crate::model::LEASE_LIFE;

/// A step is committed a little later than it was planned: it may be old by then.
struct Later<'a> {
    scene: &'a Scene,
    submit: Submit,
}

impl Commits for Later<'_> {
    async fn commit(&mut self, input: Input) -> Result<Output, String> {
        let us = lock(&self.scene.cloud.compactor).between(200, 1_000_000);
        tokio::time::sleep(Duration::from_micros(us)).await;
        let output = self.submit.ask(input, ALONE).await.map_err(|error| error.to_string())?;
        self.scene.saw(Transition::CatalogCompact);
        if matches!(output, Output::Compacted { removed: 1.., .. }) {
            self.scene.saw(Transition::Compacted);
        }
        Ok(output)
    }
}

/// Compacts the catalog now and then, until the faults end.
pub(super) async fn compact_often<Q: Reads>(
    scene: &Scene,
    reads: Q,
    clock: &dyn Clock,
    submit: Submit,
) {
    let every_ms = scene.plan.compact_every_ms;
    if every_ms == 0 {
        return;
    }
    let mut later = Later { scene, submit };
    loop {
        let us = lock(&scene.cloud.compactor).between(1, every_ms * 2_000);
        if !paused(scene, Duration::from_micros(us)).await {
            return;
        }
        if compact(&reads, clock, shop(), LEASE_LIFE, &mut later).await.is_err() {
            // The committer has ended, and the host is about to.
            return;
        }
    }
}
