//! What a greeting is answered.

use anyhow::ensure;
use counterfoil_protocol::wire::message::{Standing, WelcomeLane};

use super::Stage;
use super::till::Till;

/// Greets, and holds the answer against what is expected.
pub(super) async fn stands(till: &Till, head: u64, standing: Standing) -> anyhow::Result<()> {
    let lane: WelcomeLane = till.greets().await?;
    ensure!(
        (lane.head.seq, lane.standing) == (head, standing),
        "a greeting is to find the head {head}, {standing:?}: it found {}, {:?}",
        lane.head.seq,
        lane.standing,
    );
    Ok(())
}

pub(super) async fn a_new_till_is_in_step(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    stands(till, 0, Standing::InStep).await?;
    till.sells("first", 100)?;
    stands(till, 0, Standing::TillAhead).await?;
    till.pushes(till.items()).await?;
    stands(till, 1, Standing::InStep).await
}

pub(super) async fn a_lost_tail_is_told(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    for name in ["first", "second", "third"] {
        till.sells(name, 100)?;
    }
    stands(till, 0, Standing::TillAhead).await?;
    till.pushes(till.items()).await?;
    let lane = till.back_to(1).greets().await?;
    ensure!(lane.head.seq == 3, "the cloud's head is 3: it said {}", lane.head.seq);
    ensure!(lane.common == 1, "entry 1 is on both chains: it said {}", lane.common);
    ensure!(lane.standing == Standing::TillLostTail, "it said {:?}", lane.standing);
    Ok(())
}

pub(super) async fn a_fork_is_told(stage: &mut Stage) -> anyhow::Result<()> {
    let till = &mut stage.till;
    till.sells("first", 100)?;
    let mut twin = till.clone();
    till.sells("second", 100)?;
    twin.sells("other", 200)?;
    stands(till, 0, Standing::TillAhead).await?;
    till.pushes(till.items()).await?;
    let lane = twin.greets().await?;
    ensure!(lane.common == 1, "entry 1 is on both chains: it said {}", lane.common);
    ensure!(lane.standing == Standing::Forked, "it said {:?}", lane.standing);
    let answer = twin.pushes(vec![twin.items()[1].clone()]).await?;
    ensure!(answer.results.is_empty(), "an entry of another history was taken: {answer:?}");
    stands(till, 2, Standing::InStep).await
}
