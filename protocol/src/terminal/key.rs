//! Keys of the till's rows as bytes, in the order of the keys: how an engine sorts them.

use alloc::vec::Vec;

use super::row::Key;
use crate::catalog::{EntityId, Kind};
use crate::identity::{LocalEventId, PosId, ProductId};
use crate::inbox::EventId;
use crate::persist::{Damaged, KEY_BYTES_MAX, KeyReader, KeyWriter};

impl Key {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let to = KeyWriter(out);
        match self {
            Self::Meta => to.kind(1),
            Self::Entry(epoch, seq) => to.kind(2).epoch(*epoch).number(*seq),
            Self::Queue(epoch, seq) => to.kind(3).epoch(*epoch).number(*seq),
            Self::Attention(epoch, seq) => to.kind(4).epoch(*epoch).number(*seq),
            Self::Local(pos, local_id) => to.kind(5).label(pos.0).label(local_id.0),
            Self::Series(pos) => to.kind(6).label(pos.0),
            Self::Stock(product) => to.kind(7).label(product.0),
            Self::Catalog => to.kind(8),
            Self::Item(id) => to.kind(9).byte(id.kind as u8).label(id.id),
            Self::Register(pos) => to.kind(10).label(pos.0),
            Self::Closing(pos, local_id) => to.kind(11).label(pos.0).label(local_id.0),
            Self::LocalEdits => to.kind(12),
            Self::Movement(number) => to.kind(13).number(*number),
            Self::Applied(event) => to.kind(14).hash(event.0),
            Self::Review(product) => to.kind(15).label(product.0),
            Self::Inbox => to.kind(16),
            Self::Code(code, product) => to.kind(17).label(*code).label(product.0),
            Self::Schema => to.kind(18),
            Self::Diary => to.kind(19),
            Self::Note(number) => to.kind(20).number(*number),
            Self::Replaced(epoch, seq) => to.kind(21).epoch(*epoch).number(*seq),
            Self::Archive => to.kind(22),
        };
        let length = out.len() - start;
        assert!(length <= KEY_BYTES_MAX, "a key is bounded");
        let alone = matches!(
            self,
            Self::Meta
                | Self::Catalog
                | Self::LocalEdits
                | Self::Inbox
                | Self::Schema
                | Self::Diary
                | Self::Archive
        );
        assert_eq!(length == 1, alone, "only what there is once has no name");
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, Damaged> {
        let (kind, mut from) = KeyReader::new(bytes)?;
        let key = match kind {
            1 => Self::Meta,
            2 => Self::Entry(from.epoch()?, from.number()?),
            3 => Self::Queue(from.epoch()?, from.number()?),
            4 => Self::Attention(from.epoch()?, from.number()?),
            5 => Self::Local(PosId(from.label()?), LocalEventId(from.label()?)),
            6 => Self::Series(PosId(from.label()?)),
            7 => Self::Stock(ProductId(from.label()?)),
            8 => Self::Catalog,
            9 => {
                let damaged = Damaged { what: "till key", why: "no kind of entity" };
                let kind = Kind::from_number(from.byte()?).ok_or(damaged)?;
                Self::Item(EntityId { kind, id: from.label()? })
            }
            10 => Self::Register(PosId(from.label()?)),
            11 => Self::Closing(PosId(from.label()?), LocalEventId(from.label()?)),
            12 => Self::LocalEdits,
            13 => Self::Movement(from.number()?),
            14 => Self::Applied(EventId(from.hash()?)),
            15 => Self::Review(ProductId(from.label()?)),
            16 => Self::Inbox,
            17 => Self::Code(from.label()?, ProductId(from.label()?)),
            18 => Self::Schema,
            19 => Self::Diary,
            20 => Self::Note(from.number()?),
            21 => Self::Replaced(from.epoch()?, from.number()?),
            22 => Self::Archive,
            _ => return Err(Damaged { what: "till key", why: "its kind is unknown" }),
        };
        let key = from.end(key)?;
        assert!(bytes.len() <= KEY_BYTES_MAX, "what is read as a key has its bounds");
        let alone = matches!(
            key,
            Self::Meta
                | Self::Catalog
                | Self::LocalEdits
                | Self::Inbox
                | Self::Schema
                | Self::Diary
                | Self::Archive
        );
        assert_eq!(bytes.len() == 1, alone, "only what there is once has no name");
        Ok(key)
    }
}
