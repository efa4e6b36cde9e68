//! What the cloud's answers say happened. Each is counted here before its till hears it, and what
//! it claims is held against the cloud's durable rows.

use counterfoil_protocol::cloud::{self, Offer};
use counterfoil_protocol::problem::Denial;
use counterfoil_protocol::wire::catalog::{DeltaAnswer, SnapshotPage};
use counterfoil_protocol::wire::inbox::{AckAnswer, PendingAnswer};
use counterfoil_protocol::wire::message::{Push, PushAnswer, Standing, Stopped, Verdict, Welcome};
use counterfoil_protocol::wire::reconcile::{ReconcileAnswer, ReconcileAsk};
use http::{StatusCode, Uri};

use super::drive::shop;
use super::scene::{Scene, lock};
use crate::coverage::Transition;
use crate::model::verify::answer_transition;

const READABLE: &str = "the cloud answers what it should";
const UNDERSTOOD: &str = "the cloud has understood it";

/// Looks at an answer, and at the question that it answers.
pub(super) fn answered(
    scene: &Scene,
    asked: &Uri,
    status: StatusCode,
    request: &[u8],
    body: &[u8],
) {
    match (asked.path(), status) {
        (_, StatusCode::SERVICE_UNAVAILABLE) => {
            // The service turns a panic of a handler into this answer; here it must be seen.
            let text = String::from_utf8_lossy(body);
            assert!(!text.contains("failed on this request"), "a handler of the cloud panicked");
        }
        (_, StatusCode::UNAUTHORIZED) => cover_denial(scene, body),
        // Of a session of which nothing is posted yet the cloud knows nothing.
        (path, StatusCode::OK | StatusCode::NOT_FOUND) if path.starts_with("/v1/sessions/") => {
            scene.saw(Transition::CloudSession);
        }
        ("/v1/handshake", StatusCode::OK) => cover_welcome(scene, body),
        ("/v1/sales-events", StatusCode::OK) => check_push(scene, request, body),
        ("/v1/catalog/delta", StatusCode::OK) => cover_delta(scene, asked, body),
        ("/v1/catalog/snapshot", StatusCode::OK) => {
            let _page = SnapshotPage::decode(body).expect(READABLE);
            scene.saw(Transition::CatalogRun);
        }
        ("/v1/catalog/reconcile", StatusCode::OK) => {
            let ask = ReconcileAsk::decode(request).expect(UNDERSTOOD);
            if ask.more.is_some() {
                scene.saw(Transition::VerifyMore);
            }
            let answer = ReconcileAnswer::decode(body).expect(READABLE);
            scene.saw(answer_transition(&answer));
        }
        // The service says so by a problem: whoever speaks to it takes a snapshot.
        ("/v1/catalog/reconcile", StatusCode::PAYLOAD_TOO_LARGE) => {
            scene.saw(Transition::ReconcileTooLarge);
        }
        ("/v1/catalog/reconcile/entities", StatusCode::OK) => scene.saw(Transition::EntitiesAsked),
        ("/v1/inventory-events/pending", StatusCode::OK) => {
            scene.saw(match PendingAnswer::decode(body).expect(READABLE) {
                PendingAnswer::Page(_) => Transition::InboxPage,
                PendingAnswer::Restart => Transition::InboxRestart,
            });
        }
        ("/v1/inventory-events/ack", StatusCode::OK) => {
            scene.saw(Transition::InboxAck);
            if !AckAnswer::decode(body).expect(READABLE).known {
                scene.saw(Transition::InboxAckUnknown);
            }
        }
        _ => {}
    }
}

fn cover_delta(scene: &Scene, asked: &Uri, body: &[u8]) {
    let DeltaAnswer::Resync = DeltaAnswer::decode(body).expect(READABLE) else {
        return scene.saw(Transition::CatalogDelta);
    };
    scene.saw(Transition::CatalogResync);
    let from = asked.query().and_then(|query| {
        let from = query.strip_prefix("from=")?;
        from.split('&').next()?.parse::<u64>().ok()
    });
    let mirror = lock(&scene.cloud.mirror);
    let floor = match mirror.rows.get(&cloud::Key::Floor(shop())).map(AsRef::as_ref) {
        Some(cloud::Record::Floor(floor)) => floor.version,
        Some(_) | None => 0,
    };
    if from.is_some_and(|from| from < floor) {
        scene.saw(Transition::BelowFloor);
    }
}

fn cover_denial(scene: &Scene, body: &[u8]) {
    #[derive(serde::Deserialize)]
    struct Problem {
        reason: Denial,
    }
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else { return };
    scene.saw(match problem.reason {
        Denial::UnknownTerminal => Transition::DeniedUnknown,
        Denial::Revoked => Transition::DeniedRevoked,
        Denial::Expired => Transition::DeniedExpired,
        Denial::WrongCredential => Transition::DeniedWrong,
    });
}

fn cover_welcome(scene: &Scene, body: &[u8]) {
    let welcome = Welcome::decode(body).expect(READABLE);
    let Some(lane) = welcome.lanes.first() else { return };
    scene.saw(match lane.standing {
        Standing::InStep => Transition::HelloInStep,
        Standing::TillAhead => Transition::HelloTillAhead,
        Standing::CloudLostTail => Transition::HelloCloudLostTail,
        Standing::TillLostTail => Transition::HelloTillLostTail,
        Standing::Forked => Transition::HelloForked,
    });
}

/// Holds an answer against the cloud's durable rows, and counts what it says.
fn check_push(scene: &Scene, request: &[u8], body: &[u8]) {
    let push = Push::decode(request).expect(UNDERSTOOD);
    let answer = PushAnswer::decode(body).expect(READABLE);
    let offer = Offer::read(push, shop());
    scene.saw(Transition::Push);
    let mirror = lock(&scene.cloud.mirror);
    for (result, (seq, key, hash)) in answer.results.iter().zip(offer.entries()) {
        assert_eq!(result.seq, seq, "each item has its own result");
        let (seen, posted) = match result.verdict {
            Verdict::Created(_) => (Transition::ItemCreated, true),
            Verdict::Existing(_) => (Transition::ItemExisting, true),
            Verdict::Parked(_) => (Transition::ItemParked, false),
            Verdict::Refused(_) => (Transition::ItemRefused, false),
            Verdict::Edited(edited) => {
                scene.saw(Transition::of_edit(edited.outcome));
                (Transition::ItemEdited, true)
            }
        };
        scene.saw(seen);
        let Some(key) = key else { continue };
        scene.judge(|checker, at| {
            if posted {
                return checker.answered(at, key, hash, &mirror.rows);
            }
            checker.failed_item(key, hash);
            Ok(())
        });
    }
    match answer.stopped {
        Some(Stopped::Gap) => scene.saw(Transition::StoppedGap),
        Some(Stopped::Forked) => scene.saw(Transition::StoppedForked),
        Some(Stopped::UnknownEpoch) => scene.saw(Transition::StoppedUnknownEpoch),
        None => {}
    }
}
