//! What the till asks of the page's database, what the page answers, and their bytes.
//!
//! Both are lists of byte strings, each of which may be absent:
//!
//! ```text
//! | 1 byte: 1 is there, 0 is not | 4 bytes, little endian: how long | bytes |
//! ```

/// A key or a framed value.
pub(crate) type Bytes = Vec<u8>;

/// What is to be done in the object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Begin a read-write transaction and read these keys. [`Ask::Write`] follows in the same turn
    /// of the page, or the job is done: then the transaction is to be aborted.
    Load(Vec<Bytes>),
    /// Put and delete in that transaction, and answer when it is complete: `durability: "strict"`.
    Write(Vec<(Bytes, Option<Bytes>)>),
    /// Read one key.
    Get(Bytes),
    /// Read the first `limit` rows with `from <= key < until`.
    Scan {
        /// The first key.
        from: Bytes,
        /// Behind the last one.
        until: Bytes,
        /// How many at most.
        limit: u32,
    },
}

/// What the page answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The values under the keys that were asked for, in their order; to a scan, keys and values by
    /// turns; to a write, nothing: it is durable.
    Values(Vec<Option<Bytes>>),
    /// It could not be done. What was to be written may have been.
    Failed(String),
}

impl Ask {
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Load(_) => "load",
            Self::Write(_) => "write",
            Self::Get(_) => "get",
            Self::Scan { .. } => "scan",
        }
    }

    pub(crate) fn pack(&self) -> Bytes {
        let mut out = Vec::new();
        match self {
            Self::Load(keys) => keys.iter().for_each(|key| push(&mut out, Some(key))),
            Self::Write(rows) => {
                for (key, value) in rows {
                    push(&mut out, Some(key));
                    push(&mut out, value.as_deref());
                }
            }
            Self::Get(key) => push(&mut out, Some(key)),
            Self::Scan { from, until, limit } => {
                push(&mut out, Some(from));
                push(&mut out, Some(until));
                push(&mut out, Some(&limit.to_le_bytes()));
            }
        }
        out
    }
}

impl Answer {
    /// Reads the bytes of a list; `None` if they are none.
    #[must_use]
    pub fn unpack(mut packed: &[u8]) -> Option<Self> {
        let mut values = Vec::new();
        while let Some(([there, length @ ..], rest)) = packed.split_first_chunk::<5>() {
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (value, rest) = rest.split_at_checked(length)?;
            values.push(match there {
                1 => Some(value.to_vec()),
                0 if value.is_empty() => None,
                _ => return None,
            });
            packed = rest;
        }
        packed.is_empty().then_some(Self::Values(values))
    }
}

fn push(out: &mut Bytes, value: Option<&[u8]>) {
    let bytes = value.unwrap_or_default();
    let length = u32::try_from(bytes.len()).expect("a value is shorter than four gigabytes");
    out.push(u8::from(value.is_some()));
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_read_back() {
        let rows = vec![(b"a".to_vec(), Some(b"one".to_vec())), (b"b".to_vec(), None)];
        let values = vec![Some(b"a".to_vec()), Some(b"one".to_vec()), Some(b"b".to_vec()), None];
        assert_eq!(Answer::unpack(&Ask::Write(rows).pack()), Some(Answer::Values(values)));
        assert_eq!(Answer::unpack(&[]), Some(Answer::Values(Vec::new())));
    }

    #[test]
    fn what_is_cut_or_strange_is_no_list() {
        let whole = Ask::Get(b"key".to_vec()).pack();
        for end in 1..whole.len() {
            assert_eq!(Answer::unpack(&whole[..end]), None, "{end}");
        }
        for strange in [[2, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 9], [1, 255, 255, 255, 255, 0]] {
            assert_eq!(Answer::unpack(&strange), None, "{strange:?}");
        }
    }
}
