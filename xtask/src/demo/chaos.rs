//! What is done to the fleet: deaths without warning, and links that break.

use std::sync::Arc;
use std::time::Duration;

use counterfoil_tests::proxy::Mode;
use counterfoil_tests::random::Random;
use tokio::time::Instant;

use super::fleet::Fleet;
use super::show::Progress;

/// The least that happens, however short the run.
const LEAST: u64 = 24;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) cloud_kills: u64,
    pub(super) till_kills: u64,
    pub(super) cuts: u64,
    pub(super) delays: u64,
    /// Connections that did not survive it.
    pub(super) broken: u64,
}

impl Counts {
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            cloud_kills: self.cloud_kills + other.cloud_kills,
            till_kills: self.till_kills + other.till_kills,
            cuts: self.cuts + other.cuts,
            delays: self.delays + other.delays,
            broken: self.broken + other.broken,
        }
    }

    pub(super) const fn kills(&self) -> u64 {
        self.cloud_kills + self.till_kills
    }
}

/// Kills nodes over `span`: a third of the deaths are the cloud's.
pub(super) async fn kills(
    fleet: Arc<Fleet>,
    seed: u64,
    span: Duration,
    progress: Progress,
) -> anyhow::Result<Counts> {
    let mut draw = Random::new(seed);
    let mut counts = Counts::default();
    for at in moments(&mut draw, span, LEAST.max(span.as_secs() / 2)) {
        tokio::time::sleep_until(at).await;
        let down = Duration::from_millis(draw.between(10, 400));
        // The first two deaths are one of each kind.
        let cloud = if counts.kills() < 2 { counts.kills() == 0 } else { draw.between(1, 3) == 1 };
        if cloud {
            fleet.kill_cloud(down).await?;
            counts.cloud_kills += 1;
        } else {
            let late = Duration::from_micros(draw.between(0, 1_500));
            fleet.kill_till(draw.index(fleet.posts.len()), late, down).await?;
            counts.till_kills += 1;
        }
        progress.killed();
    }
    Ok(counts)
}

/// Cuts and slows links over `span`.
pub(super) async fn cuts(
    fleet: Arc<Fleet>,
    seed: u64,
    span: Duration,
    progress: Progress,
) -> anyhow::Result<Counts> {
    let mut draw = Random::new(!seed);
    let mut counts = Counts::default();
    for at in moments(&mut draw, span, LEAST.max(span.as_secs())) {
        tokio::time::sleep_until(at).await;
        let link = &fleet.posts[draw.index(fleet.posts.len())].link;
        if draw.between(1, 6) == 1 {
            link.set(Mode::Delay(Duration::from_millis(draw.between(5, 200))));
            tokio::time::sleep(Duration::from_millis(draw.between(100, 500))).await;
            counts.delays += 1;
        }
        link.set(match draw.between(0, 3) {
            0 => Mode::BlackHole,
            1 => Mode::Reset,
            2 => Mode::HalfOpen,
            _ => Mode::CutAnswer(draw.between(0, 200)),
        });
        tokio::time::sleep(Duration::from_millis(draw.between(50, 700))).await;
        link.set(Mode::Pass);
        counts.cuts += 1;
        progress.cut();
    }
    Ok(counts)
}

/// Draws `count` moments, about evenly spread over `span`.
fn moments(draw: &mut Random, span: Duration, count: u64) -> impl Iterator<Item = Instant> + use<> {
    let start = Instant::now();
    let step = u64::try_from(span.as_millis()).unwrap_or(u64::MAX) / count;
    let jitter: Vec<u64> = (0..count).map(|_| draw.between(0, step)).collect();
    (0..count).zip(jitter).map(move |(n, late)| start + Duration::from_millis(n * step + late))
}
