//! A process that can be killed: this test binary, started again as one of its own tests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use counterfoil_protocol::machine::run;
use counterfoil_protocol::time::Millis;
use counterfoil_storage::{Engine, KeyValue};

use super::ledger::{Input, Ledger};
use super::now;
use super::random::Random;

/// What a child is told: `engine path first-group last-group`.
pub const ORDERS: &str = "COUNTERFOIL_CHILD";

/// Returns the command that starts the test `child` of this binary with `orders`.
pub fn command(program: &[&str], orders: &str) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut words = program.iter().map(std::ffi::OsStr::new).chain([this.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["child", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(ORDERS, orders).env("RUST_BACKTRACE", "0");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Does what the parent ordered; returns at once if there is no parent.
pub fn obey() {
    let Ok(orders) = std::env::var(ORDERS) else {
        return;
    };
    let orders: Vec<&str> = orders.split(' ').collect();
    let [engine, path, first, last] = orders[..] else { panic!("no orders: {orders:?}") };
    let groups = first.parse().unwrap()..=last.parse().unwrap();
    match engine {
        "redb" => post(counterfoil_storage::Redb::open(Path::new(path)).unwrap(), groups),
        "postgres" => post(
            counterfoil_storage::Postgres::open_plain(
                &counterfoil_storage::Url::parse(path).unwrap(),
            )
            .unwrap(),
            groups,
        ),
        "sled" => post(counterfoil_storage::Sled::open(Path::new(path)).unwrap(), groups),
        other => panic!("no engine {other}"),
    }
}

fn post(engine: impl Engine, groups: std::ops::RangeInclusive<u64>) {
    let mut store = KeyValue::<Ledger, _>::new(engine);
    let mut out = std::io::stdout();
    for number in groups {
        now(run(&Ledger, &mut store, Millis(0), &group(number))).unwrap();
        writeln!(out, "acked {number}").unwrap();
        out.flush().unwrap();
    }
    writeln!(out, "done").unwrap();
}

/// The postings of one transaction: a function of its number, so that the parent knows them.
pub fn group(number: u64) -> Vec<Input> {
    let mut random = Random::new(number);
    let large = random.below(8) == 0;
    (0..=random.below(24))
        .map(|n| {
            let account = random.below(4) as u32;
            let amount = random.below(2000) as i64 - 1000;
            let memo = random.below(if large { 20_000 } else { 60 }) as usize;
            Input::Post { account, id: number * 100 + n, amount, memo: random.bytes(memo) }
        })
        .collect()
}

/// Reads "acked n" lines until `enough` says so or the child ends; returns the last n.
pub fn acks(child: &mut Child, mut enough: impl FnMut(u64) -> bool) -> (u64, Lines) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = 0;
    while let Some(acked) = next_ack(&mut lines) {
        last = acked;
        if enough(acked) {
            break;
        }
    }
    (last, lines)
}

/// Returns the next "acked n", if there is one.
pub fn next_ack(lines: &mut Lines) -> Option<u64> {
    // libtest writes the name of the test before the first line of the child
    lines.map_while(Result::ok).find_map(|line| {
        let (_, number) = line.split_once("acked ")?;
        number.parse().ok()
    })
}

pub type Lines = std::io::Lines<BufReader<ChildStdout>>;
