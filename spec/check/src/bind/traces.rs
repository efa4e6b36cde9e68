//! Runs of the code, written down and held against the specification.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Context as _;

use super::act::Act;
use super::draws::Draws;
use super::log::Log;
use super::mapping::Mapping;
use super::profile::{self, Profile};
use super::validate::{Journals, Valid};
use super::world::World;

/// What is told of all logs.
#[derive(Debug, Default)]
pub(crate) struct Told {
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
pub(crate) fn all(spec: &Path, seeds: u64, scratch: &Path) -> anyhow::Result<Told> {
    let profiles = profile::all();
    let jobs: Vec<(&Profile, u64)> =
        profiles.iter().flat_map(|profile| (0..seeds).map(move |seed| (profile, seed))).collect();
    let next = AtomicUsize::new(0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<anyhow::Result<Told>> = thread::scope(|scope| {
        let work = || part(spec, &jobs, &next, scratch);
        let running: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|one| one.join().expect("no thread panics")).collect()
    });
    let mut told = Told::default();
    for part in parts {
        let part = part?;
        told.logs += part.logs;
        told.valid.add(part.valid);
        told.problems.extend(part.problems);
    }
    told.problems.sort();
    let first = profiles.first().context("there are profiles")?;
    let mut journals = Journals::new(spec);
    let actions: BTreeSet<&str> = journals.with(&first.constants)?.actions().collect();
    let never = actions.into_iter().filter(|action| !told.valid.taken.contains_key(*action));
    told.never = never.map(str::to_owned).collect();
    Ok(told)
}

fn part(
    spec: &Path,
    jobs: &[(&Profile, u64)],
    next: &AtomicUsize,
    scratch: &Path,
) -> anyhow::Result<Told> {
    let (mut told, mut journals) = (Told::default(), Journals::new(spec));
    while let Some((profile, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
        let name = format!("{}-{seed}", profile.name);
        told.logs += 1;
        match run(profile, *seed) {
            Err(error) => told.problems.push(format!("{name}: {error:#}")),
            Ok(text) => match journals.validate(&text)? {
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
pub(crate) fn run(profile: &Profile, seed: u64) -> anyhow::Result<String> {
    record(profile, seed, World::new(&profile.constants))
}

/// As [`run`], in a world of one's own.
pub(crate) fn record(profile: &Profile, seed: u64, mut world: World) -> anyhow::Result<String> {
    let mut mapping = Mapping::new(profile.constants.clone());
    let mut log = Log::new(&profile.constants, mapping.state(&world)?)?;
    let mut draws = Draws::new(seed);
    for step in 1..=profile.length {
        let Some(act) = drawn(profile, &world, &mut draws) else { break };
        let actions = world.perform(&act);
        let state = mapping.state(&world).with_context(|| format!("step {step}: {act:?}"))?;
        log.note(&actions, state);
    }
    Ok(log.text())
}

/// Draws what happens next: first of what kind, then which of that kind.
fn drawn(profile: &Profile, world: &World, draws: &mut Draws) -> Option<Act> {
    let acts = world.acts();
    let kinds: BTreeSet<&str> = acts.iter().map(Act::name).collect();
    let kinds: Vec<&str> = kinds.into_iter().collect();
    let weights: Vec<usize> = kinds.iter().map(|kind| profile.weight(kind)).collect();
    let kind = kinds[draws.weighted(&weights)?];
    let of_kind: Vec<&Act> = acts.iter().filter(|act| act.name() == kind).collect();
    Some((*draws.choose(&of_kind)).clone())
}

impl Told {
    /// Prints it; returns whether all is as it should be.
    pub(crate) fn print(&self) -> bool {
        let Valid { steps, stuttering, taken } = &self.valid;
        println!("{} logs of the running code, {steps} steps ({stuttering} stutter)", self.logs);
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
