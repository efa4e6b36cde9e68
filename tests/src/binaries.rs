//! The programs under test: built through cargo, so that they are never out of date.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// How the programs are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// As the tests are: with them nothing is compiled twice.
    Test,
    /// As they are deployed.
    Release,
}

/// Where the programs lie.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The cloud's.
    pub cloud: PathBuf,
    /// The till's.
    pub terminal: PathBuf,
}

impl Binaries {
    /// Returns where the simulator lies: with the tests it is built too.
    #[must_use]
    pub fn simulator(&self) -> PathBuf {
        self.cloud.with_file_name("sim").with_extension(std::env::consts::EXE_EXTENSION)
    }
}

/// Returns the root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// What cargo tells a program of the package that it runs it for.
const OF_A_PACKAGE: [&str; 4] = ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_CRATE_", "CARGO_BIN_"];

/// Returns a cargo that works in this workspace and asks the network for nothing new.
///
/// It is not told for which package it was started: build scripts run again when that changes, and
/// what rests on them would be compiled anew for each test.
#[must_use]
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(program);
    cargo.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if OF_A_PACKAGE.iter().any(|package| text.starts_with(package)) {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// Builds both programs.
///
/// # Errors
/// With what cargo said, if it fails.
pub fn build(profile: Profile) -> anyhow::Result<Binaries> {
    let mut cargo = cargo();
    match profile {
        // With the features that `cargo test` has unified: another set would compile all again.
        Profile::Test => {
            cargo.args(["test", "--workspace", "--exclude", "spec-check", "--no-run", "--locked"])
        }
        Profile::Release => cargo.args([
            "build",
            "--release",
            "--locked",
            "--package=counterfoil-cloud",
            "--package=counterfoil-terminal",
        ]),
    };
    let built = cargo.output().context("cargo cannot be started")?;
    ensure!(
        built.status.success(),
        "the programs cannot be built:\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let directory = target_directory()?.join(match profile {
        Profile::Test => "debug",
        Profile::Release => "release",
    });
    let program = |name: &str| directory.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    let found = Binaries { cloud: program("cloud-node"), terminal: program("terminal-node") };
    for path in [&found.cloud, &found.terminal] {
        ensure!(path.is_file(), "{} was not built", path.display());
    }
    Ok(found)
}

/// Builds the simulator as it is run, and returns where it lies.
///
/// # Errors
/// With what cargo said, if it fails.
pub fn build_simulator() -> anyhow::Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args(["build", "--release", "--locked", "--package=counterfoil-sim"]);
    let built = cargo.output().context("cargo cannot be started")?;
    ensure!(
        built.status.success(),
        "the simulator cannot be built:\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let program = target_directory()?.join("release").join("sim");
    let program = program.with_extension(std::env::consts::EXE_EXTENSION);
    ensure!(program.is_file(), "{} was not built", program.display());
    Ok(program)
}

/// Returns where cargo puts what it builds.
///
/// # Errors
/// If cargo does not tell.
pub fn target_directory() -> anyhow::Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args(["metadata", "--format-version=1", "--no-deps", "--locked", "--offline"]);
    let told = cargo.output().context("cargo cannot be started")?;
    ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&told.stdout)?;
    let directory = metadata["target_directory"].as_str();
    directory.map(PathBuf::from).context("cargo names no target directory")
}
