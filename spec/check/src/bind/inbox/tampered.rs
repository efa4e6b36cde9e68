//! A log of an inbox that was tampered with is rejected at exactly that step; so is a world that
//! is broken.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::bind::bound::Bound as _;
use crate::bind::drive::in_model;
use crate::bind::tampered::{
    Lines, a_function_of_its_seed, action_left_out, rejected_at_first, rejected_of, rejected_there,
    rename, write,
};

use super::world::{Sabotage, World};
use super::{Inbox, profile};

fn event_dropped(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut feed = lines.states[at]["feed"].clone();
    feed["__tuple"][0]["__tuple"].as_array_mut()?.pop()?;
    write(steps, at, "feed", feed)
}

fn acked_raised(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut acked = lines.states[at]["acked"].clone();
    let first = &mut acked["__tuple"][0];
    *first = json!(first.as_u64()? + 1);
    write(steps, at, "acked", acked)
}

fn note_dropped(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut till = lines.states[at]["till"].clone();
    till["__tuple"][1]["applied"].as_array_mut()?.pop()?;
    write(steps, at, "till", till)
}

fn stock_moved_twice(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut till = lines.states[at]["till"].clone();
    let stock = &mut till["__tuple"][0]["stock"];
    *stock = json!(stock.as_i64()? - 1);
    write(steps, at, "till", till)
}

fn events_swapped(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut talk = lines.states[at]["talk"].clone();
    let events = talk["__tuple"][0]["events"]["__tuple"].as_array_mut()?;
    (events.len() > 1).then(|| events.swap(0, 1))?;
    write(steps, at, "talk", talk)
}

fn action_renamed(_: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let asks = steps[at]["actions"][0][0] == "Ask";
    rename(steps, at, if asks { "Answer" } else { "Ask" }, json!([1]))
}

#[test]
fn a_dropped_event_is_rejected_at_its_step() {
    rejected_there::<Inbox>("cloud-restored", 2, event_dropped);
}

#[test]
fn a_raised_acknowledgement_is_rejected_at_its_step() {
    rejected_there::<Inbox>("everything", 2, acked_raised);
    rejected_there::<Inbox>("collector", 2, acked_raised);
}

#[test]
fn a_dropped_note_is_rejected_at_its_step() {
    rejected_there::<Inbox>("till-restored", 2, note_dropped);
}

#[test]
fn a_stock_that_moved_twice_is_rejected_at_its_step() {
    rejected_there::<Inbox>("busy", 2, stock_moved_twice);
}

#[test]
fn swapped_events_are_rejected_at_their_step() {
    rejected_there::<Inbox>("backwards", 8, events_swapped);
}

#[test]
fn a_renamed_action_is_rejected_at_its_step() {
    rejected_there::<Inbox>("everything", 2, action_renamed);
}

#[test]
fn an_action_that_is_left_out_is_rejected_at_its_step() {
    rejected_there::<Inbox>("collector-restored", 2, action_left_out);
}

#[test]
fn a_log_that_does_not_begin_in_init_is_rejected_at_its_beginning() {
    rejected_at_first::<Inbox>("calm", acked_raised);
}

fn broken(inbox: Inbox, sabotage: Sabotage) -> Inbox {
    Inbox::of(World { sabotage, ..inbox.world })
}

#[test]
fn a_broken_inbox_is_noticed() {
    let rejected = |sabotage| rejected_of::<Inbox>("everything", |inbox| broken(inbox, sabotage));
    assert_eq!(rejected(Sabotage::None), 0);
    assert_eq!(rejected(Sabotage::AckBeforeApply), 10);
    assert_eq!(rejected(Sabotage::AppliedForgets), 10);
    assert!(rejected(Sabotage::AnyAnswer) > 0);
}

#[test]
fn the_same_seed_writes_the_same_log() {
    a_function_of_its_seed::<Inbox>("everything");
}

#[test]
fn the_roles_follow_the_specification_and_a_broken_world_does_not() {
    let (name, constants) = profile::models().swap_remove(0);
    let walked = |sabotage| {
        let first = broken(Inbox::new(&constants), sabotage);
        in_model(Path::new(".."), name, &constants, &first, 15).expect("it can be evaluated")
    };
    let told = walked(Sabotage::None);
    assert_eq!(told.problems, Vec::<String>::new());
    assert!(told.steps > 500, "{} steps", told.steps);
    assert!(!walked(Sabotage::AckBeforeApply).problems.is_empty());
    assert!(!walked(Sabotage::AppliedForgets).problems.is_empty());
}
