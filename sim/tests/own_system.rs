//! A protocol that is not ours, in the simulator: `docs/simulate-your-own.md`.
#![allow(missing_docs, clippy::unwrap_used, dead_code, reason = "tests")]

#[path = "../examples/reservation.rs"]
mod reservation;

use counterfoil_sim::own::{Hunt, hunt, plan, run};
use counterfoil_sim::plan::{Plan, Shape};
use counterfoil_sim::story::{html, shiviz};
use reservation::{Mistake, Reservation};

const SHAPE: Shape = Shape { tills: 3, chaos_ms: 60_000 };

fn hunted(mistake: Mistake, seeds: u64) -> Hunt {
    hunt(&Reservation(mistake), 0, seeds, SHAPE, |_| {})
}

#[test]
fn the_right_protocol_survives_and_everything_interesting_happened() {
    let hunt = hunted(Mistake::Nothing, 200);
    assert!(hunt.finding.is_none(), "{:?}", hunt.finding.map(|finding| finding.broken));
    assert_eq!(hunt.never, [""; 0]);
    assert_eq!(hunt.seeds, 200);
    for fault in ["partition", "crash", "loss", "duplicate", "crash at a commit", "storage error"] {
        assert!(hunt.faults.get(fault).is_some_and(|count| *count > 100), "{fault}");
    }
    assert!(hunt.laws.checked().all(|(_, count)| count > 10_000), "{:?}", hunt.laws);
}

#[test]
fn each_mistake_is_found_made_small_and_drawn() {
    let mistakes = [
        (Mistake::HoldTwice, "EverySeatOnce"),
        (Mistake::HoldsForgotten, "HoldsEnd"),
        (Mistake::TicketTooEarly, "TicketIsSold"),
    ];
    for (mistake, law) in mistakes {
        let hunt = hunted(mistake, 100);
        let finding = hunt.finding.unwrap();
        assert_eq!(finding.broken.law, law);
        let drawn = plan(&Reservation(mistake), finding.seed, SHAPE);
        assert!(finding.plan.faults.len() <= drawn.faults.len().min(2), "{:?}", finding.plan);
        let page = html::page(&finding.story, law, "again");
        assert!(page.contains(&format!("{law} broken at")), "the offending step is marked");
        assert!(shiviz::log(&finding.story).contains("cloud"));
        // What was kept as a file breaks the same law again.
        let kept = serde_json::to_string(&finding.plan).unwrap();
        let kept: Plan = serde_json::from_str(&kept).unwrap();
        let again = run(&Reservation(mistake), &kept, false);
        assert_eq!(again.broken, Some(finding.broken));
        assert_eq!(run(&Reservation(Mistake::Nothing), &kept, false).broken, None);
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let reservation = Reservation(Mistake::Nothing);
    let plan = plan(&reservation, 7, SHAPE);
    let (first, second) = (run(&reservation, &plan, false), run(&reservation, &plan, true));
    assert_eq!(first.digest, second.digest, "whoever listens changes nothing");
    assert!(first.commits > 500 && first.commits == second.commits);
    let other = Plan { seed: 8, ..plan };
    assert_ne!(first.digest, run(&reservation, &other, false).digest);
}

#[test]
fn the_guide_shows_the_example_as_it_is() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(root.join("../docs/simulate-your-own.md")).unwrap();
    let example = std::fs::read_to_string(root.join("examples/reservation.rs")).unwrap();
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let example = squeezed(&example);
    let blocks: Vec<&str> = guide.split("```rust\n").skip(1).collect();
    assert!(blocks.len() >= 5, "the guide shows the example");
    for block in blocks {
        let block = block.split("```").next().unwrap();
        for part in block.split("// ...\n") {
            assert!(example.contains(&squeezed(part)), "not in the example:\n{part}");
        }
    }
}
