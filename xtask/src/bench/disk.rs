//! What the disk can do, and how often it was asked to.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::per_second;

const SPAN: Duration = Duration::from_millis(700);

/// Returns how often a second 4 KiB can be appended and made durable by fdatasync.
pub(crate) fn fsync_limit(directory: &Path) -> anyhow::Result<u64> {
    let path = directory.join("appends");
    let mut file = File::create(&path)?;
    let page = [0x5a_u8; 4096];
    let start = Instant::now();
    let mut appends = 0;
    while start.elapsed() < SPAN {
        file.write_all(&page)?;
        file.sync_data()?;
        appends += 1;
    }
    let rate = per_second(appends, u64::try_from(start.elapsed().as_micros())?);
    fs::remove_file(&path)?;
    Ok(rate)
}

/// Returns how many flushes the block devices of this machine have completed, whoever asked.
///
/// `None` where the system does not tell. The eighteenth figure of a line of `/proc/diskstats`.
pub(crate) fn device_flushes() -> Option<u64> {
    let text = fs::read_to_string("/proc/diskstats").ok()?;
    text.lines().map(|line| line.split_whitespace().nth(18)?.parse::<u64>().ok()).sum()
}
