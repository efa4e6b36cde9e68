//! Events by what they say, and the tables in which the checkers look them up.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use counterfoil_protocol::catalog::CatalogEdit;
use counterfoil_protocol::cloud::Site;
use counterfoil_protocol::event::{Body, Event, Line};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{EventKey, ProductId, TerminalId};

use super::sessions::InSession;

/// A table that is looked up for each row that is written. It has the same order in each run.
pub(super) type Table<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;
/// A set that is looked up for each row that is written. It has the same order in each run.
pub(super) type Names<K> = HashSet<K, BuildHasherDefault<Quick>>;

/// An event by its till and its content, which names its register and itself: 128 bits of both,
/// as it is looked up for each row that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fact(u128);

impl Fact {
    pub(super) fn new(terminal: TerminalId, payload: Hash) -> Self {
        let mut name = [0; 16];
        let bytes = terminal.0.as_bytes();
        let length = bytes.len().min(16);
        name[..length].copy_from_slice(&bytes[..length]);
        let mut content = [0; 16];
        content.copy_from_slice(&payload.0[..16]);
        Self(u128::from_le_bytes(name) ^ u128::from_le_bytes(content))
    }
}

/// What a till has committed.
#[derive(Clone, Debug)]
pub(super) struct Committed {
    pub(super) key: EventKey,
    /// Its canonical bytes, which were read once.
    pub(super) bytes: Arc<[u8]>,
    /// The digest of those.
    pub(super) payload: Hash,
    pub(super) site: Site,
    /// Its stock movements.
    pub(super) moves: Vec<(ProductId, i64)>,
    /// What it means for the register session that it names.
    pub(super) session: Option<InSession>,
    /// What it wants of the catalog, if it is an edit.
    pub(super) edit: Option<CatalogEdit>,
}

/// Returns what an event moves: the code under test has its own reading.
pub(super) fn moves(event: &Event) -> Vec<(ProductId, i64)> {
    let lines = |lines: &[Line], sign: i64| -> Vec<(ProductId, i64)> {
        lines.iter().map(|line| (line.product, sign * line.quantity.0)).collect()
    };
    match event.body() {
        Body::Sale(trade) => lines(&trade.lines, -1),
        Body::Correction(correction) => lines(&correction.trade.lines, -1),
        Body::Refund { trade, .. } => lines(&trade.lines, 1),
        Body::Adjustment(adjusted) => {
            adjusted.lines.iter().map(|line| (line.product, line.delta.0)).collect()
        }
        Body::SessionOpened(_)
        | Body::CashMoved(_)
        | Body::SessionClosed(_)
        | Body::CatalogEdited(_) => Vec::new(),
    }
}

/// A hasher of short names and digests, which nobody chooses to collide: each word is added and
/// multiplied in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(size_of::<u64>()) {
            let mut word = [0; size_of::<u64>()];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.wrapping_add(word).wrapping_mul(0xf135_7aea_2e62_a9c5);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        // A product's high bits depend on all of a word, and tables look at the low ones.
        self.0.rotate_left(26)
    }
}
