//! `parcel write FILE`, `parcel take FILE`: what waits goes to the cloud as a file that is carried.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use counterfoil_protocol::wire::parcel::{PARCEL_BYTES_MAX, ParcelError};
use serde_json::json;

use super::Failure;
use super::access::{Access, Way};
use super::args::At;
use super::show::Show;
use crate::api::parcel::{ENTRIES, LEFT};
use crate::parcel::{Seal, TakeError, Taken, Written};
use crate::witness::write_atomically;

#[derive(Debug, Subcommand)]
pub(super) enum Parcel {
    /// Put what waits into a file, for a place without a link.
    ///
    /// The file is sealed with the till's credential: whoever carries it can read it, and change
    /// nothing. Give it to the cloud with `POST /v1/admin/parcels`; it answers with a file for
    /// `parcel take`. Nothing leaves the queue before that, so a file may be lost, or given twice.
    Write(ParcelArgs),
    /// Take the cloud's answers to a parcel: what it holds leaves the queue.
    Take(ParcelArgs),
}

#[derive(Debug, ClapArgs)]
pub(super) struct ParcelArgs {
    #[command(flatten)]
    at: At,
    /// The file.
    file: PathBuf,
}

pub(super) async fn run(show: Show, parcel: Parcel) -> Result<(), Failure> {
    match parcel {
        Parcel::Write(ParcelArgs { at, file }) => write(show, at, &file).await,
        Parcel::Take(ParcelArgs { at, file }) => take(show, at, &file).await,
    }
}

async fn write(show: Show, at: At, file: &Path) -> Result<(), Failure> {
    let home = at.home();
    let access = Access::to_sell(home.clone()).await?;
    let Written { parcel, entries, left } = match access.way() {
        Way::Daemon(client) => {
            let (headers, parcel) = client.file("/parcel").await?;
            let told = |name| headers.get(name)?.to_str().ok()?.parse().ok();
            let (Some(entries), Some(left)) = (told(ENTRIES), told(LEFT)) else {
                return Err(Failure::Network("the daemon is of another version".to_owned()));
            };
            Written { parcel: parcel.into(), entries, left }
        }
        Way::Direct(till) => till.write_parcel(Seal::of(&home.cloud_token()?)).await?,
    };
    write_atomically(file, &parcel, 0o600)?;
    let (name, bytes) = (file.display().to_string(), parcel.len());
    let told = json!({ "file": name, "bytes": bytes, "entries": entries, "left": left });
    show.result(&told, || {
        let more = match left {
            0 => String::new(),
            left => format!("; {left} more have no room, and wait for the next parcel"),
        };
        format!("{name}: {entries} events, {bytes} bytes{more}\n")
    })
}

async fn take(show: Show, at: At, file: &Path) -> Result<(), Failure> {
    let unreadable = |error| Failure::Usage(format!("{}: {error}", file.display()));
    let length = fs::metadata(file).map_err(unreadable)?.len();
    if usize::try_from(length).is_ok_and(|length| length > PARCEL_BYTES_MAX) {
        return Err(Failure::Refused(ParcelError::Size.to_string()));
    }
    let bytes = fs::read(file).map_err(unreadable)?;
    let home = at.home();
    let access = Access::to_sell(home.clone()).await?;
    let taken: Taken = match access.way() {
        Way::Daemon(client) => client.post("/parcel", bytes).await?,
        Way::Direct(till) => till.take_parcel(Seal::of(&home.cloud_token()?), &bytes).await?,
    };
    show.result(&json!(taken), || {
        let Taken { synced, refused, pending, needs_attention, again, late } = taken;
        let came = if late {
            "these answers come too late, and changed nothing".to_owned()
        } else {
            format!("{synced} events are in the cloud, {refused} it did not accept")
        };
        let next = if again { "; there is more to say: write another parcel" } else { "" };
        format!("{came}; {pending} wait, {needs_attention} need attention{next}\n")
    })
}

impl From<TakeError> for Failure {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Till(error) => error.into(),
            TakeError::Parcel(error) => Self::Refused(error.to_string()),
        }
    }
}
