//! Bearer tokens: `cf_<terminalId>_<secret>` of a till, `cu_<userId>_<secret>` of a user; the
//! secret has 64 lower-case hexadecimal digits.
//!
//! A secret has 256 random bits, so a plain digest of it is enough: nobody can try them all. Only
//! the digest is stored.

use std::fmt;

use counterfoil_protocol::hash::{Hash, secret_hash};
use counterfoil_protocol::identity::{TerminalId, UserId};

/// The most bytes in an `Authorization` header that is looked at.
const HEADER_BYTES_MAX: usize = 256;

/// A token as an enrolment makes it. It is shown once; its `Debug` form hides the secret.
#[derive(Clone)]
pub struct Token {
    terminal: TerminalId,
    secret: String,
}

/// What a request presents: the terminal it names, and the digest of its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Whom the token names.
    pub terminal: TerminalId,
    /// The digest to compare.
    pub secret: Hash,
}

/// A user's token. It is shown once; its `Debug` form hides the secret.
#[derive(Clone)]
pub struct UserToken {
    user: UserId,
    secret: String,
}

/// What a user's request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentedUser {
    /// Whom the token names.
    pub user: UserId,
    /// The digest to compare.
    pub secret: Hash,
}

impl UserToken {
    /// Makes the token of `user` from 32 random bytes.
    #[must_use]
    pub fn new(user: UserId, random: [u8; 32]) -> Self {
        Self { user, secret: Hash(random).to_string() }
    }

    /// Returns what is stored in place of the secret.
    #[must_use]
    pub fn digest(&self) -> Hash {
        secret_hash(self.secret.as_bytes())
    }

    /// Returns the text that the user presents. It is a secret.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("cu_{}_{}", self.user, self.secret)
    }
}

impl fmt::Debug for UserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cu_{}_(hidden)", self.user)
    }
}

impl PresentedUser {
    /// Reads the value of an `Authorization` header; `None` if it is no token of this form.
    #[must_use]
    pub fn parse(header: &[u8]) -> Option<Self> {
        let (user, secret) = parts(header, "cu_")?;
        Some(Self { user: UserId::parse(user).ok()?, secret })
    }
}

/// Returns the name in a token, and the digest of its secret.
fn parts<'a>(header: &'a [u8], prefix: &str) -> Option<(&'a str, Hash)> {
    let token = bearer(header)?.strip_prefix(prefix)?;
    // The name may have underscores, the secret has none.
    let (name, secret) = token.rsplit_once('_')?;
    let digits = secret.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (secret.len() == 64 && digits).then(|| (name, secret_hash(secret.as_bytes())))
}

impl Token {
    /// Makes the token of `terminal` from 32 random bytes.
    #[must_use]
    pub fn new(terminal: TerminalId, random: [u8; 32]) -> Self {
        Self { terminal, secret: Hash(random).to_string() }
    }

    /// Returns what is stored in place of the secret.
    #[must_use]
    pub fn digest(&self) -> Hash {
        secret_hash(self.secret.as_bytes())
    }

    /// Returns the text that the till presents. It is a secret.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("cf_{}_{}", self.terminal, self.secret)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cf_{}_(hidden)", self.terminal)
    }
}

impl Presented {
    /// Reads the value of an `Authorization` header; `None` if it is no token of this form.
    #[must_use]
    pub fn parse(header: &[u8]) -> Option<Self> {
        let (terminal, secret) = parts(header, "cf_")?;
        Some(Self { terminal: TerminalId::parse(terminal).ok()?, secret })
    }
}

/// Returns the digest of an operator's token: the form in which a node is given it.
#[must_use]
pub fn operator_digest(token: &str) -> Hash {
    secret_hash(token.as_bytes())
}

/// Returns the token of a `Bearer` header.
pub(crate) fn bearer(header: &[u8]) -> Option<&str> {
    if header.len() > HEADER_BYTES_MAX {
        return None;
    }
    let (scheme, token) = std::str::from_utf8(header).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_nothing_else_is() {
        let name = TerminalId::parse("T_1 north").unwrap();
        let token = Token::new(name, [0xab; 32]);
        let header = format!("Bearer {}", token.reveal());
        let presented = Presented::parse(header.as_bytes()).unwrap();
        assert_eq!(presented, Presented { terminal: name, secret: token.digest() });
        assert!(!format!("{token:?}").contains("abab"));

        let secret = "ab".repeat(32);
        for text in [
            String::new(),
            "Bearer".into(),
            "Bearer ".into(),
            format!("Basic cf_T_{secret}"),
            format!("Bearer pos_T_{secret}"),
            format!("Bearer cf_{secret}"),
            format!("Bearer cf__{secret}"),
            format!("Bearer cf_T_{}", secret.to_uppercase()),
            format!("Bearer cf_T_{secret}a"),
            format!("Bearer cf_{}_{secret}", "T".repeat(200)),
        ] {
            assert_eq!(Presented::parse(text.as_bytes()), None, "{text}");
        }

        let user = UserToken::new(UserId::parse("anna").unwrap(), [0xab; 32]);
        let header = format!("bearer {}", user.reveal());
        let presented = PresentedUser::parse(header.as_bytes()).unwrap();
        assert_eq!(presented.secret, user.digest());
        assert_eq!(Presented::parse(header.as_bytes()), None, "a user is no till");
        assert!(!format!("{user:?}").contains("abab"));
    }
}
