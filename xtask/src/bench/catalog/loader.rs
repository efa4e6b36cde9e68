//! The ceiling: the same pages from a server that has them in memory, decompressed, taken apart and
//! put into tables of the same engine, page by page and as durably: the products, and of a snapshot
//! what is scanned of them, so that both can be looked up. No credential, no digest, no proof.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::extract::{Path as Number, State};
use axum::routing::get;
use bytes::Bytes;
use counterfoil_protocol::catalog::Entity;
use counterfoil_protocol::wire::catalog::{ChangeV1, DeltaAnswer, SnapshotPage};
use http::StatusCode;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use redb::{Database, Durability, TableDefinition};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const ITEMS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("items");
const CODES: TableDefinition<'_, &[u8], ()> = TableDefinition::new("codes");

/// What a page is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Products that were not there: they are indexed by what is scanned of them.
    Snapshot,
    /// Other prices: the index stays.
    Delta,
}

/// Takes a page apart.
fn read(part: Part, frame: &[u8]) -> anyhow::Result<Vec<ChangeV1>> {
    Ok(match part {
        Part::Snapshot => SnapshotPage::decode(frame)?.entities,
        Part::Delta => match DeltaAnswer::decode(frame)? {
            DeltaAnswer::Page(page) => page.changes,
            DeltaAnswer::WithEdits(..) => anyhow::bail!("no edits were asked for"),
            DeltaAnswer::Resync => anyhow::bail!("there is no delta"),
        },
    })
}

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

    /// Downloads every page and loads it.
    pub(crate) async fn load(&self, source: &Source, part: Part) -> anyhow::Result<u64> {
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
            loaded += self.put(part, &read(part, &zstd::decode_all(&*packed)?)?)?;
        }
        Ok(loaded)
    }

    fn put(&self, part: Part, changes: &[ChangeV1]) -> anyhow::Result<u64> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.set_quick_repair(true);
        {
            let mut items = transaction.open_table(ITEMS)?;
            let mut codes = Vec::new();
            let mut key = Vec::new();
            for change in changes {
                key.clear();
                key.push(change.id.kind as u8);
                key.extend_from_slice(change.id.id.as_bytes());
                let content = change.content.as_deref().context("a snapshot is whole")?;
                items.insert(key.as_slice(), content)?;
                if part == Part::Snapshot
                    && let Entity::Product(product) = Entity::from_canonical(change.id, content)?
                {
                    codes.extend(product.barcodes.iter().map(|code| (*code, change.id.id)));
                }
            }
            if part == Part::Snapshot {
                codes.sort_unstable();
                let mut index = transaction.open_table(CODES)?;
                for (code, product) in codes {
                    key.clear();
                    key.extend_from_slice(code.as_bytes());
                    key.push(0);
                    key.extend_from_slice(product.as_bytes());
                    index.insert(key.as_slice(), ())?;
                }
            }
        }
        transaction.commit()?;
        Ok(changes.len() as u64)
    }
}
