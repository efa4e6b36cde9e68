//! The cloud's host: the real service and committer over a simulated disk and network.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use axum::serve::Listener;
use counterfoil_cloud::committer::{self, BATCH_BYTES_MAX, Submit};
use counterfoil_cloud::metrics::Metrics;
use counterfoil_cloud::server;
use counterfoil_cloud::service::{Limits, Parts, router};
use counterfoil_cloud::world::{Clock, Entropy};
use counterfoil_protocol::cloud::{Cloud, Input, Output, UnknownProducts};
use counterfoil_protocol::time::Millis;
use turmoil::net::TcpListener;

use super::compaction::compact_often;
use super::goodbye::{Goodbyes, Socket};
use super::layer::{Layer, inject};
use super::scene::{Errand, Node, Scene, lock};
use super::{inbox, observe};
use crate::coverage::Transition;
use crate::model::{LEASE_LIFE, START};
use crate::story::{Lane, What};

/// The name of the cloud's host.
pub(super) const NAME: &str = "cloud";
/// Its port.
pub(super) const PORT: u16 = 80;
/// What an input weighs that is to be a transaction of its own. What several edits of one product
/// make of it in one transaction shows in no row but the last: a checker could not tell which of
/// an operator and a till came first.
pub(super) const ALONE: usize = BATCH_BYTES_MAX + 1;

struct CloudClock(Arc<Scene>);

impl Clock for CloudClock {
    fn now(&self) -> Millis {
        Millis(START + self.0.now_ms())
    }
}

struct Secrecy(Arc<Scene>);

impl Entropy for Secrecy {
    fn secret(&self) -> Option<[u8; 32]> {
        let mut rng = lock(&self.0.cloud.secrecy);
        let mut secret = [0; 32];
        for part in secret.chunks_mut(8) {
            part.copy_from_slice(&rng.draw().to_le_bytes());
        }
        Some(secret)
    }
}

/// A simulated listener, for the real server.
struct Ears(TcpListener, Goodbyes);

impl Listener for Ears {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Socket, SocketAddr) {
        loop {
            if let Ok((stream, from)) = self.0.accept().await {
                return (self.1.wrap(stream), from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Runs the cloud until its host is crashed.
pub(super) async fn live(scene: Arc<Scene>) -> turmoil::Result {
    let slot = &scene.cloud;
    let _life = slot.goodbyes.live();
    let opened = observe::open::<Cloud>(&scene, Node::Cloud, &slot.disk, &slot.mirror);
    let Some(mut store) = opened else {
        // The violation ends the run.
        return std::future::pending().await;
    };
    let reads = store.reader();
    let (submit, queue) = committer::queue();
    let metrics = Arc::new(Metrics::new());
    let parts = Parts {
        submit: submit.clone(),
        reads: reads.clone(),
        clock: Arc::new(CloudClock(Arc::clone(&scene))),
        entropy: Arc::new(Secrecy(Arc::clone(&scene))),
        metrics: Arc::clone(&metrics),
        operator: None,
        // Often, as a short run has few pushes.
        // And its leases are short, as a short run has no tills that are away for long.
        limits: Limits { roll_up_every: 3, lease_life: LEASE_LIFE, ..Limits::default() },
    };
    let layer = Layer::new(&scene);
    let router = router(parts).layer(from_fn_with_state(layer, inject));
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    tokio::task::spawn_local(operate(Arc::clone(&scene), submit.clone()));
    let compacted = Arc::clone(&scene);
    tokio::task::spawn_local(async move {
        let clock = CloudClock(Arc::clone(&compacted));
        compact_often(&compacted, reads, &clock, submit).await;
    });
    if let Some(at_ms) = scene.sabotage.panic_at_ms {
        tokio::spawn(sabotage(Arc::clone(&scene), at_ms));
    }
    let clock = CloudClock(Arc::clone(&scene));
    let park = scene.plan.park_unknown;
    tokio::task::spawn_local(async move {
        let unknown_products = if park { UnknownProducts::Park } else { UnknownProducts::Accept };
        let cloud = Cloud { unknown_products };
        // If the store fails, the host is crashed: its watcher sees to that.
        let _ended = committer::run(cloud, &mut store, &clock, queue, &metrics).await;
        std::future::pending::<()>().await;
    });
    server::serve(Ears(listener, slot.goodbyes.clone()), router, std::future::pending()).await;
    Ok(())
}

/// Does the operator's errands, one after the other; one that fails is done again after a restart.
async fn operate(scene: Arc<Scene>, submit: Submit) {
    loop {
        // It stays at the front until it is done: a cloud that goes down meanwhile forgets nothing
        // of it, and who looks for what is still to be done finds it.
        let next = lock(&scene.cloud.errands).front().cloned();
        let Some(errand) = next else {
            scene.cloud.errand.notified().await;
            continue;
        };
        let weight = if matches!(errand.input, Input::EditCatalog(_)) { ALONE } else { 0 };
        match submit.ask(errand.input.clone(), weight).await {
            Ok(output) => {
                let _done = lock(&scene.cloud.errands).pop_front();
                done(&scene, errand, &output);
            }
            Err(_) => return,
        }
    }
}

fn done(scene: &Scene, errand: Errand, output: &Output) {
    match errand.input {
        Input::Enrol { .. } => {
            assert_eq!(*output, Output::Enrolled, "a till stays at its site");
            scene.saw(Transition::CloudEnrol);
        }
        Input::Revoke { .. } => scene.saw(Transition::CloudRevoke),
        Input::DefineProduct { .. } => scene.saw(Transition::CloudProduct),
        Input::EditCatalog(_) => scene.saw(Transition::CatalogEdit),
        Input::Inbox(input) => inbox::done(scene, &input, output),
        Input::Hello { .. }
        | Input::Push { .. }
        | Input::RollUp(_)
        | Input::Lease { .. }
        | Input::Compact(_)
        | Input::AddUser(_)
        | Input::RevokeUser(_)
        | Input::Bring(_)
        | Input::Decide(_)
        | Input::Settle { .. }
        | Input::SetThresholds(_)
        | Input::Logged(_)
        | Input::DrawSketchSecret { .. } => {
            unreachable!("an operator does not sell")
        }
    }
    if let Some(fault) = errand.fault {
        scene.injected(fault);
    }
    let Some((terminal, credential)) = errand.token else { return };
    scene.tell(Lane::Cloud, What::Note, || format!("{terminal} has a new credential"));
    // Copies of a till have a copy of its credential.
    for slot in scene.tills().iter().filter(|slot| slot.identity.terminal == terminal) {
        slot.token.send_replace(credential.text.clone());
    }
    lock(&scene.cloud.tokens).insert(terminal, credential);
}

/// A canary: a panic in a spawned task must end the run.
async fn sabotage(scene: Arc<Scene>, at_ms: u64) {
    let wait = at_ms.saturating_sub(scene.now_ms());
    tokio::time::sleep(Duration::from_millis(wait)).await;
    panic!("planned: a spawned task panics");
}
