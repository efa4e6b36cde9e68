//! The story of a run says which message led to what, and changes nothing.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::collections::BTreeMap;

use counterfoil_sim::plan::{Plan, Shape};
use counterfoil_sim::runner::{Level, run_plan};
use counterfoil_sim::story::{Lane, Story, What, html, mermaid, shiviz};

fn story(seed: u64) -> Story {
    let plan = Plan::draw(seed, Shape { tills: 3, chaos_ms: 10_000 });
    let told = run_plan(Level::Model, &plan, None, true);
    let untold = run_plan(Level::Model, &plan, None, false);
    assert_eq!(told.digest, untold.digest, "seed {seed}: to tell it changes nothing");
    assert_eq!(untold.story.steps().len(), 0, "nobody asked");
    told.story
}

#[test]
fn what_arrives_has_left_somebody_else_before() {
    let mut lost = 0;
    for seed in 0..8 {
        let mut left: BTreeMap<u64, Lane> = BTreeMap::new();
        let mut arrived: BTreeMap<u64, u32> = BTreeMap::new();
        let story = story(seed);
        for step in story.steps() {
            match step.what {
                What::Send(message) => {
                    assert_eq!(left.insert(message, step.lane), None, "each has its number");
                }
                // What the network itself answers has no sender.
                What::Receive(0) => {}
                What::Receive(message) => {
                    let sender = left.get(&message).expect("it left before");
                    assert_ne!(*sender, step.lane, "nobody sends to itself");
                    *arrived.entry(message).or_default() += 1;
                }
                What::Commit | What::Crash | What::Start => {}
                What::Fault | What::Violation | What::Note => {}
            }
        }
        assert!(arrived.len() > 20, "seed {seed}: {} messages arrived", arrived.len());
        lost += left.len() - arrived.len();
    }
    assert!(lost > 0, "some of all these are lost");
}

#[test]
fn each_form_of_it_has_every_step() {
    let story = story(3);
    let steps = story.steps().len();
    assert_eq!(story.lines().count(), steps);
    assert_eq!(shiviz::log(&story).lines().count(), 2 * steps);
    assert!(mermaid::end(&story, 30).lines().count() <= 31 + story.lanes().len());
    let page = html::page(&story, "seed 3", "sim replay 3");
    for lane in story.lanes() {
        assert!(page.contains(&format!("\"{lane}\"")), "{lane} is a column");
    }
}
