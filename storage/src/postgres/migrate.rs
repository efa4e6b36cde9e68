//! The schema, made and brought up to date by whoever opens the store first.
//!
//! Our own few lines and not the `refinery` crate: that takes no lock, so two nodes that start
//! together would both migrate. Here all of it is one transaction under an advisory lock.

use tokio_postgres::Client;

use super::link::{SCHEMA, cannot, get};
use crate::StoreError;

/// What was ever done to the schema, in order. Appended to, never changed: a database has some.
const MIGRATIONS: [(&str, &str); 3] = [
    ("frame", include_str!("migrations/0001_frame.sql")),
    ("cloud", include_str!("migrations/0002_cloud.sql")),
    ("compact", include_str!("migrations/0003_compact.sql")),
];

/// Whoever migrates holds this lock; the digits are no secret, only no other's.
const LOCK: i64 = 0x0063_6f75_6e74_6572;

const _: () = assert!(!MIGRATIONS.is_empty(), "a new database is given something");
const _: () = assert!(LOCK > 0, "a lock has a number");
const _: () = assert!(!MIGRATIONS[0].1.is_empty(), "a migration does something");
const _: () = assert!(MIGRATIONS.len() < 10_000, "a migration has a number of four digits");

/// Returns whether the schema is there.
pub(super) async fn exists(client: &Client) -> Result<bool, StoreError> {
    let asked = format!("SELECT to_regclass('{SCHEMA}.migrations') IS NOT NULL");
    let row = client.query_one(&asked, &[]).await.map_err(|error| cannot(&error))?;
    assert_eq!(row.len(), 1, "what was asked is answered");
    get(&row, 0)
}

/// Applies what is missing.
///
/// # Errors
/// [`StoreError::Unsupported`] if the database was made by a newer version.
pub(super) async fn migrate(client: &Client) -> Result<(), StoreError> {
    assert!(!SCHEMA.contains('\''), "the schema is a plain name");
    let begin = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({LOCK}); CREATE SCHEMA IF NOT EXISTS {SCHEMA}; \
         CREATE TABLE IF NOT EXISTS {SCHEMA}.migrations (number int PRIMARY KEY, \
         name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    );
    if exists(client).await? && applied(client).await? == MIGRATIONS.len() {
        return Ok(());
    }
    client.batch_execute(&begin).await.map_err(|error| cannot(&error))?;
    let done = apply(client).await;
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await.map_err(|error| cannot(&error));
    done.and(ended)
}

async fn applied(client: &Client) -> Result<usize, StoreError> {
    let asked = format!("SELECT coalesce(max(number), 0)::int8 FROM {SCHEMA}.migrations");
    let row = client.query_one(&asked, &[]).await.map_err(|error| cannot(&error))?;
    let applied: i64 = get(&row, 0)?;
    let applied = usize::try_from(applied).unwrap_or(usize::MAX);
    if applied > MIGRATIONS.len() {
        let why = "the database was made by a newer version: use that one, or a newer one";
        return Err(StoreError::unsupported(why));
    }
    assert!(applied <= MIGRATIONS.len(), "what is applied is known");
    Ok(applied)
}

async fn apply(client: &Client) -> Result<(), StoreError> {
    let before = applied(client).await?;
    for (number, (name, sql)) in (1_i32..).zip(MIGRATIONS).skip(before) {
        assert!(number > 0, "migrations count from 1");
        client.batch_execute(sql).await.map_err(|error| cannot(&error))?;
        let noted = format!("INSERT INTO {SCHEMA}.migrations (number, name) VALUES ($1, $2)");
        client.execute(&noted, &[&number, &name]).await.map_err(|error| cannot(&error))?;
        tracing::info!(number, name, "the schema was migrated");
    }
    assert!(before <= MIGRATIONS.len(), "what is applied is known");
    Ok(())
}
