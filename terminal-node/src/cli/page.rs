//! `terminal-node page`: where a browser finds the till.

use counterfoil_protocol::identity::PosId;
use serde_json::json;

use super::Failure;
use super::args::At;
use super::show::Show;
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub(super) struct Page {
    #[command(flatten)]
    at: At,
    /// The register that this screen is.
    #[arg(long)]
    pos: Option<PosId>,
}

/// Prints the address. What stands after the `#` never leaves the browser.
pub(super) async fn page(show: Show, page: Page) -> Result<(), Failure> {
    let home = page.at.home();
    let _there_is_a_till = home.config()?;
    let silent = || {
        let detail = "no daemon runs: start `terminal-node run` first";
        Failure::Network(detail.to_owned())
    };
    let (address, token) = home.api().ok_or_else(silent)?;
    Client::find(address.clone(), token.clone()).await.ok_or_else(silent)?;
    let mut pairing = form_urlencoded::Serializer::new(String::new());
    pairing.append_pair("token", &token);
    if let Some(pos) = page.pos {
        pairing.append_pair("pos", pos.as_str());
    }
    let url = format!("http://{address}/#{}", pairing.finish());
    show.result(&json!({ "url": url }), || format!("{url}\n"))
}
