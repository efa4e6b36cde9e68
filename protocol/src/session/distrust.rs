//! TLS, as far as a session cares: what answers was not believed.

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
