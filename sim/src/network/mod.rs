//! placeholder, being written
use std::sync::Arc;
use crate::plan::Plan;
use crate::runner::Outcome;
use crate::sales::Sales;
/// Fits a plan.
pub fn fit(_plan: &mut Plan) {}
/// Runs a plan.
#[must_use]
pub fn run(_plan: &Plan, _sales: Option<&Arc<Sales>>, _keep_log: bool) -> Outcome { Outcome::default() }
