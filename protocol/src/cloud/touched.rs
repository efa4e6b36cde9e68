//! For whom there may be news once an input is committed.
//!
//! It is a hint and nothing more: it names too many rather than too few, and whoever is told
//! compares versions. A till that was not told hears at its next question.

use super::{Input, Site, inbox};
use crate::event::Body;
use crate::identity::{ShopId, TerminalId};

/// For whom there may be news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// For nobody.
    Nobody,
    /// For the terminals of a branch.
    Branch(Site),
    /// For all terminals of a shop.
    Shop(ShopId),
    /// The terminal itself may no longer be let in, or with another secret.
    Terminal(TerminalId),
}

impl Input {
    /// Returns for whom there may be news once this is committed.
    #[must_use]
    pub fn touches(&self) -> Touched {
        match self {
            Self::Enrol { terminal, .. } | Self::Revoke { terminal } => {
                Touched::Terminal(*terminal)
            }
            Self::EditCatalog(edits) => Touched::Shop(edits.shop()),
            Self::Push { caller, offer } => {
                let edits = offer.items.iter().any(|item| {
                    let event = item.event.as_ref().ok().map(|(event, _)| event.body());
                    matches!(event, Some(Body::CatalogEdited(_)))
                });
                assert!(!offer.items.is_empty(), "a checked push has items");
                // Siblings may hear of what was moved.
                if edits { Touched::Shop(caller.site.shop) } else { Touched::Branch(caller.site) }
            }
            Self::Bring(brought) => Touched::Branch(brought.site()),
            // It may have been an edit of the catalog that waited.
            Self::Decide(decide) => Touched::Shop(decide.site().shop),
            Self::Inbox(inbox::Input::Place(order)) => Touched::Branch(order.site()),
            Self::Inbox(inbox::Input::Cancel { site, .. }) => Touched::Branch(*site),
            Self::Logged(logged) => {
                let touched = logged.input.touches();
                assert!(!matches!(*logged.input, Self::Logged(_)), "an entry is of one action");
                touched
            }
            Self::Inbox(
                inbox::Input::Buffer { .. } | inbox::Input::Relay { .. } | inbox::Input::Ack { .. },
            )
            | Self::DefineProduct { .. }
            | Self::RollUp(_)
            | Self::DrawSketchSecret { .. }
            | Self::Hello { .. }
            | Self::Lease { .. }
            | Self::Compact(_)
            | Self::AddUser(_)
            | Self::RevokeUser(_)
            | Self::SetThresholds(_)
            | Self::Settle { .. } => Touched::Nobody,
        }
    }
}
