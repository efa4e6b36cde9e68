//! The server works over any kind of connection, finishes what is under way when it is told to
//! stop, and waits for it no longer than its limit.

mod support;

use std::io;
use std::time::Duration;

use axum::serve::Listener;
use counterfoil_cloud::server::{DRAIN_LIMIT, serve};
use support::{BINARY, start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Brings pipes in memory in place of sockets.
struct Pipes(mpsc::Receiver<DuplexStream>);

impl Listener for Pipes {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(pipe) => (pipe, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn answers_under_way_are_finished_and_the_stuck_are_cut_off() {
    let node = start();
    let till = node.till("T-1").await;
    let (connect, pipes) = mpsc::channel(4);
    let (stop, stopped) = oneshot::channel::<()>();
    let router = node.router.clone();
    let server = tokio::spawn(serve(Pipes(pipes), router, async {
        let _ = stopped.await;
    }));
    let open = async || {
        let (near, far) = duplex(1 << 16);
        connect.send(far).await.expect("a listening server");
        near
    };
    let hello = till.hello().encode();
    let head = format!(
        "POST /v1/handshake HTTP/1.1\r\nhost: node\r\ncontent-type: {BINARY}\r\n\
         authorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        till.token,
        hello.len()
    );
    let _idle = open().await;
    let (mut slow, mut stuck) = (open().await, open().await);
    for pipe in [&mut slow, &mut stuck] {
        pipe.write_all(head.as_bytes()).await.expect("written");
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let told = Instant::now();
    stop.send(()).expect("a running server");
    tokio::time::sleep(Duration::from_secs(1)).await;
    slow.write_all(&hello).await.expect("still open");
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).await.expect("an answer, then the end");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(server.await.expect("no panic"), 1, "only the stuck one is cut off");
    assert_eq!(told.elapsed().as_secs(), DRAIN_LIMIT.as_secs());
    assert_eq!(stuck.read_to_end(&mut Vec::new()).await.expect("the end"), 0);
}
