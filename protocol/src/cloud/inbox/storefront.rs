//! What the online store may show: the branch's stock less a safety buffer (S0.7).
//!
//! The buffer is taken off here and nowhere else: no row that a till hears of, and no decision of
//! a till, depends on it.

use super::row::{Buffer, InboxKey, InboxRecord};
use crate::cloud::row::Stock;
use crate::cloud::stocks::each_push;
use crate::cloud::{Cloud, Key, Record, Site};
use crate::identity::ProductId;
use crate::label::Label;
use crate::machine::Query;
use crate::money::{MILLI_MAX, Milli};

/// All of a stock, in millionths.
pub const PPM_MAX: u32 = 1_000_000;
/// How often a stock is read anew because a roll-up went on meanwhile.
const READS_MAX: usize = 8;

const _: () = assert!(READS_MAX > 1, "a stock that changes is read again");
const _: () = assert!(PPM_MAX == 1_000_000, "a part is counted in millionths");

const _: () = {
    let one = Some(ProductId(Label::FIRST));
    let (all, more) = (Buffer::Share { ppm: PPM_MAX }, Buffer::Share { ppm: PPM_MAX + 1 });
    let (none, debt) = (Buffer::Fixed { milli: Milli(0) }, Buffer::Fixed { milli: Milli(-1) });
    let most = Buffer::Fixed { milli: Milli(MILLI_MAX + 1) };
    assert!(all.check(None).is_ok() && more.check(None).is_err(), "a share is all at most");
    assert!(none.check(one).is_ok() && debt.check(one).is_err(), "a buffer is nothing at least");
    assert!(most.check(one).is_err(), "and has its bound");
    assert!(all.check(one).is_err() && none.check(None).is_err(), "each kind has its scope");
};

/// What is known of a product for the store front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreFront {
    /// The branch's stock as the cloud has it; may be negative, and may lag behind its tills.
    pub stock: Milli,
    /// What the store may show; never negative.
    pub available: Milli,
    /// The buffer that was taken off, if there is one.
    pub buffer: Option<Buffer>,
}

/// A buffer that is none. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BufferError {
    /// Negative, or beyond [`MILLI_MAX`].
    #[error("a fixed buffer has 0 to {MILLI_MAX} thousandths")]
    Fixed,
    /// More than all.
    #[error("a share has 0 to {PPM_MAX} millionths")]
    Share,
    /// A fixed quantity is of one product, a share of all that have none (S0.7).
    #[error("a fixed buffer is of one product, a share is of all others")]
    Scope,
}

impl Buffer {
    /// Checks that it is the buffer of `product`, or of all others if that is none.
    ///
    /// # Errors
    /// [`BufferError`] names the rule that is broken.
    pub const fn check(self, product: Option<ProductId>) -> Result<Self, BufferError> {
        match (self, product) {
            (Self::Fixed { .. }, None) | (Self::Share { .. }, Some(_)) => Err(BufferError::Scope),
            (Self::Fixed { milli: Milli(0..=MILLI_MAX) }, _) => Ok(self),
            (Self::Fixed { .. }, _) => Err(BufferError::Fixed),
            (Self::Share { ppm: 0..=PPM_MAX }, _) => Ok(self),
            (Self::Share { .. }, _) => Err(BufferError::Share),
        }
    }

    /// Returns what is left of a stock for the store to show.
    #[must_use]
    pub fn leaves(self, stock: Milli) -> Milli {
        let held = match self {
            Self::Fixed { milli } => i128::from(milli.0.max(0)),
            // Rounded up: a buffer of a part holds back at least that part.
            Self::Share { ppm } => {
                let part = i128::from(stock.0.max(0)) * i128::from(ppm);
                (part + i128::from(PPM_MAX) - 1) / i128::from(PPM_MAX)
            }
        };
        assert!(held >= 0, "a buffer holds something back, or nothing");
        let left = (i128::from(stock.0) - held).max(0);
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        assert!(left >= 0, "a store shows no debt");
        assert!(left <= stock.0.max(0), "a buffer adds nothing");
        Milli(left)
    }
}

/// Returns what the store front may show of a product, or `None` if the stock changed so fast
/// that it could not be read: ask again.
///
/// # Errors
/// The query's.
pub async fn stock<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    product: ProductId,
) -> Result<Option<StoreFront>, Q::Error> {
    let buffer = match buffer(query, site, Some(product)).await? {
        Some(own) => Some(own),
        None => buffer(query, site, None).await?,
    };
    for _ in 0..READS_MAX {
        let before = rolled_up(query, site, product).await?;
        let since = moved_since(query, site, product).await?;
        // A roll-up between both reads would count twice, or not at all; it shows in the row.
        if rolled_up(query, site, product).await? == before {
            let stock = before.plus(since).quantity;
            let available = buffer.map_or_else(|| Milli(stock.0.max(0)), |held| held.leaves(stock));
            assert!(available.0 >= 0, "a store shows no debt");
            assert!(available.0 <= stock.0.max(0), "a buffer adds nothing");
            return Ok(Some(StoreFront { stock, available, buffer }));
        }
    }
    Ok(None)
}

/// Returns the buffer of a product, or that of all others.
///
/// # Errors
/// The query's.
pub async fn buffer<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    product: Option<ProductId>,
) -> Result<Option<Buffer>, Q::Error> {
    let row = query.get(&InboxKey::Buffer(site.shop, site.branch, product).into()).await?;
    Ok(match row {
        Some(Record::Inbox(InboxRecord::Buffer(buffer))) => Some(buffer),
        Some(_) | None => None,
    })
}

async fn rolled_up<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    product: ProductId,
) -> Result<Stock, Q::Error> {
    Ok(match query.get(&Key::Stock(site.shop, site.branch, product)).await? {
        Some(Record::Stock(stock)) => stock,
        Some(_) | None => Stock::default(),
    })
}

/// Returns what was moved of a product since the last roll-up.
async fn moved_since<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    product: ProductId,
) -> Result<Stock, Q::Error> {
    let mut sum = Stock::default();
    each_push(query, site, |_, moved| {
        let of_it = moved.iter().filter(|moved| moved.product == product);
        sum = of_it.fold(sum, |sum, moved| sum.plus(moved.by));
    })
    .await?;
    Ok(sum)
}
