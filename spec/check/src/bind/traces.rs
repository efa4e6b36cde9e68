//! Runs of the code, written down and held against the specification.


use anyhow::Context as _;

use super::act::Act;
use super::draws::Draws;
use super::log::Log;
use super::mapping::Mapping;
use super::profile::{self, Profile};
use super::world::World;

/// Runs the code by a profile; returns the log.
///
/// # Errors
/// The real state has something for which the specification has no words.
pub(crate) fn run(profile: &Profile, seed: u64) -> anyhow::Result<String> {
    let mut world = World::new(&profile.constants);
    record(profile, seed, &mut world)
}

fn record(profile: &Profile, seed: u64, world: &mut World) -> anyhow::Result<String> {
    let mut mapping = Mapping::new(profile.constants.clone());
    let mut log = Log::new(&profile.constants, mapping.state(world)?)?;
    let mut draws = Draws::new(seed);
    for step in 1..=profile.length {
        let Some(act) = drawn(world, &mut draws) else { break };
        let actions = world.perform(&act);
        let state = mapping.state(world).with_context(|| format!("step {step}: {act:?}"))?;
        log.note(&actions, state);
    }
    Ok(log.text())
}

/// Draws what happens next: first of what kind, then which of that kind.
fn drawn(world: &World, draws: &mut Draws) -> Option<Act> {
    let acts = world.acts();
    let mut kinds: Vec<&str> = acts.iter().map(Act::name).collect();
    kinds.dedup();
    kinds.sort_unstable();
    kinds.dedup();
    let weights: Vec<usize> = kinds.iter().map(|kind| profile::weight(kind)).collect();
    let kind = kinds[draws.weighted(&weights)?];
    let of_kind: Vec<&Act> = acts.iter().filter(|act| act.name() == kind).collect();
    Some((*draws.choose(&of_kind)).clone())
}
