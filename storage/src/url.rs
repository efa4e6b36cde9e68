//! The address of a database, with a password that is never shown.

use std::fmt;

/// The most bytes of an address.
const URL_BYTES_MAX: usize = 2_048;
/// How the address of a PostgreSQL database begins.
pub(crate) const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// What is shown in place of a password.
const HIDDEN: &str = "***";

const _: () = assert!(SCHEMES[0].len() < URL_BYTES_MAX, "an address says where");
const _: () = assert!(!HIDDEN.is_empty(), "that there is a password is no secret");

/// `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?option=value&...]`.
///
/// A directory for the host, its slashes written as `%2F`, names a Unix socket. What is shown of an
/// address, in a log or an error, has no password; whoever connects asks for all of it.
///
/// ```
/// use counterfoil_storage::Url;
///
/// let url = Url::parse("postgres://till:secret@db/shop").expect("an address");
/// assert_eq!(url.to_string(), "postgres://till:***@db/shop");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    shown: String,
}

impl Url {
    /// Takes an address; what is wrong with it beyond its beginning is found out by who connects.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let scheme = SCHEMES.into_iter().find(|scheme| text.starts_with(scheme))?;
        if text.len() > URL_BYTES_MAX || text.contains(char::is_control) {
            return None;
        }
        let shown = without_secrets(scheme, &text[scheme.len()..]);
        assert!(shown.starts_with(scheme), "what is shown is an address too");
        assert!(shown.len() <= text.len() + 2 * URL_BYTES_MAX, "what is shown is bounded");
        Some(Self { text: text.to_owned(), shown })
    }

    /// Returns the whole address. It may hold a password: for whoever connects, and nobody else.
    #[must_use]
    pub fn secret(&self) -> &str {
        assert!(!self.text.is_empty(), "an address says where");
        &self.text
    }
}

/// Hides the password before the host, and every option but those that are known to be harmless.
fn without_secrets(scheme: &str, rest: &str) -> String {
    // A password that should have been written with %40 or %3F hides all up to the last sign.
    let (user, tail) = match rest.rsplit_once('@') {
        Some((who, tail)) => match who.split_once(':') {
            Some((user, _)) => (format!("{user}:{HIDDEN}@"), tail),
            None => (format!("{who}@"), tail),
        },
        None => (String::new(), rest),
    };
    let (place, options) = tail.split_once('?').map_or((tail, None), |(p, o)| (p, Some(o)));
    let mut shown = format!("{scheme}{user}{place}");
    for (at, option) in options.into_iter().flat_map(|options| options.split('&')).enumerate() {
        let name = option.split('=').next().unwrap_or_default();
        let harmless = ["host", "port", "dbname", "user", "sslmode"].contains(&name);
        shown.push(if at == 0 { '?' } else { '&' });
        if harmless {
            shown.push_str(option);
        } else {
            shown.push_str(HIDDEN);
        }
    }
    assert!(shown.starts_with(scheme), "the scheme is no secret");
    assert_eq!(shown.contains('?'), options.is_some(), "options stay options");
    shown
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (text, expected) in [
            ("postgres://u@h/d", "postgres://u@h/d"),
            ("postgres://u:s3cret@h:5432/d", "postgres://u:***@h:5432/d"),
            ("postgresql://u:s3cret@%2Ftmp/d", "postgresql://u:***@%2Ftmp/d"),
            // Written wrongly, and hidden all the same.
            ("postgres://u:s3c/r@et@h/d", "postgres://u:***@h/d"),
            ("postgres://u:s3cret:x@h/d", "postgres://u:***@h/d"),
            ("postgres:///d?host=/tmp&user=u", "postgres:///d?host=/tmp&user=u"),
            ("postgres:///d?password=s3cret", "postgres:///d?***"),
            ("postgres://u:s3cret?s3cret@h/d", "postgres://u:***@h/d"),
        ] {
            let url = Url::parse(text).expect("an address");
            assert_eq!(url.secret(), text);
            assert_eq!(format!("{url:?}"), url.to_string());
            assert_eq!(url.to_string(), expected, "{text}");
            assert!(!url.to_string().contains("cret"), "{text}");
        }
        let long = format!("postgres://{}", "x".repeat(URL_BYTES_MAX));
        for text in ["", "postgres:", "mysql://u@h/d", "postgres://u\n@h/d", &long] {
            assert_eq!(Url::parse(text), None, "{text}");
        }
    }
}
