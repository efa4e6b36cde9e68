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

use super::constants::Constants;
use super::draws::Draws;
use super::journal::Journal;
use super::mapping::Mapping;
use super::pairs::{self, Pair};
use super::profile::models;
use super::world::{Machine, Sabotage, World};

/// Steps of a walk.
const STEPS: usize = 40;
/// A pair that no walk has taken is aimed at once more for so many walks, with so many steps.
const WALKS_OF_TRY: usize = 16;
const STEPS_OF_TRY: usize = 12;
/// How often the session's turn is nothing that the specification sees, before it is something.
const TURNS: usize = 4;
/// How many places are kept at which a person must look at something.
const KEPT: usize = 150;
/// How many of the states after the first action of a pair are asked for the second.
const AHEAD: usize = 6;

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

/// Walks so often in each model.
///
/// # Errors
/// The specification cannot be read or evaluated.
pub(crate) fn all(spec: &Path, walks: usize) -> anyhow::Result<Told> {
    let models = models();
    let next = AtomicUsize::new(0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut parts = Vec::new();
    thread::scope(|scope| {
        let work = || -> anyhow::Result<Vec<(usize, Told)>> {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((name, constants)) = models.get(at) else { return Ok(done) };
                done.push((at, in_model(spec, name, constants, walks, Sabotage::None)?));
            }
        };
        let running: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for one in running {
            parts.extend(one.join().expect("no thread panics")?);
        }
        anyhow::Ok(())
    })?;
    parts.sort_by_key(|(at, _)| *at);
    let mut told = Told::default();
    for (_, part) in parts {
        told.add(part);
    }
    Ok(told)
}

/// Walks in one model.
fn in_model(
    spec: &Path,
    name: &str,
    constants: &Constants,
    walks: usize,
    sabotage: Sabotage,
) -> anyhow::Result<Told> {
    let journal = Journal::read(spec, constants)?;
    let actions: Vec<String> = journal.actions().map(str::to_owned).collect();
    let told = Told { actions: actions.iter().cloned().collect(), ..Told::default() };
    let (draws, in_need) = (Draws::new(1), [Vec::new(), Vec::new()]);
    let pool = Vec::new();
    let mut walker =
        Walker { journal: &journal, actions, constants, draws, sabotage, told, pool, in_need };
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

struct Walker<'a> {
    journal: &'a Journal,
    actions: Vec<String>,
    constants: &'a Constants,
    draws: Draws,
    sabotage: Sabotage,
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
    /// Whether the walk goes on from where another was.
    on: bool,
}

impl Walker<'_> {
    fn walk(&mut self) -> anyhow::Result<Result<(), String>> {
        let aim = self.open_pair();
        let place = self.beginning(aim.as_ref())?;
        self.walk_from(place, aim.as_ref(), STEPS)
    }

    fn walk_from(
        &mut self,
        mut place: Place,
        aim: Option<&Pair>,
        steps: usize,
    ) -> anyhow::Result<Result<(), String>> {
        let mood: Vec<&str> =
            pairs::ACCIDENTS.into_iter().filter(|_| self.draws.below(2) == 0).collect();
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
            let kept = self.in_need.iter().chain([&self.pool]).flatten();
            let mut places: Vec<Place> = kept.cloned().collect();
            let (first, second) = &pair;
            let mut at_once = None;
            for place in &places {
                for state in self.journal.successors(&place.state, first, &[])?.iter().take(AHEAD) {
                    if !self.journal.successors(state, second, &[])?.is_empty() {
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
        !self.told.pairs.contains_key(pair) && pairs::why_not(&pair.0, &pair.1).is_none()
    }

    fn first(&self) -> anyhow::Result<Place> {
        let world = World { by_entry: true, sabotage: self.sabotage, ..World::new(self.constants) };
        let mut mapping = Mapping::new(self.constants.clone());
        let state = self.journal.state(&mapping.state(&world)?)?;
        ensure!(self.journal.first()?.contains(&state), "the first state is in Init");
        Ok(Place { state, world, mapping, way: Vec::new(), on: false })
    }

    /// Returns where a walk begins that aims at this pair.
    fn beginning(&mut self, aim: Option<&Pair>) -> anyhow::Result<Place> {
        let of = |action: &str| aim.is_some_and(|(a, b)| a == action || b == action);
        let [current, closed] = &self.in_need;
        let kept = if of("RetryOld") && !closed.is_empty() {
            closed
        } else if of("Retry") && !current.is_empty() {
            current
        } else {
            &self.pool
        };
        if kept.is_empty() || self.draws.below(3) == 0 {
            return self.first();
        }
        Ok(Place { on: true, ..self.draws.choose(kept).clone() })
    }

    /// Takes a step; returns whether any can be taken.
    fn step(
        &mut self,
        place: &mut Place,
        mood: &[&str],
        aim: Option<&Pair>,
    ) -> anyhow::Result<Result<bool, String>> {
        for action in self.preferred(place, mood, aim)? {
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
                self.pool.push(Place { on: true, ..place.clone() });
            }
        }
        let machines = place.world.machines.iter().flatten();
        let old = machines.flat_map(Machine::in_need).map(|(history, _)| history > 0).max();
        if let Some(old) = old {
            let kept = &mut self.in_need[usize::from(old)];
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
        place: &Place,
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
            let counted = action == "Sell" || pairs::ACCIDENTS.contains(&action);
            place.on && aimed_at && counted
        };
        actions.sort_by_cached_key(|action| match action.as_str() {
            "Receive" | "Commit" | "Stage" => self.draws.below(3),
            "Push" | "Adopt" | "Hello" => self.draws.below(4),
            other if mood.contains(&other) || saved(other) => 9,
            "Sell" => self.draws.below(8),
            _ => self.draws.below(5),
        });
        if let Some(pair) = aim.filter(|pair| self.is_open(pair)) {
            let (first, second) = pair;
            let next = self.journal.successors(&place.state, first, &[])?;
            for state in next.iter().take(AHEAD) {
                if !self.journal.successors(state, second, &[])?.is_empty() {
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
                let there = Place { state: found, world, mapping, way, on: place.on };
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

    /// Returns the pairs that no walk has taken, and could have.
    fn never(&self) -> Vec<Pair> {
        let all = self.actions.iter().flat_map(|a| self.actions.iter().map(move |b| (a, b)));
        let pairs = all.map(|(a, b)| (a.clone(), b.clone()));
        pairs.filter(|pair| !self.pairs.contains_key(pair) && why_not(pair).is_none()).collect()
    }

    /// Returns what should not be: no behaviour could have taken such a pair.
    fn contradictions(&self) -> Vec<String> {
        let taken = self.pairs.keys();
        taken
            .filter_map(|pair| why_not(pair).map(|why| (pair, why)))
            .map(|((a, b), why)| format!("TAKEN {a}, {b}, though {why}"))
            .collect()
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
        let impossible = self.actions.len().pow(2) - self.pairs.len() - self.never().len();
        println!("{impossible} can follow each other never");
        for a in &self.actions {
            for b in &self.actions {
                if let Some(why) = pairs::why_not(a, b) {
                    println!("* {a}, {b}: {why}");
                }
            }
        }
        let never = self.never();
        for (a, b) in &never {
            println!("NEVER TAKEN {a}, {b}");
        }
        let contradictions = self.contradictions();
        for problem in self.problems.iter().chain(&contradictions) {
            println!("{problem}");
        }
        let missed = never.len() <= pairs::MISSED_MAX && never.iter().all(pairs::is_rare);
        self.problems.is_empty() && contradictions.is_empty() && missed
    }
}

fn why_not((first, second): &Pair) -> Option<&'static str> {
    pairs::why_not(first, second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(sabotage: Sabotage) -> Told {
        let (name, constants) = models().swap_remove(0);
        in_model(Path::new(".."), name, &constants, 15, sabotage).expect("it can be evaluated")
    }

    #[test]
    fn the_roles_follow_the_specification_and_a_broken_world_does_not() {
        let told = walked(Sabotage::None);
        assert_eq!(told.problems, Vec::<String>::new());
        assert!(told.steps > 500, "{told:?}");
        assert!(!walked(Sabotage::LedgerForgets).problems.is_empty());
        assert!(!walked(Sabotage::AnswerBeforeCommit).problems.is_empty());
    }
}
