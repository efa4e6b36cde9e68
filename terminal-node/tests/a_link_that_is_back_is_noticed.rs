//! A request that comes through after others did not is the proof that the link is back: what
//! waits on the till's other connection does not wait for its time.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use counterfoil_protocol::session::{Config, Fault};
use counterfoil_protocol::time::Millis;
use counterfoil_terminal::follow::FollowLoop;
use counterfoil_terminal::transport::{Endpoint, Transport};
use hyper_util::client::legacy::connect::HttpConnector;
use support::{FakeCloud, TOKEN, quick, sale, sync_loop, till};
use tokio::net::{TcpListener, TcpStream};

/// It waits for so long that only a nudge explains a second request.
fn patient() -> Config {
    let hour = Millis::from_secs(3600);
    Config { backoff_base: hour, backoff_cap: hour, idle_greeting: hour, ..Config::default() }
}

/// Passes connections on to the cloud, and counts those that ask for the catalog.
async fn relay(listener: TcpListener, to: std::net::SocketAddr, asked: Arc<AtomicUsize>) {
    loop {
        let (mut near, _) = listener.accept().await.expect("a connection");
        let asked = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut first = [0; 3];
            let seen = near.peek(&mut first).await.expect("a request");
            // The session only posts.
            asked.fetch_add(usize::from(&first[..seen] == b"GET"), Ordering::SeqCst);
            let mut far = TcpStream::connect(to).await.expect("the cloud");
            let _cut = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(10), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_sync_that_comes_through_wakes_what_follows_the_catalog() {
    let cloud = FakeCloud::start().await;
    let till = till().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let door = taken.local_addr().expect("an address");
    drop(taken);
    let url = format!("http://{door}");
    let endpoint = Endpoint::parse(&url).expect("an address");
    let transport = Transport::new(HttpConnector::new(), endpoint, TOKEN).expect("a token");
    // The catalog is asked for first, in vain, and would be again in up to an hour.
    let mut follow = FollowLoop::new(till.clone(), transport, patient());
    follow.settle_now().await.expect("a store");
    let following = tokio::spawn(follow.run());
    let sync = sync_loop(&till, &url, quick());
    let link = sync.link();
    let syncing = tokio::spawn(sync.run());
    till.record(sale("a", 100)).await.expect("a sale");
    let down = async || link.borrow().last_fault == Some(Fault::Transport);
    until("the session notices", down).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind(door).await.expect("the same port");
    tokio::spawn(relay(listener, cloud.address, Arc::clone(&asked)));
    until("the sale is synced", async || till.status().await.expect("books").synced == 1).await;
    until("the catalog is asked for", async || asked.load(Ordering::SeqCst) > 0).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1, "once");
    syncing.abort();
    following.abort();
}
