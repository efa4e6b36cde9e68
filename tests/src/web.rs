//! The till for browsers: compiled to wasm, bound to JavaScript, with its page beside it.
//!
//! `terminal-web` is a workspace of its own, so that nothing else is built with what it needs. Its
//! target may have to be fetched once: where there is `rustup`, that is done here.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::binaries::{cargo, root, target_directory};

const TARGET: &str = "wasm32-unknown-unknown";
/// The compiled till, in its target directory.
const COMPILED: &str = "counterfoil_web.wasm";

/// Makes sure that the compiler knows the target.
///
/// # Errors
/// If it does not, and `rustup` cannot fetch it.
pub fn target() -> anyhow::Result<()> {
    // Where there is no rustup, the distribution may have brought the target.
    let _added = Command::new("rustup").args(["target", "add", TARGET]).output();
    let told = Command::new("rustc").args(["--print=target-libdir", "--target", TARGET]).output();
    let told = told.context("rustc cannot be started")?;
    let libraries = Path::new(std::str::from_utf8(&told.stdout)?.trim()).to_owned();
    let known = told.status.success() && libraries.is_dir();
    ensure!(known, "the compiler has no target {TARGET}: `rustup target add {TARGET}`");
    Ok(())
}

/// Builds the till for browsers, and writes what is to be served into a directory.
///
/// # Errors
/// With what cargo said, if it fails: mostly that the target cannot be had.
pub fn build(out: &Path) -> anyhow::Result<()> {
    target()?;
    let directory = target_directory()?.join("web");
    compile(&directory, &["--lib", "--target", TARGET])?;
    compile(&directory, &["--package=counterfoil-web-bind"])?;
    let compiled = directory.join(TARGET).join("release").join(COMPILED);
    let binder = directory.join("release").join("counterfoil-web-bind");
    let mut binder = Command::new(binder.with_extension(std::env::consts::EXE_EXTENSION));
    binder.arg(&compiled).arg(root().join("terminal-web/page")).arg(out);
    let bound = binder.output().context("the binder cannot be started")?;
    ensure!(bound.status.success(), "{}", String::from_utf8_lossy(&bound.stderr));
    Ok(())
}

fn compile(directory: &Path, what: &[&str]) -> anyhow::Result<()> {
    let mut cargo = cargo();
    cargo.args(["build", "--release", "--locked", "--manifest-path"]);
    cargo.arg(root().join("terminal-web/Cargo.toml")).args(what);
    cargo.arg("--target-dir").arg(directory);
    let built = cargo.output().context("cargo cannot be started")?;
    let said = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "the till for browsers cannot be built:\n{said}");
    Ok(())
}
