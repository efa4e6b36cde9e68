//! What a till that does not run has on its disk, read past its program.
//!
//! A copy is read: so what a kill has left is for the till itself to recover, and no lock of ours,
//! which a process that is just being started would hold for a moment too, keeps the till from it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use counterfoil_protocol::catalog::{Entity, EntityId};
use counterfoil_protocol::machine::{Query as _, Store as _, Writes};
use counterfoil_protocol::terminal::row::{CatalogItem, CatalogState};
use counterfoil_protocol::terminal::{Key, Record, Terminal};
use counterfoil_storage::{KeyValue, Redb};
use tempfile::TempDir;

/// How many rows are read at once.
const ROWS: usize = 4_096;

/// Returns how the catalog of the till in `home` stands.
///
/// # Errors
/// If its database cannot be read, as may be while the till runs.
pub fn catalog(home: &Path) -> anyhow::Result<CatalogState> {
    let copied = copied(home)?;
    Ok(match copied.store.reader().get_now(&Key::Catalog)? {
        Some(Record::Catalog(state)) => state,
        Some(_) | None => CatalogState::default(),
    })
}

/// Shows each entity that the till in `home` has, in the order of their names.
///
/// # Errors
/// As [`catalog`].
pub fn entities(home: &Path, mut each: impl FnMut(EntityId, CatalogItem)) -> anyhow::Result<()> {
    let copied = copied(home)?;
    let reader = copied.store.reader();
    let mut from = Key::Item(EntityId::FIRST);
    loop {
        let page = reader.scan_now(&from, &Key::Item(EntityId::LAST), ROWS)?;
        let last = page.len() < ROWS;
        for (key, record) in page {
            // A page begins with the last row of the one before.
            if let (Key::Item(id), Record::Item(item)) = (key, record)
                && key != from
            {
                from = key;
                each(id, item);
            }
        }
        if last {
            return Ok(());
        }
    }
}

/// Changes rows of the catalog of the till in `home`, as a defect or a person with an editor would.
///
/// # Errors
/// If its database cannot be opened, as while the till runs.
pub async fn drift(home: &Path, changes: &[(EntityId, Option<&Entity>)]) -> anyhow::Result<()> {
    let engine = Redb::open(&home.join("till.redb"))?;
    let mut store: KeyValue<Terminal, Redb> = KeyValue::new(engine);
    let mut rows: Writes<Terminal> = Vec::new();
    for (id, entity) in changes {
        let record = entity.map(|entity| {
            let content = Arc::from(entity.canonical());
            Arc::new(Record::Item(CatalogItem { version: 1, content }))
        });
        rows.push((Key::Item(*id), record));
    }
    rows.sort_by_key(|(key, _)| *key);
    let keys = rows.iter().map(|(key, _)| *key).collect();
    store.transact(keys, move |_| rows.clone()).await?;
    ensure!(store.get(&Key::Catalog).await?.is_some(), "the till has no catalog");
    Ok(())
}

/// A copy of a till's database. It ends when it is dropped.
struct Copied {
    store: KeyValue<Terminal, Redb>,
    _directory: TempDir,
}

fn copied(home: &Path) -> anyhow::Result<Copied> {
    let directory = tempfile::tempdir_in(home)?;
    let file = directory.path().join("copy.redb");
    fs::copy(home.join("till.redb"), &file)?;
    Ok(Copied { store: KeyValue::new(Redb::open(&file)?), _directory: directory })
}
