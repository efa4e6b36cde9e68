//! `cargo xtask fuzz`: each decoder of bytes from the network or from a file, driven by libFuzzer
//! for some seconds.
//!
//! The targets are in `fuzz/`, laid out as cargo-fuzz has it, and built here on the stable
//! toolchain with the flags that it would pass, so nothing has to be installed but a C++ compiler
//! for libFuzzer itself. What is found is kept in `fuzz/artifacts`, with the line that plays it
//! again; what is learnt in `fuzz/corpus`. Seeds are made anew each time ([`seeds`]).

mod look;
mod seeds;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use counterfoil_tests::binaries::{cargo, root};

use look::{Looked, look, replay};
use seeds::Kind;

/// What cargo-fuzz passes for a build without a sanitizer, and what `.cargo/config.toml` has, which
/// the variable takes the place of.
const FLAGS: [&str; 7] = [
    "--cfg tokio_unstable",
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// A target: its name, the longest input that is drawn, and what it begins with.
#[derive(Clone, Copy, Debug)]
struct Target {
    name: &'static str,
    length: u32,
    kind: Kind,
    needs: Needs,
}

/// What has to be built for a target: the later, the longer it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Needs {
    Protocol,
    Nodes,
    Simulator,
}

impl Needs {
    /// The feature of `fuzz/` that brings it.
    const fn feature(self) -> Option<&'static str> {
        match self {
            Self::Protocol => None,
            Self::Nodes => Some("nodes"),
            Self::Simulator => Some("simulator"),
        }
    }
}

const fn protocol(name: &'static str, length: u32, kind: Kind) -> Target {
    Target { name, length, kind, needs: Needs::Protocol }
}

const fn node(name: &'static str, length: u32, kind: Kind) -> Target {
    Target { name, length, kind, needs: Needs::Nodes }
}

/// Every target there is; a test holds it against the directory.
const TARGETS: [Target; 21] = [
    protocol("events", 4_096, Kind::Events),
    protocol("messages", 4_096, Kind::Frames),
    protocol("messages_json", 4_096, Kind::Json),
    protocol("catalog", 4_096, Kind::Frames),
    protocol("inbox", 4_096, Kind::Frames),
    protocol("sketch", 8_192, Kind::Frames),
    protocol("session", 4_096, Kind::Frames),
    protocol("till_rows", 4_096, Kind::Rows),
    protocol("cloud_rows", 4_096, Kind::Rows),
    protocol("texts", 1_024, Kind::Texts),
    node("push_json", 8_192, Kind::Json),
    node("contracts", 8_192, Kind::Contracts),
    node("products_csv", 8_192, Kind::Products),
    node("sales_csv", 8_192, Kind::Sales),
    node("backup", 8_192, Kind::Backup),
    node("parcel", 8_192, Kind::Parcels),
    Target { name: "bundle", length: 16_384, kind: Kind::Bundle, needs: Needs::Simulator },
    node("numbers", 128, Kind::Numbers),
    node("packed_body", 4_096, Kind::Packed),
    node("witness", 128, Kind::Texts),
    node("live", 8_192, Kind::Live),
];

/// What to look at, and for how long.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Fuzz {
    /// Only this target; may be given several times
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Only the targets of the protocol's own forms, which are built in a minute or two
    #[arg(long, conflicts_with = "target")]
    protocol: bool,
    /// How long to look at each target
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u32,
    /// Play this input again, instead of looking for others
    #[arg(long, value_name = "FILE", requires = "target")]
    replay: Option<PathBuf>,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Returns whether nothing was found.
pub(crate) fn run(wish: &Fuzz) -> anyhow::Result<bool> {
    let chosen = chosen(wish)?;
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if !Command::new(&compiler).arg("--version").output().is_ok_and(|ran| ran.status.success()) {
        println!("NOT RUN: libFuzzer needs a C++ compiler, and `{}` is none", compiler.display());
        return Ok(true);
    }
    let programs = build(&chosen)?;
    if let Some(input) = &wish.replay {
        let input = std::path::absolute(input)?;
        let passed = chosen.iter().map(|target| replay(&programs, target, &input));
        return passed.collect::<Result<Vec<_>, _>>().map(|passed| passed.into_iter().all(|ok| ok));
    }
    let mut looked = Vec::new();
    for target in &chosen {
        if !wish.json {
            eprintln!("{} for {} s", target.name, wish.seconds);
        }
        looked.push(look(&programs, target, wish.seconds)?);
    }
    if wish.json {
        println!("{}", serde_json::to_string(&looked)?);
    } else {
        println!("{}", look::table(&looked));
    }
    for found in looked.iter().filter(|looked| looked.found.is_some()) {
        eprintln!("{}\nplay it again: {}", found.said, found.again());
    }
    Ok(looked.iter().all(|looked: &Looked| looked.found.is_none()))
}

fn chosen(wish: &Fuzz) -> anyhow::Result<Vec<Target>> {
    if let Some(unknown) =
        wish.target.iter().find(|name| TARGETS.iter().all(|target| target.name != name.as_str()))
    {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        bail!("there is no target {unknown}; there are {}", names.join(", "));
    }
    let named = |target: &&Target| {
        let all = wish.target.is_empty() && (!wish.protocol || target.needs == Needs::Protocol);
        all || wish.target.iter().any(|name| name == target.name)
    };
    Ok(TARGETS.iter().filter(named).copied().collect())
}

/// Builds the targets, and returns the directory of their programs.
fn build(chosen: &[Target]) -> anyhow::Result<PathBuf> {
    let host = host()?;
    let directory = root().join("target/fuzz");
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--manifest-path"]);
    build.arg(root().join("fuzz/Cargo.toml")).arg("--target-dir").arg(&directory);
    // Named, so that build scripts and macros are built without these flags.
    build.args(["--target", &host]);
    build.arg("--no-default-features");
    let most = chosen.iter().map(|target| target.needs).max();
    if let Some(feature) = most.and_then(Needs::feature) {
        build.args(["--features", feature]);
    }
    for target in chosen {
        build.args(["--bin", target.name]);
    }
    build.env("RUSTFLAGS", FLAGS.join(" ")).env_remove("CARGO_ENCODED_RUSTFLAGS");
    let built = build.status().context("cargo cannot be started")?;
    ensure!(built.success(), "the targets cannot be built");
    Ok(directory.join(host).join("release"))
}

fn host() -> anyhow::Result<String> {
    let told = Command::new("rustc").arg("-vV").output().context("rustc cannot be started")?;
    let told = String::from_utf8(told.stdout)?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say what it builds for")?.to_owned())
}

/// Where things of the targets are kept.
fn place(what: &str, target: &Target) -> anyhow::Result<PathBuf> {
    let place = root().join(what).join(target.name);
    std::fs::create_dir_all(&place)?;
    Ok(place)
}

/// The name of a file of this project, from its root.
fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_target_in_the_directory_is_run_and_named_in_the_manifest() {
        let listed = std::fs::read_dir(root().join("fuzz/fuzz_targets")).expect("targets");
        let files = listed.map(|entry| entry.expect("an entry").path());
        let files: BTreeSet<String> = files
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        let ours: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
        assert_eq!(files, ours);
        let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = manifest.parse().expect("TOML");
        let programs = manifest["bin"].as_array().expect("programs").iter();
        for program in programs.clone() {
            let name = program["name"].as_str().expect("a name");
            let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
            let features = program.get("required-features").and_then(|list| list.as_array());
            let feature = features.and_then(|list| list[0].as_str());
            assert_eq!(feature, target.needs.feature(), "{name}");
        }
        assert_eq!(programs.count(), TARGETS.len());
    }

    #[test]
    fn each_target_begins_with_something() {
        for target in TARGETS {
            let seeds = seeds::of(target.kind).expect("the seeds are made");
            assert!(seeds.len() > 2, "{} has {} seeds", target.name, seeds.len());
        }
    }
}
