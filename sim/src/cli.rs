//! The command line of the simulator.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks")]

mod explore;
mod files;
mod incident;
mod verdict;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use counterfoil_sim::accidents;
use counterfoil_sim::law::Violation;
use counterfoil_sim::plan::Shape;
use counterfoil_sim::profile::Profile;
use counterfoil_sim::runner::{self, Job, Level, Summary};
use counterfoil_sim::sales::Sales;
use counterfoil_sim::{regressions, report, shrink, story};
use files::{print_plan, read_plan, write};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use verdict::End;

/// Seeds of the main job at the model level.
const MODEL_SEEDS: u64 = 2_000;
/// Seeds of the main job at the disk level.
const DISK_SEEDS: u64 = 300;
/// Seeds of the main job at the network level.
const NETWORK_SEEDS: u64 = 60;

/// Tries to break the protocol: many tills, partitions, crashes, restores, copies; every law is
/// checked all the time.
///
/// Without a command it runs the main job: both levels over many seeds.
///
/// Exit codes: 0 no law was broken, and every class of faults that was asked for came; 1 a law was
/// broken; 2 the command line cannot be understood; 3 no law was broken, but a class of faults that
/// was asked for over half an hour of simulated time never came; 4 no law was broken, but a bundle
/// tells another story than the roles.
#[derive(Parser)]
#[command(name = "sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs many seeds and prints what they showed.
    Run(Run),
    /// Runs one seed, a plan or a till's bundle, and prints what happened, line by line.
    Replay(Replay),
    /// Visits every state of small configurations, and checks every law in each.
    ///
    /// Exit codes: 0 complete, no law was broken; 1 one was; 2 the command line cannot be
    /// understood; 3 stopped before every state was visited.
    Explore(explore::Explore),
    /// Prints the plan of a seed, to be changed and replayed.
    Plan {
        /// Which seed.
        seed: u64,
        #[command(flatten)]
        size: Size,
        /// Print TOML in place of JSON.
        #[arg(long)]
        toml: bool,
    },
}

#[derive(Args, Default)]
struct Run {
    /// How many seeds (default: 2000 at the model level, 300 at the disk level, 60 at the network
    /// level).
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    #[command(flatten)]
    size: Size,
    /// Which simulator.
    #[arg(long, value_enum, default_value = "both")]
    level: Levels,
    /// Real sales in place of drawn ones: a CSV file in the layout of the Online Retail data set.
    #[arg(long, value_name = "FILE")]
    sales: Option<PathBuf>,
    /// On how many threads (default: all cores).
    #[arg(long)]
    jobs: Option<usize>,
    /// Stop at the first seed that breaks a law.
    #[arg(long)]
    fail_fast: bool,
    /// Do not make a plan small that breaks a law.
    #[arg(long)]
    no_shrink: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Show which transition was seen after which fault, and what was never reached.
    #[arg(long)]
    coverage: bool,
    /// Write the result as JUnit XML too, for CI systems.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

#[derive(Args, Default, Clone, Copy)]
struct Size {
    /// How many tills (default: 1 to 6, drawn by each seed).
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    terminals: u32,
    /// For how long faults happen, in simulated seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// What kind of days: drawn (every mixture), calm, rush-hour, bad-wifi, power-cuts,
    /// restore-from-backup, clones, long-offline, bad-disks or chaos; and lying-fsync, on which
    /// laws must break.
    #[arg(long, default_value = "drawn", value_name = "NAME", hide_default_value = true)]
    profile: Profile,
}

#[derive(Args)]
struct Replay {
    /// A seed, a file with a plan, the bundle of a till (docs/incident.md; `--seconds` says for how
    /// long it sells on), or an accident that has happened to others (docs/accidents).
    what: String,
    #[command(flatten)]
    size: Size,
    /// Which simulator.
    #[arg(long, value_enum, default_value = "model")]
    level: OneLevel,
    /// The sales that the run used.
    #[arg(long, value_name = "FILE")]
    sales: Option<PathBuf>,
    /// Write a space-time diagram: one HTML file, for any browser.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write a log with vector clocks for ShiViz.
    #[arg(long, value_name = "FILE")]
    shiviz: Option<PathBuf>,
    /// Print only the last steps, as a Mermaid sequence diagram.
    #[arg(long, value_name = "STEPS")]
    mermaid: Option<usize>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Levels {
    /// The pure roles over stores in memory.
    Model,
    /// The same over the real redb on simulated disks.
    Disk,
    /// The real programs over simulated TCP and disks.
    Network,
    /// The model and the network level.
    #[default]
    Both,
    /// All three.
    All,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OneLevel {
    Model,
    Disk,
    Network,
}

impl OneLevel {
    const fn level(self) -> Level {
        match self {
            Self::Model => Level::Model,
            Self::Disk => Level::Disk,
            Self::Network => Level::Network,
        }
    }
}

pub(crate) fn main() -> ExitCode {
    let done = match Cli::parse().command {
        None => run(&Run::default()),
        Some(Command::Run(args)) => run(&args),
        Some(Command::Replay(args)) => replay(&args),
        Some(Command::Explore(args)) => {
            return explore::run(&args).unwrap_or_else(|error| {
                eprintln!("sim: {error:#}");
                ExitCode::from(2)
            });
        }
        Some(Command::Plan { seed, size, toml }) => {
            print_plan(&size.profile.draw(seed, size.shape()), toml).map(held)
        }
    };
    match done {
        Ok(end) => end.exit_code(),
        Err(error) => {
            eprintln!("sim: {error:#}");
            ExitCode::from(2)
        }
    }
}

const fn held(held: bool) -> End {
    if held { End::Held } else { End::Broken }
}

fn run(args: &Run) -> anyhow::Result<End> {
    let levels: &[Level] = match args.level {
        Levels::Model => &[Level::Model],
        Levels::Disk => &[Level::Disk],
        Levels::Network => &[Level::Network],
        Levels::Both => &[Level::Model, Level::Network],
        Levels::All => &[Level::Model, Level::Disk, Level::Network],
    };
    let sales = args.sales.as_deref().map(|file| load(file, args.size)).transpose()?;
    let jobs = args
        .jobs
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let mut summaries = Vec::new();
    let mut kept_hold = true;
    for level in levels {
        for (name, violation) in regressions::run(*level) {
            eprintln!("the kept plan {name} breaks a law: {violation}");
            kept_hold = false;
        }
        let usual = match (level, &sales) {
            (_, Some(_)) => 10,
            (Level::Model, None) => MODEL_SEEDS,
            (Level::Disk, None) => DISK_SEEDS,
            (Level::Network, None) => NETWORK_SEEDS,
        };
        let job = Job {
            level: *level,
            from: args.from,
            seeds: args.seeds.unwrap_or(usual),
            shape: args.size.shape(),
            profile: args.size.profile,
            sales: sales.clone(),
            jobs,
            fail_fast: args.fail_fast,
        };
        let summary = with_progress(&job, args.json);
        let broken = !summary.failures.is_empty();
        explain_failures(&job, &summary, args)?;
        summaries.push(summary);
        if broken && args.fail_fast {
            break;
        }
    }
    if args.json {
        let mut told = report::json(&summaries);
        if args.coverage {
            told["coverage"] = report::pairs(&summaries).0.json();
        }
        println!("{told}");
    } else {
        print_report(&summaries, args);
    }
    if let Some(file) = &args.junit {
        write(file, &report::junit(&summaries))?;
    }
    Ok(End::of(args.size.profile, kept_hold, &summaries))
}

fn with_progress(job: &Job, quiet: bool) -> Summary {
    let bar = ProgressBar::new(job.seeds);
    if quiet && !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let template = "{prefix:>8} {bar:32} {pos}/{len} seeds  {per_sec}  {eta} left  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(job.level.as_str());
    let summary = runner::run(job, |done, failed| {
        bar.set_position(done);
        if failed > 0 {
            bar.set_message(format!("{failed} broke a law"));
        }
    });
    bar.finish();
    summary
}

fn print_report(summaries: &[Summary], args: &Run) {
    print!("{}", report::text(summaries));
    let never = report::never(summaries);
    if !never.is_empty() {
        println!("never happened in these seeds: {}", never.join(", "));
    }
    for line in report::rare(summaries) {
        println!("{line}");
    }
    if args.coverage {
        let (pairs, coverage) = report::pairs(summaries);
        print!("{}", pairs.text(&coverage));
    }
    let broken: usize = summaries.iter().map(|summary| summary.failures.len()).sum();
    if broken == 0 {
        println!("No law was broken. Digest {}.", digests(summaries));
    }
    println!(
        "Replay a seed: cargo run --release -p counterfoil-sim -- replay {} --level {}{}",
        args.from,
        summaries.first().map_or("model", |summary| summary.level.as_str()),
        args.shaping(),
    );
}

fn digests(summaries: &[Summary]) -> String {
    let all: Vec<&str> = summaries.iter().map(|summary| summary.digest.as_str()).collect();
    all.join(" ")
}

/// Makes the first failure of each law small, keeps its plan in a file, draws it, and says how to
/// see it again.
fn explain_failures(job: &Job, summary: &Summary, args: &Run) -> anyhow::Result<()> {
    for (seed, violation) in summary.failures.iter().take(5) {
        eprintln!("{} level, seed {seed}: {violation}", job.level.as_str());
    }
    // What must break needs no explanation.
    if args.no_shrink || !job.profile.breaks(job.level).is_empty() {
        return Ok(());
    }
    // The first of each law: the others most likely say the same.
    let mut laws = BTreeSet::new();
    for (seed, violation) in &summary.failures {
        if laws.insert(violation.law) {
            keep_small(job, *seed, violation, args)?;
        }
    }
    Ok(())
}

fn keep_small(job: &Job, seed: u64, violation: &Violation, args: &Run) -> anyhow::Result<()> {
    eprintln!("making seed {seed} small ...");
    let plan = runner::plan(job, seed);
    let (small, runs) = shrink::shrink(job.level, &plan, violation.law, job.sales.as_ref());
    let folder = Path::new("sim-failures");
    std::fs::create_dir_all(folder).context("cannot make the folder sim-failures")?;
    let file = folder.join(format!("{}-{}-{seed}.json", violation.law, job.level.as_str()));
    write(&file, &serde_json::to_string_pretty(&small)?)?;
    let again = format!(
        "cargo run --release -p counterfoil-sim -- replay {} --level {}{}",
        file.display(),
        job.level.as_str(),
        args.shaping(),
    );
    let (faults, tills) = (small.faults.len(), small.tills);
    eprintln!("{faults} faults, {tills} tills after {runs} runs. Replay it:\n  {again}");
    // A panic leaves no story behind.
    let told = runner::run_plan(job.level, &small, job.sales.as_ref(), true).story;
    if told.steps().len() > 0 {
        let page = file.with_extension("html");
        write(&page, &story::html::page(&told, &violation.to_string(), &again))?;
        let log = file.with_extension("shiviz.log");
        write(&log, &story::shiviz::log(&told))?;
        eprintln!("What happened:\n  {} (a diagram)\n  {} (ShiViz)", page.display(), log.display());
    }
    Ok(())
}

fn replay(args: &Replay) -> anyhow::Result<End> {
    let level = args.level.level();
    let sales = args.sales.as_deref().map(|file| load(file, args.size)).transpose()?;
    let plan = match args.what.parse::<u64>() {
        Ok(seed) => {
            let job = Job {
                level,
                from: seed,
                seeds: 1,
                shape: args.size.shape(),
                profile: args.size.profile,
                sales: sales.clone(),
                jobs: 1,
                fail_fast: false,
            };
            runner::plan(&job, seed)
        }
        Err(_) => match accidents::find(&args.what) {
            Some(accident) => accident.plan,
            None => match incident::read(Path::new(&args.what))? {
                Some(incident) => return incident::replay(args, &incident),
                None => read_plan(Path::new(&args.what))?,
            },
        },
    };
    let outcome = runner::run_plan(level, &plan, sales.as_ref(), true);
    let title = format!("{} level, plan {}", level.as_str(), args.what);
    if show(args, &outcome.story, &title)? {
        println!("{} faults, {} tills, {} sales", plan.faults.len(), plan.tills, outcome.events);
        match &outcome.violation {
            None => println!("No law was broken."),
            Some(violation) => println!("{violation}"),
        }
    }
    Ok(held(outcome.violation.is_none()))
}

/// Shows a story as it is wished. `false`: nothing else is to be printed.
fn show(args: &Replay, story: &story::Story, title: &str) -> anyhow::Result<bool> {
    if let Some(file) = &args.html {
        write(file, &story::html::page(story, title, &args.again()))?;
    }
    if let Some(file) = &args.shiviz {
        write(file, &story::shiviz::log(story))?;
        eprintln!("ShiViz takes it apart with {}", story::shiviz::PATTERN);
    }
    if let Some(steps) = args.mermaid {
        print!("{}", story::mermaid::end(story, steps));
        return Ok(false);
    }
    if args.html.is_none() && args.shiviz.is_none() {
        story.lines().for_each(|line| println!("{line}"));
    }
    Ok(true)
}

fn load(file: &Path, size: Size) -> anyhow::Result<Arc<Sales>> {
    let tills = if size.terminals == 0 { 6 } else { size.terminals as usize };
    Ok(Arc::new(Sales::load(file, tills)?))
}

impl Run {
    /// The arguments that shape a run, as the command line takes them: without them a seed is
    /// another run.
    fn shaping(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for (name, value) in
            [("terminals", self.size.terminals.into()), ("seconds", self.size.seconds)]
        {
            if value > 0_u64 {
                let _ = write!(text, " --{name} {value}");
            }
        }
        if self.size.profile != Profile::default() {
            let _ = write!(text, " --profile {}", self.size.profile.as_str());
        }
        if let Some(file) = &self.sales {
            let _ = write!(text, " --sales {}", file.display());
        }
        text
    }
}

impl Replay {
    /// The command that does this again.
    fn again(&self) -> String {
        let level = self.level.level();
        let run = Run { size: self.size, sales: self.sales.clone(), ..Run::default() };
        let (what, level) = (&self.what, level.as_str());
        let shaping = run.shaping();
        format!("cargo run --release -p counterfoil-sim -- replay {what} --level {level}{shaping}")
    }
}

impl Size {
    fn shape(self) -> Shape {
        let seconds = if self.seconds == 0 { 60 } else { self.seconds };
        Shape { tills: self.terminals, chaos_ms: seconds * 1000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_names_whatever_shaped_the_run() {
        for (arguments, expected) in [
            (&["sim", "run"][..], " --seconds 60"),
            (
                &[
                    "sim",
                    "run",
                    "--terminals",
                    "9",
                    "--seconds",
                    "7",
                    "--sales",
                    "a.csv",
                    "--jobs",
                    "1",
                ],
                " --terminals 9 --seconds 7 --sales a.csv",
            ),
        ] {
            let cli = Cli::try_parse_from(arguments).expect("arguments");
            let Some(Command::Run(run)) = cli.command else { panic!("a run") };
            assert_eq!(run.shaping(), expected);
        }
    }
}
