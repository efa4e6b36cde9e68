//! `cargo xtask demo`: real processes, killed and cut off, that lose nothing and double nothing.
//!
//! 1. One cloud node (sled) and N tills (redb) start, each till behind a link of its own.
//! 2. The tills sell the invoices of a file, spread over them, over about S seconds.
//! 3. Meanwhile nodes are killed with SIGKILL and started again, and links are cut.
//! 4. Everything is healed, every till sells its share once more, and the queues drain.
//! 5. What the tills sold and what the cloud holds is compared, to the cent.

mod chaos;
mod fleet;
mod show;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use counterfoil_tests::binaries::{self, Profile};
use counterfoil_tests::cloud::Check;
use counterfoil_tests::figures::Figures;
use counterfoil_tests::sales::{self, Sales};
use tokio::task::JoinSet;

use self::chaos::Counts;
use self::fleet::Fleet;
use self::show::Progress;

/// How long the queues may take to drain once everything is healed.
const DRAIN: Duration = Duration::from_secs(180);

/// What to do.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Demo {
    /// A file in the layout of the public Online Retail data set; otherwise the published one, if
    /// it lies beside the checkout, or one that is made up
    #[arg(long, value_name = "FILE")]
    sales: Option<PathBuf>,
    /// How many tills
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    tills: u16,
    /// How long they sell, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Over how many branches they are spread
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    branches: u16,
    /// Chooses who is killed and cut off when; processes make no run like another all the same
    #[arg(long)]
    seed: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is compared in the end.
#[derive(Debug)]
struct Books {
    file: Figures,
    tills: Figures,
    cloud: Figures,
    parked: u64,
    check: Check,
    counts: Counts,
    interrupted: u64,
}

impl Books {
    /// Returns whether nothing is lost and nothing is there twice.
    fn equal(&self) -> bool {
        self.tills == self.cloud
            && self.tills == self.file
            && self.parked == 0
            && self.check.conflicts == 0
            && self.check.problems_found == 0
    }
}

/// Runs the demonstration; `false` if the books differ.
pub(crate) fn run(demo: Demo) -> anyhow::Result<bool> {
    let directory = tempfile::Builder::new().prefix("counterfoil-demo-").tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        tokio::select! {
            books = play(&demo, directory.path().to_owned()) => books,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        }
    });
    // Every child dies with the tasks that hold it.
    drop(runtime);
    let equal = match &result {
        Ok(books) => {
            show::books(books, demo.json);
            books.equal()
        }
        Err(_) => false,
    };
    if !equal {
        eprintln!("The databases and logs are kept in {}", directory.keep().display());
    }
    result.map(|_| equal)
}

async fn play(demo: &Demo, directory: PathBuf) -> anyhow::Result<Books> {
    let building = show::spinner("building cloud-node and terminal-node");
    let programs = tokio::task::spawn_blocking(|| binaries::build(Profile::Release)).await??;
    building.finish_and_clear();
    let sales = sales::load(demo.sales.as_deref())?;
    let seed = demo.seed.unwrap_or_else(|| u64::from(std::process::id()));
    let span = Duration::from_secs(demo.seconds);
    show::plan(&sales, seed, usize::from(demo.tills));
    let fleet = Fleet::open(&programs, &directory, demo.tills, demo.branches).await?;
    let fleet = Arc::new(fleet);
    let progress = Progress::new(sales.documents.len() as u64);

    let mut selling = JoinSet::new();
    let shares = share(&sales, usize::from(demo.tills));
    for (till, share) in shares.iter().cloned().enumerate() {
        let (fleet, progress) = (Arc::clone(&fleet), progress.clone());
        selling.spawn(async move { fleet.sell(till, &share, span, &progress).await });
    }
    let mut trouble = JoinSet::new();
    trouble.spawn(chaos::kills(Arc::clone(&fleet), seed, span, progress.clone()));
    trouble.spawn(chaos::cuts(Arc::clone(&fleet), seed, span, progress.clone()));

    let mut counts = Counts::default();
    while let Some(done) = trouble.join_next().await {
        counts = counts.plus(done.context("chaos panicked")??);
    }
    let mut interrupted = 0;
    while let Some(sold) = selling.join_next().await {
        interrupted += sold.context("a seller panicked")??;
    }
    fleet.heal();
    counts.broken = fleet.broken();
    progress.say("healed; every till sells its share again, then the queues drain");
    for (till, share) in shares.iter().enumerate() {
        let again = fleet.sell_again(till, share).await?;
        ensure!(again == 0, "till {till} had forgotten {again} events that it had confirmed");
    }
    let tills = fleet.drain(DRAIN).await?;
    progress.finish();
    fleet.stop().await?;
    let cloud = fleet.cloud.lock().await;
    let (held, parked) = cloud.figures().await?;
    let check = cloud.check().await?;
    Ok(Books { file: sales.figures, tills, cloud: held, parked, check, counts, interrupted })
}

/// Document *i* is sold at till *i* modulo `tills`.
fn share(sales: &Sales, tills: usize) -> Vec<Vec<counterfoil_terminal::import::Document>> {
    (0..tills)
        .map(|till| sales.documents.iter().skip(till).step_by(tills).cloned().collect())
        .collect()
}
