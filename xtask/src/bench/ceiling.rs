//! The ceiling: what HTTP, group commit and this engine can do at most, on this machine, now.
//!
//! One route that decodes the frame, one committer thread, and one table from `(terminal, epoch,
//! seq)` to the payload, in which a key that is there is not written again. No credential, no
//! hash, no chain, no event, no stock, no stored answer. The commit is as durable as the node's:
//! redb in two phases with quick repair, sled with its log synced by fsync, PostgreSQL with one
//! prepared `unnest` insert for each group, on the same server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use counterfoil_protocol::wire::message::Push;
use counterfoil_storage::sled::hard_sync;
use counterfoil_tests::postgres::Cluster;
use http::StatusCode;
use redb::{Database, Durability, ReadableTable as _, TableDefinition};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use super::ingest::Engine;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("sales");

type Rows = Vec<(Vec<u8>, Arc<[u8]>)>;
type Job = (Rows, oneshot::Sender<u64>);

/// A server that does nothing but this.
#[derive(Debug)]
pub(crate) struct Ceiling {
    pub(crate) address: SocketAddr,
    runtime: Runtime,
    committer: JoinHandle<anyhow::Result<()>>,
}

impl Ceiling {
    /// Starts it with a new table in `directory`.
    pub(crate) fn start(engine: Engine, directory: &Path) -> anyhow::Result<Self> {
        let mut table = Table::create(engine, directory)?;
        let (jobs, mut waiting) = mpsc::channel::<Job>(256);
        let committer = std::thread::spawn(move || {
            let mut batch = Vec::new();
            while waiting.blocking_recv_many(&mut batch, 128) > 0 {
                let (rows, answers): (Vec<Rows>, Vec<_>) = batch.drain(..).unzip();
                let new = table.commit(&rows)?;
                for answer in answers {
                    let _gone = answer.send(new);
                }
            }
            Ok(())
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let router = Router::new().route("/v1/sales-events", post(take)).with_state(jobs);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let listener = axum::serve::ListenerExt::tap_io(listener, |socket| {
            let _unsupported = socket.set_nodelay(true);
        });
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, runtime, committer })
    }

    /// Ends it.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        drop(self.runtime);
        self.committer.join().ok().context("the committer panicked")?
    }
}

async fn take(State(jobs): State<mpsc::Sender<Job>>, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    let push = Push::decode(&body).map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)?;
    let rows = push.items.into_iter().map(|item| {
        let mut key = push.terminal_id.as_str().as_bytes().to_vec();
        key.extend_from_slice(&push.epoch.number.to_be_bytes());
        key.extend_from_slice(&item.seq.to_be_bytes());
        (key, item.payload)
    });
    let (answer, answered) = oneshot::channel();
    let failed = StatusCode::INTERNAL_SERVER_ERROR;
    jobs.send((rows.collect(), answer)).await.map_err(|_| failed)?;
    let new = answered.await.map_err(|_| failed)?;
    Ok(new.to_le_bytes().to_vec())
}

enum Table {
    Redb(Database),
    Sled(sled::Db),
    Postgres(Remote),
}

/// A connection, its one statement, and the runtime that drives both.
struct Remote {
    runtime: Runtime,
    client: tokio_postgres::Client,
    insert: tokio_postgres::Statement,
}

impl Remote {
    fn create() -> anyhow::Result<Self> {
        let address = Cluster::shared().database()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (client, insert) = runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(&address, tokio_postgres::NoTls).await?;
            tokio::spawn(connection);
            let table = "CREATE TABLE sales (key bytea PRIMARY KEY, payload bytea NOT NULL)";
            client.batch_execute(table).await?;
            let insert = "INSERT INTO sales SELECT * FROM unnest($1::bytea[], $2::bytea[]) \
                          ON CONFLICT DO NOTHING";
            let insert = client.prepare(insert).await?;
            anyhow::Ok((client, insert))
        })?;
        Ok(Self { runtime, client, insert })
    }

    fn commit(&self, batch: &[Rows]) -> anyhow::Result<u64> {
        let (keys, payloads): (Vec<&[u8]>, Vec<&[u8]>) =
            batch.iter().flatten().map(|(key, value)| (key.as_slice(), &**value)).unzip();
        Ok(self.runtime.block_on(self.client.execute(&self.insert, &[&keys, &payloads]))?)
    }
}

impl Table {
    fn create(engine: Engine, directory: &Path) -> anyhow::Result<Self> {
        Ok(match engine {
            Engine::Redb => Self::Redb(Database::create(directory.join("ceiling.redb"))?),
            Engine::Sled => {
                // With this, sled syncs its log with fsync by itself.
                hard_sync::install()?;
                Self::Sled(sled::Config::new().path(directory.join("ceiling")).open()?)
            }
            Engine::Postgres => Self::Postgres(Remote::create()?),
        })
    }

    /// Writes what is new, durably, and returns how much that was.
    fn commit(&mut self, batch: &[Rows]) -> anyhow::Result<u64> {
        let mut new = 0;
        match self {
            Self::Redb(database) => {
                let mut transaction = database.begin_write()?;
                transaction.set_durability(Durability::Immediate)?;
                transaction.set_quick_repair(true);
                {
                    let mut table = transaction.open_table(TABLE)?;
                    for (key, value) in batch.iter().flatten() {
                        if table.get(key.as_slice())?.is_none() {
                            table.insert(key.as_slice(), &**value)?;
                            new += 1;
                        }
                    }
                }
                if new > 0 { transaction.commit()? } else { transaction.abort()? }
            }
            Self::Sled(tree) => {
                let mut writes = sled::Batch::default();
                for (key, value) in batch.iter().flatten() {
                    if !tree.contains_key(key)? {
                        writes.insert(key.as_slice(), &**value);
                        new += 1;
                    }
                }
                if new > 0 {
                    tree.apply_batch(writes)?;
                    tree.flush()?;
                }
            }
            Self::Postgres(remote) => new = remote.commit(batch)?,
        }
        Ok(new)
    }
}
