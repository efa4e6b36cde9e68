//! A log of comparisons that was tampered with is rejected at exactly that step; so is a world that
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
use super::{Reconcile, profile};

fn floor_raised(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut cloud = lines.states[at]["cloud"].clone();
    cloud["floor"] = json!(cloud["floor"].as_u64()? + 1);
    write(steps, at, "cloud", cloud)
}

fn row_changed(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut till = lines.states[at]["till"].clone();
    till["rows"]["__tuple"][0]["val"] = json!(77);
    write(steps, at, "till", till)
}

fn proof_claimed(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut till = lines.states[at]["till"].clone();
    till["proven"] = json!(!till["proven"].as_bool()?);
    write(steps, at, "till", till)
}

fn sum_mended(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut till = lines.states[at]["till"].clone();
    let first = lines.states[0]["till"]["sum"].clone();
    if till["sum"] == first {
        return None;
    }
    till["sum"] = first;
    write(steps, at, "till", till)
}

fn plan_changed(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut check = lines.states[at]["check"].clone();
    let version = check.get("version")?.as_u64()?;
    check["version"] = json!(version + 1);
    write(steps, at, "check", check)
}

fn action_renamed(_: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let counts = steps[at]["actions"][0][0] == "Census";
    rename(steps, at, if counts { "Cells" } else { "Census" }, json!([]))
}

/// A delta at the head may change nothing, and nobody would miss it.
fn action_of_change_left_out(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let changes = !steps[at]["state"].as_object()?.is_empty();
    changes.then(|| action_left_out(lines, steps, at)).flatten()
}

#[test]
fn a_raised_floor_is_rejected_at_its_step() {
    rejected_there::<Reconcile>("deleted", 1, floor_raised);
}

#[test]
fn a_changed_row_is_rejected_at_its_step() {
    rejected_there::<Reconcile>("everything", 1, row_changed);
}

#[test]
fn a_proof_that_is_not_one_is_rejected_at_its_step() {
    rejected_there::<Reconcile>("moving", 1, proof_claimed);
}

#[test]
fn a_sum_that_is_not_that_of_its_history_is_rejected_at_its_step() {
    rejected_there::<Reconcile>("moving", 1, sum_mended);
}

#[test]
fn a_changed_plan_is_rejected_at_its_step() {
    rejected_there::<Reconcile>("edited", 6, plan_changed);
}

#[test]
fn a_renamed_action_is_rejected_at_its_step() {
    rejected_there::<Reconcile>("drift", 1, action_renamed);
}

#[test]
fn an_action_that_is_left_out_is_rejected_at_its_step() {
    rejected_there::<Reconcile>("moving", 1, action_of_change_left_out);
}

#[test]
fn a_log_that_does_not_begin_in_init_is_rejected_at_its_beginning() {
    rejected_at_first::<Reconcile>("drift", floor_raised);
}

fn broken(reconcile: Reconcile, sabotage: Sabotage) -> Reconcile {
    Reconcile::of(World { sabotage, ..reconcile.world })
}

#[test]
fn a_broken_till_is_noticed() {
    let rejected = |name, sabotage| rejected_of::<Reconcile>(name, |one| broken(one, sabotage));
    assert_eq!(rejected("edited", Sabotage::None), 0);
    assert_eq!(rejected("edited", Sabotage::RowForgotten), 10);
    assert!(rejected("edited", Sabotage::EditsIgnored) > 0);
}

#[test]
fn the_same_seed_writes_the_same_log() {
    a_function_of_its_seed::<Reconcile>("everything");
}

#[test]
fn the_roles_follow_the_specification_and_a_broken_world_does_not() {
    let (name, constants) = profile::models().swap_remove(1);
    let walked = |sabotage| {
        let first = broken(Reconcile::new(&constants), sabotage);
        in_model(Path::new(".."), name, &constants, &first, 15).expect("it can be evaluated")
    };
    let told = walked(Sabotage::None);
    assert_eq!(told.problems, Vec::<String>::new());
    assert!(told.steps > 300, "{} steps", told.steps);
    assert!(!walked(Sabotage::RowForgotten).problems.is_empty());
}
