//! `cargo xtask web`: the till for browsers, as a directory that a cloud node serves.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use counterfoil_tests::web;

/// What to do with it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Web {
    /// Copy the files here; without it they stay where they were built
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Builds it, and says where it is.
pub(crate) fn run(wish: &Web) -> anyhow::Result<bool> {
    let built = web::build()?;
    let Some(out) = &wish.out else {
        println!("{}", built.display());
        return Ok(true);
    };
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    for entry in fs::read_dir(&built)? {
        let entry = entry?;
        fs::copy(entry.path(), out.join(entry.file_name()))?;
    }
    println!("{}", out.display());
    Ok(true)
}
