//! `explain`: what a stopped store holds of one event.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use counterfoil_cloud::explain::text::{facts, way};
use counterfoil_cloud::explain::{Viewer, explain};
use counterfoil_protocol::cloud::direct::{POS, book};
use counterfoil_protocol::identity::{EventKey, LocalEventId, PosId, ShopId, TerminalId};

use super::{At, reads_or, runtime, say};

#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    named: Named,
}

/// Which event: by the names of a till, or by that of a client without one.
#[derive(Debug, Args)]
struct Named {
    /// The till that made it
    #[arg(long, requires_all = ["pos", "id"], required_unless_present = "client_temp_id")]
    terminal: Option<TerminalId>,
    /// The register
    #[arg(long, requires = "terminal")]
    pos: Option<PosId>,
    /// Its name on the register
    #[arg(long, requires = "terminal")]
    id: Option<LocalEventId>,
    /// Whose it is: needed for a sale that came without a till
    #[arg(long)]
    shop: Option<ShopId>,
    /// The client's name of a sale that came without a till
    #[arg(long, requires = "shop", conflicts_with = "terminal")]
    client_temp_id: Option<LocalEventId>,
}

impl Named {
    fn key(&self) -> Option<EventKey> {
        if let (Some(terminal), Some(pos), Some(local_id)) = (self.terminal, self.pos, self.id) {
            return Some(EventKey { terminal, pos, local_id });
        }
        let (shop, local_id) = self.shop.zip(self.client_temp_id)?;
        Some(EventKey { terminal: book(shop), pos: POS, local_id })
    }
}

pub(super) fn run(json: bool, wish: &Explain) -> anyhow::Result<ExitCode> {
    let Some(key) = wish.named.key() else {
        bail!("say which event: --terminal T --pos P --id E, or --shop S --client-temp-id E")
    };
    let (_local, reads) = reads_or(&wish.at, "GET /v1/admin/explain")?;
    let story = explain(&reads, wish.named.shop, key, Viewer::Operator);
    let Some(story) = runtime()?.block_on(story)? else {
        bail!("nothing has come under the name {key}: check it, or let the till push what waits")
    };
    if json {
        say(&serde_json::to_string(&story)?);
        return Ok(ExitCode::SUCCESS);
    }
    if io::stdout().is_terminal() {
        say(&table(&facts(&story)));
    } else {
        facts(&story).iter().for_each(|(name, value)| say(&format!("{name}: {value}")));
    }
    say("");
    say(way(&story).trim_end());
    Ok(ExitCode::SUCCESS)
}

fn table(rows: &[(&str, String)]) -> String {
    use comfy_table::{ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    for (name, value) in rows {
        table.add_row([*name, value.as_str()]);
    }
    table.to_string()
}
