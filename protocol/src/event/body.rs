//! What kind of thing an event says.

use super::{Body, Correction, Trade};
use crate::money::Currency;

impl Body {
    /// Returns the trade, if goods were traded.
    #[must_use]
    pub const fn trade(&self) -> Option<&Trade> {
        match self {
            Self::Sale(trade)
            | Self::Refund { trade, .. }
            | Self::Correction(Correction { trade, .. }) => Some(trade),
            Self::Adjustment(_)
            | Self::SessionOpened(_)
            | Self::CashMoved(_)
            | Self::SessionClosed(_)
            | Self::CatalogEdited(_) => None,
        }
    }

    /// Returns the currency of its amounts; an adjustment or an edit has none.
    #[must_use]
    pub const fn currency(&self) -> Option<Currency> {
        match self {
            Self::Sale(trade)
            | Self::Refund { trade, .. }
            | Self::Correction(Correction { trade, .. }) => Some(trade.currency),
            Self::Adjustment(_) | Self::CatalogEdited(_) => None,
            Self::SessionOpened(opened) => Some(opened.currency),
            Self::CashMoved(moved) => Some(moved.currency),
            Self::SessionClosed(closed) => Some(closed.currency),
        }
    }

    /// Returns whether it moves goods: any other event is about money or the catalog.
    #[must_use]
    pub const fn moves_goods(&self) -> bool {
        matches!(
            self,
            Self::Sale(_) | Self::Refund { .. } | Self::Adjustment(_) | Self::Correction(_)
        )
    }

    /// Returns whether it is about a register's session, and not about goods.
    #[must_use]
    pub const fn is_of_session(&self) -> bool {
        matches!(self, Self::SessionOpened(_) | Self::CashMoved(_) | Self::SessionClosed(_))
    }
}
