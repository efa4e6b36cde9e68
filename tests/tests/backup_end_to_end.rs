//! A database that nodes serve from is copied as of one moment, and comes back in any engine.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

use counterfoil_tests::binaries::{self, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::postgres::Cluster;

fn run(program: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn on_postgres_a_backup_is_taken_while_a_node_serves_and_comes_back_anywhere() {
    let programs = binaries::build(Profile::Test).unwrap();
    let cluster = Cluster::start().unwrap();
    let (old, new) = (cluster.database().unwrap(), cluster.database().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let cloud = programs.cloud.as_path();
    let done = |arguments: &[&str]| {
        let (code, said) = run(cloud, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    };
    let enrol = ["enroll", "--shop", "s", "--branch", "b", "--terminal", "T", "--store", &old];
    done(&enrol);
    let mut node = Cloud::new(&programs.cloud, old.clone(), directory.path().join("log"));
    node.start("127.0.0.1:0").await.unwrap();
    let kept = directory.path().join("kept").display().to_string();
    done(&["backup", "--store", &old, &kept]);
    node.stop().await.unwrap();

    let redb = format!("redb:{}", directory.path().join("new").display());
    for store in [redb.as_str(), new.as_str()] {
        done(&["restore", "--store", store, &kept]);
        done(&["check", "--store", store]);
        done(&["revoke", "--store", store, "--terminal", "T"]);
        let (code, said) = run(cloud, &["restore", "--store", store, &kept]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("is there already"), "{said}");
    }
}
