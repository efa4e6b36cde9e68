//! A simulated disk under redb, of both levels that have one: what was synced survives a power
//! cut, the rest by chance. It fills up, fails to read, is slow, and lies, if the plan says so.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use counterfoil_storage::redb::StorageBackend;

use crate::coverage::Injected;
use crate::plan::DiskPlan;
use crate::rng::Stream;

/// A disk writes this many bytes at once, or none of them.
const SECTOR: usize = 512;
/// A file takes space from the disk in pieces of this size, when it first writes there.
const BLOCK: usize = 4096;
/// Where redb notes, in its header, that the file was not closed.
const REDB_FLAGS: usize = 9;
const REDB_RECOVERY: u8 = 2;
/// So many writes are in the cache of a disk that lies: those before them it has made durable.
const LYING_CACHE: usize = 64;
/// So many of a million openings after a power cut meet another one, where power cuts happen.
const RECOVERY_CUT_PPM: u32 = 150_000;

/// The cache of a store on a simulated disk: little, so that it reads there what it reads.
pub(crate) const CACHE_BYTES: usize = 128 << 10;

const _: () = assert!(BLOCK.is_multiple_of(SECTOR), "a block is whole sectors");

/// A disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What programs see.
    cache: Vec<u8>,
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// What the pending writes write, one behind the other.
    bytes: Vec<u8>,
    /// Which blocks have been written to: a full disk has no others.
    taken: Vec<bool>,
    /// Counts openings and power cuts: handles of an earlier life are stale.
    life: u64,
    cut: bool,
    failed: bool,
    planned: Option<Planned>,
    luck: Stream,
    habits: DiskPlan,
    /// Nothing goes wrong for now.
    calm: bool,
    /// Whether the power was cut since the last opening that succeeded.
    torn: bool,
    /// There is no room for another block.
    full: bool,
    full_until_us: u64,
    /// How often it was asked to sync: each is at least half a commit.
    syncs: u64,
    seen: Vec<Injected>,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    /// So many of the pending bytes go there.
    Write(u64, usize),
    Length(u64),
}

#[derive(Clone, Copy, Debug)]
struct Planned {
    operations: u64,
    what: Trouble,
}

/// What goes wrong at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The power goes.
    PowerCut,
    /// The system reports an error, and what was not synced may be lost.
    Error,
}

impl Disk {
    pub(crate) fn new(luck: Stream, habits: DiskPlan) -> Self {
        Self::holding(Vec::new(), luck, habits)
    }

    /// A disk with a copy of another one's content.
    pub(crate) fn holding(image: Vec<u8>, luck: Stream, habits: DiskPlan) -> Self {
        Self(Arc::new(Mutex::new(State {
            taken: vec![true; image.len().div_ceil(BLOCK)],
            cache: image.clone(),
            durable: image,
            pending: Vec::new(),
            bytes: Vec::new(),
            life: 0,
            cut: false,
            failed: false,
            planned: None,
            luck,
            habits,
            calm: false,
            torn: false,
            full: false,
            full_until_us: 0,
            syncs: 0,
            seen: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a handle for redb. Older handles are stale from now on.
    pub(crate) fn open(&self) -> Handle {
        let mut state = self.state();
        state.life += 1;
        state.cut = false;
        state.failed = false;
        state.planned = None;
        Handle { disk: self.clone(), life: state.life }
    }

    /// The power goes: of what was not synced, any part may be there, down to single sectors.
    /// Nothing that a destructor does afterwards reaches the disk.
    pub(crate) fn power_cut(&self) {
        self.state().power_cut();
    }

    /// Lets the disk fail at one of its next `operations`.
    pub(crate) fn plan(&self, operations: u64, what: Trouble) {
        self.state().planned = Some(Planned { operations, what });
    }

    /// Draws whether a trouble comes in the midst of a commit, and at which of its `operations`.
    pub(crate) fn draw_operation(&self, operations: u64) -> (bool, u64) {
        let mut state = self.state();
        (state.luck.happens(500_000), state.luck.below(operations))
    }

    /// Now and then the power goes again while a store is repaired after it had gone.
    pub(crate) fn plan_for_recovery(&self) {
        let mut state = self.state();
        if state.torn && state.luck.happens(RECOVERY_CUT_PPM) {
            let operations = state.luck.below(6);
            state.planned = Some(Planned { operations, what: Trouble::PowerCut });
        }
    }

    /// A store was opened, and has read all of its rows: what had happened to it is mended.
    pub(crate) fn recovered(&self) {
        let mut state = self.state();
        state.torn = false;
        state.planned = None;
    }

    /// Returns whether a planned trouble has not come: the commit was too short for it.
    pub(crate) fn spared(&self) -> bool {
        self.state().planned.take().is_some()
    }

    /// Returns whether the last handle can still be used.
    pub(crate) fn works(&self) -> bool {
        let state = self.state();
        !state.cut && !state.failed
    }

    /// Returns whether an error of its own, not a planned one, has ended the last handle.
    pub(crate) fn failed(&self) -> bool {
        self.state().failed
    }

    /// Returns what is durable: a backup that was taken while the program ran.
    pub(crate) fn image(&self) -> Vec<u8> {
        self.state().durable.clone()
    }

    /// Returns a disk without troubles with what a program would find on this one now.
    pub(crate) fn copy(&self) -> Self {
        let state = self.state();
        Self::holding(state.cache.clone(), state.luck.clone(), DiskPlan::default())
    }

    /// Replaces the content: a backup is restored.
    pub(crate) fn restore(&self, image: Vec<u8>) {
        let mut state = self.state();
        state.pending.clear();
        state.bytes.clear();
        state.taken = vec![true; image.len().div_ceil(BLOCK)];
        state.cache.clone_from(&image);
        state.durable = image;
        state.life += 1;
        state.cut = true;
    }

    /// Returns whether the file was left open: what a crash leaves, and a clean end does not.
    pub(crate) fn needs_recovery(&self) -> bool {
        let state = self.state();
        state.durable.get(REDB_FLAGS).is_some_and(|flags| flags & REDB_RECOVERY != 0)
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// It is `now_us`: something else may have filled the disk, or made room on it.
    pub(crate) fn at(&self, now_us: u64) {
        let mut state = self.state();
        state.full = now_us < state.full_until_us;
    }

    /// A commit begins: the disk may be full from now on, for a while. Returns for how many
    /// microseconds its syncs will wait.
    pub(crate) fn begin(&self, now_us: u64) -> u64 {
        let mut state = self.state();
        let habits = state.habits;
        if now_us >= state.full_until_us && state.luck.happens(habits.full_ppm) {
            let ms = state.luck.between(1, habits.full_ms.max(1));
            state.full_until_us = now_us + ms * 1000;
        }
        state.full = now_us < state.full_until_us;
        if !state.luck.happens(habits.slow_ppm) {
            return 0;
        }
        state.seen.push(Injected::DiskSlow);
        state.luck.between(1, habits.slow_ms.max(1)) * 1000
    }

    /// Lets nothing go wrong until it is told otherwise: somebody sees to this.
    pub(crate) fn calm(&self, calm: bool) {
        self.state().calm = calm;
    }

    /// All faults end: there is room again, and what is read can be read. A disk that lies goes on
    /// lying.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        state.habits = DiskPlan { lies: state.habits.lies, ..DiskPlan::default() };
        state.full = false;
        state.full_until_us = 0;
    }

    /// Returns what the disk did since it was asked last.
    pub(crate) fn seen(&self) -> Vec<Injected> {
        std::mem::take(&mut self.state().seen)
    }
}

impl State {
    fn power_cut(&mut self) {
        self.lose();
        self.life += 1;
        self.cut = true;
        self.torn = true;
        self.planned = None;
    }

    /// Keeps a random part of what was not synced.
    fn lose(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut rest = &bytes[..];
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::Length(length) => {
                    if self.luck.happens(500_000) {
                        resize(&mut self.durable, length);
                    }
                }
                Change::Write(offset, length) => {
                    let (data, behind) = rest.split_at(length);
                    rest = behind;
                    self.tear(offset, data);
                }
            }
        }
        assert!(rest.is_empty(), "every pending byte belongs to a write");
        self.cache.clone_from(&self.durable);
    }

    fn tear(&mut self, offset: u64, bytes: &[u8]) {
        let fate = self.luck.below(3);
        if fate == 0 {
            self.seen.push(Injected::DiskLost);
            return;
        }
        let mut at = offset as usize;
        let mut rest = bytes;
        let (mut kept, mut lost) = (false, false);
        while !rest.is_empty() {
            let room = (SECTOR - at % SECTOR).min(rest.len());
            let (sector, behind) = rest.split_at(room);
            if fate == 1 || self.luck.happens(500_000) {
                put(&mut self.durable, at as u64, sector);
                kept = true;
            } else {
                lost = true;
            }
            at += room;
            rest = behind;
        }
        if kept && lost {
            self.seen.push(Injected::DiskTorn);
        }
    }

    /// Answers the handle of `life` if it is stale.
    fn expect_alive(&self, life: u64) -> io::Result<()> {
        if life != self.life {
            return Err(io::Error::other("the power was cut"));
        }
        if self.failed {
            return Err(io::Error::other("the disk has failed before"));
        }
        Ok(())
    }

    /// Counts an operation of the handle of `life`; `Err` is what the handle answers.
    fn operate(&mut self, life: u64) -> io::Result<()> {
        self.expect_alive(life)?;
        let Some(planned) = &mut self.planned else { return Ok(()) };
        if planned.operations > 0 {
            planned.operations -= 1;
            return Ok(());
        }
        let what = planned.what;
        self.planned = None;
        match what {
            Trouble::PowerCut => {
                self.power_cut();
                Err(io::Error::other("the power was cut"))
            }
            Trouble::Error => {
                // After a failed fsync nobody knows which pages are on the disk.
                self.lose();
                self.failed = true;
                Err(io::Error::other("a planned error of the disk"))
            }
        }
    }

    /// Takes the blocks that a write needs, or says that there are none.
    fn allocate(&mut self, offset: u64, length: usize) -> io::Result<()> {
        let (first, end) = (offset as usize / BLOCK, (offset as usize + length).div_ceil(BLOCK));
        if self.taken.len() < end {
            self.taken.resize(end, false);
        }
        if self.full && !self.calm && self.taken[first..end].contains(&false) {
            // What was written before is still in the system's cache: the program may be started
            // again, and reads it, and the power may go before it was ever synced.
            self.failed = true;
            self.seen.push(Injected::DiskFull);
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.taken[first..end].fill(true);
        Ok(())
    }

    fn sync(&mut self) {
        self.syncs += 1;
        let mut keeps = 0;
        if self.habits.lies && !self.pending.is_empty() {
            keeps = self.pending.len().min(LYING_CACHE);
            self.seen.push(Injected::DiskLied);
        }
        let durable = self.pending.len() - keeps;
        let mut end = 0;
        for change in self.pending.drain(..durable) {
            match change {
                Change::Length(length) => resize(&mut self.durable, length),
                Change::Write(offset, length) => {
                    put(&mut self.durable, offset, &self.bytes[end..end + length]);
                    end += length;
                }
            }
        }
        self.bytes.drain(..end);
    }
}

fn resize(bytes: &mut Vec<u8>, length: u64) {
    bytes.resize(length as usize, 0);
}

fn put(bytes: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let start = offset as usize;
    let end = start + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[start..end].copy_from_slice(data);
}

/// What redb writes to.
#[derive(Debug)]
pub(crate) struct Handle {
    disk: Disk,
    life: u64,
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.expect_alive(self.life)?;
        Ok(state.cache.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.expect_alive(self.life)?;
        let ppm = if state.calm { 0 } else { state.habits.read_error_ppm };
        if state.luck.happens(ppm) {
            state.failed = true;
            state.seen.push(Injected::DiskRead);
            return Err(io::Error::other("an error of the disk: this could not be read"));
        }
        let start = offset as usize;
        let Some(bytes) = state.cache.get(start..start + out.len()) else {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        };
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate(self.life)?;
        resize(&mut state.cache, length);
        state.taken.truncate((length as usize).div_ceil(BLOCK));
        state.pending.push(Change::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate(self.life)?;
        state.sync();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate(self.life)?;
        state.allocate(offset, data.len())?;
        put(&mut state.cache, offset, data);
        state.pending.push(Change::Write(offset, data.len()));
        state.bytes.extend_from_slice(data);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
