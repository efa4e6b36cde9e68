//! The specification bound to the running code, both ways.
//!
//! | file | what it is |
//! |---|---|
//! | [`mapping`] | the refinement mapping: what real rows and frames are in `Journal.tla` |
//! | `world`, `till`, `cloud`, `session`, `act` | real nodes, and what may happen to them |
//! | `journal` | the specification, asked for its steps |
//! | `log`, `validate`, `traces`, `profile` | code to specification: logs of runs are behaviours |

mod act;
mod cloud;
mod constants;
mod draws;
mod journal;
mod log;
mod mapping;
mod profile;
mod session;
mod till;
mod traces;
mod validate;
mod value;
mod world;

use std::path::Path;

pub(crate) fn try_out(spec: &Path, seeds: u64) -> anyhow::Result<()> {
    let mut journals = validate::Journals::new(spec);
    let mut all = validate::Valid::default();
    for profile in profile::all() {
        for seed in 0..seeds {
            let text = match traces::run(&profile, seed) {
                Ok(text) => text,
                Err(error) => { println!("{} {seed}: {error:#}", profile.name); continue }
            };
            let t = std::time::Instant::now();
            match journals.validate(&text)? {
                Ok(valid) => { println!("{} {seed}: {} steps {} bytes, {:?}", profile.name, valid.steps, text.len(), t.elapsed()); all.add(valid); }
                Err(rejected) => println!("{} {seed}: {rejected}", profile.name),
            }
        }
    }
    println!("{all:#?}");
    Ok(())
}
