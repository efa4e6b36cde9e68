//! Why a session got no answer; TLS as far as it cares: what answers was not believed.

use crate::problem::Denial;
use crate::time::Millis;

/// Why there is no answer. None of these costs an item an attempt (B.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// No connection, a reset, a timeout, an unreadable answer.
    Transport,
    /// What answers there has not shown that it is the cloud: nothing was said to it.
    Untrusted(Distrust),
    /// 5xx.
    Server,
    /// 401, with the reason.
    Denied(Denial),
    /// 429, with `Retry-After` if it was sent.
    RateLimited(Option<Millis>),
    /// 413: the push was too large for something on the way.
    TooLarge,
    /// Another 4xx: the two programs do not understand each other.
    Rejected,
}

/// Why a till does not believe that it speaks to its cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Distrust {
    /// No authority that the till knows stands for the certificate.
    UnknownAuthority,
    /// The certificate is for another name.
    OtherName,
    /// The certificate has run out.
    Expired,
    /// The certificate begins in the future: of one of the two clocks.
    NotYetValid,
    /// The certificate is wrong in another way.
    BadCertificate,
    /// What answers does not speak TLS, or no version of it that is safe.
    NoTls,
    /// The till itself knows no authority: its files cannot be read.
    NoAuthorities,
}
