//! Whether the cloud can be reached and listens, and whether the clocks agree.

use std::time::Duration;

use counterfoil_protocol::session::Fault;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::error::Elapsed;

use super::Finding;
use crate::config::Config;
use crate::sync::explain;
use crate::tls;

/// How long each step may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Clocks that differ by more are worth a look, in milliseconds.
const CLOCK_WARN: u64 = 2 * 60 * 1000;
/// Clocks that differ by more are wrong.
const CLOCK_FAIL: u64 = 24 * 60 * 60 * 1000;
/// A day in seconds.
const DAY: u64 = 24 * 60 * 60;
/// A certificate that is valid for less is worth a word.
const CERTIFICATE_WARN: Duration = Duration::from_secs(14 * DAY);

/// Resolves the cloud's name and connects, saying nothing; where TLS is spoken, it shakes hands.
pub async fn reach(config: &Config) -> Vec<Finding> {
    let endpoint = match config.endpoint() {
        Ok(endpoint) => endpoint,
        Err(error) => {
            let means = "the till does not know where the cloud is";
            let next = "run `terminal-node init` with the right --cloud";
            return vec![Finding::fail("cloud address", error.to_string(), means, next)];
        }
    };
    let authority = endpoint.socket();
    let found = tokio::time::timeout(LIMIT, lookup_host(authority)).await;
    let addresses: Vec<_> = match found {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    let Some(first) = addresses.first() else {
        return vec![Finding::fail(
            "cloud address",
            format!("{authority} has no address"),
            "the name is wrong, or this machine has no network or no name server",
            "check the network, and the address with `terminal-node status`",
        )];
    };
    let manner = if endpoint.is_tls() { "TLS" } else { "plain HTTP" };
    let named = Finding::ok("cloud address", format!("{authority} is {first}; {manner}"));
    let connecting = tokio::time::timeout(LIMIT, TcpStream::connect(&addresses[..])).await;
    let why = match connecting {
        Ok(Ok(stream)) if endpoint.is_tls() => {
            let looking = tls::look(&endpoint, config.ca_file.as_deref(), stream);
            return vec![named, certificate(tokio::time::timeout(LIMIT, looking).await)];
        }
        Ok(Ok(_)) => return vec![named, Finding::ok("connection", "accepted")],
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("nothing is heard for {} s", LIMIT.as_secs()),
    };
    let means = "the cloud does not run there, or something on the way lets nothing through";
    let next = "ask whoever runs the cloud; the till sells on, and sends everything later";
    vec![named, Finding::fail("connection", why, means, next)]
}

/// Says what came of a handshake, and how long the cloud's certificate is valid.
fn certificate(looked: Result<Result<Option<Duration>, String>, Elapsed>) -> Finding {
    let looked = looked.unwrap_or_else(|_| {
        Err(format!("accepted, but no TLS is heard for {} s", LIMIT.as_secs()))
    });
    let left = match looked {
        Ok(Some(left)) => left,
        Ok(None) => return Finding::ok("connection", "TLS; the certificate is believed"),
        Err(why) => {
            let means = "nothing is said to what answers there: it may not be the cloud";
            let next = "ask whoever runs the cloud; the till sells on, and sends everything later";
            return Finding::fail("connection", why, means, next);
        }
    };
    let found = format!("TLS; the certificate is valid for {} days", left.as_secs() / DAY);
    if left >= CERTIFICATE_WARN {
        return Finding::ok("connection", found);
    }
    let means = "after that nothing is sent until the cloud has a new certificate";
    Finding::warn("connection", found, means, "tell whoever runs the cloud")
}

/// Says what came of greeting the cloud.
#[must_use]
pub fn greeting(fault: Option<Fault>) -> Finding {
    let Some(fault) = fault else {
        return Finding::ok("greeting", "answered: the credential is accepted");
    };
    refused(explain(fault))
}

/// Says that a greeting was not answered, in the words of [`explain`].
#[must_use]
pub fn refused(why: &str) -> Finding {
    let means = "nothing is sent meanwhile; everything stays on this machine, and selling goes on";
    let next = "enrol the till again if the credential is not accepted; else see `connection`, or \
                ask whoever runs the cloud";
    Finding::fail("greeting", why, means, next)
}

/// Says whether the clocks agree; `ahead` is by how much the cloud's is ahead, in milliseconds.
#[must_use]
pub fn clock(ahead: Option<i64>) -> Finding {
    let Some(ahead) = ahead else {
        return Finding::warn(
            "clock",
            "not known",
            "the cloud has not answered a greeting, so there is nothing to compare with",
            "look again when the cloud is reached",
        );
    };
    let (by, word) = (ahead.unsigned_abs(), if ahead > 0 { "behind" } else { "ahead of" });
    let found = format!("{}.{:03} s {word} the cloud's", by / 1000, by % 1000);
    let means = "the times on receipts are wrong; order and sync do not depend on them";
    let next = "let this machine set its clock by the network (NTP)";
    match by {
        0..=CLOCK_WARN => Finding::ok("clock", found),
        _ if by <= CLOCK_FAIL => Finding::warn("clock", found, means, next),
        _ => Finding::fail("clock", found, means, next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn clocks_are_compared_both_ways() {
        for (ahead, level) in [
            (None, Level::Warn),
            (Some(0), Level::Ok),
            (Some(120_000), Level::Ok),
            (Some(-120_001), Level::Warn),
            (Some(86_400_001), Level::Fail),
            (Some(i64::MIN), Level::Fail),
        ] {
            assert_eq!(clock(ahead).level, level, "{ahead:?}");
        }
        assert!(clock(Some(1_500)).found.contains("1.500 s behind"));
        assert!(clock(Some(-1_500)).found.contains("ahead of"));
    }
}
