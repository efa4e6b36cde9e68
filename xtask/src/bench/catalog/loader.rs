//! The ceiling: the same pages from a server that has them in memory, decompressed, taken apart and
//! put into one table of the same engine, page by page and as durably. No credential, no digest, no
//! proof, no check of what an entity says.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::extract::{Path as Number, State};
use axum::routing::get;
use bytes::Bytes;
use counterfoil_protocol::wire::catalog::ChangeV1;
use http::StatusCode;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use redb::{Database, Durability, TableDefinition};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("items");

/// A server of pages.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) address: SocketAddr,
    count: usize,
    _runtime: Runtime,
}

impl Source {
    pub(crate) fn start(pages: Vec<Bytes>) -> anyhow::Result<Self> {
        let count = pages.len();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let router = Router::new().route("/{page}", get(page)).with_state(Arc::new(pages));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let listener = axum::serve::ListenerExt::tap_io(listener, |socket| {
            let _unsupported = socket.set_nodelay(true);
        });
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, count, _runtime: runtime })
    }
}

async fn page(
    State(pages): State<Arc<Vec<Bytes>>>,
    Number(number): Number<usize>,
) -> Result<Bytes, StatusCode> {
    pages.get(number).cloned().ok_or(StatusCode::NOT_FOUND)
}

/// One that downloads and loads.
#[derive(Debug)]
pub(crate) struct Loader {
    database: Database,
}

impl Loader {
    pub(crate) fn create(directory: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        Ok(Self { database: Database::create(directory.join("ceiling.redb"))? })
    }

    /// Downloads every page and loads it; `read` takes one apart.
    pub(crate) async fn load(
        &self,
        source: &Source,
        read: fn(&[u8]) -> anyhow::Result<Vec<ChangeV1>>,
    ) -> anyhow::Result<u64> {
        let stream = TcpStream::connect(source.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut loaded = 0;
        for number in 0..source.count {
            let request = http::Request::get(format!("/{number}"))
                .header("host", source.address.to_string())
                .body(Empty::<Bytes>::new())?;
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            ensure!(response.status() == 200, "{}", response.status());
            let packed = response.into_body().collect().await?.to_bytes();
            loaded += self.put(&read(&zstd::decode_all(&*packed)?)?)?;
        }
        Ok(loaded)
    }

    fn put(&self, changes: &[ChangeV1]) -> anyhow::Result<u64> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.set_quick_repair(true);
        {
            let mut table = transaction.open_table(TABLE)?;
            let mut key = Vec::new();
            for change in changes {
                key.clear();
                key.push(change.id.kind as u8);
                key.extend_from_slice(change.id.id.as_bytes());
                let content = change.content.as_deref().context("a snapshot is whole")?;
                table.insert(key.as_slice(), content)?;
            }
        }
        transaction.commit()?;
        Ok(changes.len() as u64)
    }
}
