//! `cargo xtask conformance`: what somebody needs who writes a cloud or a till of their own.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use counterfoil_tests::conformance::{self, Enrolled, Played, TILLS};
use serde_json::json;

/// What to do.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Conformance {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Print the test vectors of the documents as JSON
    Vectors,
    /// Play the suite against a cloud, over HTTP alone
    Cloud(Cloud),
}

#[derive(Clone, Debug, clap::Args)]
struct Cloud {
    /// Where it listens, without TLS
    #[arg(long, value_name = "HOST:PORT")]
    address: String,
    /// Tills that have never sold: a JSON list of {"shopId", "terminalId", "credential"}
    #[arg(long, value_name = "FILE")]
    tills: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Returns whether the cloud conforms.
pub(crate) fn run(wish: &Conformance) -> anyhow::Result<bool> {
    match &wish.command {
        Command::Vectors => {
            println!("{}", serde_json::to_string_pretty(&conformance::vectors()?)?);
            Ok(true)
        }
        Command::Cloud(cloud) => play(cloud),
    }
}

fn play(cloud: &Cloud) -> anyhow::Result<bool> {
    let file = cloud.tills.display();
    let text = fs::read_to_string(&cloud.tills).with_context(|| file.to_string())?;
    let tills: Vec<Enrolled> = serde_json::from_str(&text)
        .with_context(|| format!("{file} is no list of tills: the suite needs {TILLS} of them"))?;
    let runtime = tokio::runtime::Runtime::new()?;
    let tell = |played: &Played| {
        if !cloud.json {
            tell(played);
        }
    };
    let played = runtime.block_on(conformance::play(&cloud.address, &tills, tell))?;
    let failed = played.iter().filter(|case| case.failed.is_some()).count();
    if cloud.json {
        println!("{}", json!({"cases": played, "failed": failed}));
    } else {
        println!("\n{} cases, {failed} failed", played.len());
    }
    Ok(failed == 0)
}

fn tell(played: &Played) {
    let Played { name, law, failed } = played;
    match failed {
        None => println!("holds  {law:<16} {name}"),
        Some(why) => println!("FAILS  {law:<16} {name}\n       {why}"),
    }
}
