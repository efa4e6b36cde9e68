//! sled's commits reach the disk by fsync, and a store that cannot promise it does not open.
//!
//! These tests watch real children with strace. Without strace they say so, loudly, and fail if
//! the environment says REQUIRE_STRACE=1.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

mod support;

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio};

use counterfoil_storage::{Batch, Engine as _, Sled};
use support::child;

const COMMITS: u64 = 200;
const SIGABRT: i32 = 6;

/// Not a test by itself: the process that is watched.
#[test]
fn child() {
    child::obey();
}

#[test]
fn every_commit_is_synced_and_no_sync_file_range_passes() {
    let Some(watched) = strace(&["-c", "-e", "trace=fsync,fdatasync,sync_file_range"]) else {
        return;
    };
    assert!(watched.output.status.success(), "{watched:?}");
    let (fsync, _) = watched.calls("fsync");
    let (fdatasync, _) = watched.calls("fdatasync");
    let (ranges, refused) = watched.calls("sync_file_range");
    println!("{COMMITS} commits: {fsync} fsync, {fdatasync} fdatasync, {refused} refused ranges");
    assert!(fdatasync >= COMMITS, "our own sync: {fdatasync}");
    assert!(fsync >= COMMITS, "sled's own sync: {fsync}");
    assert!(ranges >= COMMITS, "sled no longer asks for ranges: {ranges}");
    assert_eq!(refused, ranges, "a range was synced without the disk");
}

#[test]
fn a_failed_sync_ends_the_process_and_nothing_is_acknowledged_after_it() {
    // strace counts the calls of each thread by itself, so this is not the n-th commit
    for (call, when) in [("fsync", 20), ("fsync", 21), ("fdatasync", 40)] {
        let trace = format!("trace={call},write");
        let inject = format!("inject={call}:error=EIO:when={when}+");
        let Some(watched) = strace(&["-s", "200", "-e", &trace, "-e", &inject]) else { return };
        let why = String::from_utf8_lossy(&watched.output.stderr);
        let lines: Vec<&str> = watched.trace.lines().collect();
        let failed = lines.iter().position(|line| line.contains("(INJECTED)")).expect("injected");
        let acks = |lines: &[&str]| lines.iter().filter(|line| line.contains("acked ")).count();
        assert!(acks(&lines[..failed]) > 0, "{call}: it failed before any commit");
        assert_eq!(acks(&lines[failed..]), 0, "{call}: acknowledged in spite of it");
        assert!(why.contains("the process ends"), "{call}: {why}");
        // strace ends as its child did
        let signal = watched.output.status.signal();
        assert_eq!(signal, Some(SIGABRT), "{call}: {:?}\n{why}", watched.output.status);
    }
}

#[test]
fn a_kernel_that_refuses_the_filter_is_refused() {
    let inject = ["-e", "trace=seccomp", "-e", "inject=seccomp:error=EPERM"];
    let Some(Watched { output, .. }) = strace(&inject) else {
        return;
    };
    let why = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{why}");
    assert!(!said.contains("acked"), "{said}");
    assert!(why.contains("Unsupported") && why.contains("redb:PATH"), "{why}");
}

#[test]
fn the_filter_is_on_every_thread_once() {
    let directory = tempfile::tempdir().unwrap();
    let idle = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            idle.wait(); // a thread from before
            idle.wait();
        });
        idle.wait();
        for name in ["a", "b", "a"] {
            let mut engine = Sled::open(&directory.path().join(name)).unwrap();
            engine.commit(&Batch::from([(vec![1], Some(vec![2]))])).unwrap();
        }
        let counts: Vec<(String, String)> = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| {
                let status = std::fs::read_to_string(task.unwrap().path().join("status")).ok()?;
                let field = |name: &str| {
                    status
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .unwrap()
                        .trim()
                        .to_owned()
                };
                Some((field("Seccomp:"), field("Seccomp_filters:")))
            })
            .collect();
        assert!(counts.len() >= 3, "{counts:?}");
        assert!(counts.iter().all(|count| count.0 == "2"), "{counts:?}");
        assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
        idle.wait();
    });
}

/// Runs the child under strace, or says that it cannot.
fn strace(options: &[&str]) -> Option<Watched> {
    let probe = Command::new("strace")
        .args(["-qq", "-e", "trace=none", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        assert_ne!(
            std::env::var("REQUIRE_STRACE").as_deref(),
            Ok("1"),
            "strace is required and does not work here"
        );
        eprintln!("SKIPPED, SKIPPED: strace does not work here; sled's syncs were NOT watched");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let orders = format!("sled {} 1 {COMMITS}", directory.path().join("store").display());
    let trace = directory.path().join("trace");
    let mut program = vec!["strace", "-f", "-o", trace.to_str().unwrap()];
    program.extend(options);
    let output = child::command(&program, &orders).output().unwrap();
    Some(Watched { output, trace: std::fs::read_to_string(trace).unwrap() })
}

/// What the child did, and what strace saw of it.
#[derive(Debug)]
struct Watched {
    output: Output,
    trace: String,
}

impl Watched {
    /// Returns how often the call was made, and how often it failed, by strace's summary.
    fn calls(&self, call: &str) -> (u64, u64) {
        let line = self.trace.lines().find(|line| line.split(' ').next_back() == Some(call));
        let Some(line) = line else { return (0, 0) };
        // time, seconds, usecs per call, calls, errors if there were any, the call
        let fields: Vec<&str> = line.split_whitespace().collect();
        let errors = if fields.len() == 6 { fields[4].parse().unwrap() } else { 0 };
        (fields[3].parse().unwrap(), errors)
    }
}
