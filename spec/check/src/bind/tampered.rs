//! A log that was tampered with is rejected at exactly that step; so is a world that is broken.

use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::profile::{self, Profile};
use super::traces::{record, run};
use super::validate::Journals;
use super::world::{Sabotage, World};

const SPEC: &str = "..";

fn named(name: &str) -> Profile {
    profile::all().into_iter().find(|profile| profile.name == name).expect("a profile")
}

/// A log as lines, and the whole state at each step.
struct Lines {
    head: String,
    steps: Vec<Json>,
    states: Vec<Map<String, Json>>,
}

impl Lines {
    fn of(text: &str) -> Self {
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

    fn text(&self, steps: &[Json]) -> String {
        let steps = steps.iter().map(Json::to_string);
        [self.head.clone()].into_iter().chain(steps).collect::<Vec<_>>().join("\n")
    }
}

/// Changes the steps of a log at one of them; none if there is nothing to change there.
type Tamper = fn(&Lines, &mut [Json], usize) -> Option<()>;

/// Writes a changed variable into a step.
fn write(steps: &mut [Json], at: usize, variable: &str, value: Json) -> Option<()> {
    steps[at]["state"].as_object_mut()?.insert(variable.to_owned(), value);
    Some(())
}

fn acked_raised(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut disk = lines.states[at]["disk"].clone();
    let acked = &mut disk["__tuple"][0]["acked"];
    *acked = json!(acked.as_u64()? + 1);
    write(steps, at, "disk", disk)
}

fn ledger_entry_dropped(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut cloud = lines.states[at]["cloud"].clone();
    cloud["ledger"].as_array_mut()?.pop()?;
    write(steps, at, "cloud", cloud)
}

fn events_swapped(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut disk = lines.states[at]["disk"].clone();
    let log = disk["__tuple"][0]["log"]["__tuple"].as_array_mut()?;
    (log.len() > 1).then(|| log.swap(0, 1))?;
    write(steps, at, "disk", disk)
}

fn receipt_forged(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut printed = lines.states[at]["printed"].clone();
    printed.as_array_mut()?.push(json!({"__tuple": [1, 99, 1]}));
    write(steps, at, "printed", printed)
}

fn action_renamed(_: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let action = steps[at]["actions"].as_array_mut()?.first_mut()?;
    let other = if action[0] == "Sell" { "Hello" } else { "Sell" };
    action[0] = json!(other);
    action[1] = json!([1]);
    Some(())
}

fn action_left_out(_: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    steps[at]["actions"].as_array_mut()?.pop()?;
    Some(())
}

/// A request cannot arrive before it was sent.
fn steps_swapped(_: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let called = |step: &Json| step["actions"][0][0].as_str().map(str::to_owned);
    let after = called(steps.get(at + 1)?)?;
    let asked = matches!(called(&steps[at])?.as_str(), "Hello" | "Push");
    let same = steps[at]["actions"][0][1] == steps[at + 1]["actions"][0][1];
    (asked && same && after == "Stage").then(|| steps.swap(at, at + 1))
}

fn rejected_there(name: &str, seeds: u64, tamper: Tamper) {
    let mut journals = Journals::new(Path::new(SPEC));
    let mut tried = 0;
    for seed in 0..seeds {
        let text = run(&named(name), seed).expect("a run is mapped");
        journals.validate(&text).expect("it is read").expect("what was not changed is valid");
        let lines = Lines::of(&text);
        for at in (0..lines.steps.len()).step_by(7) {
            let mut steps = lines.steps.clone();
            if tamper(&lines, &mut steps, at).is_none() {
                continue;
            }
            let told = journals.validate(&lines.text(&steps)).expect("it is read");
            let rejected = told.expect_err("what was changed is rejected");
            assert_eq!(rejected.step, at, "{name} {seed}: {rejected}");
            tried += 1;
        }
    }
    assert!(tried >= 5, "{name}: only {tried} steps could be changed");
}

#[test]
fn a_raised_acked_is_rejected_at_its_step() {
    rejected_there("everything", 2, acked_raised);
}

#[test]
fn a_dropped_ledger_entry_is_rejected_at_its_step() {
    rejected_there("cloud-restored", 2, ledger_entry_dropped);
}

#[test]
fn swapped_events_are_rejected_at_their_step() {
    rejected_there("busy", 2, events_swapped);
}

#[test]
fn a_forged_receipt_is_rejected_at_its_step() {
    rejected_there("session", 1, receipt_forged);
}

#[test]
fn a_renamed_action_is_rejected_at_its_step() {
    rejected_there("everything", 2, action_renamed);
    rejected_there("session", 1, action_renamed);
}

#[test]
fn an_action_that_is_left_out_is_rejected_at_its_step() {
    rejected_there("session-copied", 2, action_left_out);
}

#[test]
fn swapped_steps_are_rejected_at_the_first_of_them() {
    rejected_there("calm", 12, steps_swapped);
}

#[test]
fn a_log_that_does_not_begin_in_init_is_rejected_at_its_beginning() {
    let lines = Lines::of(&run(&named("calm"), 0).expect("a run is mapped"));
    let mut steps = lines.steps.clone();
    acked_raised(&lines, &mut steps, 0).expect("a till is there");
    let told = Journals::new(Path::new(SPEC)).validate(&lines.text(&steps)).expect("it is read");
    assert_eq!(told.expect_err("it is rejected").step, 0);
}

/// Returns how many of some logs of a world that is broken on purpose are rejected.
fn rejected_of(name: &str, sabotage: Sabotage) -> usize {
    let mut journals = Journals::new(Path::new(SPEC));
    let profile = named(name);
    (0..10)
        .filter(|seed| {
            let world = World { sabotage, ..World::new(&profile.constants) };
            let text = record(&profile, *seed, world).expect("a run is mapped");
            journals.validate(&text).expect("it is read").is_err()
        })
        .count()
}

#[test]
fn a_broken_world_is_noticed() {
    assert_eq!(rejected_of("flaky-link", Sabotage::None), 0);
    assert_eq!(rejected_of("flaky-link", Sabotage::AnswerBeforeCommit), 10);
    assert!(rejected_of("flaky-link", Sabotage::AnswersOutliveRestarts) > 0);
    assert!(rejected_of("flaky-link", Sabotage::LedgerForgets) > 0);
}

#[test]
fn the_same_seed_writes_the_same_log() {
    let profile = named("everything");
    let [a, b] = [0, 1].map(|_| run(&profile, 3).expect("a run is mapped"));
    assert_eq!(a, b);
    assert_ne!(a, run(&profile, 4).expect("a run is mapped"));
}
