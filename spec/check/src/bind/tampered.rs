//! A log that was tampered with is rejected at exactly that step.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::bound::{Bound, Profile};
use super::traces::{record, run};
use super::validate::Modules;

const SPEC: &str = "..";

pub(super) fn named<B: Bound>(name: &str) -> Profile<B::Constants> {
    B::profiles().into_iter().find(|profile| profile.name == name).expect("a profile")
}

/// A log as lines, and the whole state at each step.
pub(super) struct Lines {
    head: String,
    pub(super) steps: Vec<Json>,
    pub(super) states: Vec<Map<String, Json>>,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let mut lines = text.lines();
        let head = lines.next().expect("the constants").to_owned();
        let steps: Vec<Json> =
            lines.map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
        let (mut states, mut state) = (Vec::new(), Map::new());
        for step in &steps {
            state.extend(step["state"].as_object().expect("a state").clone());
            states.push(state.clone());
        }
        Self { head, steps, states }
    }

    pub(super) fn text(&self, steps: &[Json]) -> String {
        let steps = steps.iter().map(Json::to_string);
        [self.head.clone()].into_iter().chain(steps).collect::<Vec<_>>().join("\n")
    }
}

/// Changes the steps of a log at one of them; none if there is nothing to change there.
pub(super) type Tamper = fn(&Lines, &mut [Json], usize) -> Option<()>;

/// Writes a changed variable into a step.
pub(super) fn write(steps: &mut [Json], at: usize, variable: &str, value: Json) -> Option<()> {
    steps[at]["state"].as_object_mut()?.insert(variable.to_owned(), value);
    Some(())
}

/// Gives the first action of a step another name.
pub(super) fn rename(steps: &mut [Json], at: usize, name: &str, arguments: Json) -> Option<()> {
    let action = steps[at]["actions"].as_array_mut()?.first_mut()?;
    action[0] = name.into();
    action[1] = arguments;
    Some(())
}

pub(super) fn action_left_out(_: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    steps[at]["actions"].as_array_mut()?.pop()?;
    Some(())
}

pub(super) fn rejected_there<B: Bound>(name: &str, seeds: u64, tamper: Tamper) {
    let mut modules = Modules::<B>::new(Path::new(SPEC));
    let mut tried = 0;
    for seed in 0..seeds {
        let text = run::<B>(&named::<B>(name), seed).expect("a run is mapped");
        modules.validate(&text).expect("it is read").expect("what was not changed is valid");
        let lines = Lines::of(&text);
        for at in (0..lines.steps.len()).step_by(7) {
            let mut steps = lines.steps.clone();
            if tamper(&lines, &mut steps, at).is_none() {
                continue;
            }
            let told = modules.validate(&lines.text(&steps)).expect("it is read");
            let rejected = told.expect_err("what was changed is rejected");
            assert_eq!(rejected.step, at, "{name} {seed}: {rejected}");
            tried += 1;
        }
    }
    assert!(tried >= 5, "{name}: only {tried} steps could be changed");
}

/// A log that begins elsewhere is rejected at its beginning.
pub(super) fn rejected_at_first<B: Bound>(name: &str, tamper: Tamper) {
    let lines = Lines::of(&run::<B>(&named::<B>(name), 0).expect("a run is mapped"));
    let mut steps = lines.steps.clone();
    tamper(&lines, &mut steps, 0).expect("there is something to change at first");
    let mut modules = Modules::<B>::new(Path::new(SPEC));
    let told = modules.validate(&lines.text(&steps)).expect("it is read");
    assert_eq!(told.expect_err("it is rejected").step, 0);
}

/// Returns how many of ten logs are rejected, of nodes that are broken on purpose.
pub(super) fn rejected_of<B: Bound>(name: &str, broken: impl Fn(B) -> B) -> usize {
    let mut modules = Modules::<B>::new(Path::new(SPEC));
    let profile = named::<B>(name);
    (0..10)
        .filter(|seed| {
            let bound = broken(B::new(&profile.constants));
            let text = record(&profile, *seed, bound).expect("a run is mapped");
            modules.validate(&text).expect("it is read").is_err()
        })
        .count()
}

/// The same seed writes the same log, another one another.
pub(super) fn a_function_of_its_seed<B: Bound>(name: &str) {
    let profile = named::<B>(name);
    let [a, b] = [0, 1].map(|_| run::<B>(&profile, 3).expect("a run is mapped"));
    assert_eq!(a, b);
    assert_ne!(a, run::<B>(&profile, 4).expect("a run is mapped"));
}
