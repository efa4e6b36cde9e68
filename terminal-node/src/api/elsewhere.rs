//! What is the cloud's alone (S3.2): reports, users, settings. A till says so, and what to do.
//!
//! A till's credential opens none of it, so nothing is passed through: an operator signs in at the
//! cloud.

use axum::extract::State;

use super::{Api, Problem};
use crate::light::{Connection, Heard};
use crate::till::TillStore;

pub(super) async fn in_the_cloud<S: TillStore>(State(api): State<Api<S>>) -> Problem {
    let connection = Connection::of(&api.link.borrow(), None, &api.cloud);
    match connection.state {
        Heard::Online => Problem::elsewhere(&format!(
            "reports, users and settings are the head office's: sign in as an operator at {}",
            api.cloud
        )),
        Heard::Offline | Heard::Starting => Problem::unavailable(&format!(
            "reports, users and settings need the cloud, which does not answer now ({}): sell on, \
             and ask again when the link is back",
            connection.explanation.unwrap_or("nothing was asked yet")
        )),
    }
}
