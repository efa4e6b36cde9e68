//! What a cashier must know at a glance: is the cloud heard, why not, and may this machine be
//! switched off?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use counterfoil_protocol::problem::Denial;
use counterfoil_protocol::session::Fault;
use serde::Serialize;

use crate::sync::{Link, explain};

/// Whether the cloud is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// In one word.
    pub state: Heard,
    /// Why it is not, for programs.
    pub cause: Option<Cause>,
    /// The same for people.
    pub explanation: Option<&'static str>,
}

/// Whether the last request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Heard {
    /// Nothing was asked since this program began.
    Starting,
    /// Yes.
    Online,
    /// No.
    Offline,
}

/// Why the cloud is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// This machine has no way to the network.
    NoNetwork,
    /// The cloud does not answer, though there may be a network.
    NoCloud,
    /// What answers has not shown that it is the cloud.
    NotBelieved,
    /// The cloud answers that it has trouble of its own.
    CloudTrouble,
    /// The cloud does not listen to this till.
    NotEnrolled,
    /// The cloud asked to slow down.
    SlowDown,
    /// The two programs do not understand each other.
    NotUnderstood,
}

impl Connection {
    /// Says how the link to `cloud` is doing.
    #[must_use]
    pub fn of(link: &Link, quarantined: Option<Denial>, cloud: &str) -> Self {
        let fault = link.last_fault.or_else(|| quarantined.map(Fault::Denied));
        let Some(fault) = fault else {
            let state =
                if link.last_success_ms.is_some() { Heard::Online } else { Heard::Starting };
            return Self { state, cause: None, explanation: None };
        };
        let (cause, explanation) = match fault {
            Fault::Transport if !has_way(cloud) => {
                (Cause::NoNetwork, "this machine has no network")
            }
            Fault::Transport => (Cause::NoCloud, explain(fault)),
            Fault::Untrusted(_) => (Cause::NotBelieved, explain(fault)),
            Fault::Server | Fault::TooLarge => (Cause::CloudTrouble, explain(fault)),
            Fault::Denied(_) => (Cause::NotEnrolled, explain(fault)),
            Fault::RateLimited(_) => (Cause::SlowDown, explain(fault)),
            Fault::Rejected => (Cause::NotUnderstood, explain(fault)),
        };
        Self { state: Heard::Offline, cause: Some(cause), explanation: Some(explanation) }
    }
}

/// Returns whether this machine knows a way to the cloud. Nothing is sent: a datagram socket only
/// asks the system for a route. Where the cloud has a name, any way out of this machine will do.
fn has_way(cloud: &str) -> bool {
    // Addresses of documentation: nobody has them, and every default route leads there.
    const OUTSIDE: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    ];
    let uri = cloud.trim().parse::<http::Uri>().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let leads = |to: &IpAddr| {
        let own: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(own, 0));
        socket.is_ok_and(|socket| socket.connect(SocketAddr::new(*to, 9)).is_ok())
    };
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => leads(&address),
        Err(_) if host == "localhost" => true,
        Err(_) => OUTSIDE.iter().any(leads),
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_protocol::session::Distrust::OtherName;
    use counterfoil_protocol::time::Millis;

    use super::*;

    #[test]
    fn each_fault_has_its_cause() {
        let heard = Some(Millis(5));
        let denied = Some(Denial::Revoked);
        // last success, last fault, quarantine    state, cause
        for (last_success_ms, last_fault, quarantined, state, cause) in [
            (None, None, None, Heard::Starting, None),
            (heard, None, None, Heard::Online, None),
            (heard, Some(Fault::Transport), None, Heard::Offline, Some(Cause::NoCloud)),
            (
                heard,
                Some(Fault::Untrusted(OtherName)),
                None,
                Heard::Offline,
                Some(Cause::NotBelieved),
            ),
            (None, Some(Fault::Server), None, Heard::Offline, Some(Cause::CloudTrouble)),
            (None, Some(Fault::TooLarge), None, Heard::Offline, Some(Cause::CloudTrouble)),
            (heard, None, denied, Heard::Offline, Some(Cause::NotEnrolled)),
            (
                None,
                Some(Fault::Denied(Denial::Expired)),
                None,
                Heard::Offline,
                Some(Cause::NotEnrolled),
            ),
            (heard, Some(Fault::RateLimited(None)), None, Heard::Offline, Some(Cause::SlowDown)),
            (heard, Some(Fault::Rejected), None, Heard::Offline, Some(Cause::NotUnderstood)),
        ] {
            let link = Link { last_success_ms, last_fault, ..Link::default() };
            let told = Connection::of(&link, quarantined, "http://127.0.0.1:9");
            assert_eq!((told.state, told.cause), (state, cause), "{link:?} {quarantined:?}");
            assert_eq!(told.explanation.is_some(), cause.is_some(), "people are told too");
        }
    }

    #[test]
    fn this_machine_is_always_on_the_way() {
        for cloud in ["http://127.0.0.1:8700", "http://localhost:8700/x"] {
            assert!(has_way(cloud), "{cloud}");
        }
    }
}
