//! Making a failing plan small: the least that still breaks the same law.

use std::sync::Arc;

use crate::law::Law;
use crate::plan::{DiskPlan, LinkPlan, Plan};
use crate::runner::{Level, run_plan};
use crate::sales::Sales;

/// The most runs that are spent on one plan.
const RUNS_MAX: usize = 400;

/// Returns the smallest plan found that breaks `law` as `plan` does, and the runs it took.
///
/// Every draw comes from a stream of its own, so leaving a fault out shifts no other.
#[must_use]
pub fn shrink(level: Level, plan: &Plan, law: Law, sales: Option<&Arc<Sales>>) -> (Plan, usize) {
    shrink_by(plan, |candidate| {
        let outcome = run_plan(level, candidate, sales, false);
        outcome.violation.is_some_and(|violation| violation.law == law)
    })
}

/// Returns the smallest plan found that still `breaks`, and the runs it took.
pub fn shrink_by(plan: &Plan, mut breaks: impl FnMut(&Plan) -> bool) -> (Plan, usize) {
    let mut best = plan.clone();
    let mut runs = 0;
    loop {
        let mut smaller = false;
        for candidate in candidates(&best) {
            if runs == RUNS_MAX {
                return (best, runs);
            }
            runs += 1;
            if breaks(&candidate) {
                best = candidate;
                smaller = true;
                break;
            }
        }
        if !smaller {
            return (best, runs);
        }
    }
}

/// Returns plans that are a step smaller, the largest steps first.
fn candidates(plan: &Plan) -> Vec<Plan> {
    let mut all = Vec::new();
    let mut push = |change: &dyn Fn(&mut Plan)| {
        let mut candidate = plan.clone();
        change(&mut candidate);
        if candidate != *plan {
            all.push(candidate);
        }
    };
    let half = plan.faults.len() / 2;
    if half > 0 {
        push(&|plan| drop(plan.faults.drain(..half)));
        push(&|plan| plan.faults.truncate(half));
    }
    let calm = LinkPlan { latency_us: 1_000, ..LinkPlan::default() };
    push(&|plan| plan.link = calm);
    push(&|plan| plan.disk = DiskPlan { lies: plan.disk.lies, ..DiskPlan::default() });
    push(&|plan| plan.disk.lies = false);
    push(&|plan| plan.crash_ppm = 0);
    push(&|plan| plan.storage_error_ppm = 0);
    push(&|plan| plan.park_unknown = false);
    push(&|plan| plan.till_edit_every_ms = 0);
    push(&|plan| plan.verify_every_ms = 0);
    push(&|plan| plan.compact_every_ms = 0);
    push(&|plan| plan.correct_every_ms = 0);
    push(&|plan| plan.archive_every_ms = 0);
    push(&|plan| {
        (plan.catalog_edit_every_ms, plan.till_edit_every_ms, plan.verify_every_ms) = (0, 0, 0);
    });
    push(&|plan| plan.session_every_ms = 0);
    push(&|plan| plan.order_every_ms = 0);
    push(&|plan| plan.relay = false);
    push(&|plan| plan.tills = (plan.tills / 2).max(1));
    push(&|plan| plan.tills = (plan.tills - 1).max(1));
    push(&|plan| plan.branches = 1);
    push(&|plan| plan.chaos_ms = (plan.chaos_ms / 2).max(1_000));
    for index in 0..plan.faults.len() {
        push(&|plan| {
            plan.faults.remove(index);
        });
    }
    let rates: [fn(&mut LinkPlan) -> &mut u32; 8] = [
        |link| &mut link.loss_ppm,
        |link| &mut link.answer_loss_ppm,
        |link| &mut link.reset_ppm,
        |link| &mut link.duplicate_ppm,
        |link| &mut link.rate_limit_ppm,
        |link| &mut link.server_error_ppm,
        |link| &mut link.slow_ppm,
        |link| &mut link.proxy_bytes_max,
    ];
    for rate in rates {
        push(&|plan| *rate(&mut plan.link) = 0);
    }
    push(&|plan| plan.disk.read_error_ppm = 0);
    push(&|plan| plan.disk.full_ppm = 0);
    push(&|plan| plan.disk.slow_ppm = 0);
    push(&|plan| plan.link.jitter_us = 0);
    push(&|plan| plan.sale_every_ms = (plan.sale_every_ms * 2).min(60_000));
    all
}
