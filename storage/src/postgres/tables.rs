//! Which rows lie in which table.

use std::collections::BTreeMap;

use counterfoil_protocol::persist::KEY_BYTES_MAX;

use super::cells;
use super::statement::Sheets;
use super::table::{Act, Column, Of, Table};
use crate::StoreError;
use crate::engine::{AFTER_LAST_KEY, KeyList};

/// The tables of a role. The first takes every row that has no table of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables(&'static [Table]);

/// A run of keys in one table: `from <= key < until`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) table: usize,
    pub(super) from: Vec<u8>,
    pub(super) until: Vec<u8>,
}

/// The places of keys, column by column, and the numbers of the keys.
type Asked = (Vec<Vec<String>>, Vec<usize>);

impl Tables {
    /// Any role: all rows lie in one table.
    pub(super) const PLAIN: Self = Self(ROWS);
    /// The cloud.
    pub(super) const CLOUD: Self = Self(CLOUD);

    pub(super) fn table(self, number: usize) -> &'static Table {
        assert!(number < self.0.len(), "a table is named by its number");
        let Self(tables) = self;
        &tables[number]
    }

    pub(super) const fn len(self) -> usize {
        assert!(!self.0.is_empty(), "there is a table for every row");
        self.0.len()
    }

    /// Returns the table of a key: a function of its first byte alone.
    fn of(self, key: &[u8]) -> usize {
        let kind = key.first().copied();
        assert!(key.len() <= KEY_BYTES_MAX + 1, "a key is bounded, and so is what lies behind it");
        let own = self.0.iter().position(|table| table.kind.is_some() && table.kind == kind);
        let table = own.unwrap_or(0);
        assert!(table < self.len(), "a row has a table");
        table
    }

    /// Returns the keys of each table, by their numbers. A key that is none of its kind is in no
    /// table: nobody writes one.
    pub(super) fn sorted_out(self, keys: &KeyList) -> BTreeMap<usize, Asked> {
        let mut asked: BTreeMap<usize, Asked> = BTreeMap::new();
        for (number, key) in keys.iter().enumerate() {
            let table = self.of(key);
            let Some(places) = self.table(table).places(key) else { continue };
            let (columns, numbers) = asked.entry(table).or_default();
            columns.resize_with(places.len(), Vec::new);
            for (column, place) in columns.iter_mut().zip(places) {
                column.push(place.to_owned());
            }
            numbers.push(number);
        }
        let found: usize = asked.values().map(|(_, numbers)| numbers.len()).sum();
        assert!(found <= keys.len(), "a key is asked for once");
        assert!(asked.keys().all(|table| *table < self.len()), "a key is asked for in a table");
        asked
    }

    /// Enters a row into the statement that it belongs to.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the key is none of its kind.
    pub(super) fn enter(
        self,
        sheets: &mut Sheets,
        act: Act,
        key: &[u8],
        value: Option<&[u8]>,
        stamp: Option<i64>,
    ) -> Result<(), StoreError> {
        let number = self.of(key);
        let table = self.table(number);
        assert_eq!(
            matches!(act, Act::Insert | Act::Update | Act::Put),
            value.is_some(),
            "what is written has a value"
        );
        assert!(key.len() <= KEY_BYTES_MAX, "a batch bounds its keys");
        let Some(places) = table.places(key) else {
            if act == Act::Hold {
                return Ok(()); // what can be in no table is absent, and stays so
            }
            return Err(StoreError::damaged_row(key, "the key is none of its kind"));
        };
        let sheet = sheets.entry((number, act)).or_default();
        sheet.places.resize_with(places.len(), Vec::new);
        for (column, place) in sheet.places.iter_mut().zip(places) {
            column.push(place.to_owned());
        }
        assert_eq!(sheet.places.len(), table.place.len(), "each place has its column");
        sheet.keys.push(key.to_vec());
        sheet.stamps.push(stamp);
        if let Some(value) = value {
            sheet.records.push(value.to_vec());
            if !table.columns.is_empty() {
                let cells = cells::of(table, key, value);
                assert_eq!(cells.len(), table.columns.len(), "each column has its cell");
                sheet.cells.resize_with(cells.len(), Vec::new);
                for (column, cell) in sheet.cells.iter_mut().zip(cells) {
                    column.push(cell);
                }
            }
        }
        assert_eq!(sheet.keys.len(), sheet.stamps.len(), "each row has its stamp, or none");
        Ok(())
    }

    /// Returns the runs of `from <= key < until`, in the order of the keys.
    pub(super) fn spans(self, from: &[u8], until: &[u8]) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut enter = |table: usize, start: &[u8], end: &[u8]| {
            let (start, end) = (start.max(from), end.min(until));
            if start < end {
                spans.push(Span { table, from: start.to_vec(), until: end.to_vec() });
            }
        };
        let mut before: Vec<u8> = Vec::new();
        for (number, table) in self.0.iter().enumerate() {
            let Some(kind) = table.kind else { continue };
            enter(0, &before, &[kind]);
            enter(number, &[kind], &[kind + 1]);
            before = vec![kind + 1];
        }
        enter(0, &before, &AFTER_LAST_KEY);
        assert!(from < until || spans.is_empty(), "no row lies between crossed bounds");
        assert!(spans.is_sorted_by(|a, b| a.until <= b.from), "spans rise, and do not overlap");
        spans
    }
}

const fn text(name: &'static str) -> Column {
    Column { name, of: Of::Text }
}

const fn int(name: &'static str) -> Column {
    Column { name, of: Of::Int }
}

const fn flag(name: &'static str) -> Column {
    Column { name, of: Of::Flag }
}

const fn json(name: &'static str) -> Column {
    Column { name, of: Of::Json }
}

const fn own(
    kind: u8,
    name: &'static str,
    place: &'static [&'static str],
    columns: &'static [Column],
) -> Table {
    assert!(kind > 0 && kind < u8::MAX, "a kind has one after it");
    assert!(!place.is_empty() && place.len() <= 2, "a row belongs somewhere");
    Table { kind: Some(kind), name, place, columns }
}

const ROWS: &[Table] = &[Table { kind: None, name: "rows", place: &[], columns: &[] }];

/// In the order of their kinds, as the keys are. What a column says is written in `cells`.
const CLOUD: &[Table] = &[
    Table { kind: None, name: "rows", place: &[], columns: &[] },
    own(1, "terminals", &["terminal"], TERMINALS),
    own(2, "journals", &["terminal"], JOURNALS),
    own(3, "journal_segments", &["terminal"], SEGMENTS),
    own(4, "ledger", &["terminal"], LEDGER),
    own(7, "stock", &["shop", "branch"], STOCK),
    own(10, "movements", &["shop", "branch"], &[]),
    own(11, "feeds", &["shop"], &[int("version")]),
    own(13, "catalog", &["shop", "branch"], CATALOG),
    own(14, "feed", &["shop", "branch"], FEED),
    own(15, "register_sessions", &["shop", "terminal"], SESSIONS),
    own(16, "inventory_heads", &["shop", "branch"], &[int("seq")]),
    own(17, "inventory_events", &["shop", "branch"], INVENTORY),
    own(18, "acknowledgements", &["shop", "branch"], ACKNOWLEDGEMENTS),
    own(19, "orders", &["shop"], ORDERS),
];

const TERMINALS: &[Column] =
    &[text("shop"), text("branch"), flag("revoked"), int("expires_ms"), int("enrolled_ms")];
const JOURNALS: &[Column] = &[
    int("epoch"),
    text("nonce"),
    int("head"),
    int("since_ms"),
    int("seen_ms"),
    int("events"),
    int("lines"),
    int("quantity_milli"),
    int("money_minor"),
];
const SEGMENTS: &[Column] = &[int("epoch"), text("nonce"), int("number"), int("entries")];
const LEDGER: &[Column] = &[text("state"), int("taken_ms")];
const STOCK: &[Column] = &[text("product"), int("quantity_milli"), int("movements")];
const CATALOG: &[Column] = &[
    text("kind"),
    text("id"),
    int("version"),
    flag("deleted"),
    int("changed_ms"),
    json("content"),
];
const FEED: &[Column] = &[int("version"), int("place"), text("kind"), text("id")];
const SESSIONS: &[Column] = &[
    text("pos"),
    text("session"),
    text("branch"),
    text("currency"),
    int("float_minor"),
    int("closings"),
    int("late_events"),
];
const INVENTORY: &[Column] = &[
    int("seq"),
    text("event_id"),
    text("source"),
    text("reference"),
    text("product"),
    int("delta_milli"),
    int("created_ms"),
    int("taken_ms"),
    text("relayed_from"),
];
const ACKNOWLEDGEMENTS: &[Column] = &[text("terminal"), int("through"), int("at_ms")];
const ORDERS: &[Column] = &[
    text("order_id"),
    text("branch"),
    int("created_ms"),
    int("taken_ms"),
    int("cancelled_ms"),
    json("lines"),
];

// What `cells` says of a row fills its columns.
const _: () = assert!(TERMINALS.len() == 5, "of a till");
const _: () = assert!(JOURNALS.len() == 9, "of a history");
const _: () = assert!(SEGMENTS.len() == 4, "of a run of it");
const _: () = assert!(LEDGER.len() == 2, "of what became of an event");
const _: () = assert!(STOCK.len() == 3, "of a stock");
const _: () = assert!(CATALOG.len() == 6, "of an entity");
const _: () = assert!(FEED.len() == 4, "of a place of the feed");
const _: () = assert!(SESSIONS.len() == 7, "of a register's session");
const _: () = assert!(INVENTORY.len() == 9, "of an inventory event");
const _: () = assert!(ACKNOWLEDGEMENTS.len() == 3, "of an acknowledgement");
const _: () = assert!(ORDERS.len() == 6, "of an order");
const _: () = assert!(CLOUD.len() < 64, "the tables are few");

const _: () = {
    let mut at = 1;
    while at < CLOUD.len() {
        assert!(CLOUD[at].kind.is_some(), "only the first takes every kind");
        at += 1;
    }
    assert!(CLOUD[0].kind.is_none() && ROWS[0].kind.is_none(), "the first takes every kind");
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_rise_so_that_spans_are_in_the_order_of_the_keys() {
        let kinds: Vec<_> = CLOUD.iter().skip(1).map(|table| table.kind).collect();
        assert!(kinds.is_sorted_by(|a, b| a < b), "{kinds:?}");
        let spans = Tables::CLOUD.spans(&[], &AFTER_LAST_KEY);
        assert_eq!(spans.first().map(|span| span.from.len()), Some(0));
        assert_eq!(spans.last().map(|span| &span.until[..]), Some(&AFTER_LAST_KEY[..]));
        assert!(spans.windows(2).all(|pair| pair[0].until == pair[1].from), "no gap between");
        assert_eq!(spans.len(), 19, "each kind, and what lies between");
    }

    #[test]
    fn a_span_is_cut_to_its_bounds() {
        let check = |from: &[u8], until: &[u8], expected: &[(usize, &[u8], &[u8])]| {
            let spans = Tables::CLOUD.spans(from, until);
            let spans: Vec<_> =
                spans.iter().map(|span| (span.table, &span.from[..], &span.until[..])).collect();
            assert_eq!(spans, expected, "{from:?}..{until:?}");
        };
        check(&[4, 9], &[4, 10], &[(4, &[4, 9], &[4, 10])]);
        check(&[4, 9], &[5, 1], &[(4, &[4, 9], &[5]), (0, &[5], &[5, 1])]);
        check(&[200], &[201], &[(0, &[200], &[201])]);
        check(&[4], &[4], &[]);
        check(&[5], &[4], &[]);
    }

    #[test]
    fn a_row_belongs_where_its_key_says() {
        let check = |key: &[u8], table: &str, places: Option<&[&str]>| {
            let found = Tables::CLOUD.table(Tables::CLOUD.of(key));
            assert_eq!(found.name, table, "{key:?}");
            assert_eq!(found.places(key).as_deref(), places, "{key:?}");
        };
        check(b"\x07shop\0branch\0sku\0", "stock", Some(&["shop", "branch"]));
        // The whole shop's entities have no branch.
        check(b"\x0dshop\0\0\x01sku\0", "catalog", Some(&["shop", ""]));
        check(b"\x01till\0", "terminals", Some(&["till"]));
        check(b"\x07shop\0bra", "stock", None);
        check(b"\x07\xff\0branch\0", "stock", None);
        check(b"\x07", "stock", None);
        check(b"", "rows", Some(&[]));
        check(b"\xffanything", "rows", Some(&[]));
        assert_eq!(Tables::PLAIN.table(Tables::PLAIN.of(b"\x07shop\0")).name, "rows");
    }
}
