//! A connection: how it is made, what it is told first, and its prepared statements.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

use tokio_postgres::error::{ErrorPosition, Severity, SqlState};
use tokio_postgres::{Client, Config, Error, NoTls, Row, Statement};

use super::statement::{self, Shape};
use super::table::Value;
use super::tables::Tables;
use crate::StoreError;

/// How long the server may take to answer the first word.
const CONNECT: Duration = Duration::from_secs(10);
/// Who has gone silent in a transaction is cut off after this time: others wait for its locks.
const SILENT_SECS: u32 = 10;
/// How many statements a connection keeps prepared. Pushes of a fleet have some ten shapes.
const PREPARED_MAX: usize = 192;
/// The oldest server that is spoken with.
const VERSION_MIN: i32 = 130_000;

const _: () = assert!(SILENT_SECS as u64 <= CONNECT.as_secs(), "a lost node is gone in its time");
const _: () = assert!(SILENT_SECS > 0, "a transaction may take its time");
const _: () = assert!(VERSION_MIN >= 130_000, "what is used is there");
const _: () = assert!(PREPARED_MAX > 15 * 9, "a check prepares each act on each table");

/// The schema that everything lies in.
pub(super) const SCHEMA: &str = "counterfoil";

const _: () = assert!(!SCHEMA.is_empty(), "everything lies somewhere");
const _: () = assert!(SCHEMA.is_ascii(), "a schema is named without quotes");
const _: () = assert!(SILENT_SECS < 60, "others do not wait for long");

/// A connection that nobody else uses.
pub(super) struct Link {
    pub(super) client: Client,
    prepared: BTreeMap<Shape, Statement>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("prepared", &self.prepared.len()).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects; what the connection is for is said by its caller.
    pub(super) async fn open(config: &Config) -> Result<Self, StoreError> {
        let mut config = config.clone();
        config.application_name("counterfoil").connect_timeout(CONNECT);
        // A server that has vanished is noticed, and by the server a node that has.
        config.keepalives_idle(Duration::from_secs(10)).tcp_user_timeout(Duration::from_secs(30));
        let (client, connection) = config.connect(NoTls).await.map_err(|error| cannot(&error))?;
        tokio::spawn(async move {
            // Whoever uses the connection hears of its end.
            if let Err(error) = connection.await {
                tracing::debug!(error = %said(&error), "a connection to PostgreSQL has ended");
            }
        });
        // Each statement finds rows by their keys, or walks along them. What the statistics say
        // of a table that was empty a minute ago must not make a plan that reads all of it.
        let settings = format!(
            "SET search_path = {SCHEMA}, pg_catalog; SET plan_cache_mode = force_generic_plan; \
             SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
             SET jit = off; SET client_min_messages = warning; \
             SET idle_in_transaction_session_timeout = '{SILENT_SECS}s'; \
             SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; \
             SET tcp_keepalives_count = 3"
        );
        client.batch_execute(&settings).await.map_err(|error| cannot(&error))?;
        let link = Self { client, prepared: BTreeMap::new() };
        assert!(link.prepared.is_empty(), "a new connection has prepared nothing");
        Ok(link)
    }

    /// Refuses a server that would not keep the promise of a commit.
    pub(super) async fn expect_durable(&self) -> Result<(), StoreError> {
        const ASKED: &str = "SELECT current_setting('server_version_num')::int4, \
             current_setting('server_encoding'), current_setting('fsync'), \
             current_setting('full_page_writes'), current_setting('synchronous_commit'), \
             pg_is_in_recovery()";
        let row = self.client.query_one(ASKED, &[]).await.map_err(|error| cannot(&error))?;
        let version: i32 = get(&row, 0)?;
        let encoding: String = get(&row, 1)?;
        let settings: [String; 3] = [get(&row, 2)?, get(&row, 3)?, get(&row, 4)?];
        let standby: bool = get(&row, 5)?;
        assert_eq!(row.len(), 6, "what was asked is answered");
        if version < VERSION_MIN {
            let why = format!("PostgreSQL 13 or newer is needed, this is {version}");
            return Err(StoreError::unsupported(why));
        }
        if encoding != "UTF8" {
            return Err(StoreError::unsupported("the database's encoding must be UTF8"));
        }
        let names = ["fsync", "full_page_writes", "synchronous_commit"];
        for (name, set) in names.iter().zip(&settings) {
            if set == "off" {
                let why = format!("{name} is off: a commit would not survive a power cut");
                return Err(StoreError::unsupported(why));
            }
        }
        if standby {
            return Err(StoreError::unavailable("this server is a standby: name the primary"));
        }
        Ok(())
    }

    /// Returns the statement of a shape, prepared once for each connection, as long as those of a
    /// connection are few.
    pub(super) async fn prepare(
        &mut self,
        tables: Tables,
        shape: Shape,
    ) -> Result<Statement, Error> {
        assert!(self.prepared.len() <= PREPARED_MAX, "statements are few");
        if let Some(statement) = self.prepared.get(&shape) {
            return Ok(statement.clone());
        }
        assert!(!shape.is_empty(), "a statement does something");
        if self.prepared.len() == PREPARED_MAX {
            self.prepared.clear(); // the server forgets what nobody holds
        }
        let statement = self.client.prepare(&statement::sql(tables, &shape)).await?;
        let before = self.prepared.insert(shape, statement.clone());
        assert!(before.is_none(), "a statement is prepared once");
        Ok(statement)
    }

    /// Begins a statement with these values.
    pub(super) fn run(&self, statement: Statement, values: Vec<Value>) -> Step<'_> {
        assert_eq!(statement.params().len(), values.len(), "each parameter has its value");
        let client = &self.client;
        Box::pin(async move {
            let values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = values
                .iter()
                .map(|value| &**value as &(dyn tokio_postgres::types::ToSql + Sync))
                .collect();
            client.query(&statement, &values).await
        })
    }

    /// Begins one or more commands without values.
    pub(super) fn say<'a>(&'a self, commands: &'a str) -> Step<'a> {
        assert!(!commands.is_empty(), "something is said");
        Box::pin(async move { self.client.batch_execute(commands).await.map(|()| Vec::new()) })
    }
}

/// A statement under way.
pub(super) type Step<'a> =
    std::pin::Pin<Box<dyn Future<Output = Result<Vec<Row>, Error>> + Send + 'a>>;

/// Sends all steps in their order without waiting in between, and returns what became of each.
pub(super) async fn in_order(mut steps: Vec<Step<'_>>) -> Vec<Result<Vec<Row>, Error>> {
    use std::task::Poll;
    assert!(u32::try_from(steps.len()).is_ok(), "the steps of a transaction are few");
    let mut results: Vec<Option<_>> = steps.iter().map(|_| None).collect();
    assert_eq!(results.len(), steps.len(), "each step has its result");
    std::future::poll_fn(|context| {
        let mut waits = false;
        // A step sends what it has when it is first looked at.
        for (step, result) in steps.iter_mut().zip(&mut results) {
            if result.is_none() {
                match step.as_mut().poll(context) {
                    Poll::Ready(ready) => *result = Some(ready),
                    Poll::Pending => waits = true,
                }
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    let results: Vec<_> = results.into_iter().flatten().collect();
    assert_eq!(results.len(), steps.len(), "each step has its end");
    results
}

/// What an error says of the transaction that it is from.
#[derive(Debug)]
pub(super) enum Says {
    /// It did not happen, as another was faster: decide again.
    Conflict(String),
    /// It did not happen.
    Refused(StoreError),
    /// The connection is gone, or was never there.
    Lost(String),
}

/// Judges the error of a statement.
pub(super) fn judge(error: &Error) -> Says {
    let why = said(error);
    assert!(!why.is_empty(), "an error says why");
    let Some(db) = error.as_db_error() else { return Says::Lost(why) };
    // Anything beyond a mere error ends the session, and may come at any moment.
    if !matches!(db.parsed_severity(), Some(Severity::Error)) {
        return Says::Lost(why);
    }
    let conflicts = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::UNIQUE_VIOLATION,
    ];
    if conflicts.contains(db.code()) {
        return Says::Conflict(why);
    }
    if *db.code() == SqlState::DISK_FULL {
        return Says::Refused(StoreError::Full { why });
    }
    Says::Refused(StoreError::unavailable(why))
}

/// Returns what an error says, for a person: what the server said, without what it was sent.
pub(super) fn said(error: &Error) -> String {
    let Some(db) = error.as_db_error() else {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        assert!(!text.is_empty(), "an error says why");
        return text;
    };
    let at = match db.position() {
        Some(ErrorPosition::Original(at)) => format!(" at {at}"),
        Some(ErrorPosition::Internal { .. }) | None => String::new(),
    };
    format!("PostgreSQL says {} ({}){at}", db.message(), db.code().code())
}

/// An error before anything was to be written.
pub(super) fn cannot(error: &Error) -> StoreError {
    match judge(error) {
        Says::Refused(error) => error,
        Says::Conflict(why) | Says::Lost(why) => StoreError::unavailable(why),
    }
}

/// Returns a column of an answer.
pub(super) fn get<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    column: usize,
) -> Result<T, StoreError> {
    row.try_get(column)
        .map_err(|error| StoreError::damaged_part("an answer of PostgreSQL", said(&error)))
}
