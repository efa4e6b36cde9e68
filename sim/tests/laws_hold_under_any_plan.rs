//! Every law holds under every plan: those that are kept, and those that proptest draws.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use counterfoil_sim::arbitrary::plans;
use counterfoil_sim::plan::{Plan, Shape};
use counterfoil_sim::regressions;
use counterfoil_sim::runner::{Level, run_plan};
use proptest::prelude::*;

#[test]
fn kept_plans_hold() {
    for level in [Level::Model, Level::Disk, Level::Network] {
        let broken = regressions::run(level);
        assert!(broken.is_empty(), "{broken:?}");
    }
}

#[test]
fn every_kept_plan_is_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let files = fs::read_dir(&folder).expect("the folder is there");
    let paths = files.map(|file| file.expect("a readable folder").path());
    let plans = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let names: BTreeSet<String> = plans
        .map(|path| path.file_stem().expect("a file").to_string_lossy().into_owned())
        .collect();
    let levels = [Level::Model, Level::Disk, Level::Network];
    let kept = levels.into_iter().flat_map(regressions::kept).map(|kept| kept.name.to_owned());
    assert_eq!(names, kept.collect(), "list it in sim/src/regressions.rs");
}

#[test]
fn drawn_seeds_hold() {
    for seed in 90_000..90_060 {
        let shape = Shape { tills: 0, chaos_ms: 20_000 };
        let violation = run_plan(Level::Model, &Plan::draw(seed, shape), None, false).violation;
        assert_eq!(violation, None, "seed {seed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_plan_holds(plan in plans(4, 15_000)) {
        prop_assert_eq!(run_plan(Level::Model, &plan, None, false).violation, None);
    }
}
