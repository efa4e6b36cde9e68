//! The address of a database may hold a password: no command shows it, whatever is wrong.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::process::{Command, Output};

const SECRET: &str = "s3cret-of-the-store";

fn run(arguments: &[&str], environment: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_cloud-node"));
    program.args(arguments).env("COUNTERFOIL_STORE", environment).env("COUNTERFOIL_LOG", "trace");
    program.output().expect("the program starts")
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_store_that_cannot_be_reached_is_named_without_its_password() {
    // Nobody listens on port 1.
    let store = format!("postgres://till:{SECRET}@127.0.0.1:1/shop");
    for command in [&["check"][..], &["export"], &["serve", "--listen=127.0.0.1:0"]] {
        let given = [command, &["--store", &store]].concat();
        for output in [run(&given, ""), run(command, &store)] {
            let said = said(&output);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains("refused"), "{said}");
            assert!(!said.contains(SECRET), "{said}");
        }
    }
}

#[test]
fn what_names_no_store_is_not_repeated() {
    for store in [
        format!("postgress://till:{SECRET}@db/shop"),
        SECRET.to_owned(),
        format!("mysql://till:{SECRET}@db/shop"),
        format!("postgres://till:{SECRET}\n@db/shop"),
    ] {
        let output = run(&["check", "--store", &store], "");
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--store"), "{said}");
        assert!(!said.contains(&SECRET[..6]), "{said}");
    }
}

#[test]
fn help_does_not_show_what_stands_in_the_environment() {
    let store = format!("postgres://till:{SECRET}@db/shop");
    let said = said(&run(&["serve", "--help"], &store));
    assert!(said.contains("COUNTERFOIL_STORE"), "{said}");
    assert!(!said.contains(SECRET), "{said}");
}
