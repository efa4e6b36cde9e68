//! What the tests share: an open till in memory, and a cloud made of the protocol's own machine.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of it")]

pub mod process;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use counterfoil_protocol::cloud::{Caller, Cloud, Input, Offer, Output, Site};
use counterfoil_protocol::event::{Body, Line, Tender, Trade};
use counterfoil_protocol::hash::{Hash, secret_hash};
use counterfoil_protocol::identity::{
    BranchId, LocalEventId, PosId, ProductId, ShopId, TerminalId,
};
use counterfoil_protocol::machine::run;
use counterfoil_protocol::money::{Currency, Milli, Minor};
use counterfoil_protocol::session::Config;
use counterfoil_protocol::terminal::{Draft, Identity, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::{Hello, Push};
use counterfoil_storage::Memory;
use counterfoil_terminal::ports::{Clock, Entropy};
use counterfoil_terminal::sync::SyncLoop;
use counterfoil_terminal::till::{Till, TillStore};
use counterfoil_terminal::transport::{Endpoint, Transport};
use counterfoil_terminal::witness::WitnessCell;
use http::StatusCode;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::sync::Mutex;

pub const TOKEN: &str = "pos_T-1_secret";

/// A clock that stands still unless it is moved.
#[derive(Debug, Default)]
pub struct TestClock(AtomicU64);

impl TestClock {
    pub fn advance(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Millis {
        Millis(1_700_000_000_000 + self.0.load(Ordering::SeqCst))
    }
}

/// Counts up: enough to tell two draws apart.
#[derive(Debug)]
pub struct TestEntropy(pub u64);

impl Entropy for TestEntropy {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        self.0
    }
}

pub fn identity() -> Identity {
    Identity {
        shop: ShopId::parse("S-1").expect("a name"),
        branch: BranchId::parse("B-1").expect("a name"),
        terminal: TerminalId::parse("T-1").expect("a name"),
    }
}

pub fn pos() -> PosId {
    PosId::parse("1").expect("a name")
}

pub fn id(text: &str) -> LocalEventId {
    LocalEventId::parse(text).expect("a name")
}

/// A till over `store`, not open yet.
pub fn closed_till(store: Memory<Terminal>, seed: u64) -> Till<Memory<Terminal>> {
    Till::new(store, Arc::new(TestClock::default()), Box::new(TestEntropy(seed)))
}

/// A till in memory, installed and open.
pub async fn till() -> Till<Memory<Terminal>> {
    let till = closed_till(Memory::new(), 1);
    let mut witness = WitnessCell::default();
    till.install(identity(), &mut witness).await.expect("a new till");
    till.open(&mut witness).await.expect("an open till");
    till
}

pub fn sale(name: &str, pence: i64) -> Draft {
    let line = Line {
        product: ProductId::parse("85123A").expect("a name"),
        name: "WHITE HANGING HEART".to_owned(),
        quantity: Milli(1000),
        unit_price: Minor(pence),
        discount: Minor(0),
        tax_ppm: 0,
    };
    Draft {
        pos: pos(),
        local_id: id(name),
        at: Millis(1_700_000_000_000),
        reference: name.to_owned(),
        body: Body::Sale(Trade::paid(Currency::GBP, vec![line], Tender::Cash)),
    }
}

/// How a fake cloud misbehaves.
#[derive(Debug, Default)]
pub struct Faults {
    /// So many answers are lost after their commit.
    pub lose_answers: AtomicUsize,
    /// So many requests are refused with 503 before anything happens.
    pub refuse: AtomicUsize,
    /// Requests so far.
    pub requests: AtomicUsize,
}

/// A cloud over a memory store, on a real socket.
#[derive(Clone)]
pub struct FakeCloud {
    pub store: Arc<Mutex<Memory<Cloud>>>,
    pub faults: Arc<Faults>,
    pub address: SocketAddr,
}

impl FakeCloud {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let cloud = Self {
            store: Arc::new(Mutex::new(Memory::new())),
            faults: Arc::default(),
            address: listener.local_addr().expect("an address"),
        };
        let Identity { shop, branch, terminal } = identity();
        let site = Site { shop, branch };
        let secret = secret_hash(TOKEN.as_bytes());
        let enrol = Input::Enrol { terminal, site, secret, expires_at: None };
        assert_eq!(cloud.decide(enrol).await, Output::Enrolled);
        let router = Router::new()
            .route("/v1/handshake", post(handshake))
            .route("/v1/sales-events", post(push))
            .with_state(cloud.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        cloud
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn decide(&self, input: Input) -> Output {
        let mut store = self.store.lock().await;
        let now = Millis(1_700_000_000_000);
        let outputs = run(&Cloud::default(), &mut *store, now, &[input]).await;
        outputs.expect("a memory store works").remove(0)
    }

    async fn answer(&self, input: Input) -> Response {
        self.faults.requests.fetch_add(1, Ordering::SeqCst);
        if take(&self.faults.refuse) {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let output = self.decide(input).await;
        if take(&self.faults.lose_answers) {
            // Cut off inside the body: committed, but nobody hears of it.
            return Response::new(axum::body::Body::new(Broken));
        }
        match output {
            Output::Welcome(welcome) => welcome.encode().into_response(),
            Output::Pushed(answer) => answer.encode().into_response(),
            Output::Denied(denial) => {
                let body = serde_json::json!({ "reason": denial }).to_string();
                (StatusCode::UNAUTHORIZED, body).into_response()
            }
            other @ (Output::Enrolled
            | Output::OtherSite(_)
            | Output::Revoked
            | Output::NoSuchTerminal
            | Output::Defined
            | Output::RolledUp(_)
            | Output::Edited { .. }
            | Output::Inbox(_)
            | Output::SketchSecret(_)
            | Output::Leased(_)
            | Output::Compacted { .. }
            | Output::NameReserved
            | Output::UserAdded
            | Output::NoSuchUser
            | Output::Forbidden(_)
            | Output::Brought(_)
            | Output::HeadMoved
            | Output::Decided(_)
            | Output::NoSuchEvent
            | Output::Settled
            | Output::ThresholdsSet { .. }
            | Output::Moved) => panic!("{other:?} answers no till"),
        }
    }

    /// What the cloud holds: events in its ledger, by their keys.
    pub async fn ledger(&self) -> usize {
        let store = self.store.lock().await;
        let posted = |key: &&counterfoil_protocol::cloud::Key| {
            matches!(key, counterfoil_protocol::cloud::Key::Ledger(..))
        };
        store.rows().keys().filter(posted).count()
    }
}

fn take(counter: &AtomicUsize) -> bool {
    let less = |left: usize| left.checked_sub(1);
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
}

fn caller() -> Caller {
    let Identity { shop, branch, terminal } = identity();
    let secret: Hash = secret_hash(TOKEN.as_bytes());
    Caller { terminal, secret, site: Site { shop, branch } }
}

async fn handshake(State(cloud): State<FakeCloud>, body: Bytes) -> Response {
    let hello = Hello::decode(&body).expect("a readable greeting");
    cloud.answer(Input::Hello { caller: caller(), hello }).await
}

async fn push(State(cloud): State<FakeCloud>, body: Bytes) -> Response {
    let push = Push::decode(&body).expect("a readable push");
    cloud
        .answer(Input::Push { caller: caller(), offer: Offer::read(push, caller().site.shop) })
        .await
}

/// Short waits, so that tests of faults do not sleep for seconds.
pub fn quick() -> Config {
    Config { backoff_base: Millis(5), backoff_cap: Millis(20), ..Config::default() }
}

pub fn sync_loop(
    till: &Till<Memory<Terminal>>,
    url: &str,
    config: Config,
) -> SyncLoop<Memory<Terminal>, HttpConnector> {
    let endpoint = Endpoint::parse(url).expect("an address");
    let transport = Transport::new(HttpConnector::new(), endpoint, TOKEN).expect("a token");
    SyncLoop::new(till.clone(), transport, config)
}

/// An answer that is cut off.
struct Broken;

impl hyper::body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(Some(Err(std::io::Error::other("cut off"))))
    }
}

/// Steps `sync` until nothing is pending.
pub async fn drain<S: TillStore>(till: &Till<S>, sync: &mut SyncLoop<S, HttpConnector>) {
    let draining = async {
        loop {
            sync.settle().await.expect("a store that works");
            if till.status().await.expect("a status").pending == 0 {
                break;
            }
            sync.rest().await;
        }
    };
    let limit = std::time::Duration::from_secs(120);
    tokio::time::timeout(limit, draining).await.expect("the queue drains");
}
