//! A whole store goes into one file and comes back, on either engine; what is not whole makes
//! nothing.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use counterfoil_cloud::backup::{BackupError, back_up, restore};
use counterfoil_cloud::node::Local;
use counterfoil_protocol::cloud::Input;
use counterfoil_protocol::cloud::{Key, Record};
use counterfoil_storage::Location;
use proptest::prelude::*;

fn store(engine: &str, directory: &Path, name: &str) -> Location {
    format!("{engine}:{}", directory.join(name).display()).parse().unwrap()
}

/// Products enough for more than a page.
fn fill(location: &Location, products: usize) -> Vec<(Key, Record)> {
    let mut local = Local::open(location).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for number in 0..products {
        let product = format!("p-{number:05}").parse().unwrap();
        let input = Input::DefineProduct { shop: "s".parse().unwrap(), product };
        runtime.block_on(local.ask(input)).unwrap();
    }
    local.reads().scan_all(usize::MAX).unwrap()
}

fn rows(location: &Location) -> Vec<(Key, Record)> {
    Local::open_existing(location).unwrap().reads().scan_all(usize::MAX).unwrap()
}

fn is_empty_but_for(directory: &Path, names: &[&str]) -> bool {
    let there = fs::read_dir(directory).unwrap();
    there
        .map(|entry| entry.unwrap().file_name())
        .all(|name| names.iter().any(|known| name == *known))
}

#[test]
fn every_row_comes_back_on_either_engine() {
    for (from, to) in [("sled", "redb"), ("redb", "sled")] {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (store(from, directory.path(), "old"), store(to, directory.path(), "new"));
        let held = fill(&old, if from == "redb" { 300 } else { 20 });
        let file = directory.path().join("backup");
        let copied = back_up(&Local::open_existing(&old).unwrap().reads(), &file).unwrap();
        assert_eq!(copied.rows, held.len() as u64);
        assert_eq!(copied.bytes, fs::metadata(&file).unwrap().len());
        assert_eq!(restore(&file, &new).unwrap(), copied);
        assert_eq!(rows(&new), held);
        // Neither writes over what is there.
        let again = restore(&file, &new);
        assert!(matches!(again, Err(BackupError::Exists(_))), "{again:?}");
        let again = back_up(&Local::open_existing(&old).unwrap().reads(), &file);
        assert!(matches!(again, Err(BackupError::Exists(_))), "{again:?}");
        assert!(is_empty_but_for(directory.path(), &["old", "new", "backup"]));
    }
}

#[test]
fn a_restore_that_was_cut_off_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) =
        (store("redb", directory.path(), "old"), store("redb", directory.path(), "new"));
    let held = fill(&old, 10);
    let file = directory.path().join("backup");
    back_up(&Local::open_existing(&old).unwrap().reads(), &file).unwrap();
    // What an earlier restore has left when the power failed.
    fs::write(directory.path().join("new.restoring"), b"half").unwrap();
    restore(&file, &new).unwrap();
    assert_eq!(rows(&new), held);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any byte that is another, or missing, or too much.
    #[test]
    fn what_is_not_whole_makes_no_store(
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
        kind in 0..3_u8,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let old = store("redb", directory.path(), "old");
        fill(&old, 3);
        let file = directory.path().join("backup");
        back_up(&Local::open_existing(&old).unwrap().reads(), &file).unwrap();
        let mut bytes = fs::read(&file).unwrap();
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] ^= flip,
            1 => bytes.truncate(at),
            _ => bytes.push(flip),
        }
        fs::write(&file, bytes).unwrap();
        let refused = restore(&file, &store("redb", directory.path(), "new"));
        prop_assert!(matches!(refused, Err(BackupError::Broken { .. })), "{refused:?}");
        prop_assert!(is_empty_but_for(directory.path(), &["old", "backup"]));
    }
}

#[test]
fn the_commands_do_it() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| -> Output {
        Command::new(env!("CARGO_BIN_EXE_cloud-node"))
            .args(arguments)
            .current_dir(directory.path())
            .output()
            .unwrap()
    };
    let done = |arguments: &[&str], code: i32| {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        (String::from_utf8(output.stdout).unwrap(), said)
    };
    let enrol = ["enroll", "--store", "sled:a", "--shop", "s", "--branch", "b", "--terminal", "T"];
    done(&enrol, 0);
    let (told, _) = done(&["--json", "backup", "--store", "sled:a", "kept"], 0);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(told["rows"].as_u64() > Some(0), "{told}");
    done(&["restore", "--store", "redb:b", "kept"], 0);
    done(&["check", "--store", "redb:b"], 0);
    // The credential that was given is known there.
    let again = ["revoke", "--store", "redb:b", "--terminal", "T"];
    done(&again, 0);
    let (_, said) = done(&["restore", "--store", "redb:b", "kept"], 1);
    assert!(said.contains("is there already"), "{said}");
    let (_, said) = done(&["restore", "--store", "memory:", "kept"], 1);
    assert!(said.contains("name sled:PATH or redb:PATH"), "{said}");
    let (_, said) = done(&["restore", "--store", "redb:c", "b"], 1);
    assert!(said.contains("is no whole backup"), "{said}");
}
