//! What must not come in.

use anyhow::ensure;
use counterfoil_protocol::wire::message::{MEDIA_TYPE, PUSH_ITEMS_MAX, Push, PushItem, Standing};
use serde_json::Value;

use super::Stage;
use super::greeting::stands;
use super::till::told;
use crate::http::Answer;

const PUSH: &str = "/v1/sales-events";

/// A refusal is one of these statuses, and a problem document with this code.
fn refused(answer: &Answer, statuses: &[u16], code: Option<&str>) -> anyhow::Result<()> {
    ensure!(statuses.contains(&answer.status), "expected {statuses:?}: {}", told(answer));
    let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok());
    let problem = kind.is_some_and(|kind| kind.starts_with("application/problem+json"));
    ensure!(problem, "a refusal is a problem document, not {kind:?}: {}", told(answer));
    let document: Value = answer.json()?;
    ensure!(document["status"] == answer.status, "its status is another: {document}");
    let found = document["code"].as_str().unwrap_or_default();
    ensure!(!found.is_empty(), "it has no code: {document}");
    ensure!(code.is_none_or(|code| found == code), "expected {code:?}: {document}");
    Ok(())
}

pub(super) async fn strangers_are_not_heard(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    let item = till.sells("tea", 149)?;
    stands(till, 0, Standing::TillAhead).await?;
    let credential = till.enrolled().credential.clone();
    let mut near = credential.clone();
    near.pop();
    let strangers = [None, Some(""), Some("nobody"), Some(near.as_str())];
    for stranger in strangers {
        for (path, body) in [
            ("/v1/handshake", till.hello().encode()),
            (PUSH, till.push(vec![item.clone()]).encode()),
        ] {
            let answer = till.posts_as(stranger, path, MEDIA_TYPE, body).await?;
            refused(&answer, &[401], Some("POS_SYNC_UNAUTHORIZED"))?;
        }
    }
    stands(till, 0, Standing::TillAhead).await
}

pub(super) async fn a_credential_speaks_for_its_own_till(stage: &mut Stage) -> anyhow::Result<()> {
    let Stage { till, bystander } = stage;
    let item = bystander.sells("tea", 149)?;
    stands(bystander, 0, Standing::TillAhead).await?;
    let ours = till.enrolled().credential.clone();
    let body = bystander.push(vec![item]).encode();
    let answer = till.posts_as(Some(&ours), PUSH, MEDIA_TYPE, body).await?;
    refused(&answer, &[400, 401, 403, 422], None)?;
    let hello = bystander.hello().encode();
    let answer = till.posts_as(Some(&ours), "/v1/handshake", MEDIA_TYPE, hello).await?;
    refused(&answer, &[400, 401, 403, 422], None)?;
    stands(bystander, 0, Standing::TillAhead).await
}

pub(super) async fn broken_frames_change_nothing(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    for name in ["tea", "bread"] {
        till.sells(name, 149)?;
    }
    stands(till, 0, Standing::TillAhead).await?;
    let whole = till.push(till.items()).encode();
    for length in [0, 1, 2, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let answer = till.posts(PUSH, MEDIA_TYPE, whole[..length].to_vec()).await?;
        ensure!((400..500).contains(&answer.status), "{length} bytes: {}", told(&answer));
    }
    let longer = [whole.as_slice(), &[0]].concat();
    let answer = till.posts(PUSH, MEDIA_TYPE, longer).await?;
    ensure!((400..500).contains(&answer.status), "one byte more: {}", told(&answer));
    // Behind the first entry's number and chain hash every bit is covered by the chain.
    for at in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        let answer = till.posts(PUSH, MEDIA_TYPE, flipped).await?;
        ensure!(answer.status < 500, "bit of byte {at}: {}", told(&answer));
    }
    // Whole entries before the damage may be there, and nothing else.
    let lane = till.greets().await?;
    let held = usize::try_from(lane.head.seq)?;
    ensure!(held <= 1, "the damaged entry is held: the head is {held}");
    ensure!(lane.common == lane.head.seq, "what is held is not what was sold: {lane:?}");
    Ok(())
}

pub(super) async fn an_unknown_version_is_refused(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    let item = till.sells("tea", 149)?;
    stands(till, 0, Standing::TillAhead).await?;
    let mut frame = till.push(vec![item]).encode();
    frame[0] = 200;
    let answer = till.posts(PUSH, MEDIA_TYPE, frame).await?;
    ensure!((400..500).contains(&answer.status), "version 200: {}", told(&answer));
    let mut hello = till.hello();
    hello.versions = vec![200];
    let answer = till.posts("/v1/handshake", MEDIA_TYPE, hello.encode()).await?;
    refused(&answer, &[415], Some("POS_SYNC_VERSION_UNSUPPORTED"))?;
    stands(till, 0, Standing::TillAhead).await
}

pub(super) async fn too_much_is_refused(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    for number in 0..=PUSH_ITEMS_MAX {
        till.sells(&format!("sale-{number}"), 100)?;
    }
    stands(till, 0, Standing::TillAhead).await?;
    let many: Push = till.push(till.items());
    let answer = till.posts(PUSH, MEDIA_TYPE, many.encode()).await?;
    refused(&answer, &[413, 422], None)?;
    let mut large: PushItem = till.items()[0].clone();
    large.payload = vec![0; 4 * 1024 * 1024].into();
    // Whoever refuses it before all of it has come may be gone before the answer is read.
    if let Ok(answer) = till.posts(PUSH, MEDIA_TYPE, till.push(vec![large]).encode()).await {
        refused(&answer, &[413], None)?;
    }
    stands(till, 0, Standing::TillAhead).await
}
