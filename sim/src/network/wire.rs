//! The till's end of the simulated network: a connector, and streams on which requests get lost.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use counterfoil_terminal::transport::Connector;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::TcpStream;

use super::goodbye::Socket;
use super::scene::{Scene, TillSlot, lock};
use crate::coverage::{Injected, Transition};

/// Connects a till to the cloud.
#[derive(Clone)]
pub(super) struct Dial {
    pub(super) scene: Arc<Scene>,
    pub(super) slot: Arc<TillSlot>,
    pub(super) who: Who,
}

/// Which part of a till speaks: each has a connection of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Session,
    Follower,
    Collector,
    Verifier,
}

impl Connector for Dial {
    type Stream = TokioIo<Line>;

    async fn connect(&self, to: Uri) -> Result<Self::Stream, Box<dyn Error + Send + Sync>> {
        let (Some(host), Some(port)) = (to.host(), to.port_u16()) else {
            return Err("an address has a host and a port".into());
        };
        let stream = TcpStream::connect((host, port)).await?;
        let line = Line {
            stream: self.slot.goodbyes.wrap(stream),
            scene: Arc::clone(&self.scene),
            slot: Arc::clone(&self.slot),
            who: self.who,
            dead: false,
        };
        Ok(TokioIo::new(line))
    }
}

/// A stream on which a request may vanish: then it is silently dead, as after a partition.
pub(super) struct Line {
    stream: Socket,
    scene: Arc<Scene>,
    slot: Arc<TillSlot>,
    who: Who,
    dead: bool,
}

impl Line {
    /// A request begins: the link may lose it, or reset the connection.
    fn begin(&mut self, request: &[u8]) -> io::Result<()> {
        match self.who {
            Who::Session => self.scene.saw(Transition::SessionInput),
            Who::Follower => self.scene.saw(Transition::FollowerInput),
            Who::Collector => self.scene.saw(Transition::CollectorInput),
            // It asks for a delta when its comparison has to begin again, and for nothing else.
            Who::Verifier if request.starts_with(b"GET /v1/catalog/delta") => {
                self.scene.saw(Transition::VerifyAgain);
            }
            Who::Verifier => {}
        }
        if self.who == Who::Session {
            let mut state = lock(&self.slot.state);
            state.hello_out = request.starts_with(b"POST /v1/handshake");
            state.hello_since_heal = state.hello_out && self.scene.is_healed();
            state.welcome_in = false;
        }
        if self.scene.is_healed() {
            return Ok(());
        }
        let link = self.scene.plan.link;
        let (lost, reset) = {
            let mut luck = lock(&self.slot.link);
            (luck.happens(link.loss_ppm), luck.happens(link.reset_ppm))
        };
        if lost {
            self.scene.injected(Injected::Loss);
            self.dead = true;
        } else if reset {
            self.scene.injected(Injected::Reset);
            return Err(io::Error::from(io::ErrorKind::ConnectionReset));
        }
        Ok(())
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        if line.dead {
            // Nobody will ever wake this reader: whoever waits needs a deadline.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut line.stream).poll_read(cx, buf))?;
        if line.who == Who::Session && buf.filled()[before..].starts_with(b"HTTP/1.1 200") {
            let mut state = lock(&line.slot.state);
            state.welcome_in = std::mem::take(&mut state.hello_out);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        let begins = buf.starts_with(b"POST ") || buf.starts_with(b"GET ");
        if !line.dead && begins {
            line.begin(buf)?;
        }
        if line.dead {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut line.stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        if line.dead { Poll::Ready(Ok(())) } else { Pin::new(&mut line.stream).poll_shutdown(cx) }
    }
}
