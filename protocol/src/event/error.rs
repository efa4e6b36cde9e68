//! What is wrong with an event.

use super::{CORRECTED_MAX, EVENT_BYTES_MAX, LINES_MAX, PAYMENTS_MAX, TEXT_BYTES_MAX};
use crate::catalog::EditError;
use crate::codec;

/// An event that breaks a rule. The caller shows it to whoever made the event; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The bytes have no readable form, or not the one canonical form.
    #[error("the event's bytes are not in canonical form: {0}")]
    Form(#[from] codec::DecodeError),
    /// The bytes decode, but another encoder would write them differently.
    #[error("the event's bytes are not the shortest form of their content")]
    NotCanonical,
    /// More than [`EVENT_BYTES_MAX`].
    #[error("an event has at most {EVENT_BYTES_MAX} bytes")]
    TooLarge,
    /// No line, or more than [`LINES_MAX`].
    #[error("an event has 1 to {LINES_MAX} lines")]
    Lines,
    /// More than [`PAYMENTS_MAX`].
    #[error("a trade has at most {PAYMENTS_MAX} payments")]
    Payments,
    /// A text above [`TEXT_BYTES_MAX`], or one with control characters.
    #[error("a text has at most {TEXT_BYTES_MAX} bytes and no control characters")]
    Text,
    /// A quantity that is zero, of the wrong sign, or above its bound.
    #[error("a quantity is out of bounds")]
    Quantity,
    /// A price, discount or amount of the wrong sign or above its bound.
    #[error("an amount is out of bounds")]
    Amount,
    /// The payments do not add up to the lines.
    #[error("the payments do not add up to the lines")]
    Unbalanced,
    /// An identifier or code that cannot be read.
    #[error("an identifier, currency or tender cannot be read")]
    Name,
    /// A trade without receipt, an adjustment with one, or a number zero.
    #[error("sales and refunds carry a receipt number from 1, other events none")]
    Receipt,
    /// A register session that is named where none belongs, or not named where one does.
    #[error("what a register session counts names it, adjustments name none")]
    Session,
    /// An edit of the catalog that breaks a rule.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Counts or sums of a session that are not in order, or out of bounds.
    #[error("the sums of a session are out of order or out of bounds")]
    Totals,
    /// A correction that names no event, too many, one twice, or itself.
    #[error("a correction takes the place of 1 to {CORRECTED_MAX} other events, each once")]
    Corrected,
    /// A correction in another currency than what it corrects.
    #[error("a correction is in the currency of what it corrects")]
    Currency,
}
