//! Runs of the code, written down and held against the specification.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Context as _;

use super::bound::{Bound, Happens as _, Profile};
use super::draws::Draws;
use super::log::Log;
use super::validate::{Modules, Valid};

/// What is told of all logs of a module.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) module: &'static str,
    pub(crate) logs: usize,
    pub(crate) valid: Valid,
    /// What is wrong with which log.
    pub(crate) problems: Vec<String>,
    /// Actions of the specification that no log has.
    pub(crate) never: Vec<String>,
}

/// Runs each profile with so many seeds, and validates the logs. One that is rejected is written
/// to `scratch`.
///
/// # Errors
/// The specification cannot be read or evaluated, or `scratch` cannot be written to.
pub(crate) fn all<B: Bound>(spec: &Path, seeds: u64, scratch: &Path) -> anyhow::Result<Told> {
    let profiles = B::profiles();
    let jobs: Vec<Job<'_, B>> =
        profiles.iter().flat_map(|profile| (0..seeds).map(move |seed| (profile, seed))).collect();
    let next = AtomicUsize::new(0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<anyhow::Result<Told>> = thread::scope(|scope| {
        let work = || part::<B>(spec, &jobs, &next, scratch);
        let running: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|one| one.join().expect("no thread panics")).collect()
    });
    let mut told = Told { module: B::MODULE, ..Told::default() };
    for part in parts {
        let part = part?;
        told.logs += part.logs;
        told.valid.add(part.valid);
        told.problems.extend(part.problems);
    }
    told.problems.sort();
    let first = profiles.first().context("there are profiles")?;
    let mut modules = Modules::<B>::new(spec);
    let actions: BTreeSet<&str> = modules.with(&first.constants)?.actions().collect();
    let never = actions.into_iter().filter(|action| !told.valid.taken.contains_key(*action));
    told.never = never.map(str::to_owned).collect();
    Ok(told)
}

/// A profile with a seed.
type Job<'a, B> = (&'a Profile<<B as Bound>::Constants>, u64);

fn part<B: Bound>(
    spec: &Path,
    jobs: &[Job<'_, B>],
    next: &AtomicUsize,
    scratch: &Path,
) -> anyhow::Result<Told> {
    let (mut told, mut modules) = (Told::default(), Modules::<B>::new(spec));
    while let Some((profile, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
        let name = format!("{}-{}-{seed}", B::MODULE, profile.name);
        told.logs += 1;
        match run::<B>(profile, *seed) {
            Err(error) => told.problems.push(format!("{name}: {error:#}")),
            Ok(text) => match modules.validate(&text)? {
                Ok(valid) => told.valid.add(valid),
                Err(rejected) => {
                    let file = scratch.join(format!("log-{name}.jsonl"));
                    fs::write(&file, text).with_context(|| file.display().to_string())?;
                    told.problems.push(format!("{name}: {rejected} ({})", file.display()));
                }
            },
        }
    }
    Ok(told)
}

/// Runs the code by a profile; returns the log.
///
/// # Errors
/// The real state has something for which the specification has no words.
pub(crate) fn run<B: Bound>(profile: &Profile<B::Constants>, seed: u64) -> anyhow::Result<String> {
    record(profile, seed, B::new(&profile.constants))
}

/// As [`run`], with nodes of one's own.
pub(crate) fn record<B: Bound>(
    profile: &Profile<B::Constants>,
    seed: u64,
    mut bound: B,
) -> anyhow::Result<String> {
    let mut log = Log::new(&profile.constants, bound.state()?)?;
    let mut draws = Draws::new(seed);
    for step in 1..=profile.length {
        let Some(act) = drawn(profile, &bound, &mut draws) else { break };
        let actions = bound.perform(&act);
        let state = bound.state().with_context(|| format!("step {step}: {act:?}"))?;
        log.note(&actions, state);
    }
    Ok(log.text())
}

/// Draws what happens next: first of what kind, then which of that kind.
fn drawn<B: Bound>(
    profile: &Profile<B::Constants>,
    bound: &B,
    draws: &mut Draws,
) -> Option<B::Act> {
    let acts = bound.acts();
    let kinds: BTreeSet<&str> = acts.iter().map(B::Act::name).collect();
    let kinds: Vec<&str> = kinds.into_iter().collect();
    let weights: Vec<usize> = kinds.iter().map(|kind| profile.weight::<B>(kind)).collect();
    let kind = kinds[draws.weighted(&weights)?];
    let of_kind: Vec<&B::Act> = acts.iter().filter(|act| act.name() == kind).collect();
    Some((*draws.choose(&of_kind)).clone())
}

impl Told {
    /// Prints it; returns whether all is as it should be.
    pub(crate) fn print(&self) -> bool {
        let Valid { steps, stuttering, taken } = &self.valid;
        println!("\n{}: {} logs of the running code", self.module, self.logs);
        println!("{steps} steps ({stuttering} stutter)");
        println!("\n| action | steps |\n|---|---|");
        for (action, count) in taken {
            println!("| {action} | {count} |");
        }
        for problem in &self.problems {
            println!("REJECTED {problem}");
        }
        for action in &self.never {
            println!("NEVER TAKEN {action}");
        }
        self.problems.is_empty() && self.never.is_empty()
    }
}
