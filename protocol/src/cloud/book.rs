//! The names of a shop's book, of the histories in it, and of what no till has printed.

use crate::event::Receipt;
use crate::hash::{book_name, book_part, payload_hash};
use crate::identity::{Epoch, LocalEventId, ShopId, TerminalId, UserId};

/// How the name of a book begins; no till is enrolled under such a name.
const BOOK: &str = "book:";
/// How many digits of a digest follow.
const BOOK_DIGITS: usize = 31;
const _: () = assert!(BOOK.len() + BOOK_DIGITS == crate::label::LABEL_BYTES_MAX, "a book is named");

/// Nobody prints a receipt of ours for such a sale: each is a series of its own, so that the
/// number says nothing, and the bytes depend on nothing but what the client has said.
pub(super) fn receipt_of(id: LocalEventId) -> Receipt {
    let digest = payload_hash(id.as_str().as_bytes());
    let mut nonce = [0; 8];
    nonce.copy_from_slice(&digest.0[..8]);
    assert!(nonce == digest.0[..8], "a series is named by its sale");
    let series = Epoch { number: 0, nonce: u64::from_le_bytes(nonce) };
    assert!(series.number == 0, "histories of tills count from 1");
    Receipt { series, number: 1 }
}

/// Returns the name of a shop's book, as that of a till in keys.
#[must_use]
pub fn book(shop: ShopId) -> TerminalId {
    let digits = alloc::string::ToString::to_string(&book_name(shop));
    let name = alloc::format!("{BOOK}{}", &digits[..BOOK_DIGITS]);
    let book = TerminalId::parse(&name).expect("letters and digits, as long as a name may be");
    assert!(is_book(book), "a book is told by its name");
    assert_eq!(book.as_str().len(), BOOK.len() + BOOK_DIGITS, "every book has as long a name");
    book
}

/// Returns whether this is the name of a book, and so that of no till.
#[must_use]
pub fn is_book(terminal: TerminalId) -> bool {
    let is = terminal.as_str().starts_with(BOOK);
    assert!(!is || terminal.as_str().len() >= BOOK.len(), "a book has the name of one");
    is
}

/// Returns the history of a user in the book of its shop.
#[must_use]
pub fn history(user: UserId) -> Epoch {
    let digest = book_part(user);
    let mut nonce = [0; 8];
    nonce.copy_from_slice(&digest.0[..8]);
    let epoch = Epoch { number: 1, nonce: u64::from_le_bytes(nonce) };
    assert!(nonce == digest.0[..8], "a history is named by its user");
    assert!(epoch.number > 0, "histories count from 1");
    epoch
}
