//! What a till has sold for long leaves the file that it sells from, and is lost to nobody: a till
//! finds it, a cloud restored from an old backup gets it back, and no kill or full disk loses it.

mod support;

use std::path::Path;
use std::process::{Command, Output as Ran, Stdio};
use std::time::Duration;

use counterfoil_protocol::machine::Query as _;
use counterfoil_protocol::terminal::{Key, Output, Record};
use counterfoil_protocol::time::Millis;
use counterfoil_terminal::archive::ArchiveError;
use counterfoil_terminal::config::{Config, Home};
use counterfoil_terminal::daemon::{self, DaemonError, Disk};
use counterfoil_terminal::doctor::Level;
use counterfoil_terminal::sync::SyncLoop;
use counterfoil_terminal::till::Till;
use counterfoil_terminal::transport::{Endpoint, Transport};
use hyper_util::client::legacy::connect::HttpConnector;
use support::{FakeCloud, TOKEN, id, identity, pos, quick, sale};

/// Sales of a round: a busy day.
const ROUND: usize = 250;

fn config(url: &str) -> Config {
    Config {
        identity: identity(),
        cloud: url.to_owned(),
        compress: false,
        witness: None,
        ca_file: None,
        ask_every_secs: None,
        stream: false,
        archive_after_days: Some(0),
        archive: true,
    }
}

/// A new till on this machine's disk, open.
async fn installed(home: &Home, url: &str) -> Till<Disk> {
    let config = config(url);
    home.write_config(&config).expect("settings");
    home.write_cloud_token(TOKEN).expect("a token");
    let till = daemon::till(daemon::store(home).expect("a database"));
    till.install(identity(), &mut home.witness(&config)).await.expect("a new till");
    till.open(&mut home.witness(&config)).await.expect("it opens");
    till
}

/// Opens a till. A process that a killed one was just about to start has its lock for a moment.
async fn opened(home: &Home) -> Till<Disk> {
    let config = home.config().expect("settings");
    for _ in 0..500 {
        match daemon::open(home, &config).await {
            Err(DaemonError::InUse(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            other => return other.expect("it opens"),
        }
    }
    panic!("its lock is never free");
}

async fn sell(till: &Till<Disk>, from: usize, count: usize) {
    let name = |index: usize| sale(&format!("s-{index}"), index as i64 % 900 + 1);
    till.record_all((from..from + count).map(name).collect()).await.expect("sales");
}

async fn drain(till: &Till<Disk>, url: &str) {
    let endpoint = Endpoint::parse(url).expect("an address");
    let transport = Transport::new(HttpConnector::new(), endpoint, TOKEN).expect("a token");
    let mut sync = SyncLoop::new(till.clone(), transport, quick());
    support::drain(till, &mut sync).await;
}

/// How many entries the database itself still has.
async fn hot_entries(till: &Till<Disk>) -> usize {
    let all = till.figures().await.expect("figures").figures.events as usize;
    all - till.archived().await.expect("books").entries as usize
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).expect("a file").len()
}

/// All is there, found by its name, chained, and counted once; `more` sales have other names.
async fn is_whole(till: &Till<Disk>, sales: usize, more: usize) {
    let figures = till.figures().await.expect("figures").figures;
    assert_eq!(figures.events, (sales + more) as u64);
    for finding in till.examine().await.expect("an examination") {
        let fails = finding.level == Level::Fail;
        assert!(!fails, "{}: {}", finding.check, finding.found);
    }
    for index in [0, sales / 3, sales - 1] {
        let known = till.known(pos(), id(&format!("s-{index}"))).await.expect("a look");
        assert!(known.is_some(), "s-{index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_with_thousands_of_sales_is_small_and_a_restored_cloud_gets_them_all() {
    let (directory, cloud) = (tempfile::tempdir().expect("a directory"), FakeCloud::start().await);
    let home = Home::new(directory.path());
    let till = installed(&home, &cloud.url()).await;
    let (rounds, mut sizes, mut backup) = (24, Vec::new(), None);
    for round in 0..rounds {
        sell(&till, round * ROUND, ROUND).await;
        drain(&till, &cloud.url()).await;
        till.archive(home.path(), Millis::ZERO).await.expect("it is archived");
        sizes.push(size(&home.database()));
        if round == 1 {
            backup = Some(cloud.store.lock().await.image());
        }
    }
    let sales = rounds * ROUND;
    let (hot, cold) = (size(&home.database()), size(&home.archive()));
    println!("{sales} sales: {hot} bytes, archive {cold}; by rounds {sizes:?}");
    assert_eq!(hot_entries(&till).await, 0);
    assert_eq!(
        sizes[3..].iter().max(),
        sizes[3..4].iter().max(),
        "it does not grow with its sales"
    );
    is_whole(&till, sales, 0).await;
    // The same name again is known, however long ago it was sold.
    let again = till.record(sale("s-0", 1)).await.expect("a sale");
    assert!(matches!(again, Output::Recorded { again: true, .. }), "{again:?}");
    let other = till.record(sale("s-0", 77)).await.expect("a sale");
    assert!(matches!(other, Output::Taken(_)), "{other:?}");
    assert!(till.receipt(pos(), id("s-1")).await.expect("a look").is_some());

    cloud.store.lock().await.restore(backup.expect("a backup of the second day"));
    assert_eq!(cloud.ledger().await, 2 * ROUND);
    drain(&till, &cloud.url()).await;
    // What was acknowledged counts as pending only once the till has greeted.
    sell(&till, sales, 1).await;
    drain(&till, &cloud.url()).await;
    assert_eq!(cloud.ledger().await, sales + 1, "every sale, once");
    is_whole(&till, sales + 1, 0).await;
    assert_eq!(till.status().await.expect("a status").synced as usize, sales + 1);
    drop(till);

    let till = opened(&home).await;
    is_whole(&till, sales + 1, 0).await;
    assert_eq!(till.archived().await.expect("books").entries as usize, sales);
}

fn program(home: &Home, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_terminal-node"));
    command.args(args).env("COUNTERFOIL_DIR", home.path()).env("NO_COLOR", "1");
    command
}

/// Some sales that the cloud has, and one that it has not.
async fn sold(home: &Home, cloud: &FakeCloud, sales: usize) {
    let till = installed(home, &cloud.url()).await;
    sell(&till, 0, sales).await;
    drain(&till, &cloud.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_till_has_each_entry_in_the_database_or_in_the_archive() {
    let (directory, cloud) = (tempfile::tempdir().expect("a directory"), FakeCloud::start().await);
    let home = Home::new(directory.path());
    let sales = 2_000;
    sold(&home, &cloud, sales).await;
    let (mut between, mut runs, mut wait, mut before) = (0, 0, 3_u64, 0);
    loop {
        runs += 1;
        assert!(runs < 200, "each run gets on, at last");
        let args: &[&str] = if runs % 2 == 0 { &["run"] } else { &["archive"] };
        let mut child =
            program(&home, args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("one");
        tokio::time::sleep(Duration::from_millis(wait)).await;
        child.kill().expect("SIGKILL");
        child.wait().expect("it is dead");
        let till = opened(&home).await;
        is_whole(&till, sales, 0).await;
        let left = till.archived().await.expect("books").entries as usize;
        between += usize::from(left > 0 && left < sales);
        if left == sales {
            break;
        }
        // Killed a little later if this one came to nothing.
        wait = if left > before { wait } else { wait * 6 / 5 + 1 };
        before = left;
    }
    println!("{runs} runs, {between} killed between the first and the last entry");
    assert!(between > 0, "some were killed half way");
    // A cloud that has none of it gets all of it, out of the archive.
    let fresh = FakeCloud::start().await;
    cloud.store.lock().await.restore(fresh.store.lock().await.image());
    let till = opened(&home).await;
    sell(&till, sales, 1).await;
    drain(&till, &cloud.url()).await;
    assert_eq!(cloud.ledger().await, sales + 1);
}

/// A shell that lets no file grow beyond so many KiB, and then runs the program.
fn on_a_full_disk(home: &Home, kib: u64, args: &str) -> Ran {
    let script = format!(
        "trap '' XFSZ; ulimit -f {}; exec {} {args}",
        kib * 2, // dash counts in blocks of 512 bytes
        env!("CARGO_BIN_EXE_terminal-node")
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("COUNTERFOIL_DIR", home.path()).env("NO_COLOR", "1");
    shell.output().expect("a shell")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_cannot_grow_takes_nothing_away() {
    let (directory, cloud) = (tempfile::tempdir().expect("a directory"), FakeCloud::start().await);
    let home = Home::new(directory.path());
    let mut sales = 0;
    let till = installed(&home, &cloud.url()).await;
    while size(&home.database()) > 2 * size_or_nothing(&home.archive()) / 3 {
        sell(&till, sales, ROUND).await;
        sales += ROUND;
        drain(&till, &cloud.url()).await;
        till.archive(home.path(), Millis::ZERO).await.expect("it is archived");
        assert!(sales < 40_000, "the archive outgrows the database");
    }
    drop(till);
    // Until it does not fit any more into what the archive's file has left.
    let (mut kib, mut told) = (0, String::new());
    for _ in 0..100 {
        let till = opened(&home).await;
        sell(&till, sales, ROUND).await;
        sales += ROUND;
        drain(&till, &cloud.url()).await;
        drop(till);
        kib = size(&home.archive()).max(size(&home.database())).div_ceil(1024);
        let ran = on_a_full_disk(&home, kib, "archive");
        told = String::from_utf8_lossy(&ran.stderr).into_owned();
        if ran.status.code() == Some(3) {
            break;
        }
        assert!(ran.status.success(), "{told}");
    }
    assert!(told.contains("nothing has left for it"), "{told}");
    let sold = on_a_full_disk(&home, kib, "sell --pos 1 --item A:1:1.00 --id full");
    assert!(sold.status.success(), "{}", String::from_utf8_lossy(&sold.stderr));

    let till = opened(&home).await;
    let left = till.archived().await.expect("books").entries as usize;
    assert!(left < sales, "{left}");
    is_whole_and_full(&till, sales).await;
    drain(&till, &cloud.url()).await;
    // With room again the rest follows.
    let moved = till.archive(home.path(), Millis::ZERO).await.expect("there is room");
    assert_eq!(moved.entries as usize, sales + 1 - left);
    is_whole_and_full(&till, sales).await;
}

async fn is_whole_and_full(till: &Till<Disk>, sales: usize) {
    assert!(till.known(pos(), id("full")).await.expect("a look").is_some());
    is_whole(till, sales, 1).await;
}

fn size_or_nothing(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_without_its_archive_does_not_open_and_says_why() {
    let (directory, cloud) = (tempfile::tempdir().expect("a directory"), FakeCloud::start().await);
    let home = Home::new(directory.path());
    sold(&home, &cloud, 300).await;
    let aside = directory.path().join("aside");
    let archived = |home: &Home| program(home, &["archive"]).output().expect("a process");
    let first = archived(&home);
    assert!(first.status.success(), "{first:?}");
    std::fs::copy(home.archive(), &aside).expect("a copy");
    let till = opened(&home).await;
    sell(&till, 300, 10).await;
    drain(&till, &cloud.url()).await;
    drop(till);
    assert!(archived(&home).status.success());
    let newest = directory.path().join("newest");
    std::fs::rename(home.archive(), &newest).expect("it is gone");
    let check = |why: &str| {
        let refused = daemon::store(&home).expect_err("it is refused").to_string();
        assert!(refused.contains(why), "{refused}");
        let told = program(&home, &["status"]).output().expect("a process");
        assert_eq!(told.status.code(), Some(3), "{told:?}");
    };
    check("it is not there, and 310 entries have left for it");
    std::fs::copy(&aside, home.archive()).expect("a copy");
    check("it is older than the database");
    let other = tempfile::tempdir().expect("a directory");
    let another = Home::new(other.path());
    sold(&another, &FakeCloud::start().await, 5).await;
    assert!(archived(&another).status.success());
    std::fs::copy(another.archive(), home.archive()).expect("a copy");
    check("it is another one than 310 entries have left for");
    std::fs::write(home.archive(), b"no archive at all").expect("a write");
    check("cannot be used");
    std::fs::rename(&newest, home.archive()).expect("it is back");
    is_whole(&opened(&home).await, 310, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_young_stays_and_status_and_doctor_tell() {
    let (directory, cloud) = (tempfile::tempdir().expect("a directory"), FakeCloud::start().await);
    let home = Home::new(directory.path());
    sold(&home, &cloud, 20).await;
    // As of the days of these sales, the last one is younger than the settings ask for.
    let till = opened(&home).await;
    let young = counterfoil_terminal::archive::keep(Some(36_500));
    assert_eq!(till.archive(home.path(), young).await.expect("a look").entries, 0);
    let row = till.reading().await.expect("rows").get(&Key::Archive).await.expect("a row");
    assert!(row.is_none_or(|row| !matches!(row, Record::Archive(_))));
    let nowhere = directory.path().join("nowhere");
    let looked = till.archive(&nowhere, young).await;
    assert!(matches!(looked, Ok(_) | Err(ArchiveError::Full(_))), "{looked:?}");
    drop(till);
    let init = |args: &[&str]| {
        let url = cloud.url();
        let token = home.path().join("cloud-token").display().to_string();
        let who = ["init", "--shop", "S-1", "--branch", "B-1", "--terminal", "T-1"];
        let with = [&who[..], &["--cloud", &url, "--token-file", &token], args].concat();
        program(&home, &with).output().expect("a process")
    };
    assert!(init(&["--no-archive"]).status.success());
    assert!(!home.config().expect("settings").archive);
    assert_eq!(program(&home, &["archive"]).output().expect("one").status.code(), Some(2));
    assert!(init(&["--archive-after-days", "40"]).status.success());
    let kept = home.config().expect("settings");
    assert_eq!((kept.archive, kept.archive_after_days), (true, Some(40)));
    assert!(init(&[]).status.success());
    assert_eq!(home.config().expect("settings"), kept, "what was said stays");
    assert!(program(&home, &["archive"]).output().expect("a process").status.success());
    let status = program(&home, &["--json", "status"]).output().expect("a process").stdout;
    let status: serde_json::Value = serde_json::from_slice(&status).expect("JSON");
    assert_eq!((&status["archived"], &status["synced"]), (&20.into(), &20.into()), "{status}");
    assert!(status["archivedBytes"].as_u64().is_some_and(|bytes| bytes > 0), "{status}");
    let told = program(&home, &["doctor"]).output().expect("a process").stdout;
    let told = String::from_utf8(told).expect("text");
    assert!(told.contains("its archive") && told.contains("after 40 days"), "{told}");
}
