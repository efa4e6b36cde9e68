//! What a host says to its peers while it goes down: always in the same order.
//!
//! Ending a host drops its tasks, and each connection that a task holds says goodbye. tokio drops
//! the tasks of a runtime in an order that depends on a counter of the whole process, so what other
//! threads spawn would show: in the latencies that the goodbyes draw, and in whom they wake first.
//! So a connection of a host that goes down is only set aside when its task is dropped. The host's
//! own future, which turmoil drops after the runtime, closes them in the order of their addresses.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::TcpStream;

use super::scene::lock;

/// The connections of a host, which ask it how to end.
#[derive(Clone, Default)]
pub(super) struct Goodbyes(Arc<Mutex<Ending>>);

#[derive(Default)]
struct Ending {
    goes_down: bool,
    /// By the addresses of both ends.
    aside: BTreeMap<(SocketAddr, SocketAddr), TcpStream>,
}

impl Goodbyes {
    /// From now on connections are set aside: the host is about to be crashed.
    pub(super) fn goes_down(&self) {
        lock(&self.0).goes_down = true;
    }

    /// Begins a life of the host. Its future keeps what this returns until it is dropped.
    pub(super) fn live(&self) -> Life {
        self.close();
        Life(self.clone())
    }

    /// Returns a connection that ends as the host's connections do.
    pub(super) fn wrap(&self, stream: TcpStream) -> Socket {
        Socket { stream: Some(stream), goodbyes: self.clone() }
    }

    fn close(&self) {
        let ending = std::mem::take(&mut *lock(&self.0));
        // A map drops its values in the order of its keys.
        drop(ending.aside);
    }
}

/// Closes, when it is dropped, what has been set aside.
pub(super) struct Life(Goodbyes);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A connection.
pub(super) struct Socket {
    /// There until it is dropped.
    stream: Option<TcpStream>,
    goodbyes: Goodbyes,
}

impl Socket {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(self.get_mut().stream.as_mut().expect("it is taken only when this is dropped"))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        let mut ending = lock(&self.goodbyes.0);
        if !ending.goes_down {
            return;
        }
        if let (Ok(here), Ok(there)) = (stream.local_addr(), stream.peer_addr()) {
            let before = ending.aside.insert((here, there), stream);
            assert!(before.is_none(), "two connections have the same ends");
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
