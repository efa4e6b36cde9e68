//! The archive of a till: settled entries leave the file that it sells from, a few at a time.
//!
//! `archive.redb` stands beside the database. Entries are copied there and made durable while the
//! till sells; then one small commit of the database lets them go. Reads see both files as one, so
//! receipts, refunds, exports and a cloud that lost its tail find what has left. If the copy fails,
//! nothing has left: the till goes on, and tries again later.

mod file;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use counterfoil_protocol::terminal::archive::{Archive, confirm, look};
use counterfoil_protocol::terminal::{Key, Output, Place, Record};
use counterfoil_protocol::time::Millis;
use counterfoil_storage::StoreError;

use crate::daemon::Disk;
use crate::doctor::place::free_kib;
use crate::till::{Till, TillError, TillStore, storage_failed};

pub use file::ArchiveFile;

/// How long an entry stays in the database after it was recorded, if the settings do not say.
pub const KEEP_DAYS: u32 = 30;
/// The longest that the settings can say.
pub const KEEP_DAYS_MAX: u32 = 36_500;
/// How often a daemon looks for what may leave.
const EVERY: Duration = Duration::from_secs(600);
/// How long whoever sells has the store for himself between two steps.
const PAUSE: Duration = Duration::from_millis(20);
/// Nothing is copied onto a disk with less free space.
const FREE_MIN_KIB: u64 = 64 * 1024;
/// How many steps are taken until the free space is looked at again.
const STEPS_PER_LOOK: u64 = 64;
const DAY: Millis = Millis::from_secs(86_400);

/// Why nothing more was archived. What has left before is in the archive; nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The till itself has failed, or is not open: the program ends, and starts again.
    #[error(transparent)]
    Till(#[from] TillError),
    /// The archive cannot be written. It is tried again later.
    #[error("the archive cannot be written, and nothing has left for it: {0}")]
    Copy(StoreError),
    /// There is little room left on the disk. It is tried again later.
    #[error("{} has less than {} MiB of free space: nothing is archived", .0.display(),
        FREE_MIN_KIB / 1024)]
    Full(PathBuf),
}

/// What was archived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Steps, each one small commit of the database.
    pub steps: u64,
    /// Entries that were copied. One that changed meanwhile stays, and is met again.
    pub entries: u64,
    /// The bytes of their events.
    pub bytes: u64,
}

/// Returns the span that the settings mean by days.
#[must_use]
pub const fn keep(days: Option<u32>) -> Millis {
    let days = match days {
        Some(days) if days < KEEP_DAYS_MAX => days,
        Some(_) => KEEP_DAYS_MAX,
        None => KEEP_DAYS,
    };
    Millis(days as u64 * DAY.0)
}

impl Till<Disk> {
    /// Takes one step: what may leave behind `after` is copied, and leaves. Returns what was moved,
    /// and behind which place the next step goes on, if there is more.
    ///
    /// Selling waits while entries are looked for, and for one small commit; it does not wait for
    /// the archive.
    ///
    /// # Errors
    /// [`ArchiveError`]; nothing has left then.
    pub async fn archive_once(
        &self,
        keep: Millis,
        after: Option<Place>,
    ) -> Result<(Moved, Option<Place>), ArchiveError> {
        let now = self.clock().now();
        let (found, file) = {
            let reading = self.reading().await?;
            let found = look(reading.hot(), now, keep, after).await.map_err(storage_failed)?;
            (found, reading.archive().clone())
        };
        if found.step.is_empty() {
            return Ok((Moved::default(), found.next));
        }
        let (entries, bytes) = (found.step.entries() as u64, found.step.bytes());
        let (copier, step, id) = (file.clone(), found.step.clone(), self.draw());
        let copied = tokio::task::spawn_blocking(move || copier.copy(id, &step)).await;
        copied
            .map_err(|error| TillError::StorageFailed(error.to_string()))?
            .map_err(ArchiveError::Copy)?;
        let confirmed = confirm(&file, found.step).await.map_err(ArchiveError::Copy)?;
        let Some(input) = confirmed else { return Ok((Moved::default(), found.next)) };
        let output = self.apply(input).await?;
        assert!(matches!(output, Output::Settled(_)), "an open till settles what leaves");
        Ok((Moved { steps: 1, entries, bytes }, found.next))
    }

    /// Takes every step that is to be taken now. To stop it, drop the future: whoever goes on finds
    /// what has not left.
    ///
    /// # Errors
    /// As [`Till::archive_once`].
    pub async fn archive(&self, home: &Path, keep: Millis) -> Result<Moved, ArchiveError> {
        let (mut moved, mut after, mut looks) = (Moved::default(), None, 0_u64);
        loop {
            if looks.is_multiple_of(STEPS_PER_LOOK) {
                let directory = home.to_owned();
                let asked = tokio::task::spawn_blocking(move || free_kib(&directory)).await;
                if asked.ok().flatten().is_some_and(|free| free < FREE_MIN_KIB) {
                    return Err(ArchiveError::Full(home.to_owned()));
                }
            }
            looks += 1;
            let (step, next) = self.archive_once(keep, after).await?;
            moved.steps += step.steps;
            moved.entries += step.entries;
            moved.bytes += step.bytes;
            if next.is_none() {
                return Ok(moved);
            }
            after = next;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Archives what is old enough, now and then, for as long as the till lives.
    ///
    /// # Errors
    /// Those of the till itself: the archive's are said, and tried again.
    pub async fn keep_archiving(
        &self,
        home: PathBuf,
        keep: Millis,
    ) -> Result<Infallible, TillError> {
        loop {
            match self.archive(&home, keep).await {
                Ok(Moved { entries: 0, .. }) => {}
                Ok(Moved { steps, entries, bytes }) => {
                    tracing::info!(steps, entries, bytes, "entries have left for the archive");
                }
                Err(ArchiveError::Till(error)) => return Err(error),
                Err(error @ (ArchiveError::Copy(_) | ArchiveError::Full(_))) => {
                    tracing::warn!(%error, "it is tried again in {} s", EVERY.as_secs());
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

impl<S: TillStore> Till<S> {
    /// Returns what has left for the archive.
    ///
    /// # Errors
    /// The store's.
    pub async fn archived(&self) -> Result<Archive, TillError> {
        let reading = self.reading().await?;
        let row = reading.get(&Key::Archive).await.map_err(storage_failed)?;
        Ok(match row {
            Some(Record::Archive(archive)) => archive,
            Some(_) | None => Archive::default(),
        })
    }
}
