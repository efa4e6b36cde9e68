//! Archiving now, without a daemon.

use serde_json::json;

use super::Failure;
use super::access::{Access, Way};
use super::args::At;
use super::show::Show;

pub(super) async fn archive(show: Show, at: At) -> Result<(), Failure> {
    let home = at.home();
    let Some(keep) = home.config()?.archive_after() else {
        let why = "the settings let nothing leave: see `init --archive-after-days`";
        return Err(Failure::Usage(why.to_owned()));
    };
    let access = Access::to_sell(home.clone()).await?;
    let Way::Direct(till) = access.way() else {
        let why = "a daemon runs here: it archives by itself, every ten minutes";
        return Err(Failure::Usage(why.to_owned()));
    };
    let moved = till.archive(home.path(), keep).await;
    let moved = moved.map_err(|error| Failure::Storage(error.to_string()))?;
    let archived = till.archived().await?;
    let told = json!({
        "steps": moved.steps, "entries": moved.entries, "bytes": moved.bytes,
        "archived": archived.entries, "archivedBytes": archived.bytes,
    });
    show.result(&told, || {
        let (moved, all) = (moved.entries, archived.entries);
        format!("{moved} events have left for the archive, which has {all} now\n")
    })
}
