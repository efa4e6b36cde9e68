//! Breadth first, on all cores, the same on any number of them.
//!
//! Level by level: the states of a level are cut into runs, workers expand the runs, and what they
//! found is merged in the order of the runs. So the numbers of the states, the counts and the
//! shortest way to whatever is found first do not depend on who was faster.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZero;
use std::time::Instant;

use super::law::Broken;
use super::memo::Memo;
use super::part::Digest;
use super::progress;
use super::world::{Action, State};

/// How many states of a level are expanded before what was found is merged.
const WAVE: usize = 1 << 15;
/// How many of them a worker takes at a time.
const RUN: usize = 1 << 9;

/// Digests are hashes already.
#[derive(Default)]
pub(super) struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for (place, byte) in bytes.iter().take(8).enumerate() {
            self.0 ^= u64::from(*byte) << (8 * place);
        }
    }

    fn write_u128(&mut self, digest: u128) {
        self.0 = digest as u64;
    }
}

/// The states that were seen, and the way to each.
#[derive(Default)]
struct Seen {
    numbers: HashMap<Digest, u32, BuildHasherDefault<Plain>>,
    /// Whence, and by which of the actions there.
    ways: Vec<(u32, u16)>,
}

impl Seen {
    /// Returns the number of a state, if it is new.
    fn add(&mut self, key: Digest, way: (u32, u16)) -> Option<u32> {
        let number = u32::try_from(self.ways.len()).expect("states are counted in 32 bits");
        match self.numbers.entry(key) {
            std::collections::hash_map::Entry::Occupied(_) => None,
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(number);
                self.ways.push(way);
                Some(number)
            }
        }
    }

    fn way_to(&self, mut state: u32, last: Option<u16>) -> Vec<u16> {
        let mut way: Vec<u16> = last.into_iter().collect();
        while state != 0 {
            let (from, action) = self.ways[state as usize];
            way.push(action);
            state = from;
        }
        way.reverse();
        way
    }
}

/// What became of the search.
pub(super) struct Searched {
    pub(super) states: u64,
    pub(super) transitions: u64,
    pub(super) depth: u32,
    pub(super) sights: u8,
    pub(super) complete: bool,
    /// What was broken, and which actions lead there.
    pub(super) broken: Option<(Broken, Vec<u16>)>,
}

/// What a worker found in its run.
#[derive(Default)]
struct Found {
    transitions: u64,
    sights: u8,
    fresh: Vec<(Digest, u32, u16, State)>,
    broken: Option<(Broken, u32, u16)>,
}

/// Visits every state, or `states_max` of them, or those before the first broken law.
pub(super) fn search(
    memo: &Memo,
    states_max: u64,
    jobs: usize,
    mut progress: impl FnMut(u64, u64, u32),
) -> Searched {
    let mut searched =
        Searched { states: 0, transitions: 0, depth: 0, sights: 0, complete: true, broken: None };
    let first =
        match State::first(&memo.config).and_then(|first| judge(memo, &first).map(|()| first)) {
            Ok(first) => first,
            Err(broken) => {
                searched.broken = Some((broken, Vec::new()));
                return searched;
            }
        };
    let mut seen = Seen::default();
    seen.add(first.key(), (0, 0));
    let mut level = vec![(0, first)];
    let mut told = Instant::now();
    while !level.is_empty() {
        let mut next = Vec::new();
        for wave in level.chunks(WAVE) {
            for found in expand(memo, &seen, wave, jobs) {
                searched.transitions += found.transitions;
                searched.sights |= found.sights;
                for (key, from, action, state) in found.fresh {
                    next.extend(seen.add(key, (from, action)).map(|number| (number, state)));
                }
                if let Some((broken, from, action)) = found.broken {
                    searched.states = seen.ways.len() as u64;
                    searched.depth += 1;
                    searched.complete = false;
                    searched.broken = Some((broken, seen.way_to(from, Some(action))));
                    return searched;
                }
            }
            if told.elapsed().as_millis() >= 200 {
                told = Instant::now();
                progress(seen.ways.len() as u64, searched.transitions, searched.depth);
            }
            if seen.ways.len() as u64 > states_max {
                searched.complete = false;
                break;
            }
        }
        searched.states = seen.ways.len() as u64;
        if !searched.complete {
            break;
        }
        searched.depth += u32::from(!next.is_empty());
        level = next;
    }
    searched
}

/// Expands a wave on all cores. What is returned is in the order of the wave.
fn expand(memo: &Memo, seen: &Seen, wave: &[(u32, State)], jobs: usize) -> Vec<Found> {
    let runs: Vec<&[(u32, State)]> = wave.chunks(RUN).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let run = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(states) = runs.get(run) else { return done };
            done.push((run, expand_run(memo, seen, states)));
        }
    };
    let mut found = std::thread::scope(|scope| {
        let workers = jobs.min(runs.len()).saturating_sub(1);
        let others: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut found = work();
        for other in others {
            found.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        found
    });
    found.sort_by_key(|(run, _)| *run);
    found.into_iter().map(|(_, found)| found).collect()
}

fn expand_run(memo: &Memo, seen: &Seen, states: &[(u32, State)]) -> Found {
    let mut found = Found::default();
    let mut here: HashMap<Digest, (), BuildHasherDefault<Plain>> = HashMap::default();
    let mut actions = Vec::new();
    for (number, state) in states {
        actions.clear();
        state.actions(&memo.config, &mut actions);
        for (index, action) in actions.iter().enumerate() {
            let index = u16::try_from(index).expect("few things may happen in a state");
            let next = match memo.apply(state, *action) {
                Ok(None) => continue,
                Ok(Some(next)) => next,
                Err(broken) => {
                    found.broken = Some((broken, *number, index));
                    return found;
                }
            };
            found.transitions += 1;
            let key = next.key();
            if seen.numbers.contains_key(&key) || here.insert(key, ()).is_some() {
                continue;
            }
            if let Err(broken) = judge(memo, &next) {
                found.broken = Some((broken, *number, index));
                return found;
            }
            found.sights |= next.sights();
            found.fresh.push((key, *number, index, next));
        }
    }
    found
}

/// Every law of a state that no part of it has shown to hold already.
fn judge(memo: &Memo, state: &State) -> Result<(), Broken> {
    state.check(&memo.config)?;
    progress::drains(memo, state)
}

/// Walks a way again, and calls `each` with what happens.
pub(super) fn walk(memo: &Memo, way: &[u16], mut each: impl FnMut(&State, Action, Option<&State>)) {
    let Ok(mut state) = State::first(&memo.config) else { return };
    let mut actions = Vec::new();
    for index in way {
        actions.clear();
        state.actions(&memo.config, &mut actions);
        let action = actions[usize::from(*index)];
        match memo.apply(&state, action) {
            Ok(Some(next)) => {
                each(&state, action, Some(&next));
                state = next;
            }
            Ok(None) | Err(_) => {
                each(&state, action, None);
                return;
            }
        }
    }
}

/// Returns how many cores there are.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
