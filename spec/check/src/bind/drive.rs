//! Behaviours of the specification drive the real roles: each step that the specification takes,
//! the roles must be able to take, and they must be where it is afterwards.
//!
//! A behaviour is a walk from `Init`, or from where an earlier walk took a pair of consecutive
//! actions for the first time. It prefers pairs that no walk of its block has taken yet, and looks
//! one step ahead for some of them; what goes wrong in it is a choice of its own, so that some
//! walks come far.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, ensure};
use tla_checker::ast::State;

use super::constants::{Constants, Left};
use super::draws::Draws;
use super::journal::Journal;
use super::mapping::Mapping;
use super::pairs::{self, Pair};
use super::world::{Machine, World};

/// Walks in a block: its pairs are aimed at together.
const WALKS: usize = 100;
/// Steps of a walk.
const STEPS: usize = 40;
/// How often the session's turn is nothing that the specification sees, before it is something.
const TURNS: usize = 4;
/// How many places are kept at which a person must look at something.
const KEPT: usize = 40;
/// How many of the pairs that are not covered yet a step looks ahead for.
const AIMS: usize = 8;

/// What is told of all walks.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) actions: BTreeSet<String>,
    pub(crate) walks: usize,
    pub(crate) steps: usize,
    pub(crate) taken: BTreeMap<String, usize>,
    pub(crate) pairs: BTreeMap<Pair, usize>,
    /// Steps of the specification that this code does not take, by why not.
    pub(crate) declined: BTreeMap<&'static str, usize>,
    pub(crate) problems: Vec<String>,
}

/// The models that are walked in.
pub(crate) fn models() -> Vec<(&'static str, Constants)> {
    let faults = Left { late: 2, dups: 1, crashes: 1, copies: 1, tills: 1, clouds: 1 };
    let general = Constants {
        tills: 1,
        copies: 1,
        sales: 3,
        items: 2,
        batch: 2,
        general: true,
        faults,
        ..Constants::default()
    };
    let parked = Constants { unknown: [1].into(), refunds: [2].into(), ..general.clone() };
    let same_names = Constants {
        same_names: true,
        sales: 5,
        faults: Left { tills: 3, clouds: 2, ..faults },
        unknown: [5].into(),
        ..general.clone()
    };
    let two_tills = Constants {
        tills: 2,
        copies: 2,
        faults: Left { copies: 2, clouds: 2, ..faults },
        ..parked.clone()
    };
    let session = Constants { general: false, ..two_tills.clone() };
    let session_names = Constants { general: false, ..same_names.clone() };
    vec![
        ("general", parked),
        ("general, same names", same_names),
        ("general, two tills", two_tills),
        ("session", session),
        ("session, same names", session_names),
    ]
}

/// Walks in each model, so many blocks.
///
/// # Errors
/// The specification cannot be read or evaluated.
pub(crate) fn all(spec: &Path, blocks: u64) -> anyhow::Result<Told> {
    let models = models();
    let jobs: Vec<_> =
        models.iter().flat_map(|model| (0..blocks).map(move |block| (model, block))).collect();
    let next = AtomicUsize::new(0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut parts: Vec<(usize, Told)> = Vec::new();
    thread::scope(|scope| {
        let work = || -> anyhow::Result<Vec<(usize, Told)>> {
            let mut done = Vec::new();
            loop {
                let job = next.fetch_add(1, Ordering::Relaxed);
                let Some(((name, constants), block)) = jobs.get(job) else { return Ok(done) };
                let walked = block_of(spec, name, constants, *block)?;
                done.push((job, walked));
            }
        };
        let running: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for one in running {
            parts.extend(one.join().expect("no thread panics")?);
        }
        anyhow::Ok(())
    })?;
    parts.sort_by_key(|(job, _)| *job);
    let mut told = Told::default();
    for (_, part) in parts {
        told.add(part);
    }
    Ok(told)
}

/// Walks of one model that aim together.
pub(crate) fn block_of(
    spec: &Path,
    name: &str,
    constants: &Constants,
    block: u64,
) -> anyhow::Result<Told> {
    let journal = Journal::read(spec, constants)?;
    let mut walker = Walker {
        actions: journal.actions().map(str::to_owned).collect(),
        journal: &journal,
        constants,
        draws: Draws::new(block),
        told: Told { actions: journal.actions().map(str::to_owned).collect(), ..Told::default() },
        pool: Vec::new(),
        in_need: [Vec::new(), Vec::new()],
    };
    for walk in 0..WALKS {
        if let Err(problem) = walker.walk()? {
            walker.told.problems.push(format!("{name}, block {block}, walk {walk}: {problem}"));
            break;
        }
    }
    Ok(walker.told)
}

struct Walker<'a> {
    journal: &'a Journal,
    actions: Vec<String>,
    constants: &'a Constants,
    draws: Draws,
    told: Told,
    /// Where pairs were taken for the first time.
    pool: Vec<Place>,
    /// Where a person must look at something, which takes long to come to: in the current
    /// history, in a closed one.
    in_need: [Vec<Place>; 2],
}

/// Where a walk is: in the specification, and with the real roles.
#[derive(Clone)]
struct Place {
    state: State,
    world: World,
    mapping: Mapping,
    way: Vec<String>,
}

impl Walker<'_> {
    fn walk(&mut self) -> anyhow::Result<Result<(), String>> {
        let [current, closed] = &self.in_need;
        let mut place = match self.draws.below(4) {
            0 if !self.pool.is_empty() => self.draws.choose(&self.pool).clone(),
            1 if !current.is_empty() => self.draws.choose(current).clone(),
            2 if !closed.is_empty() => self.draws.choose(closed).clone(),
            _ => self.first()?,
        };
        let mood: Vec<&str> =
            pairs::ACCIDENTS.into_iter().filter(|_| self.draws.below(2) == 0).collect();
        for _ in 0..STEPS {
            match self.step(&mut place, &mood)? {
                Ok(true) => {}
                Ok(false) => break,
                Err(problem) => return Ok(Err(format!("{}: {problem}", place.way.join(", ")))),
            }
        }
        self.told.walks += 1;
        Ok(Ok(()))
    }

    fn first(&self) -> anyhow::Result<Place> {
        let world = World { by_entry: true, ..World::new(self.constants) };
        let mut mapping = Mapping::new(self.constants.clone());
        let state = self.journal.state(&mapping.state(&world)?)?;
        ensure!(self.journal.first()?.contains(&state), "the first state is in Init");
        Ok(Place { state, world, mapping, way: Vec::new() })
    }

    /// Takes a step; returns whether any can be taken.
    fn step(&mut self, place: &mut Place, mood: &[&str]) -> anyhow::Result<Result<bool, String>> {
        for action in self.preferred(place, mood)? {
            let mut next = self.journal.successors(&place.state, &action, &[])?;
            while !next.is_empty() {
                let state = next.swap_remove(self.draws.below(next.len()));
                match followed(self.journal, place, &action, &state)? {
                    Followed::There(there) => {
                        *place = *there;
                        self.note(place);
                        return Ok(Ok(true));
                    }
                    Followed::Declined(why) => *self.told.declined.entry(why).or_default() += 1,
                    Followed::Elsewhere(why) => return Ok(Err(why)),
                }
            }
        }
        Ok(Ok(false))
    }

    fn note(&mut self, place: &Place) {
        self.told.steps += 1;
        if let [.., action] = &place.way[..] {
            *self.told.taken.entry(action.clone()).or_default() += 1;
        }
        if let [.., last, action] = &place.way[..] {
            let count = self.told.pairs.entry((last.clone(), action.clone())).or_default();
            *count += 1;
            if *count == 1 {
                self.pool.push(place.clone());
            }
        }
        let machines = place.world.machines.iter().flatten();
        let old = machines.flat_map(Machine::in_need).map(|(history, _)| history > 0).max();
        if let Some(old) = old {
            let kept = &mut self.in_need[usize::from(old)];
            if kept.len() < KEPT {
                kept.push(place.clone());
            } else {
                kept[self.draws.below(KEPT)] = place.clone();
            }
        }
    }

    /// Returns the actions in the order in which they are tried.
    fn preferred(&mut self, place: &Place, mood: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut actions = self.actions.clone();
        for at in (1..actions.len()).rev() {
            actions.swap(at, self.draws.below(at + 1));
        }
        // What brings the walk on comes earlier than what goes wrong, mostly.
        actions.sort_by_cached_key(|action| match action.as_str() {
            "Receive" | "Commit" | "Stage" | "Sell" => self.draws.below(3),
            "Push" | "Adopt" | "Hello" => self.draws.below(4),
            other if mood.contains(&other) => 9,
            _ => self.draws.below(5),
        });
        if let Some(last) = place.way.last() {
            let new = |action: &String| {
                !self.told.pairs.contains_key(&(last.clone(), action.clone()))
                    && pairs::why_not(last, action).is_none()
            };
            actions.sort_by_key(|action| !new(action));
            if actions.first().is_some_and(new)
                && !self.journal.successors(&place.state, &actions[0], &[])?.is_empty()
            {
                return Ok(actions);
            }
        }
        if let Some(first) = self.aimed(place)? {
            actions.sort_by_key(|action| *action != first);
        }
        Ok(actions)
    }

    /// Returns the first action of a pair that is not covered yet, and can be taken from here.
    fn aimed(&mut self, place: &Place) -> anyhow::Result<Option<String>> {
        let all = self.actions.iter().flat_map(|a| self.actions.iter().map(move |b| (a, b)));
        let open: Vec<(&String, &String)> = all
            .filter(|(a, b)| {
                !self.told.pairs.contains_key(&((*a).clone(), (*b).clone()))
                    && pairs::why_not(a, b).is_none()
            })
            .collect();
        for _ in 0..AIMS.min(open.len()) {
            let (first, second) = *self.draws.choose(&open);
            for state in self.journal.successors(&place.state, first, &[])?.iter().take(2) {
                if !self.journal.successors(state, second, &[])?.is_empty() {
                    return Ok(Some(first.clone()));
                }
            }
        }
        Ok(None)
    }
}

/// Where the real roles are after a step of the specification.
enum Followed {
    /// In the state that the specification is in.
    There(Box<Place>),
    /// Nowhere: this code does less than the specification allows, and why.
    Declined(&'static str),
    /// In other states only.
    Elsewhere(String),
}

/// Lets the real roles take a step of the specification: whichever of the things that may happen
/// has this name and leads to this state.
fn followed(
    journal: &Journal,
    place: &Place,
    action: &str,
    state: &State,
) -> anyhow::Result<Followed> {
    let mut nearest: Option<Vec<String>> = None;
    for act in place.world.acts().iter().filter(|act| act.may_be(action)) {
        let (mut world, mut mapping) = (place.world.clone(), place.mapping.clone());
        for _ in 0..TURNS {
            let named = world.perform(act);
            let found = journal.state(&mapping.state(&world).context("after a step")?)?;
            if found == *state && named.iter().any(|(name, _)| *name == action) {
                let way = place.way.iter().cloned().chain([action.to_owned()]).collect();
                let there = Place { state: found, world, mapping, way };
                return Ok(Followed::There(Box::new(there)));
            }
            if !named.is_empty() || act.name() != "Turn" {
                let differ = journal.differences(state, &found);
                if nearest.as_ref().is_none_or(|nearest| differ.len() < nearest.len()) {
                    nearest = Some(differ);
                }
                break;
            }
        }
    }
    let general = place.world.constants.general;
    Ok(match action {
        "Push" if general => Followed::Declined("no clock makes these entries due, and no others"),
        "Hello" | "Adopt" if !general => {
            Followed::Declined("the session carries entries over right after the answer")
        }
        _ => {
            let nearest = nearest.map_or_else(|| "nothing".to_owned(), |differ| differ.join("; "));
            Followed::Elsewhere(format!("then {action}: the roles are elsewhere: {nearest}"))
        }
    })
}

impl Told {
    fn add(&mut self, other: Self) {
        self.actions.extend(other.actions);
        self.walks += other.walks;
        self.steps += other.steps;
        self.problems.extend(other.problems);
        for (action, count) in other.taken {
            *self.taken.entry(action).or_default() += count;
        }
        for (pair, count) in other.pairs {
            *self.pairs.entry(pair).or_default() += count;
        }
        for (why, count) in other.declined {
            *self.declined.entry(why).or_default() += count;
        }
    }

    /// Returns the pairs that no walk has taken, and should have; and those that were taken, and
    /// could not have been.
    pub(crate) fn surprises(&self) -> Vec<String> {
        let actions = &self.actions;
        let mut all = Vec::new();
        for (a, b) in actions.iter().flat_map(|a| actions.iter().map(move |b| (a, b))) {
            let taken = self.pairs.contains_key(&(a.clone(), b.clone()));
            match (taken, pairs::why_not(a, b)) {
                (false, None) => all.push(format!("NEVER TAKEN {a}, {b}")),
                (true, Some(why)) => all.push(format!("TAKEN {a}, {b}, though {why}")),
                (true, None) | (false, Some(_)) => {}
            }
        }
        all
    }

    /// Prints it; returns whether all is as it should be.
    pub(crate) fn print(&self) -> bool {
        let Self { walks, steps, .. } = self;
        println!("{walks} behaviours, {steps} steps");
        println!("\n| action | steps |\n|---|---|");
        for (action, count) in &self.taken {
            println!("| {action} | {count} |");
        }
        println!("\n{} pairs of consecutive actions", self.pairs.len());
        for (why, count) in &self.declined {
            println!("declined {count} times: {why}");
        }
        let surprises = self.surprises();
        for problem in self.problems.iter().chain(&surprises) {
            println!("{problem}");
        }
        self.problems.is_empty() && surprises.is_empty()
    }
}
