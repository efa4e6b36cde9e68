//! A simulated disk under redb: what was synced survives a power cut, the rest by chance.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use counterfoil_storage::redb::StorageBackend;

use crate::rng::Stream;

/// A disk writes this many bytes at once, or none of them.
const SECTOR: usize = 512;
/// Where redb notes, in its header, that the file was not closed.
const REDB_FLAGS: usize = 9;
const REDB_RECOVERY: u8 = 2;

/// A disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What programs see.
    cache: Vec<u8>,
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Counts openings and power cuts: handles of an earlier life are stale.
    life: u64,
    cut: bool,
    failed: bool,
    planned: Option<Planned>,
    luck: Stream,
    /// A disk that says it has synced, and has not.
    lies: bool,
    /// How often it was asked to sync: each is at least half a commit.
    syncs: u64,
}

#[derive(Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Clone, Copy, Debug)]
struct Planned {
    operations: u64,
    what: Trouble,
}

/// What goes wrong at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The power goes.
    PowerCut,
    /// The system reports an error, and what was not synced may be lost.
    Error,
}

impl Disk {
    pub(super) fn new(luck: Stream, lies: bool) -> Self {
        Self::holding(Vec::new(), luck, lies)
    }

    /// A disk with a copy of another one's content.
    pub(super) fn holding(image: Vec<u8>, luck: Stream, lies: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            cache: image.clone(),
            durable: image,
            pending: Vec::new(),
            life: 0,
            cut: false,
            failed: false,
            planned: None,
            luck,
            lies,
            syncs: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a handle for redb. Older handles are stale from now on.
    pub(super) fn open(&self) -> Handle {
        let mut state = self.state();
        state.life += 1;
        state.cut = false;
        state.failed = false;
        state.planned = None;
        Handle { disk: self.clone(), life: state.life }
    }

    /// The power goes: of what was not synced, any part may be there, down to single sectors.
    /// Nothing that a destructor does afterwards reaches the disk.
    pub(super) fn power_cut(&self) {
        self.state().power_cut();
    }

    /// Lets the disk fail at one of its next `operations`.
    pub(super) fn plan(&self, operations: u64, what: Trouble) {
        self.state().planned = Some(Planned { operations, what });
    }

    /// Returns whether a planned trouble has not come: the commit was too short for it.
    pub(super) fn spared(&self) -> bool {
        self.state().planned.take().is_some()
    }

    /// Returns whether the last handle can still be used.
    pub(super) fn works(&self) -> bool {
        let state = self.state();
        !state.cut && !state.failed
    }

    /// Returns what is durable: a backup that was taken while the program ran.
    pub(super) fn image(&self) -> Vec<u8> {
        self.state().durable.clone()
    }

    /// Replaces the content: a backup is restored.
    pub(super) fn restore(&self, image: Vec<u8>) {
        let mut state = self.state();
        state.pending.clear();
        state.cache.clone_from(&image);
        state.durable = image;
        state.life += 1;
        state.cut = true;
    }

    /// Returns whether the file was left open: what a crash leaves, and a clean end does not.
    pub(super) fn needs_recovery(&self) -> bool {
        let state = self.state();
        state.durable.get(REDB_FLAGS).is_some_and(|flags| flags & REDB_RECOVERY != 0)
    }

    pub(super) fn syncs(&self) -> u64 {
        self.state().syncs
    }
}

impl State {
    fn power_cut(&mut self) {
        self.lose();
        self.life += 1;
        self.cut = true;
        self.planned = None;
    }

    /// Keeps a random part of what was not synced.
    fn lose(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::Length(length) => {
                    if self.luck.happens(500_000) {
                        resize(&mut self.durable, length);
                    }
                }
                Change::Write(offset, bytes) => self.tear(offset, &bytes),
            }
        }
        self.cache.clone_from(&self.durable);
    }

    fn tear(&mut self, offset: u64, bytes: &[u8]) {
        let fate = self.luck.below(3);
        if fate == 0 {
            return;
        }
        let mut at = offset as usize;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = (SECTOR - at % SECTOR).min(rest.len());
            let (sector, behind) = rest.split_at(room);
            if fate == 1 || self.luck.happens(500_000) {
                put(&mut self.durable, at as u64, sector);
            }
            at += room;
            rest = behind;
        }
    }

    /// Counts an operation of the handle of `life`; `Err` is what the handle answers.
    fn operate(&mut self, life: u64) -> io::Result<()> {
        if life != self.life {
            return Err(io::Error::other("the power was cut"));
        }
        if self.failed {
            return Err(io::Error::other("the disk has failed before"));
        }
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
pub(super) struct Handle {
    disk: Disk,
    life: u64,
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state();
        if state.life != self.life {
            return Err(io::Error::other("the power was cut"));
        }
        Ok(state.cache.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.state();
        if state.life != self.life {
            return Err(io::Error::other("the power was cut"));
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
        state.pending.push(Change::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate(self.life)?;
        state.syncs += 1;
        if state.lies {
            return Ok(());
        }
        for change in std::mem::take(&mut state.pending) {
            match change {
                Change::Length(length) => resize(&mut state.durable, length),
                Change::Write(offset, bytes) => put(&mut state.durable, offset, &bytes),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate(self.life)?;
        put(&mut state.cache, offset, data);
        state.pending.push(Change::Write(offset, data.to_vec()));
        Ok(())
    }
}
