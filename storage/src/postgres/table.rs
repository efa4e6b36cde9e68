//! A table, and the statements that look at it and change it.
//!
//! Every table has the same frame: where the row belongs, its key as the protocol writes it, its
//! record with its checksum, and the stamp of the transaction that wrote it. What a back office
//! asks for stands beside that in columns of its own.
//!
//! ```text
//! | place ... | key   | record | stamp  | columns ...           |
//! | text      | bytea | bytea  | bigint | text, bigint, jsonb   |
//! ```
//!
//! The places are the first names of the key, so the order of `(place ..., key)` is the order of
//! the keys, and each table is partitioned by its places: by the branch, where the key names one.
//! A stamp is never given twice: a row whose stamp is the same has not changed.

use std::fmt::Write as _;

use tokio_postgres::types::ToSql;

/// One table.
#[derive(Debug)]
pub(super) struct Table {
    /// The kind of the rows in it: the first byte of their keys. None takes what no other takes.
    pub(super) kind: Option<u8>,
    pub(super) name: &'static str,
    /// The columns of the first names of the key.
    pub(super) place: &'static [&'static str],
    pub(super) columns: &'static [Column],
}

/// A column for the back office, written and never read by us.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) of: Of,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Text,
    Int,
    Flag,
    Json,
}

/// What stands in a column of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Int(i64),
    Flag(bool),
}

/// What a statement does with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    /// Fails if a row is not as it was read: the decision rests on it.
    Hold,
    /// Writes rows that were not there; fails if one is.
    Insert,
    /// Replaces rows; fails if one is not as it was read.
    Update,
    /// Removes rows; fails if one is not as it was read.
    Delete,
    /// Writes rows that nobody has read.
    Put,
    /// Removes rows that nobody has read.
    Remove,
    /// Reads rows by their keys.
    Load,
    /// Reads rows between two keys.
    Scan,
    /// Reads rows between two keys of one place.
    ScanPlace,
}

impl Act {
    pub(super) const ALL: [Self; 9] = [
        Self::Hold,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Put,
        Self::Remove,
        Self::Load,
        Self::Scan,
        Self::ScanPlace,
    ];

    const fn writes(self) -> bool {
        matches!(self, Self::Insert | Self::Update | Self::Put)
    }

    /// Whether the rows must be as they were read.
    const fn compares(self) -> bool {
        matches!(self, Self::Hold | Self::Update | Self::Delete)
    }

    /// Whether it brings rows, and changes none.
    pub(super) const fn reads(self) -> bool {
        matches!(self, Self::Load | Self::Scan | Self::ScanPlace)
    }

    /// Whether it says how many rows it is to find.
    pub(super) const fn counts(self) -> bool {
        matches!(self, Self::Update | Self::Delete)
    }
}

/// Sorts after every name that a key has.
pub(super) const AFTER_NAMES: &str = "\x7f";

const _: () = assert!(AFTER_NAMES.as_bytes()[0] > b'~', "a name has printable characters only");
const _: () = assert!(Act::ALL.len() == 9, "each statement is prepared");
const _: () = assert!(Act::Update.compares() && Act::Delete.compares(), "no update is lost");
const _: () = assert!(Act::Hold.compares() && !Act::Hold.writes(), "what is held is looked at");
const _: () = assert!(!Act::Put.compares() && Act::Put.writes(), "what nobody read is put");
const _: () = assert!(!Act::Remove.compares() && !Act::Remove.writes(), "or removed");
const _: () = assert!(Act::Insert.writes() && !Act::Insert.compares(), "what was absent is new");
const _: () = assert!(Act::Load.reads() && !Act::Hold.reads(), "what is held is not brought");
const _: () = assert!(!Act::Insert.reads() && !Act::Put.reads(), "what is written is not read");
const _: () = assert!(Act::Update.counts() && Act::Delete.counts(), "each is to be found");

impl Table {
    /// Returns what an act asks of the table, as a part of a statement ([`super::statement`]); its
    /// parameters are numbered from `first`.
    pub(super) fn part(&self, act: Act, first: usize) -> String {
        let table = self.name;
        assert!(first > 0, "parameters count from 1");
        let (same, rows) = (self.joined(), self.rows(act, first));
        let part = match act {
            Act::Hold => format!(
                "SELECT count(*) FROM {rows} LEFT JOIN {table} t ON {same} \
                 WHERE t.stamp IS DISTINCT FROM v.was"
            ),
            Act::Insert => self.insert(&rows),
            Act::Put => format!(
                "{} ON CONFLICT ({}) DO UPDATE SET {}, stamp = excluded.stamp",
                self.insert(&rows),
                self.names().join(", "),
                self.assigned("excluded", false)
            ),
            Act::Update => format!(
                "UPDATE {table} t SET {}, stamp = (SELECT nextval('stamps')) FROM {rows} \
                 WHERE {same} AND t.stamp = v.was RETURNING 1",
                self.assigned("v", true)
            ),
            Act::Delete => format!(
                "DELETE FROM {table} t USING {rows} WHERE {same} AND t.stamp = v.was RETURNING 1"
            ),
            Act::Remove => format!("DELETE FROM {table} t USING {rows} WHERE {same}"),
            Act::Load => {
                format!("SELECT v.n, t.stamp, t.key, t.record FROM {rows} JOIN {table} t ON {same}")
            }
            Act::Scan => self.scan(),
            Act::ScanPlace => self.scan_place(),
        };
        assert!(part.contains(table), "a part of a statement is about its table");
        assert!(!part.contains(';'), "a statement is one");
        part
    }

    fn names(&self) -> Vec<&'static str> {
        let names: Vec<_> = self.place.iter().copied().chain(["key"]).collect();
        assert!(names.len() <= 3, "a row belongs to a branch at most");
        names
    }

    /// Returns the number of arrays that a statement takes.
    pub(super) const fn width(&self, act: Act) -> usize {
        let written = if act.writes() { 1 + self.columns.len() } else { 0 };
        let width = self.place.len() + 1 + written + act.compares() as usize;
        assert!(width > 0, "each row has a key");
        width
    }

    /// Returns the arrays of an act, side by side as rows `v`.
    fn rows(&self, act: Act, first: usize) -> String {
        let mut columns: Vec<(&str, &str)> =
            self.place.iter().map(|place| (*place, "text")).collect();
        columns.push(("key", "bytea"));
        if act.writes() {
            columns.push(("record", "bytea"));
            columns.extend(self.columns.iter().map(|column| (column.name, column.of.sql())));
        }
        if act.compares() {
            columns.push(("was", "int8"));
        }
        assert_eq!(columns.len(), self.width(act), "each array has its column");
        let mut arrays = String::new();
        let mut names = String::new();
        for (number, (name, of)) in (first..).zip(columns) {
            let comma = if number == first { "" } else { ", " };
            write!(arrays, "{comma}${number}::{of}[]").expect("a string takes every write");
            write!(names, "{comma}{name}").expect("a string takes every write");
        }
        if act == Act::Load {
            return format!("unnest({arrays}) WITH ORDINALITY AS v({names}, n)");
        }
        format!("unnest({arrays}) AS v({names})")
    }

    fn joined(&self) -> String {
        assert!(self.place.len() <= 2, "a row belongs to a branch at most");
        let same: Vec<_> = self.names().iter().map(|name| format!("t.{name} = v.{name}")).collect();
        assert!(!same.is_empty(), "a row is found by its key");
        same.join(" AND ")
    }

    fn insert(&self, rows: &str) -> String {
        assert!(rows.starts_with("unnest("), "rows are given side by side");
        let (mut into, mut from) = (self.names().join(", "), String::new());
        for (at, name) in self.names().iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(from, "{comma}v.{name}").expect("a string takes every write");
        }
        into.push_str(", record");
        from.push_str(", v.record");
        for column in self.columns {
            write!(into, ", {}", column.name).expect("a string takes every write");
            write!(from, ", v.{}{}", column.name, column.of.cast())
                .expect("a string takes every write");
        }
        assert_eq!(into.matches(',').count(), from.matches(',').count(), "each column is given");
        let table = self.name;
        format!(
            "INSERT INTO {table} ({into}, stamp) SELECT {from}, (SELECT nextval('stamps')) \
             FROM {rows}"
        )
    }

    fn assigned(&self, from: &str, cast: bool) -> String {
        assert!(from == "v" || from == "excluded", "what is written was given");
        let mut set = format!("record = {from}.record");
        for column in self.columns {
            let (name, cast) = (column.name, if cast { column.of.cast() } else { "" });
            write!(set, ", {name} = {from}.{name}{cast}").expect("a string takes every write");
        }
        assert!(set.matches(" = ").count() > self.columns.len(), "each column is written");
        set
    }

    /// Rows between two keys, whatever their places: `$1...` the first, then the end, the limit.
    /// The places alone find the beginning in the index; the keys alone say what is meant.
    fn scan(&self) -> String {
        let list = self.names().join(", ");
        let (table, width) = (self.name, self.place.len() + 1);
        let bound = |start: usize| {
            let mut bound = String::new();
            for at in 0..width {
                let of = if at + 1 == width { "bytea" } else { "text" };
                let comma = if at == 0 { "" } else { ", " };
                write!(bound, "{comma}${}::{of}", start + at).expect("a string takes every write");
            }
            bound
        };
        let (from, until) = (bound(1), bound(1 + width));
        let (first, end, limit) = (width, 2 * width, 2 * width + 1);
        assert!(limit > end && end > first, "each bound has its parameters");
        format!(
            "SELECT key, record FROM {table} WHERE ({list}) >= ({from}) AND ({list}) < ({until}) \
             AND key >= ${first}::bytea AND key < ${end}::bytea ORDER BY {list} \
             LIMIT ${limit}::int8"
        )
    }

    /// Rows between two keys of one place: the place, the two keys, the limit.
    fn scan_place(&self) -> String {
        let mut there = String::new();
        for (number, place) in (1..).zip(self.place) {
            write!(there, "{place} = ${number}::text AND ").expect("a string takes every write");
        }
        let next = self.place.len() + 1;
        assert_eq!(there.matches('$').count() + 1, next, "each place has its parameter");
        let (from, until, limit) = (next, next + 1, next + 2);
        assert_eq!(there.is_empty(), self.place.is_empty(), "each place is named");
        format!(
            "SELECT key, record FROM {} WHERE {there}key >= ${from}::bytea \
             AND key < ${until}::bytea ORDER BY key LIMIT ${limit}::int8",
            self.name
        )
    }

    /// Returns the first names of a key, if it has as many as the table has places.
    pub(super) fn places<'k>(&self, key: &'k [u8]) -> Option<Vec<&'k str>> {
        assert!(self.kind.is_some() || self.place.is_empty(), "any key may lie in the first table");
        let mut rest = if self.kind.is_some() { key.get(1..)? } else { key };
        let mut places = Vec::with_capacity(self.place.len());
        for _ in self.place {
            let end = rest.iter().position(|byte| *byte == 0)?;
            let name = &rest[..end];
            if !name.iter().all(|byte| (b' '..=b'~').contains(byte)) {
                return None;
            }
            places.push(std::str::from_utf8(name).ok()?);
            rest = &rest[end + 1..];
        }
        assert_eq!(places.len(), self.place.len(), "each place has its name");
        Some(places)
    }
}

impl Of {
    const fn sql(self) -> &'static str {
        match self {
            Self::Text | Self::Json => "text",
            Self::Int => "int8",
            Self::Flag => "bool",
        }
    }

    const fn cast(self) -> &'static str {
        match self {
            Self::Json => "::jsonb",
            Self::Text | Self::Int | Self::Flag => "",
        }
    }
}

/// A value for a statement.
pub(super) type Value = Box<dyn ToSql + Sync + Send>;

/// Rows for one statement, column by column.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) places: Vec<Vec<String>>,
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) records: Vec<Vec<u8>>,
    pub(super) cells: Vec<Vec<Cell>>,
    pub(super) stamps: Vec<Option<i64>>,
}

impl Sheet {
    /// Returns the arrays, in the order in which the statement takes them.
    pub(super) fn values(self, table: &Table, act: Act) -> Vec<Value> {
        let rows = self.keys.len();
        assert!(rows > 0, "a statement has rows");
        let mut values: Vec<Value> = Vec::with_capacity(table.width(act) + 1);
        for place in self.places {
            assert_eq!(place.len(), rows, "each row has its place");
            values.push(Box::new(place));
        }
        values.push(Box::new(self.keys));
        if act.writes() {
            values.push(Box::new(self.records));
            for (column, cells) in table.columns.iter().zip(self.cells) {
                assert_eq!(cells.len(), rows, "each row has its cell");
                values.push(column.of.array(cells));
            }
        }
        if act.compares() {
            values.push(Box::new(self.stamps));
        }
        assert_eq!(values.len(), table.width(act), "each array is given");
        if act.counts() {
            values.push(Box::new(i64::try_from(rows).unwrap_or(i64::MAX)));
        }
        values
    }
}

impl Of {
    /// A cell of another kind than its column is none: the record says what is so.
    fn array(self, cells: Vec<Cell>) -> Value {
        assert!(!cells.is_empty(), "a statement has rows");
        match self {
            Self::Text | Self::Json => {
                let text = |cell| if let Cell::Text(text) = cell { Some(text) } else { None };
                Box::new(cells.into_iter().map(text).collect::<Vec<Option<String>>>())
            }
            Self::Int => {
                let int = |cell| if let Cell::Int(int) = cell { Some(int) } else { None };
                Box::new(cells.into_iter().map(int).collect::<Vec<Option<i64>>>())
            }
            Self::Flag => {
                let flag = |cell| if let Cell::Flag(flag) = cell { Some(flag) } else { None };
                Box::new(cells.into_iter().map(flag).collect::<Vec<Option<bool>>>())
            }
        }
    }
}
