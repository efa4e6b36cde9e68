//! A command that looks at a store, or changes what is in it, makes none: a mistyped place is told.

use std::path::Path;
use std::process::{Command, Output};

use counterfoil_protocol::cloud::{Cloud, Key};
use counterfoil_protocol::persist::Persist as _;
use counterfoil_storage::{Batch, Engine as _, Location};

fn run(store: &str, command: &[&str]) -> Output {
    let (name, rest) = command.split_first().expect("a command");
    let mut program = Command::new(env!("CARGO_BIN_EXE_cloud-node"));
    program.args([name, "--store", store]).args(rest).env_remove("RUST_LOG");
    program.output().expect("the program runs")
}

const ENROLL: &[&str] = &["enroll", "--shop", "s", "--branch", "b", "--terminal", "T-1"];

/// The commands that need a store that is there.
const OTHERS: &[&[&str]] = &[
    &["check"],
    &["export"],
    &["export", "--figures"],
    &["revoke", "--terminal", "T-1"],
    &["product", "--shop", "s", "--product", "tea"],
];

fn refused(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(words), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing is reported");
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).expect("a directory").next().is_none()
}

#[test]
fn a_mistyped_store_is_told_and_not_made() {
    for engine in ["sled", "redb"] {
        let directory = tempfile::tempdir().expect("a directory");
        let store = format!("{engine}:{}", directory.path().join("claud").display());
        for command in OTHERS {
            refused(&run(&store, command), &format!("there is no store at {store}"));
            assert!(is_empty(directory.path()), "{command:?} makes nothing in {engine}");
        }
    }
    // A directory that is there, but is no store.
    let directory = tempfile::tempdir().expect("a directory");
    let store = format!("sled:{}", directory.path().display());
    for command in OTHERS {
        refused(&run(&store, command), &format!("there is no store at {store}"));
        assert!(is_empty(directory.path()), "{command:?} makes nothing");
    }
}

#[test]
fn what_enroll_has_made_is_there_for_the_others() {
    for engine in ["sled", "redb"] {
        let directory = tempfile::tempdir().expect("a directory");
        let store = format!("{engine}:{}", directory.path().join("cloud").display());
        for command in [ENROLL].iter().chain(OTHERS) {
            let output = run(&store, command);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{command:?} on {engine}: {said}");
        }
    }
}

#[test]
fn no_command_works_on_what_ends_with_it() {
    refused(&run("memory:", ENROLL), "memory: ends with this command");
    for command in OTHERS {
        refused(&run("memory:", command), "memory: begins empty");
    }
}

#[test]
fn a_check_reads_every_row() {
    for engine in ["sled", "redb"] {
        let directory = tempfile::tempdir().expect("a directory");
        let store = format!("{engine}:{}", directory.path().join("cloud").display());
        for command in [ENROLL, &["product", "--shop", "s", "--product", "tea"], &["check"]] {
            assert_eq!(run(&store, command).status.code(), Some(0), "{command:?} on {engine}");
        }
        let mut key = Vec::new();
        let product = Key::Product("s".parse().expect("a name"), "tea".parse().expect("a name"));
        Cloud::key_bytes(&product, &mut key);
        let location: Location = store.parse().expect("a location");
        let mut damaged = Batch::new();
        damaged.put_with(
            |out| out.extend_from_slice(&key),
            |out, _| out.extend_from_slice(b"not what was written"),
        );
        location.open_existing().expect("a store").commit(&damaged).expect("a commit");
        refused(&run(&store, &["check"]), "the store is damaged at 09");
    }
}
