//! Behaviours of the specification drive the real roles: each step that the specification takes,
//! the roles must be able to take, and they must be where it is afterwards.
//!
//! A behaviour is a walk from `Init`, or on from where an earlier walk took a pair of consecutive
//! actions for the first time. It prefers pairs that no walk in its model has taken yet, and looks
//! one step ahead for some of them; what goes wrong in it is a choice of its own, so that some
//! walks come far.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, ensure};
use tla_checker::ast::State;

use super::bound::{Bound, Happens as _, Pair};
use super::draws::Draws;
use super::figures::Told;
use super::module::Module;

/// Steps of a walk.
const STEPS: usize = 40;
/// A pair that no walk has taken is aimed at once more for so many walks, with so many steps.
const WALKS_OF_TRY: usize = 16;
const STEPS_OF_TRY: usize = 12;
/// How often the session's turn is nothing that the specification sees, before it is something.
const TURNS: usize = 4;
/// How many places are kept at which a rare action can be taken.
const KEPT: usize = 150;
/// How many of the states after the first action of a pair are asked for the second.
const AHEAD: usize = 6;

/// Walks so often in each model.
///
/// # Errors
/// The specification cannot be read or evaluated.
pub(crate) fn all<B: Bound>(spec: &Path, walks: usize) -> anyhow::Result<Told<B>> {
    let models = B::models();
    let next = AtomicUsize::new(0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut parts = Vec::new();
    thread::scope(|scope| {
        let work = || -> anyhow::Result<Vec<(usize, Told<B>)>> {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((name, constants)) = models.get(at) else { return Ok(done) };
                done.push((at, in_model(spec, name, constants, &B::new(constants), walks)?));
            }
        };
        let running: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for one in running {
            parts.extend(one.join().expect("no thread panics")?);
        }
        anyhow::Ok(())
    })?;
    parts.sort_by_key(|(at, _)| *at);
    let mut told = Told::new(BTreeSet::new());
    for (_, part) in parts {
        told.add(part);
    }
    Ok(told)
}

/// Walks in one model, from these nodes on.
pub(super) fn in_model<B: Bound>(
    spec: &Path,
    name: &str,
    constants: &B::Constants,
    first: &B,
    walks: usize,
) -> anyhow::Result<Told<B>> {
    let module = Module::read::<B>(spec, constants)?;
    let first = first.clone().step_by_step();
    let actions: Vec<String> = module.actions().map(str::to_owned).collect();
    let told = Told::new(actions.iter().cloned().collect());
    let (draws, rare, pool) = (Draws::new(1), BTreeMap::new(), Vec::new());
    let mut walker = Walker { module: &module, actions, first, draws, told, pool, rare };
    for walk in 0..walks {
        if let Err(problem) = walker.walk()? {
            walker.told.problems.push(format!("{name}, walk {walk}: {problem}"));
            break;
        }
    }
    if walker.told.problems.is_empty() {
        walker.finish(walks / WALKS_OF_TRY)?;
    }
    Ok(walker.told)
}

struct Walker<'a, B> {
    module: &'a Module,
    actions: Vec<String>,
    /// The nodes as they are at first.
    first: B,
    draws: Draws,
    told: Told<B>,
    /// Where pairs were taken for the first time.
    pool: Vec<Place<B>>,
    /// Where a rare action can be taken, which takes long to come to.
    rare: BTreeMap<&'static str, Vec<Place<B>>>,
}

/// Where a walk is: in the specification, and with the real roles.
#[derive(Clone)]
struct Place<B> {
    state: State,
    bound: B,
    way: Vec<String>,
    /// Whether the walk goes on from where another was.
    on: bool,
}

impl<B: Bound> Walker<'_, B> {
    fn walk(&mut self) -> anyhow::Result<Result<(), String>> {
        let aim = self.open_pair();
        let place = self.beginning(aim.as_ref())?;
        self.walk_from(place, aim.as_ref(), STEPS)
    }

    fn walk_from(
        &mut self,
        mut place: Place<B>,
        aim: Option<&Pair>,
        steps: usize,
    ) -> anyhow::Result<Result<(), String>> {
        let mood: Vec<&str> =
            B::ACCIDENTS.iter().copied().filter(|_| self.draws.below(2) == 0).collect();
        for _ in 0..steps {
            match self.step(&mut place, &mood, aim)? {
                Ok(true) => {}
                Ok(false) => break,
                Err(problem) => return Ok(Err(format!("{}: {problem}", place.way.join(", ")))),
            }
        }
        self.told.walks += 1;
        Ok(Ok(()))
    }

    /// Aims at each pair that is still open, from every place that was kept.
    fn finish(&mut self, tries: usize) -> anyhow::Result<()> {
        for pair in self.open_pairs() {
            let kept = self.rare.values().chain([&self.pool]).flatten();
            let mut places: Vec<Place<B>> = kept.cloned().collect();
            let (first, second) = &pair;
            let mut at_once = None;
            for place in &places {
                for state in self.module.successors(&place.state, first, &[])?.iter().take(AHEAD) {
                    if !self.module.successors(state, second, &[])?.is_empty() {
                        at_once = Some(place.clone());
                    }
                }
                if at_once.is_some() {
                    break;
                }
            }
            if let Some(place) = at_once {
                places = vec![place];
            }
            for _ in 0..tries {
                if places.is_empty() || !self.is_open(&pair) {
                    break;
                }
                let place = Place { on: true, ..self.draws.choose(&places).clone() };
                if let Err(problem) = self.walk_from(place, Some(&pair), STEPS_OF_TRY)? {
                    self.told.problems.push(problem);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn open_pairs(&self) -> Vec<Pair> {
        let all = self.actions.iter().flat_map(|a| self.actions.iter().map(move |b| (a, b)));
        let pairs = all.map(|(a, b)| (a.clone(), b.clone()));
        let reached = |action: &String| self.told.taken.contains_key(action);
        pairs.filter(|pair| self.is_open(pair) && reached(&pair.0) && reached(&pair.1)).collect()
    }

    /// Returns a pair that no walk has taken yet, and some could.
    fn open_pair(&mut self) -> Option<Pair> {
        let open = self.open_pairs();
        (!open.is_empty()).then(|| self.draws.choose(&open).clone())
    }

    fn is_open(&self, pair: &Pair) -> bool {
        !self.told.pairs.contains_key(pair) && B::why_not(&pair.0, &pair.1).is_none()
    }

    fn first(&self) -> anyhow::Result<Place<B>> {
        let mut bound = self.first.clone();
        let state = self.module.state(&bound.state()?)?;
        ensure!(self.module.first()?.contains(&state), "the first state is in Init");
        Ok(Place { state, bound, way: Vec::new(), on: false })
    }

    /// Returns where a walk begins that aims at this pair.
    fn beginning(&mut self, aim: Option<&Pair>) -> anyhow::Result<Place<B>> {
        let of = |action: &str| aim.is_some_and(|(a, b)| a == action || b == action);
        let rare = self.rare.iter().rev().find(|(action, _)| of(action));
        let kept = rare.map_or(&self.pool, |(_, kept)| kept);
        if kept.is_empty() || self.draws.below(3) == 0 {
            return self.first();
        }
        Ok(Place { on: true, ..self.draws.choose(kept).clone() })
    }

    /// Takes a step; returns whether any can be taken.
    fn step(
        &mut self,
        place: &mut Place<B>,
        mood: &[&str],
        aim: Option<&Pair>,
    ) -> anyhow::Result<Result<bool, String>> {
        for action in self.preferred(place, mood, aim)? {
            let mut next = self.module.successors(&place.state, &action, &[])?;
            while !next.is_empty() {
                let state = next.swap_remove(self.draws.below(next.len()));
                match followed(self.module, place, &action, &state)? {
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

    fn note(&mut self, place: &Place<B>) {
        self.told.steps += 1;
        if let [.., action] = &place.way[..] {
            *self.told.taken.entry(action.clone()).or_default() += 1;
        }
        if let [.., last, action] = &place.way[..] {
            let count = self.told.pairs.entry((last.clone(), action.clone())).or_default();
            *count += 1;
            if *count == 1 {
                self.pool.push(Place { on: true, ..place.clone() });
            }
        }
        if let Some(action) = place.bound.rare_action() {
            let kept = self.rare.entry(action).or_default();
            // The shortest ways there: what can happen only so often is left on them.
            let longest = (0..kept.len()).max_by_key(|at| kept[*at].way.len());
            match longest {
                Some(at) if kept.len() == KEPT => {
                    if place.way.len() < kept[at].way.len() {
                        kept[at] = place.clone();
                    }
                }
                Some(_) | None => kept.push(place.clone()),
            }
        }
    }

    /// Returns the actions in the order in which they are tried.
    fn preferred(
        &mut self,
        place: &Place<B>,
        mood: &[&str],
        aim: Option<&Pair>,
    ) -> anyhow::Result<Vec<String>> {
        let mut actions = self.actions.clone();
        for at in (1..actions.len()).rev() {
            actions.swap(at, self.draws.below(at + 1));
        }
        // What brings the walk on comes earlier than what goes wrong, mostly; what can happen only
        // so often is saved for the pair that is aimed at.
        let saved = |action: &str| {
            let aimed_at = aim.is_some_and(|(a, b)| a == action || b == action);
            place.on && aimed_at && B::is_counted(action)
        };
        actions.sort_by_cached_key(|action| match action.as_str() {
            other if mood.contains(&other) || saved(other) => 9,
            other => self.draws.below(B::lateness(other)),
        });
        if let Some(pair) = aim.filter(|pair| self.is_open(pair)) {
            let (first, second) = pair;
            let next = self.module.successors(&place.state, first, &[])?;
            for state in next.iter().take(AHEAD) {
                if !self.module.successors(state, second, &[])?.is_empty() {
                    actions.sort_by_key(|action| action != first);
                    return Ok(actions);
                }
            }
        }
        if let Some(last) = place.way.last() {
            actions.sort_by_key(|action| !self.is_open(&(last.clone(), action.clone())));
        }
        Ok(actions)
    }
}

/// Where the real roles are after a step of the specification.
enum Followed<B> {
    /// In the state that the specification is in.
    There(Box<Place<B>>),
    /// Nowhere: this code does less than the specification allows, and why.
    Declined(&'static str),
    /// In other states only.
    Elsewhere(String),
}

/// Lets the real roles take a step of the specification: whichever of the things that may happen
/// has this name and leads to this state.
fn followed<B: Bound>(
    module: &Module,
    place: &Place<B>,
    action: &str,
    state: &State,
) -> anyhow::Result<Followed<B>> {
    let mut nearest: Option<Vec<String>> = None;
    for act in place.bound.acts().iter().filter(|act| act.may_be(action)) {
        let mut bound = place.bound.clone();
        for _ in 0..TURNS {
            let named = bound.perform(act);
            let found = module.state(&bound.state().context("after a step")?)?;
            if found == *state && named.iter().any(|(name, _)| *name == action) {
                let way = place.way.iter().cloned().chain([action.to_owned()]).collect();
                let there = Place { state: found, bound, way, on: place.on };
                return Ok(Followed::There(Box::new(there)));
            }
            if !named.is_empty() || !act.is_turn() {
                let differ = module.differences(state, &found);
                if nearest.as_ref().is_none_or(|nearest| differ.len() < nearest.len()) {
                    nearest = Some(differ);
                }
                break;
            }
        }
    }
    if let Some(why) = place.bound.declines(action) {
        return Ok(Followed::Declined(why));
    }
    let nearest = nearest.map_or_else(|| "nothing".to_owned(), |differ| differ.join("; "));
    Ok(Followed::Elsewhere(format!("then {action}: the roles are elsewhere: {nearest}")))
}
