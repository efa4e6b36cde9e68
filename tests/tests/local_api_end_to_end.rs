//! The local API as a real program serves it: who may ask, what is told of receipts, queue and
//! link, and how a listener hears of changes.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil_tests::http;
use counterfoil_tests::proxy::{Mode, Proxy};
use counterfoil_tests::shop::{OPERATOR, Shop};
use counterfoil_tests::till::{Door, Till};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);

/// A shop with a few names in its catalog, a till, and the link between them.
async fn shop(directory: &Path) -> (Shop, Till, Proxy) {
    let shop = Shop::open(directory, "redb", &[("T-1", "north")]).await.expect("a shop");
    let put = |what: Value| json!({ "put": what });
    let product = json!({
        "productId": "tea", "name": "Tea", "barcodes": [], "priceMinor": 149, "currency": "GBP",
        "taxPpm": 200_000, "unit": "pcs", "category": "hot", "active": true,
    });
    shop.edit(&[
        put(json!({ "category": { "categoryId": "hot", "name": "Hot drinks" } })),
        put(json!({ "category": { "categoryId": "cold", "name": "Cold drinks" } })),
        put(json!({ "customer": { "customerId": "c-1", "name": "Ada Lovelace" } })),
        put(json!({ "customer": { "customerId": "c-2", "name": "Grace Hopper" } })),
        put(json!({ "product": product })),
    ])
    .await
    .expect("a catalog");
    let link = Proxy::open(shop.address().parse().expect("an address")).await.expect("a link");
    let till = shop.install("T-1", Some(link.address())).await.expect("a till");
    (shop, till, link)
}

/// Sends these lines as they are, and returns the answer with its head.
async fn says(address: &str, lines: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = lines.join("\r\n") + "\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    let mut answer = Vec::new();
    let read = timeout(LIMIT, stream.read_to_end(&mut answer)).await;
    read.expect("in time").expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

fn trade(id: &str) -> Value {
    let line = json!({
        "productId": "tea", "name": "Tea", "quantityMilli": 3000, "unitPriceMinor": 149,
        "discountMinor": 47, "taxPpm": 200_000,
    });
    json!({
        "posId": "front", "localEventId": id, "currency": "GBP", "reference": format!("ref-{id}"),
        "lines": [line],
        "payments": [
            { "tender": "card", "amountMinor": 300 }, { "tender": "cash", "amountMinor": 100 },
        ],
    })
}

async fn post(door: &Door, path: &str, body: &Value) -> Value {
    let answer = door.raw("POST", path, body.to_string().into_bytes()).await.expect("an answer");
    assert!(answer.status < 300, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.json().unwrap_or(Value::Null)
}

async fn look(door: &Door, path: &str) -> Value {
    door.look(path).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_elsewhere_asks_the_till() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, _link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    let (address, token) = (door.address(), door.token());
    let (own, bearer) = (format!("host: {address}"), format!("authorization: Bearer {token}"));
    let same = format!("origin: http://{address}");
    // request, host, further line, what is answered
    for (request, host, line, status) in [
        ("GET /status HTTP/1.1", own.as_str(), "", 200),
        ("GET /status HTTP/1.1", &own, same.as_str(), 200),
        ("GET /status HTTP/1.1", "host: localhost", "", 200),
        ("GET /status HTTP/1.1", "host: shop.example", "", 403),
        ("GET /status HTTP/1.1", "host: shop.example:80", "origin: http://shop.example:80", 403),
        ("GET /status HTTP/1.1", &own, "origin: https://shop.example", 403),
        ("GET /status HTTP/1.1", &own, "origin: null", 403),
        ("POST /sync HTTP/1.1", &own, "origin: http://127.0.0.1:1", 403),
        ("GET / HTTP/1.1", "host: shop.example", "", 403),
        ("GET /healthz HTTP/1.1", "host: shop.example", "", 403),
        ("OPTIONS /sales HTTP/1.1", &own, "origin: https://shop.example", 403),
        ("OPTIONS /sales HTTP/1.1", &own, "access-control-request-method: POST", 405),
    ] {
        let line = if line.is_empty() { "accept: */*" } else { line };
        let answer = says(address, &[request, host, line, &bearer]).await;
        let started = answer.starts_with(&format!("HTTP/1.1 {status} "));
        assert!(started, "{request} {host} {line}: {answer}");
        assert!(!answer.to_lowercase().contains("access-control-allow"), "{answer}");
        assert!(status < 400 || answer.contains("POS_SYNC_"), "a stable code: {answer}");
    }
    // The page itself needs no token, and carries none; everything that it asks for does.
    let page = says(address, &["GET / HTTP/1.1", &own]).await;
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    assert!(!page.contains(token), "the page is the same for everybody");
    for (path, status) in [("/page/main.js", 200), ("/page/nothing.js", 404), ("/events", 401)] {
        let answer = says(address, &[&format!("GET {path} HTTP/1.1"), &own]).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    // A browser remembers by address and token: both outlive the daemon, however it ends.
    let (address, token) = (address.to_owned(), token.to_owned());
    till.kill().await.expect("killed");
    let door = till.start().await.expect("open again");
    assert_eq!((door.address(), door.token()), (address.as_str(), token.as_str()));
    till.stop().await.expect("stopped");
    let door = till.start().await.expect("open again");
    assert_eq!((door.address(), door.token()), (address.as_str(), token.as_str()));
    let told = tokio::process::Command::new(shop.terminal_program())
        .args(["page", "--pos", "front", "--dir"])
        .arg(till.home())
        .output()
        .await
        .expect("it runs");
    assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), door.page("front"));
    till.stop().await.expect("stopped");
    shop.cloud.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_and_queue_say_where_each_sale_stands() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    door.drain(LIMIT).await.expect("in step");
    let until = Instant::now() + LIMIT;
    while look(&door, "/customers").await.as_array().map(Vec::len) != Some(2) {
        assert!(Instant::now() < until, "the catalog comes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let found = look(&door, "/customers?search=ada").await;
    assert_eq!(found, json!([{ "id": "c-1", "name": "Ada Lovelace" }]));
    let categories = look(&door, "/categories").await;
    assert_eq!(categories[0], json!({ "id": "cold", "name": "Cold drinks" }));
    assert_eq!(look(&door, "/products?category=cold").await, json!([]));
    assert_eq!(look(&door, "/products?category=hot&search=TE").await[0]["productId"], "tea");

    link.set(Mode::Reset);
    post(&door, "/sales", &trade("a")).await;
    let synced = post(&door, "/sync?waitMs=20000", &Value::Null).await;
    assert_eq!(synced["connection"]["state"], "offline", "{synced}");
    assert_eq!(synced["connection"]["cause"], "noCloud", "{synced}");
    assert_eq!(synced["safeToSwitchOff"], false);
    // The queue has the columns of S1.4.
    let records = look(&door, "/queue/records").await;
    let record = records[0].as_object().expect("a record");
    let event = &record["payload"];
    assert_eq!(event["body"]["sale"]["lines"][0]["productId"], "tea", "{event}");
    for (column, value) in [
        ("entity_type", json!("sale")),
        ("entity_id", json!("front/a")),
        ("action", json!("CREATE")),
        ("status", json!("PENDING")),
        ("retry_count", json!(0)),
        ("created_at", event["atMs"].clone()),
    ] {
        assert_eq!(record[column], value, "{column}");
    }
    assert_eq!(record.len(), 7, "{record:?}");
    assert_eq!(look(&door, "/queue?attention=true").await, json!([]));
    let waits = look(&door, "/queue/front/a").await;
    assert_eq!(waits["total"], json!({ "minor": 400, "currency": "GBP" }), "{waits}");
    let receipt = look(&door, "/receipts/front/a").await;
    assert_eq!((&receipt["state"], &receipt["serverId"]), (&json!("pending"), &Value::Null));

    link.set(Mode::Pass);
    let synced = post(&door, "/sync?waitMs=20000", &Value::Null).await;
    assert_eq!(synced["connection"]["state"], "online", "{synced}");
    door.until(LIMIT, |status| status.pending == 0).await.expect("through");
    let receipt = look(&door, "/receipts/front/a").await;
    assert_eq!(receipt["state"], "synced", "{receipt}");
    let name = receipt["serverId"].as_str().expect("the cloud's name stands beside the sale");
    assert!(!name.is_empty());
    assert_eq!(receipt["totalMinor"], 400);
    assert_eq!(receipt["items"][0]["amountMinor"], 400);
    // 400 with 20 % in it: 66.67, rounded once.
    let tax = json!([{ "taxPpm": 200_000, "grossMinor": 400, "taxMinor": 67 }]);
    assert_eq!(receipt["taxes"], tax);

    // A refund that cannot be posted yet has the error beside it, and the sale what came back.
    let mut back = trade("b");
    back["original"] =
        json!({ "terminalId": "T-1", "posId": "front", "localEventId": "not-there" });
    post(&door, "/refunds", &back).await;
    let until = Instant::now() + LIMIT;
    let receipt = loop {
        let receipt = look(&door, "/receipts/front/b").await;
        if receipt["code"] == "POS_SYNC_ORIGINAL_PENDING" {
            break receipt;
        }
        assert!(Instant::now() < until, "{receipt}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(receipt["reason"].as_str().is_some_and(|why| why.contains("try again")), "{receipt}");
    let mut back = trade("c");
    back["original"] = look(&door, "/receipts/front/a").await["key"].clone();
    post(&door, "/refunds", &back).await;
    let sale = look(&door, "/receipts/front/a").await;
    let returned = json!([{ "productId": "tea", "quantityMilli": 3000 }]);
    assert_eq!((&sale["returned"], &sale["returnedComplete"]), (&returned, &json!(true)));
    for (find, ids) in [
        ("", &["c", "b", "a"][..]),
        ("find=1", &["a"]),
        ("find=REF-B", &["b"]),
        ("find=c", &["c"]),
        ("posId=other", &[]),
        ("limit=1", &["c"]),
    ] {
        let found = look(&door, &format!("/receipts?{find}")).await;
        let receipts = found["receipts"].as_array().expect("a list");
        let named: Vec<_> = receipts.iter().filter_map(|r| r["localEventId"].as_str()).collect();
        assert_eq!((named.as_slice(), &found["complete"]), (ids, &json!(true)), "{find}");
    }
    for (path, status, code) in [
        ("/receipts/front/nobody", 404, "POS_SYNC_NOT_FOUND"),
        ("/queue/front/a", 404, "POS_SYNC_NOT_FOUND"),
        ("/queue/front/%00", 422, "POS_SYNC_EVENT_INVALID"),
        ("/receipts?limit=many", 422, "POS_SYNC_EVENT_INVALID"),
        ("/queue?nonsense=1", 422, "POS_SYNC_EVENT_INVALID"),
    ] {
        let none = door.raw("GET", path, Vec::new()).await.expect("an answer");
        let said: Value = none.json().expect("a problem");
        assert_eq!((none.status, &said["code"]), (status, &json!(code)), "{path}: {said}");
    }
    till.stop().await.expect("stopped");
    shop.cloud.stop().await.expect("stopped");
}

/// Somebody who listens, and everything that was heard.
struct Listener {
    stream: TcpStream,
    heard: String,
}

impl Listener {
    async fn at(door: &Door) -> Self {
        let mut stream = TcpStream::connect(door.address()).await.expect("a connection");
        let request = format!(
            "GET /events HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n",
            door.address(),
            door.token()
        );
        stream.write_all(request.as_bytes()).await.expect("it is sent");
        Self { stream, heard: String::new() }
    }

    /// Listens until the last thing that was heard says this.
    async fn hears(&mut self, wanted: &str) {
        let reading = async {
            let mut buffer = [0; 4096];
            loop {
                let last = self.heard.rfind("event: status").unwrap_or(0);
                if self.heard[last..].contains(wanted) {
                    return;
                }
                let length = self.stream.read(&mut buffer).await.expect("it reads");
                assert!(length > 0, "the stream ended: {}", self.heard);
                self.heard += &String::from_utf8_lossy(&buffer[..length]);
            }
        };
        timeout(LIMIT, reading).await.expect("it is heard in time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_hear_of_changes_and_are_sent_away_when_the_till_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    let mut listener = Listener::at(&door).await;
    listener.hears("data: {").await;
    assert!(listener.heard.contains("content-type: text/event-stream"), "{}", listener.heard);
    listener.hears("\"state\":\"online\"").await;
    listener.hears("\"catalogVersion\":1").await;
    link.set(Mode::Reset);
    post(&door, "/sales", &trade("a")).await;
    listener.hears("\"cause\":\"noCloud\"").await;
    listener.hears("\"pending\":1").await;
    link.set(Mode::Pass);
    door.sync().await.expect("it asks");
    listener.hears("\"safeToSwitchOff\":true").await;
    // There is room for so many, and for others when they have gone.
    let mut others = Vec::new();
    for _ in 1..counterfoil_terminal::api::live::LISTENERS_MAX {
        let mut other = Listener::at(&door).await;
        other.hears("data: {").await;
        others.push(other);
    }
    Listener::at(&door).await.hears("HTTP/1.1 503 ").await;
    others.clear();
    let until = Instant::now() + LIMIT;
    loop {
        let mut another = Listener::at(&door).await;
        another.hears("\r\n").await;
        if another.heard.starts_with("HTTP/1.1 200 ") {
            break;
        }
        assert!(Instant::now() < until, "a seat that was left is free");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let asked = Instant::now();
    till.stop().await.expect("stopped");
    assert!(asked.elapsed() < Duration::from_secs(8), "it waits for no listener");
    shop.cloud.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_head_offices_is_passed_on_while_the_cloud_is_heard() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut shop, mut till, link) = shop(directory.path()).await;
    let door = till.start().await.expect("the till is open");
    door.drain(LIMIT).await.expect("in step");
    let ask = async |method: &str, path: &str, operator: Option<&str>, body: Value| {
        let own = format!("Bearer {}", door.token());
        let mut headers =
            vec![("authorization", own.as_str()), ("content-type", "application/json")];
        headers.extend(operator.map(|token| ("x-operator-token", token)));
        let body = body.to_string().into_bytes();
        let answer = http::ask_with(door.address(), method, path, &headers, body).await;
        let answer = answer.expect("an answer");
        (answer.status, answer.json::<Value>().expect("JSON"))
    };
    let user = json!({
        "userId": "anna", "shopId": "shop", "branchId": "north", "currency": "GBP",
        "scopes": ["sales:create"],
    });
    // Reporting, user management, configuration: as if they were asked of the cloud itself.
    let (status, made) = ask("POST", "/users", Some(OPERATOR), user.clone()).await;
    assert!(status == 201 && made["token"].is_string(), "{status}: {made}");
    let (status, users) = ask("GET", "/users", Some(OPERATOR), Value::Null).await;
    let there = shop.operator("GET", "/v1/admin/users", None).await.expect("an answer");
    assert_eq!((status, &users), (200, &there.json::<Value>().expect("JSON")));
    assert!(users.to_string().contains("anna"), "{users}");
    let report = "/reports/sales?shopId=shop&by=branch";
    let (status, report) = ask("GET", report, Some(OPERATOR), Value::Null).await;
    assert_eq!((status, &report["rows"]), (200, &json!([])), "{report}");
    let buffer = "/settings/buffer?shopId=shop&branchId=north";
    let (status, _) = ask("GET", buffer, Some(OPERATOR), Value::Null).await;
    assert_ne!(status, 503, "it is the cloud that answers");
    // Nobody else, and nothing else.
    let (status, said) = ask("GET", "/users", Some("no token of theirs"), Value::Null).await;
    assert_eq!((status, &said["code"]), (401, &json!("POS_SYNC_UNAUTHORIZED")), "{said}");
    let (status, said) = ask("GET", "/users", None, Value::Null).await;
    assert!(status == 403 && said["detail"].to_string().contains("sign in"), "{said}");
    let (status, _) = ask("POST", "/settings/parked/decide", Some(OPERATOR), json!({})).await;
    assert_eq!(status, 404);
    // Without the cloud it says so, and the till sells on.
    link.set(Mode::Reset);
    let until = Instant::now() + LIMIT;
    let said = loop {
        let (status, said) = ask("POST", "/users", Some(OPERATOR), user.clone()).await;
        if status == 503 {
            break said;
        }
        assert!(Instant::now() < until, "{status}: {said}");
    };
    assert_eq!(said["code"], "POS_SYNC_UNAVAILABLE", "{said}");
    let sold = door.raw("POST", "/sales", trade("offline").to_string().into_bytes()).await;
    assert_eq!(sold.expect("an answer").status, 201);
    till.stop().await.expect("it ends in peace");
    shop.cloud.stop().await.expect("it ends in peace");
}
