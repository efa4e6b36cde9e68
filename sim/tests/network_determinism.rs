//! The same plan gives the same bytes: in one process, in two, on one thread and on two.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use counterfoil_sim::network;
use counterfoil_sim::plan::{Plan, Shape};

fn plan(seed: u64) -> Plan {
    let mut plan = Plan::draw(seed, Shape { tills: 4, chaos_ms: 20_000 });
    network::fit(&mut plan);
    plan
}

#[test]
fn the_same_plan_twice_gives_the_same_digest_and_another_seed_another() {
    let mut digests = Vec::new();
    for seed in [3, 4] {
        let [first, second] = [(); 2].map(|()| network::run(&plan(seed), None, true));
        assert_eq!(first.story, second.story, "seed {seed}");
        assert_eq!(first.digest, second.digest, "seed {seed}");
        assert_eq!(first.coverage, second.coverage, "seed {seed}");
        digests.push(first.digest);
    }
    assert_ne!(digests[0], digests[1]);
}

#[test]
fn processes_and_threads_do_not_show_in_the_digest() {
    let digest = |jobs: &str| {
        let arguments = ["run", "--level", "network", "--seeds", "4", "--seconds", "15"];
        let output = Command::new(env!("CARGO_BIN_EXE_sim"))
            .args(arguments)
            .args(["--from", "7", "--json", "--jobs", jobs])
            .output()
            .expect("the program runs");
        let text = String::from_utf8(output.stdout).expect("it prints text");
        assert!(output.status.success(), "{text}");
        let at = text.find("\"digest\"").expect("it prints a digest");
        text[at..].split('"').nth(3).expect("a text").to_owned()
    };
    let alone = digest("1");
    assert_eq!(alone.len(), 32, "{alone}");
    assert_eq!(alone, digest("1"), "another process");
    assert_eq!(alone, digest("2"), "two threads");
}

/// A runtime drops its tasks in an order that depends on a counter of the whole process, which
/// other threads advance as well. These plans crash hosts with many connections, and showed it.
#[test]
fn what_other_threads_spawn_does_not_show_in_the_digest() {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| spawn_until(&done));
        let _ends = Ends(&done);
        for seed in [162, 5_002] {
            let mut plan = Plan::draw(seed, Shape::default());
            network::fit(&mut plan);
            let first = network::run(&plan, None, true);
            for _ in 0..8 {
                let again = network::run(&plan, None, true);
                assert_eq!(first.story, again.story, "seed {seed}");
                assert_eq!(first.digest, again.digest, "seed {seed}");
            }
        }
    });
}

/// Ends the other thread, even if an assertion fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Spawns tasks that do nothing, now and then more of them.
fn spawn_until(done: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it has no parts");
    for round in 0_u32.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        for _ in 0..round % 7 {
            runtime.block_on(async { tokio::spawn(async {}).await.expect("it does nothing") });
        }
    }
}
