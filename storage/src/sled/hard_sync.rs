//! Takes `sync_file_range` away from this process, so that sled has to sync for real.
//!
//! sled 0.34.7 writes its log in one place (`pagecache/iobuf.rs`, `write_to_log`), for commits and
//! for its garbage collector alike, and calls `sync_file_range` after each write. If the kernel
//! answers `ENOSYS` it calls `sync_all` instead. A seccomp filter gives that answer, in safe Rust,
//! for every thread that is and will be.
//!
//! The filter is for the life of the process, and it sets `no_new_privs`: a set-user-id program
//! that this process starts gains no rights. No other syscall is affected.

use std::sync::OnceLock;

use crate::StoreError;

/// The proof that the filter is in force: sled opens only with it in hand.
#[derive(Clone, Copy, Debug)]
pub struct HardSync(());

/// Installs the filter, once in a process, and proves that it is there.
///
/// # Errors
/// [`StoreError::Unsupported`] if the kernel has no seccomp filters, or forbids them: this
/// machine cannot run sled safely, and the message names the alternative.
pub fn install() -> Result<HardSync, StoreError> {
    static INSTALLED: OnceLock<Result<HardSync, StoreError>> = OnceLock::new();
    INSTALLED.get_or_init(platform::install).clone()
}

impl HardSync {
    /// Looks at every thread of this process again: threads may have come since.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] if one of them could still call `sync_file_range`.
    pub fn verify(self) -> Result<(), StoreError> {
        platform::verify()
    }
}

/// What everyone is told who cannot have the hard sync.
#[cfg(target_os = "linux")]
fn refuse(why: impl std::fmt::Display) -> StoreError {
    StoreError::unsupported(format!(
        "sled's hard sync is not in force ({why}); choose the engine redb, as in redb:PATH"
    ))
}

#[cfg(target_os = "linux")]
mod platform {
    use std::collections::BTreeMap;
    use std::env::consts::ARCH;
    use std::fs;
    use std::io::ErrorKind;
    use std::sync::OnceLock;

    use seccompiler::{
        BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter_all_threads,
    };

    use super::{HardSync, StoreError, refuse};

    /// "Function not implemented", on each of the three architectures.
    const ENOSYS: u32 = 38;
    const _: () = assert!(ENOSYS > 0, "a call that is refused does not look done");
    const _: () = assert!(ENOSYS < 4096, "the kernel takes it for an error");

    /// How many filters the installing thread had before: a container may have brought some.
    static FILTERS_BEFORE: OnceLock<u64> = OnceLock::new();

    pub(super) fn install() -> Result<HardSync, StoreError> {
        let program = program()?;
        assert!(!program.is_empty(), "a filter has instructions");
        assert!(program.len() <= FILTER_MAX, "the kernel takes a filter of this length");
        let before = filters("/proc/thread-self/status")?;
        FILTERS_BEFORE.set(before.count).map_err(|_| refuse("it was installed twice"))?;
        apply_filter_all_threads(&program).map_err(refuse)?;
        verify()?;
        Ok(HardSync(()))
    }

    pub(super) fn verify() -> Result<(), StoreError> {
        let before = FILTERS_BEFORE.get().ok_or_else(|| refuse("it was never installed"))?;
        let mut threads = 0_u32;
        for task in fs::read_dir("/proc/self/task").map_err(refuse)? {
            let status = task.map_err(refuse)?.path().join("status");
            let found = match filters(&status.to_string_lossy()) {
                Ok(found) => found,
                Err(_) if !status.exists() => continue, // the thread ended meanwhile
                Err(error) => return Err(error),
            };
            threads += 1;
            if found.mode != MODE_FILTER || found.count <= *before {
                return Err(refuse(format!("{} has no filter of ours", status.display())));
            }
        }
        match threads {
            0 => Err(refuse("/proc shows no thread of this process")),
            _ => Ok(()),
        }
    }

    /// The mode in which a thread's syscalls are filtered.
    const MODE_FILTER: u64 = 2;

    /// The most instructions that the kernel takes.
    const FILTER_MAX: usize = 4096;

    const _: () = assert!(MODE_FILTER > 1, "one is the strict mode, which has no filters");

    const _: () = assert!(FILTER_MAX <= u16::MAX as usize, "the kernel counts in sixteen bits");

    struct Filters {
        mode: u64,
        count: u64,
    }

    /// Reads what the kernel says of one thread.
    fn filters(status: &str) -> Result<Filters, StoreError> {
        assert!(status.starts_with("/proc/"), "only the kernel says what is in force");
        let text = match fs::read_to_string(status) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(refuse(format!("{status} is not there, /proc must be mounted")));
            }
            Err(error) => return Err(refuse(format!("{status}: {error}"))),
        };
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .and_then(|value| value.trim().parse().ok())
                .ok_or_else(|| refuse(format!("the kernel does not report {name}")))
        };
        Ok(Filters { mode: field("Seccomp")?, count: field("Seccomp_filters")? })
    }

    /// Everything is allowed but one call, whatever its arguments.
    fn program() -> Result<BpfProgram, StoreError> {
        let call = sync_file_range()
            .ok_or_else(|| refuse(format!("the number of its syscall on {ARCH} is unknown")))?;
        assert!(call > 0, "read, or what the kernel has in its place, stays allowed");
        let arch = TargetArch::try_from(ARCH).map_err(refuse)?;
        SeccompFilter::new(
            BTreeMap::from([(call, Vec::new())]),
            SeccompAction::Allow,
            SeccompAction::Errno(ENOSYS),
            arch,
        )
        .and_then(TryInto::try_into)
        .map_err(refuse)
    }

    /// The number of the call in the kernel's tables, which never changes.
    fn sync_file_range() -> Option<i64> {
        match ARCH {
            "x86_64" => Some(277),
            "aarch64" | "riscv64" => Some(84),
            _ => None,
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use super::{HardSync, StoreError};

    /// Elsewhere sled calls `sync_all` by itself.
    pub(super) fn install() -> Result<HardSync, StoreError> {
        Ok(HardSync(()))
    }

    pub(super) fn verify() -> Result<(), StoreError> {
        Ok(())
    }
}
