//! One transaction: what is read, what is written, in one round trip each.

use std::sync::Arc;

use tokio_postgres::{Error, Row};

use super::link::{Link, Says, Step, cannot, get, in_order, judge, said};
use super::statement::{self, Sheets};
use super::table::{AFTER_NAMES, Act, Sheet, Value};
use super::tables::{Span, Tables};
use crate::StoreError;
use crate::engine::{Batch, KeyList, RawPage, expect_within_limits};

/// Rows as they were read, in the order of the asked keys.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) values: Vec<Option<Vec<u8>>>,
    /// What tells one writing of a row from another.
    pub(super) stamps: Vec<Option<i64>>,
}

/// Around what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// All of it as of one moment.
    Moment,
    /// Alone at the turnstile; the transaction stays open, for what is decided.
    Alone,
    /// In a transaction that is open already.
    Within,
}

const MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// `LOCK TABLE` is no query: what the transaction sees begins after it has waited.
const TOGETHER: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE turnstile IN ROW SHARE MODE";
const ALONE: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE turnstile IN EXCLUSIVE MODE";

impl Frame {
    const fn begin(self) -> Option<&'static str> {
        match self {
            Self::Alone => Some(ALONE),
            // One statement is of one moment by itself.
            Self::Moment | Self::Within => None,
        }
    }
}

/// Begins the transaction in which pages are read as of one moment.
pub(super) async fn begin_moment(link: &Link) -> Result<(), Says> {
    const { assert!(!MOMENT.is_empty(), "a transaction is begun") };
    link.say(MOMENT).await.map(drop).map_err(|error| judge(&error))
}

/// Ends a transaction that wrote nothing.
pub(super) async fn roll_back(link: &Link) -> Result<(), Says> {
    link.say("ROLLBACK").await.map(drop).map_err(|error| judge(&error))
}

/// Waits until every commit that is under way has ended: who opens a store after an unknown outcome
/// reads what became of it. What was sent and not begun may still come later; it finds its rows
/// changed, or changes them first, as that of any other node.
pub(super) async fn settle(link: &Link) -> Result<(), StoreError> {
    const PASS: &str = "BEGIN; LOCK TABLE turnstile IN EXCLUSIVE MODE; COMMIT";
    assert!(!link.client.is_closed(), "it was just opened");
    link.say(PASS).await.map(drop).map_err(|error| cannot(&error))
}

/// Prepares every statement there is: the schema is the one that this program knows.
pub(super) async fn expect_schema(link: &mut Link, tables: Tables) -> Result<(), StoreError> {
    for table in 0..tables.len() {
        for act in Act::ALL {
            link.prepare(tables, vec![(table, act)]).await.map_err(|error| {
                let name = format!("table {}", tables.table(table).name);
                StoreError::damaged_part(&name, said(&error))
            })?;
        }
    }
    assert!(tables.len() > 0, "every row has a table");
    Ok(())
}

/// Reads the rows under `keys`.
pub(super) async fn load(
    link: &mut Link,
    tables: Tables,
    keys: &KeyList,
    frame: Frame,
) -> Result<Found, Says> {
    let asked = tables.sorted_out(keys);
    assert!(asked.len() <= tables.len(), "each table is asked once");
    let (mut sheets, mut numbers) = (Sheets::new(), Vec::with_capacity(asked.len()));
    for (table, (places, of_table)) in asked {
        assert!(!of_table.is_empty(), "a table is asked for something");
        let names = of_table.iter().map(|number| keys.key(*number).to_vec()).collect();
        sheets.insert((table, Act::Load), Sheet { places, keys: names, ..Sheet::default() });
        numbers.push(of_table);
    }
    assert_eq!(sheets.len(), numbers.len(), "each part of the answer has its keys");
    let mut steps: Vec<Step<'_>> = Vec::with_capacity(2);
    let prepared = if sheets.is_empty() {
        None
    } else {
        let (shape, values) = statement::filled(tables, sheets);
        let statement = link.prepare(tables, shape).await.map_err(|error| judge(&error))?;
        Some((statement, values))
    };
    steps.extend(frame.begin().map(|begin| link.say(begin)));
    steps.extend(prepared.map(|(statement, values)| link.run(statement, values)));
    let mut found =
        Found { values: (0..keys.len()).map(|_| None).collect(), stamps: vec![None; keys.len()] };
    for rows in in_order(steps).await {
        found.take(&rows.map_err(|error| judge(&error))?, &numbers, keys).map_err(Says::Refused)?;
    }
    assert_eq!(found.values.len(), keys.len(), "each key has its answer");
    assert_eq!(found.stamps.len(), keys.len(), "each row has its stamp");
    Ok(found)
}

impl Found {
    fn take(
        &mut self,
        rows: &[Row],
        numbers: &[Vec<usize>],
        keys: &KeyList,
    ) -> Result<(), StoreError> {
        let place = |number: i64| usize::try_from(number).ok();
        for row in rows {
            let of_table = place(get(row, 0)?).and_then(|part| numbers.get(part));
            let nth = place(get(row, 1)?).and_then(|nth| nth.checked_sub(1));
            let at = of_table.zip(nth).and_then(|(numbers, nth)| numbers.get(nth));
            let wrong = || StoreError::damaged_part("an answer of PostgreSQL", "a foreign row");
            let at = *at.ok_or_else(wrong)?;
            let (key, value): (&[u8], Vec<u8>) = (get(row, 3)?, get(row, 4)?);
            // A broken index finds a row where it is not, or twice.
            if key != keys.key(at) || self.values[at].is_some() {
                return Err(wrong());
            }
            expect_within_limits(key, &value)?;
            self.stamps[at] = Some(get(row, 2)?);
            self.values[at] = Some(value);
        }
        assert_eq!(self.values.len(), self.stamps.len(), "what is there has a stamp");
        assert!(numbers.len() <= self.values.len(), "what is found was asked for");
        Ok(())
    }
}

/// Puts what was read and what was decided together to statements.
///
/// # Errors
/// [`StoreError::Damaged`] if a key is none of its kind: nobody of ours writes such.
pub(super) fn sheets(
    tables: Tables,
    keys: &KeyList,
    stamps: &[Option<i64>],
    batch: &Batch,
) -> Result<Sheets, StoreError> {
    assert_eq!(keys.len(), stamps.len(), "each row that was read has its stamp, or none");
    let mut sheets = Sheets::new();
    let mut read = keys.iter().zip(stamps).peekable();
    for (key, value) in batch.iter() {
        while let Some((held, stamp)) = read.next_if(|(held, _)| *held < key) {
            tables.enter(&mut sheets, Act::Hold, held, None, *stamp)?;
        }
        let known = read.next_if(|(held, _)| *held == key).map(|(_, stamp)| *stamp);
        let act = match (known, value.is_some()) {
            (Some(Some(_)), true) => Act::Update,
            (Some(Some(_)), false) => Act::Delete,
            (Some(None), true) => Act::Insert,
            (Some(None), false) => Act::Hold,
            (None, true) => Act::Put,
            (None, false) => Act::Remove,
        };
        tables.enter(&mut sheets, act, key, value, known.flatten())?;
    }
    for (held, stamp) in read {
        tables.enter(&mut sheets, Act::Hold, held, None, *stamp)?;
    }
    let rows: usize = sheets.values().map(|sheet| sheet.keys.len()).sum();
    assert!(rows >= batch.len(), "each change is in a statement");
    assert!(rows <= batch.len() + keys.len(), "each row is in one statement");
    Ok(sheets)
}

/// How a commit ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It is durable.
    Done,
    /// It did not happen, as another was faster.
    Conflict(String),
    /// It did not happen.
    Refused(StoreError),
    /// Nobody knows.
    Unknown(String),
}

/// Writes all of it and commits, in one round trip: in the transaction that was `begun`, or in one
/// of its own.
pub(super) async fn commit(link: &mut Link, tables: Tables, sheets: Sheets, begun: bool) -> Ended {
    assert!(!sheets.is_empty(), "a commit writes something");
    let (shape, values) = statement::filled(tables, sheets);
    assert!(shape.iter().all(|(_, act)| !act.reads()), "what was decided is not read again");
    let statement = match link.prepare(tables, shape).await {
        Ok(statement) => statement,
        Err(error) => return before_commit(&error),
    };
    let mut steps = Vec::with_capacity(3);
    if !begun {
        steps.push(link.say(TOGETHER));
    }
    steps.push(link.run(statement, values));
    steps.push(link.say("COMMIT"));
    assert!(steps.len() > 1, "a commit has something before it");
    let mut results = in_order(steps).await;
    let committed = results.pop().map(|result| result.map(drop));
    // The first error decides: after it, COMMIT is a roll-back, and says nothing of it.
    for result in &results {
        match result.as_ref().map_err(judge) {
            Ok(_) => {}
            Err(Says::Conflict(why)) => return Ended::Conflict(why),
            Err(Says::Refused(error)) => return Ended::Refused(error),
            // COMMIT may have been under way by then.
            Err(Says::Lost(why)) => return Ended::Unknown(why),
        }
    }
    match committed {
        Some(Ok(())) => Ended::Done,
        Some(Err(error)) => match judge(&error) {
            Says::Conflict(why) => Ended::Conflict(why),
            Says::Refused(StoreError::Unavailable { why }) | Says::Lost(why) => Ended::Unknown(why),
            Says::Refused(error) => Ended::Refused(error),
        },
        None => unreachable!("COMMIT is the last step"),
    }
}

/// An error before COMMIT was sent.
fn before_commit(error: &Error) -> Ended {
    match judge(error) {
        Says::Conflict(why) => Ended::Conflict(why),
        Says::Refused(error) => Ended::Refused(error),
        Says::Lost(why) => Ended::Refused(StoreError::unavailable(why)),
    }
}

/// Reads the first `limit` rows of a span.
pub(super) async fn page(
    link: &mut Link,
    tables: Tables,
    span: &Span,
    limit: usize,
) -> Result<RawPage, Says> {
    let table = tables.table(span.table);
    let (first, end) = (table.places(&span.from), table.places(&span.until));
    let own = |places: &[&str]| places.iter().map(|place| (*place).to_owned()).collect::<Vec<_>>();
    let mut values: Vec<Value> = Vec::new();
    let act = if first.is_some() && first == end { Act::ScanPlace } else { Act::Scan };
    let text = |value: String| -> Value { Box::new(value) };
    if act == Act::ScanPlace {
        values.extend(first.iter().flat_map(|places| own(places)).map(text));
        values.push(Box::new(span.from.clone()));
        values.push(Box::new(span.until.clone()));
    } else {
        let none = |name: &str| vec![name.to_owned(); table.place.len()];
        let first = first.map_or_else(|| none(""), |places| own(&places));
        let end = end.map_or_else(|| none(AFTER_NAMES), |places| own(&places));
        values.extend(first.into_iter().map(text));
        values.push(Box::new(span.from.clone()));
        values.extend(end.into_iter().map(text));
        values.push(Box::new(span.until.clone()));
    }
    values.push(Box::new(i64::try_from(limit).unwrap_or(i64::MAX)));
    assert!(span.from < span.until, "a span has room for a key");
    assert!(values.len() >= 3, "two bounds and a limit");
    let shape = vec![(span.table, act)];
    let statement = link.prepare(tables, shape).await.map_err(|error| judge(&error))?;
    let rows = link.run(statement, values).await.map_err(|error| judge(&error))?;
    assert!(rows.len() <= limit, "a scan keeps its limit");
    let mut page = RawPage::with_capacity(rows.len());
    for row in &rows {
        let read = || -> Result<(Vec<u8>, Vec<u8>), StoreError> {
            let (key, value): (Vec<u8>, Vec<u8>) = (get(row, 0)?, get(row, 1)?);
            expect_within_limits(&key, &value)?;
            let inside = span.from <= key && key < span.until;
            let rises = page.last().is_none_or(|(last, _)| *last < key);
            if inside && rises {
                return Ok((key, value));
            }
            Err(StoreError::damaged_row(&key, "it stands in another place than its key says"))
        };
        let row = read().map_err(Says::Refused)?;
        page.push(row);
    }
    assert_eq!(page.len(), rows.len(), "each row is one of the page");
    Ok(page)
}

/// A list of keys that a job owns.
pub(super) type Keys = Arc<KeyList>;
