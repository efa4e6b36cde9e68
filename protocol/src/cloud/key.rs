//! Keys of the cloud's rows as bytes, in the order of the keys: how an engine sorts them.

use alloc::vec::Vec;

use super::inbox::InboxKey;
use super::row::Key;
use crate::catalog::{EntityId, Kind};
use crate::identity::{
    BranchId, EventKey, LocalEventId, PosId, ProductId, ShopId, TerminalId, UserId,
};
use crate::persist::{Damaged, KEY_BYTES_MAX, KeyReader, KeyWriter};
use crate::time::Millis;
use crate::wire::message::ServerId;

impl Key {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let to = KeyWriter(out);
        match self {
            Self::Terminal(terminal) => to.kind(1).label(terminal.0),
            Self::Lane(terminal, epoch) => to.kind(2).label(terminal.0).epoch(*epoch),
            Self::Segment(terminal, epoch, number) => {
                to.kind(3).label(terminal.0).epoch(*epoch).number(*number)
            }
            Self::Ledger(key) => event_key(to.kind(4), key),
            Self::Conflict(key, hash) => event_key(to.kind(5), key).hash(*hash),
            Self::Opaque(terminal, epoch, seq) => {
                to.kind(6).label(terminal.0).epoch(*epoch).number(*seq)
            }
            Self::Stock(shop, branch, product) => {
                to.kind(7).label(shop.0).label(branch.0).label(product.0)
            }
            Self::Fork(terminal, epoch, hash) => {
                to.kind(8).label(terminal.0).epoch(*epoch).hash(*hash)
            }
            Self::Product(shop, product) => to.kind(9).label(shop.0).label(product.0),
            Self::Movements(shop, branch, first) => {
                to.kind(10).label(shop.0).label(branch.0).hash(first.0)
            }
            Self::Feed(shop) => to.kind(11).label(shop.0),
            Self::BranchDigest(shop, branch) => to.kind(12).label(shop.0).label(branch.0),
            Self::Item(shop, branch, id) => to
                .kind(13)
                .label(shop.0)
                .scope(branch.map(|branch| branch.0))
                .byte(id.kind as u8)
                .label(id.id),
            Self::Change(shop, branch, version, index) => to
                .kind(14)
                .label(shop.0)
                .scope(branch.map(|branch| branch.0))
                .number(*version)
                .index(*index),
            Self::Session(shop, terminal, pos, session) => {
                to.kind(15).label(shop.0).label(terminal.0).label(pos.0).label(session.0)
            }
            Self::EditNote(shop, key) => event_key(to.kind(23).label(shop.0), key),
            Self::Inbox(key) => key.write(to),
            Self::SketchSecret(shop) => to.kind(22).label(shop.0),
            Self::Lease(shop, branch, terminal) => {
                to.kind(24).label(shop.0).label(branch.0).label(terminal.0)
            }
            Self::Floor(shop) => to.kind(25).label(shop.0),
            Self::User(user) => to.kind(26).label(user.0),
            Self::Buyer(shop, sale) => to.kind(27).label(shop.0).label(sale.0),
            Self::Command(shop, id) => to.kind(28).label(shop.0).label(*id),
            Self::Stamp(shop) => to.kind(29).label(shop.0),
            Self::Stamped(shop, at) => to.kind(30).label(shop.0).number(at.0),
            Self::Notice(shop, branch, product, movement) => {
                to.kind(31).label(shop.0).label(branch.0).label(product.0).number(*movement)
            }
            Self::Waiting(shop, key) => event_key(to.kind(32).label(shop.0), key),
            Self::Decision(shop, key) => event_key(to.kind(33).label(shop.0), key),
            Self::LogHead => to.kind(34).byte(0),
            Self::Log(number) => to.kind(35).number(*number),
            Self::Threshold(shop, product) => to.kind(36).label(shop.0).label(product.0),
        };
        assert!(out.len() > start + 1, "every row of the cloud has a name beside its kind");
        assert!(out.len() - start <= KEY_BYTES_MAX, "a key is bounded");
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, Damaged> {
        let (kind, mut from) = KeyReader::new(bytes)?;
        let key = match kind {
            1 => Self::Terminal(TerminalId(from.label()?)),
            2 => Self::Lane(TerminalId(from.label()?), from.epoch()?),
            3 => Self::Segment(TerminalId(from.label()?), from.epoch()?, from.number()?),
            4 => Self::Ledger(read_event_key(&mut from)?),
            5 => Self::Conflict(read_event_key(&mut from)?, from.hash()?),
            6 => Self::Opaque(TerminalId(from.label()?), from.epoch()?, from.number()?),
            7 => Self::Stock(
                ShopId(from.label()?),
                BranchId(from.label()?),
                ProductId(from.label()?),
            ),
            8 => Self::Fork(TerminalId(from.label()?), from.epoch()?, from.hash()?),
            9 => Self::Product(ShopId(from.label()?), ProductId(from.label()?)),
            10 => Self::Movements(
                ShopId(from.label()?),
                BranchId(from.label()?),
                ServerId(from.hash()?),
            ),
            11 => Self::Feed(ShopId(from.label()?)),
            12 => Self::BranchDigest(ShopId(from.label()?), BranchId(from.label()?)),
            13 => Self::Item(
                ShopId(from.label()?),
                from.scope()?.map(BranchId),
                EntityId { kind: read_kind(&mut from)?, id: from.label()? },
            ),
            14 => Self::Change(
                ShopId(from.label()?),
                from.scope()?.map(BranchId),
                from.number()?,
                from.index()?,
            ),
            15 => Self::Session(
                ShopId(from.label()?),
                TerminalId(from.label()?),
                PosId(from.label()?),
                LocalEventId(from.label()?),
            ),
            23 => Self::EditNote(ShopId(from.label()?), read_event_key(&mut from)?),
            kind if InboxKey::KINDS.contains(&kind) => {
                Self::Inbox(InboxKey::read(kind, &mut from)?)
            }
            22 => Self::SketchSecret(ShopId(from.label()?)),
            24 => Self::Lease(
                ShopId(from.label()?),
                BranchId(from.label()?),
                TerminalId(from.label()?),
            ),
            25 => Self::Floor(ShopId(from.label()?)),
            26..=36 => Self::read_later(kind, &mut from)?,
            _ => return Err(Damaged { what: "cloud key", why: "its kind is unknown" }),
        };
        let key = from.end(key)?;
        assert!(bytes.len() > 1, "every row of the cloud has a name beside its kind");
        assert!(bytes.len() <= KEY_BYTES_MAX, "what is read as a key has its bounds");
        Ok(key)
    }
}

impl Key {
    /// Reads the kinds that came with the contracts of others.
    fn read_later(kind: u8, from: &mut KeyReader<'_>) -> Result<Self, Damaged> {
        assert!((26..=36).contains(&kind), "only its own kinds are read here");
        assert!(!InboxKey::KINDS.contains(&kind), "each kind has one reader");
        Ok(match kind {
            26 => Self::User(UserId(from.label()?)),
            27 => Self::Buyer(ShopId(from.label()?), LocalEventId(from.label()?)),
            28 => Self::Command(ShopId(from.label()?), from.label()?),
            29 => Self::Stamp(ShopId(from.label()?)),
            30 => Self::Stamped(ShopId(from.label()?), Millis(from.number()?)),
            31 => Self::Notice(
                ShopId(from.label()?),
                BranchId(from.label()?),
                ProductId(from.label()?),
                from.number()?,
            ),
            32 => Self::Waiting(ShopId(from.label()?), read_event_key(from)?),
            33 => Self::Decision(ShopId(from.label()?), read_event_key(from)?),
            34 if from.byte()? == 0 => Self::LogHead,
            35 => Self::Log(from.number()?),
            36 => Self::Threshold(ShopId(from.label()?), ProductId(from.label()?)),
            _ => return Err(Damaged { what: "cloud key", why: "its kind is unknown" }),
        })
    }
}

fn event_key<'a>(to: KeyWriter<'a>, key: &EventKey) -> KeyWriter<'a> {
    to.label(key.terminal.0).label(key.pos.0).label(key.local_id.0)
}

fn read_event_key(from: &mut KeyReader<'_>) -> Result<EventKey, Damaged> {
    Ok(EventKey {
        terminal: TerminalId(from.label()?),
        pos: PosId(from.label()?),
        local_id: LocalEventId(from.label()?),
    })
}

fn read_kind(from: &mut KeyReader<'_>) -> Result<Kind, Damaged> {
    let number = from.byte()?;
    Kind::from_number(number).ok_or(Damaged { what: "cloud key", why: "no kind of entity" })
}
