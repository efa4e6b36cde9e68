//! What `docs/protocol.md` says in tables and vectors is what the code does: error codes, laws,
//! spans, bounds, the words of its enums, and the bytes of one sale on its way.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use counterfoil_protocol::catalog::edit::CHANGES_MAX;
use counterfoil_protocol::cloud::catalog::EDITS_MAX;
use counterfoil_protocol::cloud::compaction::{
    BRANCHES_MAX, LEASE_LIFE, LEASES_MAX, RENEW_PART, RENEW_VERSIONS, TOMBSTONES_MAX,
};
use counterfoil_protocol::cloud::{self, Cloud, LANES_MAX, UnknownProducts, row::server_id};
use counterfoil_protocol::codec::MESSAGE_BYTES_MAX;
use counterfoil_protocol::event::{CORRECTED_MAX, EVENT_BYTES_MAX, LINES_MAX, PAYMENTS_MAX};
use counterfoil_protocol::hash::{Hash, genesis, link, payload_hash};
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::journal::points;
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::reconcile::plan::{ITEMS_MAX, REMOVALS_ONE_IN};
use counterfoil_protocol::session::{Config, Session};
use counterfoil_protocol::terminal::edits::{TOLD_MAX, WAITING_MAX};
use counterfoil_protocol::terminal::pull::{ADOPTION_MAX, Batch, RETRIES_MAX};
use counterfoil_protocol::terminal::register::UNSETTLED_MAX;
use counterfoil_protocol::terminal::row::CLOSED_MAX;
use counterfoil_protocol::terminal::{ATTEMPTS_MAX, Parted, RETRY_BASE, RETRY_CAP};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{EDITS_ASKED_MAX, PAGE_BYTES_MAX, PAGE_ENTITIES_MAX};
use counterfoil_protocol::wire::inbox::{PENDING_BYTES_MAX, PENDING_EVENTS_MAX, PENDING_USUAL};
use counterfoil_protocol::wire::message::{
    EditOutcome, HELLO_LANES_MAX, HELLO_POINTS_MAX, HELLO_VERSIONS_MAX, PUSH_BYTES_MAX,
    PUSH_ITEMS_MAX, Standing, Stopped,
};
use counterfoil_protocol::wire::reconcile::ASKED_MAX;
use support::rows::{attention, entries, queued};
use support::{Node, Pair, Till, key_of, sale, site, terminal_id};

const PAGE: &str = include_str!("../../docs/protocol.md");
const LAWS: &str = include_str!("../../sim/src/law.rs");

/// The rows of the first table after a heading, without its head: the cells, without backticks at
/// their ends.
fn table(heading: &str) -> Vec<Vec<String>> {
    let heading = format!("\n{heading}\n");
    let (_, rest) = PAGE.split_once(&heading).unwrap_or_else(|| panic!("{heading} is a heading"));
    let lines = rest.lines().take_while(|line| !line.starts_with('#'));
    let table = lines.skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2).map(|line| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    });
    let rows: Vec<_> = rows.collect();
    assert!(!rows.is_empty(), "{heading} has a table");
    rows
}

/// The first cells of a table.
fn names(heading: &str) -> Vec<String> {
    table(heading).into_iter().map(|row| row[0].clone()).collect()
}

/// A number as the page writes it, with commas between thousands.
fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// The words that these have in JSON.
fn words<T: serde::Serialize>(values: &[T]) -> Vec<String> {
    let words = values.iter().map(|value| serde_json::to_value(value).unwrap());
    words.map(|word| word.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_error_codes_are_those_of_the_code() {
    let shown: Vec<_> = table("## Error codes").into_iter().map(|row| row[..2].to_vec()).collect();
    let written: Vec<_> = ErrorCode::ALL
        .iter()
        .map(|code| vec![code.to_string(), code.status().to_string()])
        .collect();
    assert_eq!(shown, written);
}

#[test]
fn the_laws_are_those_that_are_checked_and_say_the_same() {
    let (_, laws) = LAWS.split_once("\nlaws! {\n").unwrap();
    let (laws, _) = laws.split_once("\n}\n").unwrap();
    let mut written = Vec::new();
    let mut says = String::new();
    for line in laws.lines().map(str::trim) {
        match line.strip_prefix("/// ") {
            Some(words) if says.is_empty() => says.push_str(words),
            Some(words) => says = format!("{says} {words}"),
            None => {
                let name = line.trim_end_matches(',').to_owned();
                written.push(vec![name, std::mem::take(&mut says)]);
            }
        }
    }
    assert!(written.len() >= 15, "{written:?}");
    let shown: Vec<_> = table("## The laws").into_iter().map(|row| row[..2].to_vec()).collect();
    assert_eq!(shown, written);
}

#[test]
fn the_spans_are_those_of_the_code() {
    let usual = Config::default();
    let written = [
        ("Config::request_timeout", usual.request_timeout),
        ("Config::backoff_base", usual.backoff_base),
        ("Config::backoff_cap", usual.backoff_cap),
        ("Config::retry_after_cap", usual.retry_after_cap),
        ("Config::quarantine_probe", usual.quarantine_probe),
        ("Config::idle_greeting", usual.idle_greeting),
        ("Session::attempt_bound", Session::attempt_bound(&usual)),
        ("RETRY_BASE", RETRY_BASE),
        ("RETRY_CAP", RETRY_CAP),
        ("LEASE_LIFE", LEASE_LIFE),
    ];
    let written: Vec<_> = written.map(|(name, span)| (name.to_owned(), span)).into();
    let shown: Vec<_> = table("### Spans")
        .into_iter()
        .map(|row| {
            let factor = match row[2].as_str() {
                "ms" => 1,
                "s" => 1_000,
                unit => panic!("{unit} is no unit of time"),
            };
            (row[3].clone(), Millis(number(&row[1]) * factor))
        })
        .collect();
    assert_eq!(shown, written);
}

#[test]
fn the_bounds_are_those_of_the_code() {
    let written = [
        ("MESSAGE_BYTES_MAX", MESSAGE_BYTES_MAX as u64),
        ("HELLO_VERSIONS_MAX", HELLO_VERSIONS_MAX as u64),
        ("HELLO_LANES_MAX", HELLO_LANES_MAX as u64),
        ("HELLO_POINTS_MAX", HELLO_POINTS_MAX as u64),
        ("CLOSED_MAX", CLOSED_MAX as u64),
        ("LANES_MAX", u64::from(LANES_MAX)),
        ("PUSH_ITEMS_MAX", PUSH_ITEMS_MAX as u64),
        ("Config::items_max", Config::default().items_max as u64),
        ("RETRIES_MAX", RETRIES_MAX as u64),
        ("PUSH_BYTES_MAX", PUSH_BYTES_MAX as u64),
        ("EVENT_BYTES_MAX", EVENT_BYTES_MAX as u64),
        ("CORRECTED_MAX", CORRECTED_MAX as u64),
        ("LINES_MAX", LINES_MAX as u64),
        ("PAYMENTS_MAX", PAYMENTS_MAX as u64),
        ("ATTEMPTS_MAX", u64::from(ATTEMPTS_MAX)),
        ("ADOPTION_MAX", ADOPTION_MAX as u64),
        ("PAGE_ENTITIES_MAX", PAGE_ENTITIES_MAX as u64),
        ("PAGE_BYTES_MAX", PAGE_BYTES_MAX as u64),
        ("EDITS_MAX", EDITS_MAX as u64),
        ("CHANGES_MAX", CHANGES_MAX as u64),
        ("WAITING_MAX", WAITING_MAX as u64),
        ("EDITS_ASKED_MAX", EDITS_ASKED_MAX as u64),
        ("TOLD_MAX", TOLD_MAX as u64),
        ("TOMBSTONES_MAX", TOMBSTONES_MAX as u64),
        ("LEASES_MAX", LEASES_MAX as u64),
        ("BRANCHES_MAX", BRANCHES_MAX as u64),
        ("RENEW_VERSIONS", RENEW_VERSIONS),
        ("RENEW_PART", RENEW_PART),
        ("PENDING_EVENTS_MAX", PENDING_EVENTS_MAX as u64),
        ("PENDING_USUAL", PENDING_USUAL as u64),
        ("PENDING_BYTES_MAX", PENDING_BYTES_MAX as u64),
        ("ASKED_MAX", ASKED_MAX as u64),
        ("ITEMS_MAX", ITEMS_MAX as u64),
        ("REMOVALS_ONE_IN", REMOVALS_ONE_IN),
        ("UNSETTLED_MAX", UNSETTLED_MAX as u64),
    ];
    let written: Vec<_> = written.map(|(name, bound)| (name.to_owned(), bound)).into();
    let shown: Vec<_> =
        table("### Bounds").into_iter().map(|row| (row[2].clone(), number(&row[1]))).collect();
    assert_eq!(shown, written);
}

/// What a source file says of a name: of a constant, or of a field in its usual value. Both are
/// products of numbers, perhaps in seconds.
fn said_in(file: &str, name: &str) -> u64 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{file} is a file"));
    let product = |words: &str| {
        let words = words.split([';', ',', '}', '\n']).next()?;
        let words = words.rsplit('=').next()?.trim();
        let words = words.trim_start_matches("Duration::from_secs(").trim_end_matches(')');
        words
            .split('*')
            .map(|part| part.trim().replace('_', "").parse::<u64>().ok())
            .product::<Option<u64>>()
    };
    let found = text.split(&format!(" {name}: ")).skip(1).find_map(product);
    found.unwrap_or_else(|| panic!("{file} says what {name} is"))
}

#[test]
fn the_bounds_of_the_programs_are_those_of_their_sources() {
    let rows = table("### Bounds of the two programs");
    for row in &rows {
        assert_eq!(number(&row[1]), said_in(&row[3], &row[4]), "{row:?}");
    }
    let shown: Vec<_> = rows.iter().map(|row| row[4].as_str()).collect();
    let expected = [
        "per_second",
        "burst",
        "BYTES_PER_SECOND",
        "BYTES_BURST",
        "concurrent",
        "deadline",
        "BATCH_MAX",
        "QUEUE_MAX",
        "EVERY_COMMITS",
        "EVERY",
        "ANSWER_BYTES_MAX",
        "EVERY",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn its_words_are_those_that_travel() {
    use Denial::{Expired, Revoked, UnknownTerminal, WrongCredential};
    use EditOutcome::{Deleted, Overwrote, ServerOwned, Taken, Unknown};
    use Standing::{CloudLostTail, Forked, InStep, TillAhead, TillLostTail};
    let standings = [InStep, TillAhead, CloudLostTail, TillLostTail, Forked];
    assert_eq!(names("### Standings"), words(&standings));
    let stopped = [Stopped::Gap, Stopped::Forked, Stopped::UnknownEpoch];
    assert_eq!(names("### Why a push stops"), words(&stopped));
    let denials = [UnknownTerminal, Revoked, Expired, WrongCredential];
    assert_eq!(names("### Denials"), words(&denials));
    for (row, denial) in table("### Denials").iter().zip(denials) {
        assert_eq!(row[1] == "yes", denial.quarantines(), "{row:?}");
    }
    let outcomes = [Taken, Overwrote, ServerOwned, Deleted, Unknown];
    assert_eq!(names("### Outcomes of an edit"), words(&outcomes));
    let parted = [Parted::Copied, Parted::Restored, Parted::LostTail, Parted::Forked];
    let parted = parted.map(|why| format!("{why:?}"));
    assert_eq!(names("### When a history ends"), parted);
}

/// The fenced blocks that begin with `vector`, by what follows that word.
fn vectors() -> BTreeMap<&'static str, String> {
    let mut vectors = BTreeMap::new();
    for block in PAGE.split("```vector ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        let digits = rest.split_once("```").unwrap().0.split_whitespace().collect();
        assert_eq!(vectors.insert(name, digits), None, "{name} stands once");
    }
    vectors
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One sale, from the till's disk into the cloud, by the real roles.
fn one_sale() -> BTreeMap<&'static str, String> {
    let now = Millis(1_700_000_000_000);
    let epoch = Epoch { number: 1, nonce: 7 };
    let (mut till, mut node) = (Till::install(7), Node::new(Cloud::default()));
    till.sell(now, sale("a", "tea"));
    let hello = till.hello(now);
    let cloud::Output::Welcome(welcome) = node.greet(now, &hello) else { panic!() };
    let Batch::Push(push) = till.batch(now) else { panic!() };
    let cloud::Output::Pushed(answer) = node.push(now, &push) else { panic!() };

    let payload = &push.items[0].payload;
    let before = genesis(terminal_id(), epoch);
    let digest = payload_hash(payload);
    assert_eq!(till.meta().hash, link(before, 1, digest), "the till's chain");
    let first = [b"G".as_slice(), &1_u32.to_le_bytes(), &7_u64.to_le_bytes(), b"T-1"].concat();
    let next = [b"L".as_slice(), &before.0, &1_u64.to_le_bytes(), &digest.0].concat();
    assert_eq!(before, Hash(*blake3::hash(&first).as_bytes()), "the genesis is over these bytes");
    assert_eq!(till.meta().hash.0, *blake3::hash(&next).as_bytes(), "and the link over these");
    [
        ("canonical", hex(payload)),
        ("payload hash", digest.to_string()),
        ("genesis is over", hex(&first)),
        ("genesis", before.to_string()),
        ("chain hash is over", hex(&next)),
        ("chain hash", till.meta().hash.to_string()),
        ("hello", hex(&hello.encode())),
        ("welcome", hex(&welcome.encode())),
        ("push", hex(&push.encode())),
        ("server id", server_id(site().shop, &key_of("1", "a")).0.to_string()),
        ("push answer", hex(&answer.encode())),
    ]
    .into()
}

#[test]
fn the_bytes_of_one_sale_are_those_that_travel() {
    assert_eq!(vectors(), one_sale());
}

/// The points of a chain, as the page tells to find them.
fn points_as_told(head: u64, acked: u64) -> Vec<u64> {
    let (mut seq, mut step) = (head, 1);
    let mut shown = vec![seq];
    while seq > step && shown.len() < 36 {
        seq -= step;
        step *= 2;
        shown.push(seq);
    }
    shown.push(acked);
    shown.sort_unstable_by(|a, b| b.cmp(a));
    shown.dedup();
    shown.retain(|seq| *seq > 0 || head == 0);
    shown
}

#[test]
fn the_points_of_a_chain_are_found_as_it_tells() {
    for head in 0..200 {
        for acked in 0..=head {
            assert_eq!(points_as_told(head, acked), points(head, acked), "{head}, {acked}");
        }
    }
    let far = u64::MAX - 1;
    assert_eq!(points_as_told(far, 7), points(far, 7));
    assert!(PAGE.contains("fewer than 36 are shown"));
    let example: Vec<_> = points(100, 90).iter().map(u64::to_string).collect();
    assert!(PAGE.contains(&format!("90 of them answered: {}.", example.join(", "))));
}

#[test]
fn an_item_that_is_parked_waits_as_it_tells() {
    let mut pair = Pair::new(Cloud { unknown_products: UnknownProducts::Park });
    let place = pair.sell(sale("a", "tea"));
    pair.greet();
    let digest = payload_hash(&entries(&pair.till)[&place].payload);
    let spread = u64::from(u16::from_le_bytes([digest.0[0], digest.0[1]]));
    let mut told = Vec::new();
    for failures in 1..ATTEMPTS_MAX {
        pair.offer();
        let due = queued(&pair.till, place).unwrap().due;
        let whole = (RETRY_BASE.0 << (failures - 1)).min(RETRY_CAP.0);
        let wait = due.since(pair.now).0;
        assert_eq!(wait, whole / 2 + whole / 2 * spread / 65_536, "after {failures} failures");
        let (least, most) = (whole / 2_000, whole / 1_000);
        let unit = if told.is_empty() { " s" } else { "" };
        told.push(format!("{least} to {most}{unit}"));
        pair.now = due;
    }
    pair.offer();
    assert!(attention(&pair.till, place).is_some(), "then a person");
    let page: Vec<_> = PAGE.split_whitespace().collect();
    assert!(page.join(" ").contains(&format!("{}, then a person.", told.join(", "))), "{told:?}");
}
