//! Many seeds: what breaks is made small, and told.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Broken, Laws, Outcome, System, plan, run};
use crate::plan::{Plan, Shape};
use crate::shrink;
use crate::story::Story;

/// What many runs have shown.
#[derive(Debug)]
pub struct Hunt {
    /// How many runs there were.
    pub seeds: u64,
    /// What was checked and seen in all of them.
    pub laws: Laws,
    /// Each kind of fault that came, with how often.
    pub faults: BTreeMap<&'static str, u64>,
    /// How many transactions were committed.
    pub commits: u64,
    /// What the protocol says has to happen, and never did: nothing is shown about it.
    pub never: Vec<&'static str>,
    /// The first law that was broken, if one was.
    pub finding: Option<Finding>,
}

/// A run that broke a law, made small.
#[derive(Debug)]
pub struct Finding {
    /// The seed that found it.
    pub seed: u64,
    /// What was broken, in the small plan.
    pub broken: Broken,
    /// The least that still breaks it. As JSON it can be kept and run again.
    pub plan: Plan,
    /// How many runs it took to make it small.
    pub runs: usize,
    /// What happens in it, for [`story`](crate::story).
    pub story: Story,
}

/// Runs the seeds from `first` on, until a law is broken or `seeds` of them have run.
pub fn hunt<S: System + ?Sized>(
    system: &S,
    first: u64,
    seeds: u64,
    shape: Shape,
    mut progress: impl FnMut(u64),
) -> Hunt {
    let (mut laws, mut faults) = (Laws::default(), BTreeMap::new());
    let (mut commits, mut ran, mut finding) = (0, 0, None);
    for seed in (0..seeds).map(|number| first.wrapping_add(number)) {
        let plan = plan(system, seed, shape);
        let outcome = outcome(system, &plan, false);
        laws.add(&outcome.laws);
        for (fault, count) in outcome.faults {
            *faults.entry(fault).or_default() += count;
        }
        commits += outcome.commits;
        ran += 1;
        progress(ran);
        if let Some(broken) = outcome.broken {
            finding = Some(made_small(system, seed, &plan, broken));
            break;
        }
    }
    let wanted = system.sometimes().iter().copied();
    let never = wanted.filter(|name| laws.seen(name) == 0).collect();
    Hunt { seeds: ran, laws, faults, commits, never, finding }
}

fn made_small<S: System + ?Sized>(system: &S, seed: u64, plan: &Plan, broken: Broken) -> Finding {
    let law = broken.law;
    let (plan, runs) = shrink::shrink_by(plan, |candidate| {
        let found = outcome(system, candidate, false).broken;
        found.is_some_and(|broken| broken.law == law)
    });
    let told = outcome(system, &plan, true);
    let broken = told.broken.unwrap_or(broken);
    Finding { seed, broken, plan, runs, story: told.story.unwrap_or_default() }
}

/// Runs a plan. A panic is a broken law too, but one without a story.
fn outcome<S: System + ?Sized>(system: &S, plan: &Plan, tell: bool) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| run(system, plan, tell))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let what = text.unwrap_or_else(|| "without a word".to_owned());
        Outcome {
            broken: Some(Broken { law: "NoPanic", at_ms: 0, what }),
            laws: Laws::default(),
            faults: BTreeMap::new(),
            commits: 0,
            sim_ms: 0,
            digest: [0; 32],
            story: None,
        }
    })
}
