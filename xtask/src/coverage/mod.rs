//! `cargo xtask coverage`: which branches of `protocol` does nothing take?
//!
//! cargo-llvm-cov builds the tests that run the roles with the compiler's own counters, and says
//! how often each branch was taken. Branches of `assert!` are left out: their other side is a bug,
//! and nothing may take it. What is left and was not taken has its reason in [`REASONS`], line by
//! line; a line without one fails the command, and so does a reason without a line.

mod branches;
mod reasons;
mod show;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use counterfoil_tests::binaries::{cargo, root};

use branches::Branches;
use reasons::Reasons;

/// Why branches are not taken.
const REASONS: &str = "protocol/uncovered.toml";
/// How many of a hundred must be taken: what was reached. The goal is 95.
const PERCENT_MIN: u64 = 91;
/// What runs the roles, and how cargo-llvm-cov is told to run it. The first alone is what the
/// specification reaches.
const RUNS: [(&str, &[&str]); 5] = [
    ("behaviours of the specification", &["run", "--package", "spec-check", "--", "--drive"]),
    ("the protocol's tests", &["test", "--package", "counterfoil-protocol"]),
    (
        "the simulator, model level",
        &[
            "run",
            "--package",
            "counterfoil-sim",
            "--bin",
            "sim",
            "--",
            "run",
            "--level",
            "model",
            "--seeds",
            "300",
            "--json",
        ],
    ),
    ("the cloud's tests", &["test", "--package", "counterfoil-cloud"]),
    ("the till's tests", &["test", "--package", "counterfoil-terminal"]),
];

/// Say which branches of the protocol nothing takes; needs cargo-llvm-cov and the toolchain's
/// llvm-tools.
#[derive(Debug, clap::Args)]
pub(crate) struct Coverage {
    /// Only look at what the last runs have left
    #[arg(long)]
    again: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Where the counters lie.
#[derive(Debug)]
struct Counted {
    root: PathBuf,
    target: PathBuf,
}

/// Runs what runs the roles, and looks; `false` if too few branches are taken, or one is not and
/// has no reason.
pub(crate) fn run(coverage: &Coverage) -> anyhow::Result<bool> {
    let counted = Counted::new()?;
    let mut specified = None;
    if !coverage.again {
        counted.clean()?;
        for (number, (what, args)) in RUNS.iter().enumerate() {
            eprintln!("{what} ({} of {})", number + 1, RUNS.len());
            counted.run(args)?;
            if number == 0 {
                specified = Some(counted.branches()?);
            }
        }
    }
    let branches = counted.branches()?;
    let reasons = Reasons::read(&counted.root.join(REASONS))?;
    let judged = reasons.judge(&branches);
    show::print(&branches, specified.as_ref(), &judged, coverage.json)?;
    Ok(judged.is_right() && branches.percent() >= PERCENT_MIN)
}

impl Counted {
    fn new() -> anyhow::Result<Self> {
        let there = cargo().args(["llvm-cov", "--version"]).output().context("cargo starts")?;
        ensure!(
            there.status.success(),
            "cargo-llvm-cov is missing: cargo install --locked cargo-llvm-cov, and rustup \
             component add llvm-tools"
        );
        let target = root().join("target").join("coverage");
        Ok(Self { root: root(), target })
    }

    /// Forgets what earlier runs have counted, and keeps what they have built.
    fn clean(&self) -> anyhow::Result<()> {
        self.llvm_cov(&["clean", "--workspace", "--profraw-only"], true)
    }

    fn run(&self, args: &[&str]) -> anyhow::Result<()> {
        let (verb, rest) = args.split_first().context("a run has a verb")?;
        let all = [&[*verb, "--branch", "--no-report", "--locked"], rest].concat();
        self.llvm_cov(&all, false)
    }

    fn branches(&self) -> anyhow::Result<Branches> {
        let file = self.target.join("branches.json");
        let path = file.to_str().context("a path in UTF-8")?;
        let package = ["--package", "counterfoil-protocol"];
        // Processes that tests kill leave profiles that end in the middle.
        let whole = ["--failure-mode", "all"];
        let report = ["report", "--branch", "--json", "--output-path", path];
        self.llvm_cov(&[&report[..], &package, &whole].concat(), true)?;
        Branches::read(&file, &self.root.join("protocol").join("src"))
    }

    /// Runs cargo-llvm-cov. Counting branches is no stable flag of the compiler yet; for what is
    /// built here, and nothing else, it is allowed.
    fn llvm_cov(&self, args: &[&str], quiet: bool) -> anyhow::Result<()> {
        let mut run = cargo();
        run.arg("llvm-cov").args(args).current_dir(&self.root).stdin(Stdio::null());
        run.env("RUSTC_BOOTSTRAP", "1").env("CARGO_LLVM_COV_TARGET_DIR", &self.target);
        // Line tables of near two hundred programs fill a disk.
        run.env("CARGO_PROFILE_DEV_DEBUG", "false").stdout(Stdio::null());
        if quiet {
            run.stderr(Stdio::null());
        }
        ended(&mut run, args)
    }
}

fn ended(run: &mut Command, args: &[&str]) -> anyhow::Result<()> {
    let status = run.status().context("cargo-llvm-cov starts")?;
    ensure!(status.success(), "cargo llvm-cov {} failed", args.join(" "));
    Ok(())
}

/// Returns a path below `folder` as a reason names it.
fn below(folder: &Path, file: &Path) -> Option<String> {
    Some(file.strip_prefix(folder).ok()?.to_str()?.to_owned())
}
