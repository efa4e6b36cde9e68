//! A log of a catalog that was tampered with is rejected at exactly that step; so is a world that
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
use super::{Catalog, profile};

fn floor_raised(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut cat = lines.states[at]["cat"].clone();
    cat["floor"] = json!(cat["floor"].as_u64()? + 1);
    write(steps, at, "cat", cat)
}

fn row_changed(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut till = lines.states[at]["till"].clone();
    till["__tuple"][0]["rows"]["__tuple"][0]["val"] = json!(77);
    write(steps, at, "till", till)
}

fn version_raised(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut till = lines.states[at]["till"].clone();
    let version = &mut till["__tuple"][1]["at"];
    *version = json!(version.as_u64()? + 1);
    write(steps, at, "till", till)
}

fn edit_ended(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut till = lines.states[at]["till"].clone();
    let over = till["__tuple"][0]["over"]["__tuple"].as_array_mut()?;
    let lies = over.iter_mut().find(|edit| **edit != json!(0))?;
    *lies = json!(0);
    write(steps, at, "till", till)
}

fn lease_dropped(lines: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let mut cat = lines.states[at]["cat"].clone();
    let leases = cat["lease"]["__tuple"].as_array_mut()?;
    leases.iter_mut().find_map(|lease| lease["__tuple"].as_array_mut()?.pop())?;
    write(steps, at, "cat", cat)
}

fn action_renamed(_: &Lines, steps: &mut [Json], at: usize) -> Option<()> {
    let asks = steps[at]["actions"][0][0] == "Ask";
    rename(steps, at, if asks { "Take" } else { "Ask" }, json!([1]))
}

#[test]
fn a_raised_floor_is_rejected_at_its_step() {
    rejected_there::<Catalog>("compaction", 1, floor_raised);
}

#[test]
fn a_changed_row_is_rejected_at_its_step() {
    rejected_there::<Catalog>("everything", 1, row_changed);
}

#[test]
fn a_raised_version_is_rejected_at_its_step() {
    rejected_there::<Catalog>("flaky-link", 1, version_raised);
}

#[test]
fn an_edit_that_ends_early_is_rejected_at_its_step() {
    rejected_there::<Catalog>("edits", 2, edit_ended);
}

#[test]
fn a_dropped_lease_is_rejected_at_its_step() {
    rejected_there::<Catalog>("till-restored", 2, lease_dropped);
}

#[test]
fn a_renamed_action_is_rejected_at_its_step() {
    rejected_there::<Catalog>("cloud-restored", 1, action_renamed);
}

#[test]
fn an_action_that_is_left_out_is_rejected_at_its_step() {
    rejected_there::<Catalog>("edits-compacted", 1, action_left_out);
}

#[test]
fn a_log_that_does_not_begin_in_init_is_rejected_at_its_beginning() {
    rejected_at_first::<Catalog>("calm", floor_raised);
}

fn broken(catalog: Catalog, sabotage: Sabotage) -> Catalog {
    Catalog::of(World { sabotage, ..catalog.world })
}

#[test]
fn a_broken_catalog_is_noticed() {
    let rejected =
        |sabotage| rejected_of::<Catalog>("compaction", |catalog| broken(catalog, sabotage));
    assert_eq!(rejected(Sabotage::None), 0);
    assert_eq!(rejected(Sabotage::RowForgotten), 10);
    assert!(rejected(Sabotage::FloorStays) > 0);
    assert!(rejected(Sabotage::PinMoves) > 0);
}

#[test]
fn the_same_seed_writes_the_same_log() {
    a_function_of_its_seed::<Catalog>("everything");
}

#[test]
fn the_roles_follow_the_specification_and_a_broken_world_does_not() {
    let (name, constants) = profile::models().swap_remove(0);
    let walked = |sabotage| {
        let first = broken(Catalog::new(&constants), sabotage);
        in_model(Path::new(".."), name, &constants, &first, 15).expect("it can be evaluated")
    };
    let told = walked(Sabotage::None);
    assert_eq!(told.problems, Vec::<String>::new());
    assert!(told.steps > 300, "{} steps", told.steps);
    assert!(!walked(Sabotage::RowForgotten).problems.is_empty());
}
