//! Every law holds under every plan: those that are kept, and those that proptest draws.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::fs;
use std::path::Path;

use counterfoil_sim::arbitrary::plans;
use counterfoil_sim::plan::{Plan, Shape};
use counterfoil_sim::runner::{Level, run_plan};
use proptest::prelude::*;

#[test]
fn kept_plans_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut ran = 0;
    for file in fs::read_dir(&folder).expect("the folder is there") {
        let path = file.expect("a readable folder").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a readable file");
        let plan: Plan = serde_json::from_str(&text).expect("a plan");
        let level =
            if path.to_string_lossy().contains("network") { Level::Network } else { Level::Model };
        let violation = run_plan(level, &plan, None, false).violation;
        assert_eq!(violation, None, "{}", path.display());
        ran += 1;
    }
    assert!(ran > 0, "there is at least one plan in {}", folder.display());
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
