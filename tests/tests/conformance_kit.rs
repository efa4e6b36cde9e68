//! The conformance kit: our own cloud passes it, and a cloud that breaks a law does not.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use counterfoil_protocol::identity::{ShopId, TerminalId};
use counterfoil_protocol::wire::message::{PushAnswer, Verdict};
use counterfoil_tests::conformance::{Enrolled, Played, TILLS, play, vectors};
use counterfoil_tests::shop::Shop;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A cloud with as many tills as the suite needs.
async fn shop(directory: &Path, engine: &str) -> (Shop, Vec<Enrolled>) {
    let names: Vec<String> = (0..TILLS).map(|number| format!("till-{number}")).collect();
    let tills: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "north")).collect();
    let unlimited = ["--rate", "0", "--byte-rate", "0"];
    let shop = Shop::open_with(directory, engine, &tills, &unlimited).await.expect("a shop");
    let enrolled = names.iter().map(|name| Enrolled {
        shop_id: ShopId::parse("shop").expect("a name"),
        terminal_id: TerminalId::parse(name).expect("a name"),
        credential: shop.token(name).expect("a credential").to_owned(),
    });
    let enrolled = enrolled.collect();
    (shop, enrolled)
}

async fn played(address: &str, tills: &[Enrolled]) -> Vec<Played> {
    play(address, tills, |_| ()).await.expect("the suite is played")
}

fn failed(played: &[Played]) -> Vec<&str> {
    played.iter().filter(|case| case.failed.is_some()).map(|case| case.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_cloud_conforms_and_again_with_the_same_tills() {
    for engine in ["redb", "sled"] {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut shop, tills) = shop(directory.path(), engine).await;
        for _ in 0..2 {
            let played = played(shop.address(), &tills).await;
            assert!(failed(&played).is_empty(), "{engine}: {played:#?}");
        }
        shop.cloud.stop().await.expect("stopped");
        let check = shop.cloud.check().await.expect("checked");
        assert_eq!(check.problems_found, 0, "{check:?}");
    }
}

/// What a wrong cloud does to the answer of a push.
type Wrong = fn(&mut PushAnswer);

/// Stands before a cloud, and makes its answers to pushes wrong. Returns where, and how many.
async fn wrong_cloud(cloud: SocketAddr, wrong: Wrong) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass(stream, cloud, wrong, Arc::clone(&counted)));
        }
    });
    (address, count)
}

/// Passes one request and its answer: the suite closes its connection after each.
async fn pass(
    mut stream: TcpStream,
    cloud: SocketAddr,
    wrong: Wrong,
    count: Arc<AtomicU64>,
) -> Option<()> {
    let (head, body) = message(&mut stream).await?;
    let mut onward = TcpStream::connect(cloud).await.ok()?;
    onward.write_all(&[head.as_bytes(), &body].concat()).await.ok()?;
    let (mut told, mut answer) = message(&mut onward).await?;
    if let Ok(mut read) = PushAnswer::decode(&answer)
        && head.contains("/v1/sales-events")
    {
        let before = read.clone();
        wrong(&mut read);
        count.fetch_add(u64::from(read != before), Ordering::Relaxed);
        answer = read.encode();
        let mut lines: Vec<String> = told.lines().map(str::to_owned).collect();
        lines.retain(|line| !line.to_ascii_lowercase().starts_with("content-length"));
        lines.retain(|line| !line.is_empty());
        told = format!("{}\r\ncontent-length: {}\r\n\r\n", lines.join("\r\n"), answer.len());
    }
    stream.write_all(&[told.as_bytes(), &answer].concat()).await.ok()
}

/// Reads a head and the body that its length says.
async fn message(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = bytes[end..].to_vec();
    while body.len() < length.unwrap_or(0) {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, body))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_breaks_a_law_is_found_by_the_case_that_stands_for_it() {
    let wrongs: [(Wrong, &str); 3] = [
        (counts_again, "a sale counts once"),
        (renames, "a batch keeps its order"),
        (stops_at_nothing, "a gap stops the push"),
    ];
    let directory = tempfile::tempdir().expect("a directory");
    let (shop, tills) = shop(directory.path(), "redb").await;
    for (wrong, case) in wrongs {
        let cloud = shop.address().parse().expect("an address");
        let (address, count) = wrong_cloud(cloud, wrong).await;
        let played = played(&address, &tills).await;
        assert!(failed(&played).contains(&case), "{case}: {:?}", failed(&played));
        assert!(count.load(Ordering::Relaxed) > 0, "{case}: nothing was wrong");
    }
}

/// It forgets what it has posted.
fn counts_again(answer: &mut PushAnswer) {
    for result in &mut answer.results {
        if let Verdict::Existing(id) = result.verdict {
            result.verdict = Verdict::Created(id);
        }
    }
}

/// It gives a sale another name than the one that follows from its key.
fn renames(answer: &mut PushAnswer) {
    for result in &mut answer.results {
        if let Verdict::Created(id) = &mut result.verdict {
            id.0.0[0] ^= 1;
        }
    }
}

/// It says nothing of an entry that is missing.
fn stops_at_nothing(answer: &mut PushAnswer) {
    answer.stopped = None;
}

#[test]
fn the_vectors_of_the_documents_are_there_for_machines() {
    let vectors = vectors().expect("the documents are read");
    let wire = &vectors["wire"];
    for number in 1..=8 {
        for part in ["json", "canonical", "payload", "chain"] {
            assert!(wire.contains_key(&format!("{part} {number}")), "{part} {number}");
        }
    }
    let event: serde_json::Value = serde_json::from_str(&wire["json 1"]).expect("JSON");
    assert_eq!(event["localEventId"], "a");
    assert_eq!(wire["genesis"].len(), 64);
    assert!(vectors.values().all(|vectors| vectors.values().all(|text| !text.is_empty())));
}
