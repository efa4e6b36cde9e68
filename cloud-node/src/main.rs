//! `cloud-node`: serve tills, enrol them, check and export what they brought.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cloud-node: {error:#}");
            ExitCode::from(cli::FAILED)
        }
    }
}
