//! Walks over rows in the order of their keys, a page at a time.

use counterfoil_protocol::catalog::EntityId;
use counterfoil_protocol::cloud::{Cloud, InboxKey, Key, Record};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{
    BranchId, Epoch, EventKey, LocalEventId, OrderId, PosId, ProductId, ShopId, TerminalId,
};
use counterfoil_protocol::label::{LABEL_BYTES_MAX, Label};
use counterfoil_protocol::machine::{Page, Query};
use counterfoil_protocol::wire::message::ServerId;

/// Rows in one page.
const PAGE_ROWS: usize = 1_000;

const FIRST_EPOCH: Epoch = Epoch { number: 0, nonce: 0 };
const LAST_EPOCH: Epoch = Epoch { number: u32::MAX, nonce: u64::MAX };
const FIRST_HASH: Hash = Hash([0; 32]);
const LAST_HASH: Hash = Hash([0xff; 32]);

/// The kinds of rows, in the order of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Terminal,
    Lane,
    Segment,
    Ledger,
    Conflict,
    Opaque,
    Stock,
    Fork,
    Product,
    Movements,
    Session,
    EditNote,
    InboxHead,
    InboxEvent,
    InboxAck,
    Order,
    Feed,
    BranchDigest,
    Item,
    Change,
}

/// The kinds whose keys begin with a terminal.
pub(crate) const OF_TERMINALS: [Kind; 7] = [
    Kind::Terminal,
    Kind::Lane,
    Kind::Segment,
    Kind::Ledger,
    Kind::Conflict,
    Kind::Opaque,
    Kind::Fork,
];

/// A run of keys; both ends belong to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    from: Key,
    last: Key,
}

/// A walk over a span.
#[derive(Debug)]
pub(crate) struct Pages<'q, Q> {
    reads: &'q Q,
    next: Option<From>,
    last: Key,
}

#[derive(Clone, Copy, Debug)]
enum From {
    At(Key),
    After(Key),
}

impl<'q, Q: Query<Cloud>> Pages<'q, Q> {
    pub(crate) const fn new(reads: &'q Q, span: Span) -> Self {
        Self { reads, next: Some(From::At(span.from)), last: span.last }
    }

    /// Returns the next rows; an empty page is the end.
    pub(crate) async fn next(&mut self) -> Result<Page<Cloud>, Q::Error> {
        let Some(from) = self.next else { return Ok(Vec::new()) };
        let (start, skip) = match from {
            From::At(key) => (key, None),
            From::After(key) => (key, Some(key)),
        };
        let mut page = self.reads.scan(&start, &self.last, PAGE_ROWS).await?;
        let whole = page.len() < PAGE_ROWS;
        page.retain(|(key, _)| Some(*key) != skip);
        if whole {
            self.next = None;
            // A scan ends before its bound; the bound itself belongs to the span.
            if skip != Some(self.last) {
                page.extend(self.reads.get(&self.last).await?.map(|row| (self.last, row)));
            }
        } else {
            self.next = page.last().map(|(key, _)| From::After(*key));
        }
        Ok(page)
    }

    /// Gives each row to `visit`.
    pub(crate) async fn each<F>(mut self, mut visit: F) -> Result<(), Q::Error>
    where
        F: FnMut(Key, Record),
    {
        loop {
            let page = self.next().await?;
            if page.is_empty() {
                return Ok(());
            }
            for (key, record) in page {
                visit(key, record);
            }
        }
    }
}

/// Returns the keys of `kind` that begin with `terminal`.
pub(crate) fn of_terminal(kind: Kind, terminal: TerminalId) -> Span {
    span(kind, terminal.0, terminal.0)
}

/// Returns all keys of `kind`.
pub(crate) fn all(kind: Kind) -> Span {
    span(kind, first_label(), last_label())
}

/// Returns the first terminal, in a kind that begins with one, that comes after `terminal`.
pub(crate) async fn terminal_after<Q: Query<Cloud>>(
    reads: &Q,
    kind: Kind,
    terminal: Option<TerminalId>,
) -> Result<Option<TerminalId>, Q::Error> {
    let from = terminal.map_or_else(|| all(kind).from, |id| of_terminal(kind, id).last);
    // The first may still be a row of `terminal` itself.
    let page = reads.scan(&from, &all(kind).last, 2).await?;
    let found = page.iter().filter_map(|(key, _)| terminal_of(key));
    Ok(found.filter(|found| Some(*found) > terminal).min())
}

fn span(kind: Kind, from: Label, last: Label) -> Span {
    let end = |name: Label, least: bool| {
        let label = if least { first_label() } else { last_label() };
        let epoch = if least { FIRST_EPOCH } else { LAST_EPOCH };
        let hash = if least { FIRST_HASH } else { LAST_HASH };
        let number = if least { 0 } else { u64::MAX };
        // The whole shop's rows come before those of any branch.
        let scope = (!least).then_some(BranchId(label));
        let terminal = TerminalId(name);
        let event = EventKey { terminal, pos: PosId(label), local_id: LocalEventId(label) };
        match kind {
            Kind::Terminal => Key::Terminal(terminal),
            Kind::Lane => Key::Lane(terminal, epoch),
            Kind::Segment => Key::Segment(terminal, epoch, number),
            Kind::Ledger => Key::Ledger(event),
            Kind::Conflict => Key::Conflict(event, hash),
            Kind::Opaque => Key::Opaque(terminal, epoch, number),
            Kind::Stock => Key::Stock(ShopId(name), BranchId(label), ProductId(label)),
            Kind::Fork => Key::Fork(terminal, epoch, hash),
            Kind::Product => Key::Product(ShopId(name), ProductId(label)),
            Kind::Movements => Key::Movements(ShopId(name), BranchId(label), ServerId(hash)),
            Kind::Session => {
                Key::Session(ShopId(name), TerminalId(label), PosId(label), LocalEventId(label))
            }
            Kind::EditNote => {
                let terminal = TerminalId(label);
                Key::EditNote(ShopId(name), EventKey { terminal, ..event })
            }
            Kind::InboxHead => InboxKey::Head(ShopId(name), BranchId(label)).into(),
            Kind::InboxEvent => InboxKey::Event(ShopId(name), BranchId(label), number).into(),
            Kind::InboxAck => {
                InboxKey::Ack(ShopId(name), BranchId(label), TerminalId(label)).into()
            }
            Kind::Order => InboxKey::Order(ShopId(name), OrderId(label)).into(),
            Kind::Feed => Key::Feed(ShopId(name)),
            Kind::BranchDigest => Key::BranchDigest(ShopId(name), BranchId(label)),
            Kind::Item => {
                let kind = if least { EntityId::FIRST.kind } else { EntityId::LAST.kind };
                Key::Item(ShopId(name), scope, EntityId { kind, id: label })
            }
            Kind::Change => {
                let index = if least { 0 } else { u32::MAX };
                Key::Change(ShopId(name), scope, number, index)
            }
        }
    };
    Span { from: end(from, true), last: end(last, false) }
}

const fn terminal_of(key: &Key) -> Option<TerminalId> {
    match key {
        Key::Terminal(terminal)
        | Key::Lane(terminal, _)
        | Key::Segment(terminal, _, _)
        | Key::Opaque(terminal, _, _)
        | Key::Fork(terminal, _, _) => Some(*terminal),
        Key::Ledger(key) | Key::Conflict(key, _) => Some(key.terminal),
        Key::Stock(..)
        | Key::Product(..)
        | Key::Movements(..)
        | Key::Feed(_)
        | Key::BranchDigest(..)
        | Key::Item(..)
        | Key::Change(..)
        | Key::EditNote(..)
        | Key::Session(..)
        | Key::SketchSecret(_)
        | Key::Lease(..)
        | Key::Floor(_)
        | Key::User(_)
        | Key::Buyer(..)
        | Key::Command(..)
        | Key::Stamp(_)
        | Key::Stamped(..)
        | Key::Notice(..)
        | Key::Waiting(..)
        | Key::Decision(..)
        | Key::LogHead
        | Key::Log(_)
        | Key::Threshold(..)
        | Key::Inbox(_) => None,
    }
}

fn first_label() -> Label {
    const { parsed("!") }
}

fn last_label() -> Label {
    const LAST: [u8; LABEL_BYTES_MAX] = [b'~'; LABEL_BYTES_MAX];
    const {
        match core::str::from_utf8(&LAST) {
            Ok(text) => parsed(text),
            Err(_) => panic!("tildes are text"),
        }
    }
}

const fn parsed(text: &str) -> Label {
    match Label::parse(text) {
        Ok(label) => label,
        Err(_) => panic!("the ends of the range of names are names"),
    }
}
