//! One statement for all that a transaction reads, and one for all that it looks at and changes: a
//! statement costs its server tens of microseconds before its first row.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::table::{Act, Sheet, Value};
use super::tables::Tables;

/// What a statement does, table by table, in the order in which it does it: two that change the
/// same rows do it in the same order.
pub(super) type Shape = Vec<(usize, Act)>;

/// The rows of each part of a statement.
pub(super) type Sheets = BTreeMap<(usize, Act), Sheet>;

/// Returns the statement of a shape.
pub(super) fn sql(tables: Tables, shape: &[(usize, Act)]) -> String {
    assert!(!shape.is_empty(), "a statement does something");
    assert!(shape.is_sorted_by(|a, b| a < b), "a table is asked once for the same");
    let (_, act) = shape[0];
    match act {
        Act::Scan | Act::ScanPlace => {
            assert_eq!(shape.len(), 1, "a walk is along one table");
            tables.table(shape[0].0).part(act, 1)
        }
        Act::Load => load(tables, shape),
        Act::Hold | Act::Insert | Act::Update | Act::Delete | Act::Put | Act::Remove => {
            change(tables, shape)
        }
    }
}

/// All rows as of one moment, which one statement is by itself; the first column is the number of
/// the part that a row is from.
fn load(tables: Tables, shape: &[(usize, Act)]) -> String {
    let mut first = 1;
    let mut parts = Vec::with_capacity(shape.len());
    for (number, (table, act)) in shape.iter().enumerate() {
        assert_eq!(*act, Act::Load, "who reads, only reads");
        let part = tables.table(*table).part(*act, first);
        let rest = part.strip_prefix("SELECT").expect("what is loaded is selected");
        parts.push(format!("SELECT {number}::int8,{rest}"));
        first += tables.table(*table).width(*act);
    }
    assert_eq!(parts.len(), shape.len(), "each table is asked");
    parts.join(" UNION ALL ")
}

/// Every change in one statement, which fails if a row is not as it was read.
fn change(tables: Tables, shape: &[(usize, Act)]) -> String {
    let (mut first, mut changes, mut expected) = (1, String::new(), String::new());
    for (number, (table, act)) in shape.iter().enumerate() {
        let table = tables.table(*table);
        let part = table.part(*act, first);
        first += table.width(*act);
        let comma = if expected.is_empty() { "" } else { ", " };
        if *act == Act::Hold {
            write!(expected, "{comma}expect(({part}), 0)").expect("a string takes every write");
            continue;
        }
        let with = if changes.is_empty() { "WITH " } else { ", " };
        write!(changes, "{with}w{number} AS ({part})").expect("a string takes every write");
        if act.counts() {
            write!(expected, "{comma}expect((SELECT count(*) FROM w{number}), ${first}::int8)")
                .expect("a string takes every write");
            first += 1;
        }
    }
    assert!(!changes.is_empty() || !expected.is_empty(), "a statement does something");
    assert!(first > shape.len(), "each part has parameters");
    let expected = if expected.is_empty() { "1" } else { &expected };
    let space = if changes.is_empty() { "" } else { " " };
    format!("{changes}{space}SELECT {expected}")
}

/// Returns the shape of what is given, and the values of its statement.
pub(super) fn filled(tables: Tables, sheets: Sheets) -> (Shape, Vec<Value>) {
    let shape: Shape = sheets.keys().copied().collect();
    let mut values = Vec::new();
    for ((table, act), sheet) in sheets {
        values.extend(sheet.values(tables.table(table), act));
    }
    assert!(values.len() >= shape.len(), "each part has its keys");
    assert!(u16::try_from(values.len()).is_ok(), "a statement takes so many parameters");
    (shape, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_through_all_parts() {
        let check = |shape: &[(usize, Act)], expected: &str| {
            assert_eq!(sql(Tables::PLAIN, shape), expected);
        };
        check(
            &[(0, Act::Hold), (0, Act::Delete), (0, Act::Remove)],
            "WITH w1 AS (DELETE FROM rows t USING unnest($3::bytea[], $4::int8[]) AS v(key, was) \
             WHERE t.key = v.key AND t.stamp = v.was RETURNING 1), w2 AS (DELETE FROM rows t \
             USING unnest($6::bytea[]) AS v(key) WHERE t.key = v.key) SELECT expect((SELECT \
             count(*) FROM unnest($1::bytea[], $2::int8[]) AS v(key, was) LEFT JOIN rows t ON \
             t.key = v.key WHERE t.stamp IS DISTINCT FROM v.was), 0), expect((SELECT count(*) \
             FROM w1), $5::int8)",
        );
        check(
            &[(0, Act::Load)],
            "SELECT 0::int8, v.n, t.stamp, t.key, t.record FROM unnest($1::bytea[]) WITH \
             ORDINALITY AS v(key, n) JOIN rows t ON t.key = v.key",
        );
    }
}
