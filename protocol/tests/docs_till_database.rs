//! What `docs/till-database.md` says of the rows is what the code does: each kind has its number,
//! its name, and the table of S4.6 that it stands for.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use counterfoil_protocol::catalog::EntityId;
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{Epoch, LocalEventId, PosId, ProductId};
use counterfoil_protocol::inbox::EventId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::persist::Persist;
use counterfoil_protocol::terminal::{Key, Terminal};

const PAGE: &str = include_str!("../../docs/till-database.md");

/// One key of each kind.
fn keys() -> Vec<Key> {
    let label = Label::parse("a").unwrap();
    let (pos, local_id, product) = (PosId(label), LocalEventId(label), ProductId(label));
    let epoch = Epoch { number: 1, nonce: 2 };
    vec![
        Key::Meta,
        Key::Entry(epoch, 1),
        Key::Queue(epoch, 1),
        Key::Attention(epoch, 1),
        Key::Local(pos, local_id),
        Key::Series(pos),
        Key::Stock(product),
        Key::Catalog,
        Key::Item(EntityId::product(product)),
        Key::Register(pos),
        Key::Closing(pos, local_id),
        Key::LocalEdits,
        Key::Movement(1),
        Key::Applied(EventId(Hash([7; 32]))),
        Key::Review(product),
        Key::Inbox,
        Key::Code(label, product),
        Key::Schema,
        Key::Diary,
        Key::Note(1),
        Key::Replaced(epoch, 1),
        Key::Archive,
    ]
}

/// The rows of the page's first table: kind, name, and the table of the requirement, if it is one.
fn rows() -> BTreeMap<u8, (&'static str, &'static str)> {
    let mut rows = BTreeMap::new();
    for line in PAGE.lines().take_while(|line| *line != "## Versions") {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some((kind, row)) = cells.get(2).zip(cells.get(3)) else { continue };
        let Ok(kind) = kind.parse() else { continue };
        let name = row.split('`').nth(1).unwrap();
        assert_eq!(rows.insert(kind, (name, cells[1].trim_matches('`'))), None, "{line}");
    }
    rows
}

#[test]
fn each_kind_of_row_has_its_number_and_name() {
    let mut found = BTreeMap::new();
    for key in keys() {
        let mut bytes = Vec::new();
        Terminal::key_bytes(&key, &mut bytes);
        let name = format!("{key:?}");
        let name = name.split('(').next().unwrap().to_owned();
        assert_eq!(found.insert(bytes[0], name), None, "{key:?}");
    }
    let told: BTreeMap<u8, String> =
        rows().into_iter().map(|(kind, (name, _))| (kind, name.to_owned())).collect();
    assert_eq!(told, found);
    for kind in 0..=u8::MAX {
        let read = Terminal::key_from_bytes(&[kind]);
        let unknown = read.is_err_and(|damaged| damaged.why == "its kind is unknown");
        assert_eq!(unknown, !told.contains_key(&kind), "kind {kind}");
    }
}

#[test]
fn each_table_of_the_requirement_has_rows() {
    let told: BTreeSet<&str> =
        rows().into_values().map(|(_, table)| table).filter(|table| !table.is_empty()).collect();
    let required =
        ["catalog_entities", "catalog_id_map", "catalog_meta", "sync_journal", "sync_state"];
    assert_eq!(told, BTreeSet::from(required));
}
