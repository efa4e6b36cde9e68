//! The `sim` program: run many seeds, or replay one.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
