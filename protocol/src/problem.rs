//! The stable error codes (S4.13) and why a till may be turned away.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $status:literal;)*) => {
        /// A code that never changes its meaning. Numbers are stored: never reuse one.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[repr(u8)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $name = $number,)*
        }

        impl ErrorCode {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the text that travels and is logged.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Returns the HTTP status of a problem document with this code.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

codes! {
    /// No credential, a wrong or expired one, or one for another terminal.
    Unauthorized = 0, "POS_SYNC_UNAUTHORIZED", 401;
    /// Too many requests: wait as `Retry-After` says.
    RateLimited = 1, "POS_SYNC_RATE_LIMITED", 429;
    /// A catalog snapshot cannot be served now.
    SnapshotFailed = 2, "POS_CATALOG_SNAPSHOT_FAILED", 500;
    /// A catalog delta cannot be served now.
    DeltaFailed = 3, "POS_CATALOG_DELTA_FAILED", 500;
    /// A reconcile request cannot be served now.
    ReconcileFailed = 4, "POS_CATALOG_RECONCILE_FAILED", 500;
    /// Too much differs for a reconcile: take a snapshot.
    ManifestTooLarge = 5, "POS_CATALOG_MANIFEST_TOO_LARGE", 413;
    /// A message or event breaks a rule, or a key is reused with another payload (B.2).
    EventInvalid = 6, "POS_SYNC_EVENT_INVALID", 422;
    /// The event was posted before.
    EventDuplicate = 7, "POS_SYNC_EVENT_DUPLICATE", 409;
    /// The database cannot answer now; nothing was acknowledged.
    StorageFailed = 8, "POS_SYNC_STORAGE_FAILED", 503;
    /// The product is not in the catalog (yet): the event waits in the cloud.
    ProductUnknown = 9, "POS_SYNC_PRODUCT_UNKNOWN", 422;
    /// The sale that a refund takes back is not posted (yet): the refund waits.
    OriginalPending = 10, "POS_SYNC_ORIGINAL_PENDING", 422;
    /// No message version in common, or an unknown media type.
    VersionUnsupported = 11, "POS_SYNC_VERSION_UNSUPPORTED", 415;
    /// The message is larger than its limit.
    TooLarge = 12, "POS_SYNC_TOO_LARGE", 413;
    /// There is nothing at this address.
    NotFound = 13, "POS_SYNC_NOT_FOUND", 404;
    /// The node is starting, stopping or overloaded: try again.
    Unavailable = 14, "POS_SYNC_UNAVAILABLE", 503;
    /// Only the cloud decides what stands in that field: ask the head office.
    ServerOwned = 15, "POS_CATALOG_SERVER_OWNED", 403;
    /// What a correction would take the place of counts already: the correction never does.
    OriginalPosted = 16, "POS_SYNC_ORIGINAL_POSTED", 409;
    /// A correction has taken the event's place: it never counts.
    Withdrawn = 17, "POS_SYNC_EVENT_WITHDRAWN", 409;
}

const _: () = {
    let codes = ErrorCode::ALL;
    assert!(codes.len() <= u8::MAX as usize, "a code fits in a byte");
    let mut at = 0;
    while at < codes.len() {
        let status = codes[at].status();
        let text = codes[at].as_str().as_bytes();
        assert!(codes[at] as usize == at, "the binary form holds the place: it is the number");
        assert!(status >= 400 && status <= 599, "a problem has the status of one");
        assert!(text[0] == b'P' && text[3] == b'_', "a code is one of a point of sale");
        assert!(text.len() > 8 && text.len() <= 36, "a code is short, and says something");
        at += 1;
    }
    assert!(ErrorCode::Unauthorized.status() == 401, "a till without a credential hears so");
    assert!(ErrorCode::RateLimited.status() == 429, "a till that is too fast hears so");
    assert!(ErrorCode::TooLarge.status() == 413, "a push that is too large is halved");
    assert!(ErrorCode::StorageFailed.status() >= 500, "a failing disk costs no item an attempt");
    assert!(ErrorCode::Unavailable.status() >= 500, "a busy cloud costs no item an attempt");
};

impl core::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the cloud does not listen to a till.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Denial {
    /// The cloud has no such terminal. The till quarantines its queue and goes on selling.
    UnknownTerminal,
    /// An operator revoked it. The till quarantines its queue and goes on selling.
    Revoked,
    /// The credential has run out. The till keeps its queue and waits for another.
    Expired,
    /// The credential is not this terminal's. The till keeps its queue and waits.
    WrongCredential,
}

impl Denial {
    /// Returns whether the till must quarantine its queue until a person has decided.
    #[must_use]
    pub const fn quarantines(self) -> bool {
        match self {
            Self::UnknownTerminal | Self::Revoked => true,
            Self::Expired | Self::WrongCredential => false,
        }
    }

    /// Returns what a person is told.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::UnknownTerminal => "the cloud does not know this terminal: enrol it",
            Self::Revoked => "this terminal was revoked: enrol it again to release its queue",
            Self::Expired => "the credential has expired: rotate it",
            Self::WrongCredential => "the credential is not valid for this terminal",
        }
    }
}
