//! The `sim` program.
use counterfoil_sim::model;
use counterfoil_sim::plan::{Plan, Shape};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let from: u64 = args.get(1).map_or(0, |a| a.parse().unwrap_or(0));
    let n: u64 = args.get(2).map_or(100, |a| a.parse().unwrap_or(100));
    let start = std::time::Instant::now();
    let mut cov = counterfoil_sim::coverage::Coverage::default();
    let mut bad = 0;
    let mut sim = 0;
    let mut events = 0;
    for seed in from..from + n {
        let plan = Plan::draw(seed, Shape::default());
        let out = model::run(&plan, n == 1);
        cov.add(&out.coverage);
        sim += out.sim_ms;
        events += out.events;
        if let Some(v) = &out.violation {
            bad += 1;
            if bad <= 5 || n == 1 {
                println!("seed {seed}: {v}");
            }
            for l in &out.log {
                println!("{l}");
            }
        }
    }
    let s = start.elapsed().as_millis() as u64;
    println!(
        "bad {bad} of {n}; {} ms; sim {} ms; x{}; transitions {} = {}/s; events {events}",
        s,
        sim,
        sim / s.max(1),
        cov.total_transitions(),
        cov.total_transitions() * 1000 / s.max(1)
    );
    if n > 1 {
        println!("{:#?}\n{:#?}", cov.faults(), cov.transitions());
    }
}
