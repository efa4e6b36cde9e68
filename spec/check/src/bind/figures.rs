//! What is told of all walks: which actions and pairs of actions they took, and which never.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use super::bound::{Bound, Pair};

/// What is told of all walks in a module.
#[derive(Debug)]
pub(crate) struct Told<B> {
    bound: PhantomData<fn() -> B>,
    pub(crate) actions: BTreeSet<String>,
    pub(crate) walks: usize,
    pub(crate) steps: usize,
    pub(crate) taken: BTreeMap<String, usize>,
    pub(crate) pairs: BTreeMap<Pair, usize>,
    /// Steps of the specification that this code does not take, by why not.
    pub(crate) declined: BTreeMap<&'static str, usize>,
    pub(crate) problems: Vec<String>,
}

impl<B> Told<B> {
    /// Begins with the actions that a walk may take.
    pub(super) fn new(actions: BTreeSet<String>) -> Self {
        Self {
            bound: PhantomData,
            actions,
            walks: 0,
            steps: 0,
            taken: BTreeMap::new(),
            pairs: BTreeMap::new(),
            declined: BTreeMap::new(),
            problems: Vec::new(),
        }
    }
}

impl<B: Bound> Told<B> {
    pub(super) fn add(&mut self, other: Self) {
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
        pairs
            .filter(|pair| !self.pairs.contains_key(pair) && why_not::<B>(pair).is_none())
            .collect()
    }

    /// Returns what should not be: no behaviour could have taken such a pair.
    fn contradictions(&self) -> Vec<String> {
        let taken = self.pairs.keys();
        taken
            .filter_map(|pair| why_not::<B>(pair).map(|why| (pair, why)))
            .map(|((a, b), why)| format!("TAKEN {a}, {b}, though {why}"))
            .collect()
    }

    /// Prints it; returns whether all is as it should be.
    pub(crate) fn print(&self) -> bool {
        let Self { walks, steps, .. } = self;
        println!("\n{}: {walks} behaviours, {steps} steps", B::MODULE);
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
                if let Some(why) = B::why_not(a, b) {
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
        let missed = never.len() <= B::MISSED_MAX && never.iter().all(B::is_rare);
        self.problems.is_empty() && contradictions.is_empty() && missed
    }
}

fn why_not<B: Bound>((first, second): &Pair) -> Option<&'static str> {
    B::why_not(first, second)
}
