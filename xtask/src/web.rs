//! `cargo xtask web`: the till for browsers, as a directory that a cloud node serves.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use counterfoil_tests::{binaries, web};

/// Where to put it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Web {
    /// Write the files here; without it, below the target directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Builds it, and says where it is.
pub(crate) fn run(wish: &Web) -> anyhow::Result<bool> {
    let out = match &wish.out {
        Some(out) => out.clone(),
        None => binaries::target_directory()?.join("web").join("page"),
    };
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    web::build(&fs::canonicalize(&out)?)?;
    println!("{}", out.display());
    Ok(true)
}
