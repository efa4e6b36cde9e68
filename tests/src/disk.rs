//! What a till that does not run has on its disk, read past its program.

use std::path::Path;

use counterfoil_protocol::catalog::EntityId;
use counterfoil_protocol::terminal::row::{CatalogItem, CatalogState};
use counterfoil_protocol::terminal::{Key, Record, Terminal};
use counterfoil_storage::{KeyValue, Redb};

/// How many rows are read at once.
const ROWS: usize = 4_096;

/// Returns how the catalog of the till in `home` stands.
///
/// # Errors
/// If the till runs, or its database cannot be read.
pub fn catalog(home: &Path) -> anyhow::Result<CatalogState> {
    let store = database(home)?;
    Ok(match store.reader().get_now(&Key::Catalog)? {
        Some(Record::Catalog(state)) => state,
        Some(_) | None => CatalogState::default(),
    })
}

/// Shows each entity that the till in `home` has, in the order of their names.
///
/// # Errors
/// As [`catalog`].
pub fn entities(home: &Path, mut each: impl FnMut(EntityId, CatalogItem)) -> anyhow::Result<()> {
    let store = database(home)?;
    let reader = store.reader();
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

fn database(home: &Path) -> anyhow::Result<KeyValue<Terminal, Redb>> {
    Ok(KeyValue::new(Redb::open(&home.join("till.redb"))?))
}
