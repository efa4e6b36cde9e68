//! An entry that failed by itself waits for its time, and not for that and the till's own.

mod support;

use std::sync::Arc;
use std::time::Duration;

use counterfoil_protocol::event::Body;
use counterfoil_protocol::identity::EventKey;
use counterfoil_protocol::session::Config;
use counterfoil_protocol::terminal::{Draft, RETRY_BASE};
use counterfoil_storage::Memory;
use counterfoil_terminal::till::Till;
use counterfoil_terminal::witness::WitnessCell;
use support::{FakeCloud, TestClock, TestEntropy, id, identity, pos, sale, sync_loop};
use tokio::time::Instant;

/// A refund of a sale that the cloud has never seen: it is parked.
fn refund_of_nothing() -> Draft {
    let draft = sale("r", 100);
    let Body::Sale(trade) = draft.body else { unreachable!("a sale is one") };
    let terminal = identity().terminal;
    let original = Some(EventKey { terminal, pos: pos(), local_id: id("never sold") });
    Draft { body: Body::Refund { original, trade }, ..draft }
}

#[tokio::test]
async fn however_long_the_till_has_been_up() {
    for uptime in [0, 14 * 60, 16 * 60, 30 * 24 * 3600] {
        let cloud = FakeCloud::start().await;
        let clock = Arc::new(TestClock::default());
        let shown = Arc::clone(&clock);
        let till = Till::new(Memory::new(), shown, Box::new(TestEntropy(1)));
        let mut witness = WitnessCell::default();
        till.install(identity(), &mut witness).await.expect("a new till");
        till.open(&mut witness).await.expect("an open till");
        let mut sync = sync_loop(&till, &cloud.url(), Config::default());
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(uptime)).await;
        tokio::time::resume();
        till.record(refund_of_nothing()).await.expect("a refund");
        // The start, and what was announced by the recording.
        for _ in 0..2 {
            sync.rest().await;
            sync.settle().await.expect("a store");
        }
        let queue = till.queue(10).await.expect("a queue");
        assert_eq!((queue.len(), queue[0].attempts), (1, 1), "it is parked");
        tokio::time::pause();
        let before = Instant::now();
        sync.rest().await;
        let slept = u64::try_from(before.elapsed().as_millis()).expect("a short time");
        assert!(slept <= RETRY_BASE.0, "up {uptime} s: the first wait is short, not {slept} ms");
        tokio::time::resume();
        clock.advance(RETRY_BASE.0);
        sync.settle().await.expect("a store");
        assert_eq!(till.queue(10).await.expect("a queue")[0].attempts, 2, "up {uptime} s");
    }
}
