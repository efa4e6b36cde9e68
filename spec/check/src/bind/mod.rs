//! The specification bound to the running code, both ways.
//!
//! | file | what it is |
//! |---|---|
//! | `mapping` | the refinement mapping: what real rows and frames are in `Journal.tla` |
//! | `world`, `till`, `cloud`, `session`, `act` | real nodes, and what may happen to them |
//! | `journal` | the specification, asked for its steps |
//! | `drive`, `pairs` | specification to code: its behaviours drive the real roles |
//! | `traces`, `profile`, `log`, `validate` | code to specification: logs of runs are behaviours |

mod act;
mod cloud;
mod constants;
mod draws;
pub(crate) mod drive;
mod journal;
mod log;
mod mapping;
mod pairs;
mod profile;
mod rows;
mod session;
#[cfg(test)]
mod tampered;
mod till;
pub(crate) mod traces;
mod validate;
mod value;
mod world;
