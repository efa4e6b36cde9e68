//! A small role: accounts with a balance, a counter and numbered entries. A posting counts once.

use std::collections::BTreeMap;
use std::sync::Arc;

use counterfoil_protocol::machine::{Machine, ReadSet, Rows, Writes};
use counterfoil_protocol::persist::{Damaged, Persist};
use counterfoil_protocol::time::Millis;

#[derive(Clone, Debug)]
pub struct Ledger;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Post { account: u32, id: u64, amount: i64, memo: Vec<u8> },
    Forget { account: u32, id: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Posted { number: u64 },
    Known { number: u64 },
    Forgotten,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Balance(u32),
    Counter(u32),
    Posting(u32, u64),
    Entry(u32, u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Balance(i64),
    Counter(u64),
    Posting { number: u64 },
    Entry { id: u64, amount: i64, memo: Vec<u8> },
}

impl Machine for Ledger {
    type Input = Input;
    type Output = Output;
    type Key = Key;
    type Record = Record;

    fn reads(&self, input: &Input, keys: &mut ReadSet<Key>) {
        match *input {
            Input::Post { account, id, .. } => keys.extend([
                Key::Balance(account),
                Key::Counter(account),
                Key::Posting(account, id),
            ]),
            Input::Forget { account, id } => keys.extend([Key::Posting(account, id)]),
        }
    }

    fn step(&self, _now: Millis, input: &Input, rows: &mut Rows<'_, Self>) -> Output {
        match input {
            Input::Post { account, id, amount, memo } => {
                let posting = Key::Posting(*account, *id);
                if let Some(Record::Posting { number }) = rows.get(&posting) {
                    return Output::Known { number: *number };
                }
                let balance = match rows.get(&Key::Balance(*account)) {
                    Some(Record::Balance(balance)) => *balance,
                    _ => 0,
                };
                let number = match rows.get(&Key::Counter(*account)) {
                    Some(Record::Counter(number)) => number + 1,
                    _ => 1,
                };
                rows.put(Key::Balance(*account), Record::Balance(balance + amount));
                rows.put(Key::Counter(*account), Record::Counter(number));
                rows.put(posting, Record::Posting { number });
                let entry = Record::Entry { id: *id, amount: *amount, memo: memo.clone() };
                rows.append(Key::Entry(*account, number), entry);
                Output::Posted { number }
            }
            Input::Forget { account, id } => {
                rows.remove(Key::Posting(*account, *id));
                Output::Forgotten
            }
        }
    }
}

impl Persist for Ledger {
    fn key_bytes(key: &Key, out: &mut Vec<u8>) {
        let (tag, account, number) = match *key {
            Key::Balance(account) => (0, account, None),
            Key::Counter(account) => (1, account, None),
            Key::Posting(account, id) => (2, account, Some(id)),
            Key::Entry(account, number) => (3, account, Some(number)),
        };
        out.push(tag);
        out.extend(account.to_be_bytes());
        out.extend(number.into_iter().flat_map(u64::to_be_bytes));
    }

    fn key_from_bytes(bytes: &[u8]) -> Result<Key, Damaged> {
        let damaged = || Damaged { what: "ledger key", why: "no such key" };
        let (&[tag, a, b, c, d], number) = bytes.split_first_chunk().ok_or_else(damaged)?;
        let account = u32::from_be_bytes([a, b, c, d]);
        let number = <[u8; 8]>::try_from(number).map(u64::from_be_bytes);
        match (tag, number) {
            (0, Err(_)) => Ok(Key::Balance(account)),
            (1, Err(_)) => Ok(Key::Counter(account)),
            (2, Ok(id)) => Ok(Key::Posting(account, id)),
            (3, Ok(number)) => Ok(Key::Entry(account, number)),
            _ => Err(damaged()),
        }
    }

    fn record_bytes(record: &Record, out: &mut Vec<u8>) {
        out.push(1);
        match record {
            Record::Balance(balance) => out.extend(balance.to_le_bytes()),
            Record::Counter(number) | Record::Posting { number } => {
                out.extend(number.to_le_bytes());
            }
            Record::Entry { id, amount, memo } => {
                out.extend(id.to_le_bytes());
                out.extend(amount.to_le_bytes());
                out.extend(memo);
            }
        }
    }

    fn record_from_bytes(key: &Key, bytes: &[u8]) -> Result<Record, Damaged> {
        let damaged = || Damaged { what: "ledger record", why: "no such record" };
        let (&1, body) = bytes.split_first().ok_or_else(damaged)? else {
            return Err(damaged());
        };
        let (&first, rest) = body.split_first_chunk::<8>().ok_or_else(damaged)?;
        Ok(match key {
            Key::Balance(_) => Record::Balance(i64::from_le_bytes(first)),
            Key::Counter(_) => Record::Counter(u64::from_le_bytes(first)),
            Key::Posting(..) => Record::Posting { number: u64::from_le_bytes(first) },
            Key::Entry(..) => {
                let (&amount, memo) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
                Record::Entry {
                    id: u64::from_le_bytes(first),
                    amount: i64::from_le_bytes(amount),
                    memo: memo.to_vec(),
                }
            }
        })
    }
}

/// Says what is wrong with the books: the balance is the sum of the entries, their numbers have
/// no gap, and each entry belongs to one posting.
pub fn audit(rows: &BTreeMap<Key, Record>) -> Result<(), String> {
    let mut books: BTreeMap<u32, (i64, u64)> = BTreeMap::new();
    for (key, record) in rows {
        let (Key::Entry(account, number), Record::Entry { id, amount, .. }) = (key, record) else {
            continue;
        };
        let (sum, count) = books.entry(*account).or_default();
        *sum += amount;
        *count += 1;
        if number != count {
            return Err(format!("account {account}: entry {number} where {count} is next"));
        }
        if rows.get(&Key::Posting(*account, *id)) != Some(&Record::Posting { number: *number }) {
            return Err(format!("account {account}: entry {number} has no posting"));
        }
    }
    for (account, (sum, count)) in &books {
        if rows.get(&Key::Balance(*account)) != Some(&Record::Balance(*sum)) {
            return Err(format!("account {account}: the entries sum to {sum}"));
        }
        if rows.get(&Key::Counter(*account)) != Some(&Record::Counter(*count)) {
            return Err(format!("account {account}: there are {count} entries"));
        }
    }
    let rows_expected = books.values().map(|(_, count)| 2 + 2 * count).sum::<u64>();
    if rows_expected != rows.len() as u64 {
        return Err(format!("{} rows where the entries explain {rows_expected}", rows.len()));
    }
    Ok(())
}

/// Returns writes as a transaction that reads nothing would make them.
pub fn writes(rows: impl IntoIterator<Item = (Key, Option<Record>)>) -> Writes<Ledger> {
    rows.into_iter().map(|(key, record)| (key, record.map(Arc::new))).collect()
}
