//! What can be seen of a till from outside its database: the disk, the witness, the credential.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use counterfoil_protocol::terminal::migrate::SCHEMA_VERSION;
use counterfoil_protocol::wire::message::WIRE_VERSION;

use super::Finding;
use crate::config::{Config, Home};
use crate::sync::APP;
use crate::witness::{Found, Keeper as _, write_atomically};

/// Below so many KiB of free space a till will soon stop.
const FREE_FAIL_KIB: u64 = 32 * 1024;
/// Below so many it should be seen to.
const FREE_WARN_KIB: u64 = 512 * 1024;
/// A checkout waits for the disk; one that takes longer than this is felt.
const SYNC_WARN: Duration = Duration::from_millis(500);
const PROBE: &str = "doctor-probe";

/// Looks at everything around the database.
#[must_use]
pub fn look(home: &Home, config: &Config) -> Vec<Finding> {
    vec![
        versions(),
        writable(home.path()),
        space(home.path()),
        files(home, config),
        witness(home, config),
        token(home),
    ]
}

fn versions() -> Finding {
    let found = format!("{APP}, tables of version {SCHEMA_VERSION}, messages of {WIRE_VERSION}");
    Finding::ok("program", found)
}

fn writable(directory: &Path) -> Finding {
    let begun = Instant::now();
    let probe = directory.join(PROBE);
    let written = write_atomically(&probe, b"counterfoil\n", 0o600);
    let took = begun.elapsed();
    let _not_there = fs::remove_file(&probe);
    match written {
        Err(error) => Finding::fail(
            "disk",
            format!("{}: {error}", directory.display()),
            "nothing can be written beside the database, so nothing can be sold",
            "free space, make the disk writable again, or give the directory to the till's user",
        ),
        Ok(()) if took > SYNC_WARN => Finding::warn(
            "disk",
            format!("a small file took {} ms to become durable", took.as_millis()),
            "every checkout waits for the disk about so long",
            "see what else writes to it, or whether it is failing",
        ),
        Ok(()) => Finding::ok("disk", format!("writes and syncs, {} ms", took.as_millis())),
    }
}

fn space(directory: &Path) -> Finding {
    let Some(free) = free_kib(directory) else {
        return Finding::warn(
            "free space",
            "not known",
            "this system has no `df` that could be asked",
            "look at the disk by other means",
        );
    };
    let found = format!("{} MiB", free / 1024);
    let means = "a full disk stops selling; nothing that was sold is lost by that";
    let next = "free space on the disk that the till's directory is on";
    match free {
        0..FREE_FAIL_KIB => Finding::fail("free space", found, means, next),
        FREE_FAIL_KIB..FREE_WARN_KIB => Finding::warn("free space", found, means, next),
        _ => Finding::ok("free space", found),
    }
}

/// Tells the sizes of the database and its archive; whether it is the right archive is found out
/// by whoever opens them.
fn files(home: &Home, config: &Config) -> Finding {
    let size = |path: &Path| fs::metadata(path).map(|file| file.len());
    let kib = |bytes: u64| bytes.div_ceil(1024);
    let told = size(&home.database()).map_or_else(
        |error| format!("the database: {error}"),
        |bytes| format!("the database has {} KiB", kib(bytes)),
    );
    let archive = match size(&home.archive()) {
        Ok(bytes) => format!("its archive {} KiB", kib(bytes)),
        Err(_) => "no archive yet".to_owned(),
    };
    let after = config.archive_after().map_or_else(
        || "nothing leaves for it".to_owned(),
        |keep| format!("events leave after {} days", keep.0 / 86_400_000),
    );
    Finding::ok("files", format!("{told}, {archive}; {after}"))
}

/// Asks the system's own program: the standard library has no way to ask.
pub(crate) fn free_kib(directory: &Path) -> Option<u64> {
    let said = Command::new("df").arg("-Pk").arg(directory).env("LC_ALL", "C").output().ok()?;
    parse_df(&String::from_utf8(said.stdout).ok()?)
}

/// The fourth column of the second line (POSIX).
fn parse_df(said: &str) -> Option<u64> {
    said.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

fn witness(home: &Home, config: &Config) -> Finding {
    let told = "without it a restored backup or a copy of the database is taken for the real one, \
                until the till next speaks to the cloud";
    match home.witness(config).read() {
        Ok(Found::Witness(_)) if config.witness.is_some() => {
            Finding::ok("witness", "there, outside the directory")
        }
        Ok(Found::Witness(_)) => Finding::ok("witness", "there, beside the database"),
        Ok(Found::Absent) => Finding::warn(
            "witness",
            "missing",
            told,
            "nothing: the next start opens a new history and writes it anew, which is safe; find \
             out who took it away",
        ),
        Ok(Found::Garbage) => Finding::warn(
            "witness",
            "unreadable",
            told,
            "nothing: the next start opens a new history and writes it anew, which is safe",
        ),
        Err(error) => Finding::fail(
            "witness",
            error.to_string(),
            "the till does not open without knowing what stands there",
            "make its place readable again: see `witness` in config.json",
        ),
    }
}

fn token(home: &Home) -> Finding {
    match home.cloud_token() {
        Ok(token) if !token.is_empty() => Finding::ok("credential", "there"),
        Ok(_) => Finding::fail(
            "credential",
            "empty",
            "the cloud listens to no till without one",
            "enrol the till, and run `terminal-node init` with what that gives",
        ),
        Err(error) => Finding::fail(
            "credential",
            error.to_string(),
            "the cloud listens to no till without one",
            "enrol the till, and run `terminal-node init` with what that gives",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn free_space_is_read_from_what_df_says() {
        let head = "Filesystem 1024-blocks Used Available Capacity Mounted on\n";
        for (line, free) in [
            ("/dev/sda1 100 60 40 60% /", Some(40)),
            ("/dev/sda1 100 60 - 60% /", None),
            ("/dev/sda1", None),
            ("", None),
        ] {
            assert_eq!(parse_df(&format!("{head}{line}\n")), free, "{line}");
        }
        assert_eq!(parse_df(""), None);
    }

    #[test]
    fn a_place_that_is_not_there_cannot_be_written() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(writable(directory.path()).level, Level::Ok);
        assert!(!directory.path().join(PROBE).exists(), "nothing is left behind");
        assert_eq!(writable(&directory.path().join("nowhere")).level, Level::Fail);
    }
}
