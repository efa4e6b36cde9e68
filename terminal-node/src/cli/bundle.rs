//! `bundle OUT`: one file for whoever looks into an incident.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use counterfoil_protocol::terminal::migrate::SCHEMA_VERSION;
use counterfoil_protocol::wire::message::WIRE_VERSION;
use serde_json::{Value, json};

use super::Failure;
use super::access::{Access, Way, print};
use super::args::At;
use super::doctor::examine;
use super::show::Show;
use crate::bundle::{BUNDLE_ENTRIES, BUNDLE_ENTRIES_MAX, BUNDLE_VERSION, Wish};
use crate::config::Config;
use crate::doctor::Finding;
use crate::ports::{Clock as _, SystemClock};
use crate::sync::APP;
use crate::witness::write_atomically;

#[derive(Debug, ClapArgs)]
pub(super) struct Bundle {
    #[command(flatten)]
    at: At,
    /// The file to write; `-` writes to standard output.
    out: PathBuf,
    /// So many of the newest journal entries.
    #[arg(long, default_value_t = BUNDLE_ENTRIES)]
    entries: usize,
    /// With names, amounts and digests as they are. Only for people who may see the shop's sales.
    #[arg(long)]
    with_contents: bool,
}

pub(super) async fn bundle(show: Show, wish: Bundle) -> Result<(), Failure> {
    let Bundle { at, out, entries, with_contents: contents } = wish;
    let home = at.home();
    let config = home.config()?;
    let access = Access::to_read(home.clone()).await?;
    let entries = entries.min(BUNDLE_ENTRIES_MAX);
    let inside: Value = match access.way() {
        Way::Daemon(client) => {
            client.get(&format!("/bundle?entries={entries}&contents={contents}")).await?
        }
        Way::Direct(till) => json!(till.bundle(Wish { entries, contents }).await?),
    };
    let daemon = matches!(access.way(), Way::Daemon(_));
    let findings = examine(&home, &config, Ok(access)).await;
    let bundle = json!({
        "bundle": BUNDLE_VERSION,
        "madeMs": SystemClock.now(),
        "programs": { "app": APP, "tables": SCHEMA_VERSION, "messages": WIRE_VERSION },
        "daemon": daemon,
        "config": told_config(&config, contents),
        "findings": told_findings(&findings, contents),
        "till": inside,
    });
    let text = format!("{bundle:#}\n");
    if out == Path::new("-") {
        return print(&text);
    }
    write_atomically(&out, text.as_bytes(), 0o600)?;
    let (file, bytes) = (out.display().to_string(), text.len());
    show.result(&json!({ "file": file, "bytes": bytes, "redacted": !contents }), || {
        let how = if contents { "WITH names and amounts" } else { "names masked, no amounts" };
        format!("{file}: {bytes} bytes, {how}; no credential is in it\n")
    })
}

/// The settings without a secret, and without names.
fn told_config(config: &Config, contents: bool) -> Value {
    let witness = if config.witness.is_some() { "elsewhere" } else { "beside the database" };
    let mut told = json!({ "compress": config.compress, "witness": witness });
    if contents {
        told["cloud"] = json!(config.cloud);
    }
    told
}

/// What was found in words may name products and places.
fn told_findings(findings: &[Finding], contents: bool) -> Value {
    if contents {
        return json!(findings);
    }
    let told =
        findings.iter().map(|finding| json!({ "check": finding.check, "level": finding.level }));
    told.collect()
}
