//! What a push is answered, and that it counts once.

use anyhow::{bail, ensure};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::wire::message::{PushAnswer, PushItem, Standing, Stopped, Verdict};
use serde_json::json;

use super::Stage;
use super::greeting::stands;
use super::till::{JSON, Till, told};

/// How many pushes race.
const RACERS: usize = 8;

/// Holds an answer against the verdicts that are expected, in order.
fn expect(answer: &PushAnswer, verdicts: &[Verdict]) -> anyhow::Result<()> {
    let found: Vec<Verdict> = answer.results.iter().map(|result| result.verdict).collect();
    ensure!(
        found == verdicts && answer.stopped.is_none(),
        "expected {verdicts:?}, found {found:?}, stopped: {:?}",
        answer.stopped,
    );
    Ok(())
}

fn expect_stop(answer: &PushAnswer, stopped: Stopped) -> anyhow::Result<()> {
    ensure!(
        answer.stopped == Some(stopped) && answer.results.is_empty(),
        "expected {stopped:?} and no result, found {answer:?}"
    );
    Ok(())
}

pub(super) async fn a_sale_counts_once(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    let item = till.sells("tea", 149)?;
    let id = till.server_id(&item)?;
    till.greets().await?;
    expect(&till.pushes(vec![item.clone()]).await?, &[Verdict::Created(id)])?;
    for _ in 0..3 {
        let again = till.pushes(vec![item.clone()]).await?;
        expect(&again, &[Verdict::Existing(id)])?;
        ensure!(again.head == 1, "the head is 1: it said {}", again.head);
    }
    stands(till, 1, Standing::InStep).await
}

pub(super) async fn both_forms_mean_the_same(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    let item = till.sells("tea", 149)?;
    till.greets().await?;
    let hex: String = item.payload.iter().map(|byte| format!("{byte:02x}")).collect();
    let push = json!({"terminalId": till.enrolled().terminal_id, "epoch": till.epoch(),
        "items": [{"seq": 1, "chainHash": item.chain_hash, "payload": hex}]});
    let answer = till.posts("/v1/sales-events", JSON, push.to_string().into_bytes()).await?;
    ensure!(answer.status == 200, "a push in JSON is answered {}", told(&answer));
    let answer: PushAnswer = answer.json()?;
    let id = till.server_id(&item)?;
    expect(&answer, &[Verdict::Created(id)])?;
    expect(&till.pushes(vec![item]).await?, &[Verdict::Existing(id)])
}

pub(super) async fn a_batch_keeps_its_order(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    let mut verdicts = Vec::new();
    for number in 0..50 {
        let item = till.sells(&format!("sale-{number}"), 100 + number)?;
        verdicts.push(Verdict::Created(till.server_id(&item)?));
    }
    till.greets().await?;
    expect(&till.pushes(till.items()).await?, &verdicts)?;
    stands(till, 50, Standing::InStep).await
}

pub(super) async fn one_name_has_one_content(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    let first = till.sells("tea", 149)?;
    let other = till.sells("tea", 999)?;
    let after = till.sells("bread", 425)?;
    let (id, later) = (till.server_id(&first)?, till.server_id(&after)?);
    till.greets().await?;
    let verdicts =
        [Verdict::Created(id), Verdict::Refused(ErrorCode::EventInvalid), Verdict::Created(later)];
    expect(&till.pushes(vec![first.clone(), other, after]).await?, &verdicts)?;
    expect(&till.pushes(vec![first]).await?, &[Verdict::Existing(id)])
}

pub(super) async fn a_gap_stops_the_push(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    let first = till.sells("tea", 149)?;
    let second = till.sells("bread", 425)?;
    till.greets().await?;
    expect_stop(&till.pushes(vec![second.clone()]).await?, Stopped::Gap)?;
    stands(till, 0, Standing::TillAhead).await?;
    let ids = [&first, &second].map(|item| till.server_id(item));
    let [one, two] = ids;
    let verdicts = [Verdict::Created(one?), Verdict::Created(two?)];
    expect(&till.pushes(vec![first, second]).await?, &verdicts)
}

pub(super) async fn a_broken_chain_stops_the_push(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    let item = till.sells("tea", 149)?;
    till.greets().await?;
    let mut broken = item.clone();
    broken.chain_hash.0[31] ^= 1;
    expect_stop(&till.pushes(vec![broken]).await?, Stopped::Forked)?;
    stands(till, 0, Standing::TillAhead).await?;
    let id = till.server_id(&item)?;
    expect(&till.pushes(vec![item]).await?, &[Verdict::Created(id)])
}

pub(super) async fn an_unknown_history_is_told(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    let item = till.sells("tea", 149)?;
    expect_stop(&till.pushes(vec![item]).await?, Stopped::UnknownEpoch)?;
    stands(till, 0, Standing::TillAhead).await
}

pub(super) async fn a_sale_carried_over_counts_once(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    let item = till.sells("tea", 149)?;
    let id = till.server_id(&item)?;
    till.greets().await?;
    expect(&till.pushes(vec![item.clone()]).await?, &[Verdict::Created(id)])?;
    let mut later = till.parted(1);
    let carried = later.enters(item.payload.to_vec());
    let fresh = later.enters(till.sells("bread", 425)?.payload.to_vec());
    let created = later.server_id(&fresh)?;
    later.greets().await?;
    let verdicts = [Verdict::Existing(id), Verdict::Created(created)];
    expect(&later.pushes(vec![carried, fresh]).await?, &verdicts)
}

pub(super) async fn poison_holds_up_nobody(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    let poison = till.enters(vec![0xff; 40]);
    let sale = till.sells("tea", 149)?;
    let id = till.server_id(&sale)?;
    till.greets().await?;
    let verdicts = [Verdict::Refused(ErrorCode::EventInvalid), Verdict::Created(id)];
    expect(&till.pushes(vec![poison, sale]).await?, &verdicts)
}

pub(super) async fn a_refund_waits_for_its_sale(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    let refund = till.refunds("back", "tea", 149)?;
    let sale = till.sells("tea", 149)?;
    let (back, id) = (till.server_id(&refund)?, till.server_id(&sale)?);
    till.greets().await?;
    let verdicts = [Verdict::Parked(ErrorCode::OriginalPending), Verdict::Created(id)];
    expect(&till.pushes(vec![refund.clone(), sale]).await?, &verdicts)?;
    let again = till.pushes(vec![refund]).await?;
    let found: Vec<Verdict> = again.results.iter().map(|result| result.verdict).collect();
    ensure!(
        matches!(found[..], [Verdict::Created(found) | Verdict::Existing(found)] if found == back),
        "the refund is posted after its sale: found {found:?}"
    );
    Ok(())
}

pub(super) async fn racing_pushes_agree(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    for number in 0..20 {
        till.sells(&format!("sale-{number}"), 100 + number)?;
    }
    till.greets().await?;
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..RACERS {
        let (till, items): (Till, Vec<PushItem>) = (till.clone(), till.items());
        racers.spawn(async move { till.pushes(items).await });
    }
    let mut created = 0;
    for answer in racers.join_all().await {
        let answer = answer?;
        ensure!(answer.results.len() == 20, "20 results are expected: {answer:?}");
        for (result, item) in answer.results.iter().zip(till.items()) {
            let id = till.server_id(&item)?;
            let (Verdict::Created(found) | Verdict::Existing(found)) = result.verdict else {
                bail!("entry {} was answered {:?}", result.seq, result.verdict);
            };
            ensure!(found == id, "entry {} has another name", result.seq);
            created += u32::from(result.verdict == Verdict::Created(id));
        }
    }
    ensure!(created == 20, "20 sales were created {created} times");
    stands(till, 20, Standing::InStep).await
}
