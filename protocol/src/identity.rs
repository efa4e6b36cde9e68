//! Who is speaking: shop, branch, terminal, register, and the device behind them.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::label::{Label, LabelError};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub Label);

        impl $name {
            /// Parses the identifier.
            ///
            /// # Errors
            /// [`LabelError`] says which rule the text breaks.
            pub const fn parse(text: &str) -> Result<Self, LabelError> {
                match Label::parse(text) {
                    Ok(label) => Ok(Self(label)),
                    Err(error) => Err(error),
                }
            }

            /// Returns the text of the identifier.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl core::str::FromStr for $name {
            type Err = LabelError;
            fn from_str(text: &str) -> Result<Self, LabelError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )*};
}

ids! {
    /// A tenant of the cloud.
    ShopId;
    /// One place of business of a shop: the unit of ordering and of sharding.
    BranchId;
    /// One enrolled till identity. Copies of its database share it; [`Epoch`] tells them apart.
    TerminalId;
    /// One register on a terminal: the owner of a series of receipt numbers.
    PosId;
    /// The caller's own name for an event, unique on its register.
    LocalEventId;
    /// A product as the shop names it (SKU).
    ProductId;
    /// A category of products.
    CategoryId;
    /// An online order as the shop's store front names it.
    OrderId;
    /// A person or program that speaks for a shop without a journal of its own.
    UserId;
}

/// The name of a register session: that of the event that opened it, on its register.
pub type SessionId = LocalEventId;

/// The idempotency key of S4.8: the same key and the same payload count once, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// The till that made the event.
    pub terminal: TerminalId,
    /// The register it was made on.
    pub pos: PosId,
    /// The caller's name for it.
    pub local_id: LocalEventId,
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.terminal, self.pos, self.local_id)
    }
}

/// One unbroken history of one copy of a till's database.
///
/// A till opens a new epoch by itself whenever its database may have been restored or copied, and
/// whenever the cloud shows it that histories have parted. The random `nonce` keeps two copies
/// apart that both chose the same next `number` (B.3).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Epoch {
    /// Counts the histories of this till, from 1.
    pub number: u32,
    /// Drawn at random when the epoch is opened.
    pub nonce: u64,
}

impl Epoch {
    /// Returns the epoch after this one, told apart by `nonce`.
    #[must_use]
    pub const fn next(self, nonce: u64) -> Self {
        assert!(self.number < u32::MAX, "four thousand million restores are out of bounds");
        let next = Self { number: self.number + 1, nonce };
        assert!(next.number > 0, "histories count from 1");
        next
    }
}

const _: () = {
    let first = Epoch { number: 0, nonce: 0 }.next(7);
    assert!(first.number == 1 && first.nonce == 7, "the first history of a till is number 1");
    assert!(first.next(7).number != first.number, "even the same draw tells histories apart");
};

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:04x}", self.number, self.nonce & 0xffff)
    }
}

/// What a till keeps outside its database file, so that it notices when the file was exchanged.
///
/// A restored file shows an older `boot` than the witness, a copied file another `install`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Witness {
    /// Drawn when the till was installed.
    pub install: u64,
    /// Drawn each time the database was opened.
    pub boot: u64,
}
