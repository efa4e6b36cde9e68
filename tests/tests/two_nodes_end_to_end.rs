//! Two real cloud nodes on one PostgreSQL: the same events are sent to both at once, one of them is
//! killed again and again, and each event counts once, with one answer for ever; whoever follows
//! the catalog at either node misses no commit of the other.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use counterfoil_protocol::event::Event;
use counterfoil_protocol::hash::{genesis, link, payload_hash};
use counterfoil_protocol::identity::{Epoch, TerminalId};
use counterfoil_protocol::wire::event::EventV1;
use counterfoil_protocol::wire::message::{
    Hello, HelloLane, MEDIA_TYPE, Point, Push, PushAnswer, PushItem, Verdict,
};
use counterfoil_tests::binaries::{self, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::http;
use counterfoil_tests::postgres::{Cluster, PASSWORD};
use serde_json::{Value, json};
use tokio::time::sleep;

const LIMIT: Duration = Duration::from_secs(120);
const OPERATOR: &str = "an operator's token";
const EPOCH: Epoch = Epoch { number: 1, nonce: 77 };
const TERMINALS: usize = 4;
const SALES: u64 = 60;
const BATCH: usize = 5;
const KILLS: usize = 10;

/// Two nodes, their database and its server.
struct Pair {
    cluster: Cluster,
    store: String,
    nodes: [Cloud; 2],
    directory: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        let programs = binaries::build(Profile::Test).expect("the programs");
        let cluster = Cluster::start().expect("a server");
        let store = cluster.database().expect("a database");
        let directory = tempfile::tempdir().expect("a directory");
        let token = directory.path().join("token");
        std::fs::write(&token, OPERATOR).expect("a file");
        let name = store.rsplit_once('/').expect("an address").1;
        // One comes by the socket, the other over TCP with a password.
        let stores = [store.clone(), cluster.over_tcp(name, PASSWORD)];
        let mut logs = ["one.log", "two.log"].map(|name| directory.path().join(name)).into_iter();
        let nodes = stores.map(|store| {
            let log = logs.next().expect("two nodes have two logs");
            Cloud::new(&programs.cloud, store, log).with_operator(token.clone())
        });
        Self { cluster, store, nodes, directory }
    }
}

/// A till that has nothing but what it sends.
#[derive(Clone, Debug)]
struct Sender {
    terminal: TerminalId,
    token: String,
    pushes: Vec<Vec<u8>>,
}

fn sale(terminal: TerminalId, seq: u64) -> Event {
    let event: EventV1 = serde_json::from_value(json!({
        "posId": "P-1", "localEventId": format!("sale-{seq}"), "atMs": 1_760_000_000_000_u64 + seq,
        "receipt": { "series": { "number": 1, "nonce": 77 }, "number": seq },
        "reference": format!("{terminal}-{seq}"),
        "body": { "sale": {
            "currency": "GBP",
            "lines": [{
                "productId": format!("SKU-{}", seq % 7), "name": "tea", "quantityMilli": 2_000,
                "unitPriceMinor": 150, "discountMinor": 0, "taxPpm": 200_000,
            }],
            "payments": [{ "tender": 1, "amountMinor": 300 }],
        }},
    }))
    .expect("an event");
    Event::parse(event).expect("a sale")
}

fn sender(terminal: &str, token: String) -> Sender {
    let terminal = TerminalId::parse(terminal).expect("a name");
    let mut chain = genesis(terminal, EPOCH);
    let items: Vec<PushItem> = (1..=SALES)
        .map(|seq| {
            let payload = sale(terminal, seq).canonical();
            chain = link(chain, seq, payload_hash(&payload));
            PushItem { seq, chain_hash: chain, payload: payload.into() }
        })
        .collect();
    let pushes = items
        .chunks(BATCH)
        .map(|items| Push { terminal_id: terminal, epoch: EPOCH, items: items.to_vec() }.encode());
    Sender { terminal, token, pushes: pushes.collect() }
}

impl Sender {
    fn hello(&self) -> Vec<u8> {
        let points = vec![Point { seq: 0, hash: genesis(self.terminal, EPOCH) }];
        let lanes = vec![HelloLane { epoch: EPOCH, parent: None, acked: 0, points }];
        let (terminal_id, versions) = (self.terminal, vec![1]);
        Hello { terminal_id, versions, app: "race".to_owned(), clock_ms: 1, lanes }.encode()
    }

    /// Sends until there is a whole answer: a node may be dead, busy, or have a gap before.
    async fn insist(&self, address: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let end = Instant::now() + LIMIT;
        loop {
            let body = body.to_vec();
            let told = http::ask_as(address, "POST", path, &self.token, MEDIA_TYPE, body).await;
            match told {
                Ok(answer) if answer.status == 200 => return answer.body.to_vec(),
                Ok(answer) => assert!(
                    matches!(answer.status, 429 | 500..=599),
                    "{}: {}",
                    answer.status,
                    String::from_utf8_lossy(&answer.body)
                ),
                Err(_) => {}
            }
            assert!(Instant::now() < end, "no answer in time");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends everything, in order, and returns each answer to each sale.
    async fn send_all(self, address: String) -> Vec<(u64, Verdict)> {
        let mut answers = Vec::new();
        for push in &self.pushes {
            loop {
                let told = self.insist(&address, "/v1/sales-events", push).await;
                let told = PushAnswer::decode(&told).expect("an answer");
                let whole = told.stopped.is_none();
                answers.extend(told.results.iter().map(|result| (result.seq, result.verdict)));
                if whole {
                    break;
                }
                // Another sender of this till is behind at the other node.
                sleep(Duration::from_millis(10)).await;
            }
        }
        answers
    }
}

/// Kills the first node and starts it again, until nobody sends any more, and often enough.
async fn unrest(node: &mut Cloud, address: &str, over: &AtomicBool) -> usize {
    let mut kills = 0;
    while kills < KILLS || !over.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(150 + 37 * (kills as u64 % 5))).await;
        node.kill().await.expect("it runs");
        node.start(address).await.expect("it starts again");
        kills += 1;
    }
    kills
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_what_two_nodes_are_sent_counts_once_though_one_is_killed() {
    let Pair { cluster, store, nodes: [mut first, mut second], directory } = Pair::new();
    let mut senders = Vec::new();
    for number in 0..TERMINALS {
        let (branch, terminal) = (format!("B-{}", number % 2), format!("T-{number}"));
        let token = first.enrol("acme", &branch, &terminal).await.expect("a credential");
        senders.push(sender(&terminal, token));
    }
    let one = first.start("127.0.0.1:0").await.expect("a node");
    let two = second.start("127.0.0.1:0").await.expect("a node");
    for sender in &senders {
        sender.insist(&one, "/v1/handshake", &sender.hello()).await;
    }
    let over = Arc::new(AtomicBool::new(false));
    let mut sending = tokio::task::JoinSet::new();
    // Twice to each node: four race for each sale.
    for address in [&one, &two, &one, &two] {
        for sender in &senders {
            let (sender, address) = (sender.clone(), address.clone());
            sending.spawn(async move { (sender.terminal, sender.send_all(address).await) });
        }
    }
    let gather = async {
        let mut told: BTreeMap<(TerminalId, u64), Vec<Verdict>> = BTreeMap::new();
        while let Some(sent) = sending.join_next().await {
            let (terminal, answers) = sent.expect("a sender");
            for (seq, verdict) in answers {
                told.entry((terminal, seq)).or_default().push(verdict);
            }
        }
        over.store(true, Ordering::Relaxed);
        told
    };
    let (mut told, kills) = tokio::join!(gather, unrest(&mut first, &one, &over));
    // Once more, to both: nothing is new, and everybody is told the same.
    for (sender, address) in senders.iter().flat_map(|one_| [(one_, &one), (one_, &two)]) {
        for (seq, verdict) in sender.clone().send_all(address.clone()).await {
            assert!(matches!(verdict, Verdict::Existing(_)), "{verdict:?}");
            told.entry((sender.terminal, seq)).or_default().push(verdict);
        }
    }
    assert_eq!(told.len() as u64, TERMINALS as u64 * SALES, "each sale has answers");
    let (mut created, mut answers) = (0, 0);
    for (sale, verdicts) in &told {
        let mut names = BTreeSet::new();
        let mut new = 0;
        for verdict in verdicts {
            match verdict {
                Verdict::Created(name) => {
                    new += 1;
                    names.insert(name.0);
                }
                Verdict::Existing(name) => {
                    names.insert(name.0);
                }
                Verdict::Parked(_) | Verdict::Refused(_) | Verdict::Edited(_) => {
                    panic!("{sale:?}: {verdict:?}")
                }
            }
        }
        assert!(new <= 1, "{sale:?} was new {new} times");
        assert_eq!(names.len(), 1, "{sale:?} has one name for ever");
        created += new;
        answers += verdicts.len();
    }
    println!("{kills} kills, {answers} answers to {} sales, {created} said to be new", told.len());
    // The commands look at it beside both nodes.
    let (figures, parked) = second.figures().await.expect("the sums");
    assert_eq!((figures.invoices, parked), (TERMINALS as u64 * SALES, 0));
    assert_eq!(figures.money_minor, 300 * (TERMINALS as i64) * SALES as i64);
    let check = second.check().await.expect("a check");
    assert_eq!((check.posted, check.problems_found), (TERMINALS as u64 * SALES, 0));
    back_office(&cluster, &store);
    first.stop().await.expect("it ends in peace");
    second.stop().await.expect("it ends in peace");
    nobody_says_the_password(directory.path());
}

fn nobody_says_the_password(directory: &Path) {
    for name in ["one.log", "two.log"] {
        let log = std::fs::read_to_string(directory.join(name)).expect("a log");
        assert!(!log.contains(PASSWORD), "{name} has the password of the database");
        assert!(!log.contains("ERROR"), "{name}: {log}");
    }
}

/// Asks what a back office asks.
fn back_office(cluster: &Cluster, store: &str) {
    let ask = |sql: &str| cluster.query(store, sql).expect("an answer");
    let sold = TERMINALS as u64 * SALES;
    for (sql, expected) in [
        ("SELECT count(*), sum(total_minor) FROM sales", format!("{sold}|{}", 300 * sold)),
        (
            "SELECT count(*), sum(quantity_milli), sum(amount_minor) FROM sale_lines",
            format!("{sold}|{}|{}", 2_000 * sold, 300 * sold),
        ),
        (
            "SELECT tender, count(*), sum(amount_minor) FROM payments GROUP BY tender",
            format!("cash|{sold}|{}", 300 * sold),
        ),
        ("SELECT sum(quantity_milli) FROM stock_now", format!("-{}", 2_000 * sold)),
        ("SELECT sum(delta_milli) FROM stock_movements", format!("-{}", 2_000 * sold)),
        ("SELECT count(*), min(head), max(events) FROM journals", "4|60|60".to_owned()),
        ("SELECT count(*) FROM terminals WHERE shop = 'acme' AND NOT revoked", "4".to_owned()),
        ("SELECT sold_at > '2025-10-01', sold_at < '2025-11-01' FROM sales LIMIT 1", "t|t".into()),
    ] {
        assert_eq!(ask(sql), expected, "{sql}");
    }
}

const WRITERS: usize = 4;
const COMMITS: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_who_follows_the_feed_at_either_node_misses_nothing() {
    let Pair { cluster: _cluster, nodes: [mut first, mut second], directory, .. } = Pair::new();
    let mut tokens = Vec::new();
    for number in 0..4 {
        let name = format!("T-{number}");
        tokens.push(first.enrol("acme", "north", &name).await.expect("a credential"));
    }
    let one = first.start("127.0.0.1:0").await.expect("a node");
    let two = second.start("127.0.0.1:0").await.expect("a node");
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let address = if writer % 2 == 0 { one.clone() } else { two.clone() };
        writers.spawn(async move {
            let mut versions = Vec::new();
            for commit in 0..COMMITS {
                versions.push(define(&address, &format!("sku-{writer}-{commit}")).await);
            }
            versions
        });
    }
    let mut readers = tokio::task::JoinSet::new();
    for (number, token) in tokens.into_iter().enumerate() {
        // Each asks one node, then the other.
        let addresses = [one.clone(), two.clone()];
        readers.spawn(async move { follow(addresses, number, token).await });
    }
    let mut versions: Vec<u64> = Vec::new();
    while let Some(written) = writers.join_next().await {
        versions.extend(written.expect("a writer"));
    }
    versions.sort_unstable();
    let all: Vec<u64> = (1..=(WRITERS * COMMITS) as u64).collect();
    assert_eq!(versions, all, "each commit has a version of its own, without a gap");
    while let Some(read) = readers.join_next().await {
        let looks = read.expect("a reader that missed nothing");
        println!("everything was met, in {looks} looks");
    }
    first.stop().await.expect("it ends in peace");
    second.stop().await.expect("it ends in peace");
    nobody_says_the_password(directory.path());
}

/// Puts a product into the catalog, and returns the version of the commit.
async fn define(address: &str, id: &str) -> u64 {
    let body = json!({ "shopId": "acme", "edits": [{ "put": { "product": {
        "productId": id, "name": id, "barcodes": [], "priceMinor": 1, "currency": "GBP",
        "taxPpm": 0, "unit": "pcs", "category": null, "active": true,
    }}}]});
    let body = body.to_string().into_bytes();
    let told = http::ask(address, "POST", "/v1/admin/catalog", OPERATOR, body).await;
    let told = told.expect("an answer");
    assert_eq!(told.status, 200, "{}", String::from_utf8_lossy(&told.body));
    told.json::<Value>().expect("JSON")["version"].as_u64().expect("a version")
}

/// Follows the feed to its end: each place must be met in its order.
async fn follow(addresses: [String; 2], number: usize, token: String) -> usize {
    let (end, last) = (Instant::now() + LIMIT, (WRITERS * COMMITS) as u64);
    let (mut version, mut met, mut looks) = (0_u64, BTreeSet::new(), 0);
    while version < last {
        assert!(Instant::now() < end, "at {version} of {last}");
        let address = &addresses[(looks + number) % 2];
        looks += 1;
        let path = format!("/v1/catalog/delta?from={version}");
        let told = http::ask(address, "GET", &path, &token, Vec::new()).await.expect("an answer");
        if told.status == 429 {
            sleep(Duration::from_millis(100)).await;
            continue;
        }
        assert_eq!(told.status, 200, "{}", String::from_utf8_lossy(&told.body));
        let page: Value = told.json().expect("JSON");
        assert_eq!(page["from"], version, "{page}");
        let to = page["to"].as_u64().expect("a version");
        let changes = page["changes"].as_array().expect("a list");
        // Nothing is edited twice: each version has one place, and stays there.
        assert_eq!(changes.len() as u64, to - version, "a commit was skipped: {page}");
        for change in changes {
            let id = change["id"]["id"].as_str().or_else(|| change["id"].as_str());
            assert!(met.insert(id.expect("a name").to_owned()), "met twice: {change}");
        }
        version = to;
        sleep(Duration::from_millis(15)).await;
    }
    assert_eq!(met.len(), WRITERS * COMMITS);
    looks
}
