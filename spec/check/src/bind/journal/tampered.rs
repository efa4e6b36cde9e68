//! A log that was tampered with is rejected at exactly that step; so is a world that is broken.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::bind::bound::Bound as _;
use crate::bind::drive::in_model;
use crate::bind::tampered::{
    Lines, a_function_of_its_seed, action_left_out, rejected_at_first, rejected_of, rejected_there,
    rename, write,
};

use super::world::{Sabotage, World};
use super::{Journal, profile};

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
    let sells = steps[at]["actions"][0][0] == "Sell";
    rename(steps, at, if sells { "Hello" } else { "Sell" }, json!([1]))
}

/// A request cannot arrive before it was sent.
fn steps_swapped(_: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let called = |step: &Json| step["actions"][0][0].as_str().map(str::to_owned);
    let after = called(steps.get(at + 1)?)?;
    let asked = matches!(called(&steps[at])?.as_str(), "Hello" | "Push");
    let same = steps[at]["actions"][0][1] == steps[at + 1]["actions"][0][1];
    (asked && same && after == "Stage").then(|| steps.swap(at, at + 1))
}

#[test]
fn a_raised_acked_is_rejected_at_its_step() {
    rejected_there::<Journal>("everything", 2, acked_raised);
}

#[test]
fn a_dropped_ledger_entry_is_rejected_at_its_step() {
    rejected_there::<Journal>("cloud-restored", 2, ledger_entry_dropped);
}

#[test]
fn swapped_events_are_rejected_at_their_step() {
    rejected_there::<Journal>("busy", 2, events_swapped);
}

#[test]
fn a_forged_receipt_is_rejected_at_its_step() {
    rejected_there::<Journal>("session", 1, receipt_forged);
}

#[test]
fn a_renamed_action_is_rejected_at_its_step() {
    rejected_there::<Journal>("everything", 2, action_renamed);
    rejected_there::<Journal>("session", 1, action_renamed);
}

#[test]
fn an_action_that_is_left_out_is_rejected_at_its_step() {
    rejected_there::<Journal>("session-copied", 2, action_left_out);
}

#[test]
fn swapped_steps_are_rejected_at_the_first_of_them() {
    rejected_there::<Journal>("calm", 12, steps_swapped);
}

#[test]
fn a_log_that_does_not_begin_in_init_is_rejected_at_its_beginning() {
    rejected_at_first::<Journal>("calm", acked_raised);
}

fn broken(journal: Journal, sabotage: Sabotage) -> Journal {
    Journal::of(World { sabotage, ..journal.world })
}

#[test]
fn a_broken_world_is_noticed() {
    let rejected =
        |sabotage| rejected_of::<Journal>("flaky-link", |journal| broken(journal, sabotage));
    assert_eq!(rejected(Sabotage::None), 0);
    assert_eq!(rejected(Sabotage::AnswerBeforeCommit), 10);
    assert!(rejected(Sabotage::AnswersOutliveRestarts) > 0);
    assert!(rejected(Sabotage::LedgerForgets) > 0);
}

#[test]
fn the_same_seed_writes_the_same_log() {
    a_function_of_its_seed::<Journal>("everything");
}

#[test]
fn the_roles_follow_the_specification_and_a_broken_world_does_not() {
    let (name, constants) = profile::models().swap_remove(0);
    let walked = |sabotage| {
        let first = broken(Journal::new(&constants), sabotage);
        in_model(Path::new(".."), name, &constants, &first, 15).expect("it can be evaluated")
    };
    let told = walked(Sabotage::None);
    assert_eq!(told.problems, Vec::<String>::new());
    assert!(told.steps > 500, "{} steps", told.steps);
    assert!(!walked(Sabotage::LedgerForgets).problems.is_empty());
    assert!(!walked(Sabotage::AnswerBeforeCommit).problems.is_empty());
}
