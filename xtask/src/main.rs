//! Developer commands: what anyone who works on this project repeats.
//!
//! | command | question it answers |
//! |---|---|
//! | `test` | do all tests pass, and which were they? |
//! | `audit` | which requirement is shown by which test, and did that test run? |
//! | `demo` | do real processes keep every sale while they are killed and cut off? |
//! | `zoo` | does the simulator find each wrong protocol that we know? |
//! | `schemathesis` | does a node answer anything that its `/openapi.json` does not tell of? |
//! | `coverage` | which branches of the protocol does nothing take, and why? |
//! | `fuzz` | does any input break a decoder, or what it promises? |
//! | `conformance` | does a cloud of somebody's own keep the protocol? |
//! | `web` | where is the till that a browser loads? |
//! | `spec` | does the formal specification hold, and do its mistakes show? |
//! | `bench` | how near is it to what the machine can do? |
#![forbid(unsafe_code)]

mod audit;
mod bench;
mod conformance;
mod coverage;
mod demo;
mod fuzz;
mod record;
mod schemathesis;
mod spec;
mod web;
mod zoo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of Counterfoil.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole suite, and keep a record of what passed
    Test(record::Test),
    /// Print which tests show which requirement; fails where a claim has none that ran
    Audit(audit::Audit),
    /// Sell with real processes that are killed and cut off, then compare both sides to the cent
    Demo(demo::Demo),
    /// Break the protocol on purpose, in each way that we know, and see it found
    Zoo(zoo::Zoo),
    /// Draw requests from a node's own /openapi.json, and look for answers that it does not tell of
    Schemathesis(schemathesis::Schemathesis),
    /// Say which branches of the protocol no test takes, and why
    Coverage(coverage::Coverage),
    /// Drive each decoder with inputs that nobody would send, by libFuzzer
    Fuzz(fuzz::Fuzz),
    /// Hold a cloud of somebody's own against the protocol, or print its test vectors
    Conformance(conformance::Conformance),
    /// Build the till for browsers: the directory for `cloud-node serve --till-page`
    Web(web::Web),
    /// Check the formal specification, by two checkers
    Spec(spec::Spec),
    /// Measure, beside the limit of this machine
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test(test) => record::test(&test),
        Command::Audit(audit) => audit::run(&audit),
        Command::Demo(demo) => demo::run(demo),
        Command::Zoo(zoo) => zoo::run(&zoo),
        Command::Schemathesis(wish) => schemathesis::run(&wish),
        Command::Coverage(coverage) => coverage::run(&coverage),
        Command::Fuzz(wish) => fuzz::run(&wish),
        Command::Conformance(wish) => conformance::run(&wish),
        Command::Web(wish) => web::run(&wish),
        Command::Spec(spec) => spec::run(&spec),
        Command::Bench(bench) => bench::run(&bench),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
