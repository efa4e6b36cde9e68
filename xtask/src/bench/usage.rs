//! What processes use, as `/proc` tells: CPU time, bytes written, memory.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// A tick of the kernel's accounting, in microseconds.
const TICK_MICROS: u64 = 10_000;

/// CPU time and bytes written, from some time on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    /// Of all threads of this process but the one that asks: the servers'.
    pub(crate) server_micros: u64,
    /// Of the database server beside it, if there is one.
    pub(crate) database_micros: u64,
    /// By both.
    pub(crate) written: u64,
}

impl Used {
    /// Returns what was used so far; `database` is the first process of a database server.
    pub(crate) fn now(database: Option<u32>) -> anyhow::Result<Self> {
        let mut used =
            Self { server_micros: others_micros()?, database_micros: 0, written: written("self")? };
        let Some(database) = database else { return Ok(used) };
        for process in family(database)? {
            // A connection may end while it is looked at.
            used.database_micros += cpu_micros(process).unwrap_or(0);
            used.written += written(&process.to_string()).unwrap_or(0);
        }
        Ok(used)
    }

    /// Returns what was used since an earlier look.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            server_micros: self.server_micros.saturating_sub(before.server_micros),
            database_micros: self.database_micros.saturating_sub(before.database_micros),
            written: self.written.saturating_sub(before.written),
        }
    }
}

/// Returns the CPU time of a process, in microseconds.
pub(crate) fn cpu_micros(process: u32) -> anyhow::Result<u64> {
    let [user, system] = fields(format!("/proc/{process}/stat"), [11, 12])?;
    Ok((user + system) * TICK_MICROS)
}

/// Returns how many KiB of memory a process has now, and how many of these are no pages of files.
pub(crate) fn memory_kib(process: u32) -> anyhow::Result<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).context("a field")?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().context("a number of kB")
    };
    Ok((field("VmRSS:")?, field("RssAnon:")?))
}

fn others_micros() -> anyhow::Result<u64> {
    let own = fs::read_link("/proc/thread-self")?;
    let own = own.file_name().context("a thread has a number")?;
    let mut micros = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?;
        if thread.file_name() != own {
            // A thread may end while it is looked at.
            let [user, system] = fields(thread.path().join("stat"), [11, 12]).unwrap_or_default();
            micros += (user + system) * TICK_MICROS;
        }
    }
    Ok(micros)
}

fn written(process: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/io"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    line.context("a line of bytes")?.trim().parse().context("a number of bytes")
}

/// Returns a process and its children.
fn family(parent: u32) -> anyhow::Result<Vec<u32>> {
    let mut family = vec![parent];
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(process) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
            continue;
        };
        if fields(path.join("stat"), [1]).is_ok_and(|[of]| of == u64::from(parent)) {
            family.push(process);
        }
    }
    Ok(family)
}

/// Reads numbers of a `stat` file, counted from the state of the process.
fn fields<const N: usize>(path: impl AsRef<Path>, places: [usize; N]) -> anyhow::Result<[u64; N]> {
    let text = fs::read_to_string(path)?;
    // The name before it may have any character.
    let (_, rest) = text.rsplit_once(") ").context("a name in brackets")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let mut found = [0; N];
    for (found, place) in found.iter_mut().zip(places) {
        *found = fields.get(place).context("a field")?.parse()?;
    }
    Ok(found)
}
