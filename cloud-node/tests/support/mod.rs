//! A whole node in one task: its router, its committer, a store in memory, a clock to set.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

pub mod rows;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use counterfoil_cloud::committer;
use counterfoil_cloud::credential::{Token, operator_digest};
use counterfoil_cloud::metrics::Metrics;
use counterfoil_cloud::service::{Limits, Parts, router};
use counterfoil_cloud::world::{Clock, Entropy};
use counterfoil_protocol::cloud::{
    Cloud, Input, Key, Output, Record, Site, UnknownProducts, rollup,
};
use counterfoil_protocol::event::Event;
use counterfoil_protocol::hash::{Hash, genesis, link, payload_hash};
use counterfoil_protocol::identity::{BranchId, Epoch, ShopId, TerminalId};
use counterfoil_protocol::machine::{Loaded, Store, Writes};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::event::EventV1;
use counterfoil_protocol::wire::message::{
    Hello, HelloLane, MEDIA_TYPE, Point, Push, PushAnswer, PushItem, Welcome,
};
use counterfoil_storage::{KeyValue, MemoryEngine, Reader, StoreError};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub const JSON: &str = "application/json";
pub const BINARY: &str = MEDIA_TYPE;
pub const OPERATOR: &str = "operator-token-of-the-tests";

pub struct SetClock(pub AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

struct Counted(AtomicU64);

impl Entropy for Counted {
    fn secret(&self) -> Option<[u8; 32]> {
        let mut secret = [7; 32];
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        secret[..8].copy_from_slice(&number.to_le_bytes());
        Some(secret)
    }
}

/// A store that can be told to fail.
pub struct Fragile {
    pub inner: KeyValue<Cloud, MemoryEngine>,
    pub fails: Arc<AtomicBool>,
}

impl Store<Cloud> for Fragile {
    type Error = StoreError;

    async fn transact(
        &mut self,
        keys: Vec<Key>,
        decide: impl FnMut(&Loaded<Cloud>) -> Writes<Cloud> + Send,
    ) -> Result<(), StoreError> {
        // A commit waits for a disk: others gather meanwhile.
        tokio::task::yield_now().await;
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::Unknown { why: "a planned failure".to_owned() });
        }
        self.inner.transact(keys, decide).await
    }
}

pub struct Node {
    pub router: Router,
    pub reads: Reader<Cloud, MemoryEngine>,
    pub clock: Arc<SetClock>,
    pub metrics: Arc<Metrics>,
    pub fails: Arc<AtomicBool>,
    pub submit: committer::Submit,
    /// Gives the store back with the result.
    pub committer: tokio::task::JoinHandle<(Fragile, Result<(), StoreError>)>,
}

pub fn site() -> Site {
    Site {
        shop: ShopId::parse("shop").expect("a name"),
        branch: BranchId::parse("branch").expect("a name"),
    }
}

pub fn start() -> Node {
    start_with(Limits { rate: None, ..Limits::default() }, UnknownProducts::Accept)
}

pub fn start_with(limits: Limits, unknown_products: UnknownProducts) -> Node {
    let inner = KeyValue::new(MemoryEngine::new());
    let reads = inner.reader();
    let clock = Arc::new(SetClock(AtomicU64::new(1_000_000)));
    let metrics = Arc::new(Metrics::new());
    let fails = Arc::new(AtomicBool::new(false));
    let (submit, queue) = committer::queue();
    let router = router(Parts {
        submit: submit.clone(),
        reads: reads.clone(),
        clock: clock.clone(),
        entropy: Arc::new(Counted(AtomicU64::new(0))),
        metrics: metrics.clone(),
        operator: Some(operator_digest(OPERATOR)),
        limits,
    });
    let mut store = Fragile { inner, fails: fails.clone() };
    let (time, counters) = (clock.clone(), metrics.clone());
    let committer = tokio::spawn(async move {
        let cloud = Cloud { unknown_products };
        let result = committer::run(cloud, &mut store, &*time, queue, &counters).await;
        (store, result)
    });
    Node { router, reads, clock, metrics, fails, submit, committer }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("an answer in JSON")
    }

    /// Checks the form of a problem document; returns its code and reason.
    pub fn problem(&self) -> (String, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let document = self.json();
        let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(document["status"], self.status.as_u16());
        assert_eq!(text("type"), format!("urn:counterfoil:problem:{}", text("code")));
        assert!(!text("title").is_empty() && !text("detail").is_empty());
        (text("code"), text("reason"))
    }
}

impl Node {
    /// Adds what the branch has moved to its stock.
    pub async fn roll_up(&self) {
        let planned = rollup::plan(&self.reads, site()).await;
        let planned = planned.expect("readable rows").expect("something was moved");
        self.submit.ask(Input::RollUp(planned), 0).await.expect("a commit");
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("a router never fails");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes().to_vec();
        assert!(head.headers.contains_key("x-request-id"), "every answer names its request");
        Answer { status: head.status, headers: head.headers, body }
    }

    pub async fn post(&self, path: &str, token: &str, form: &str, body: Vec<u8>) -> Answer {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", form)
            .body(Body::from(body))
            .expect("a request");
        self.send(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    pub async fn admin(&self, path: &str, body: Value) -> Answer {
        self.post(path, OPERATOR, JSON, body.to_string().into_bytes()).await
    }

    /// Enrols a terminal without HTTP, and returns it as a till with an empty journal.
    pub async fn till(&self, name: &str) -> Till {
        self.till_until(name, None).await
    }

    pub async fn till_until(&self, name: &str, expires_at: Option<Millis>) -> Till {
        let terminal = TerminalId::parse(name).expect("a name");
        let mut secret = [9; 32];
        secret[..name.len().min(32)].copy_from_slice(&name.as_bytes()[..name.len().min(32)]);
        let token = Token::new(terminal, secret);
        let site = site();
        let input = Input::Enrol { terminal, site, secret: token.digest(), expires_at };
        assert_eq!(self.submit.ask(input, 0).await, Ok(Output::Enrolled));
        Till::new(terminal, token.reveal())
    }

    /// Enrols a terminal at a place as an operator does; it has greeted.
    pub async fn enrolled(&self, name: &str, shop: &str, branch: &str) -> Till {
        let wish = json!({"terminalId": name, "shopId": shop, "branchId": branch});
        let answer = self.admin("/v1/admin/terminals", wish).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
        let token = answer.json()["token"].as_str().expect("a token").to_owned();
        let till = Till::new(TerminalId::parse(name).expect("a name"), token);
        self.greet(&till).await;
        till
    }

    /// Returns every committed row.
    pub fn rows(&self) -> Vec<(Key, Record)> {
        self.reads.scan_all(usize::MAX).expect("readable rows")
    }

    pub async fn greet(&self, till: &Till) -> Welcome {
        let body = till.hello().encode();
        let answer = self.post("/v1/handshake", &till.token, BINARY, body).await;
        assert_eq!(answer.status, StatusCode::OK);
        Welcome::decode(&answer.body).expect("a welcome")
    }

    pub async fn push(&self, till: &Till, items: Vec<PushItem>) -> PushAnswer {
        let body = till.push(items).encode();
        let answer = self.post("/v1/sales-events", &till.token, BINARY, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
        PushAnswer::decode(&answer.body).expect("an answer")
    }
}

/// A till as far as the wire shows one.
#[derive(Clone)]
pub struct Till {
    pub terminal: TerminalId,
    pub token: String,
    pub epoch: Epoch,
    pub head: u64,
    pub hash: Hash,
}

impl Till {
    pub fn new(terminal: TerminalId, token: String) -> Self {
        let epoch = Epoch { number: 1, nonce: 77 };
        Self { terminal, token, epoch, head: 0, hash: genesis(terminal, epoch) }
    }

    pub fn hello(&self) -> Hello {
        Hello {
            terminal_id: self.terminal,
            versions: vec![1],
            app: "test".to_owned(),
            clock_ms: 5,
            lanes: vec![HelloLane {
                epoch: self.epoch,
                parent: None,
                acked: 0,
                points: vec![Point { seq: self.head, hash: self.hash }],
            }],
        }
    }

    /// Enters bytes into the journal.
    pub fn enter(&mut self, payload: Vec<u8>) -> PushItem {
        self.head += 1;
        self.hash = link(self.hash, self.head, payload_hash(&payload));
        PushItem { seq: self.head, chain_hash: self.hash, payload: payload.into() }
    }

    pub fn sell(&mut self, name: &str) -> PushItem {
        self.enter(sale(name, "tea", 2_000, 150).canonical())
    }

    pub fn push(&self, items: Vec<PushItem>) -> Push {
        Push { terminal_id: self.terminal, epoch: self.epoch, items }
    }
}

/// A sale of one line.
pub fn sale(name: &str, product: &str, quantity_milli: i64, price: i64) -> Event {
    Event::parse(sale_v1(name, product, quantity_milli, price)).expect("a sale")
}

pub fn sale_v1(name: &str, product: &str, quantity_milli: i64, price: i64) -> EventV1 {
    let amount = quantity_milli * price / 1_000;
    serde_json::from_value(json!({
        "posId": "P-1", "localEventId": name, "atMs": 1_000,
        "receipt": {"series": {"number": 1, "nonce": 77}, "number": 1},
        "reference": format!("INV-{name}"),
        "body": {"sale": {
            "currency": "GBP",
            "lines": [{
                "productId": product, "name": "", "quantityMilli": quantity_milli,
                "unitPriceMinor": price, "discountMinor": 0, "taxPpm": 200_000,
            }],
            "payments": [{"tender": 1, "amountMinor": amount}],
        }},
    }))
    .expect("the shape of an event")
}

/// The JSON form of a push whose items carry events.
pub fn push_json(push: &Push) -> Value {
    let items: Vec<Value> = push
        .items
        .iter()
        .map(|item| {
            let event = Event::from_canonical(&item.payload).expect("an event");
            json!({
                "seq": item.seq, "chainHash": item.chain_hash,
                "event": EventV1::from_event(&event),
            })
        })
        .collect();
    json!({"terminalId": push.terminal_id, "epoch": push.epoch, "items": items})
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
