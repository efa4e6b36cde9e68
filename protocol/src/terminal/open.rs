//! Installation, and the question at each start: is this still the database that was closed?
//!
//! The till keeps a [`Witness`] outside its database. A database that was copied to another
//! machine shows another installation, one that was restored shows an earlier boot. In both cases
//! numbers that were given may be given again, so a new epoch begins before anything is sold
//! (B.3).
//!
//! That holds as far as the witness was not exchanged with the database. A copy, or a backup, that
//! holds both is found by the handshake instead: what is sold before it may print receipt numbers
//! that were printed already. The driver lets the witness stand where backups do not reach. The
//! same holds for a backup that was taken since the last start: it shows the start that the
//! witness names (`docs/explore.md`).

use alloc::vec::Vec;

use super::row::Meta;
use super::{Identity, Key, Output, Parted, Record, Terminal, migrate};
use crate::hash::genesis;
use crate::identity::{Epoch, Witness};
use crate::machine::Rows;

pub(super) fn install(
    rows: &mut Rows<'_, Terminal>,
    identity: Identity,
    witness: Witness,
    nonce: u64,
) -> Output {
    if let Some(meta) = rows.meta() {
        if meta.identity != identity {
            return Output::NotInstalled(Some(meta.identity));
        }
        let witness = Witness { install: meta.install, boot: meta.boot };
        return Output::Opened { witness, parted: None };
    }
    let epoch = Epoch::default().next(nonce);
    assert_eq!(epoch.number, 1, "histories count from 1");
    let meta = Meta {
        identity,
        install: witness.install,
        boot: witness.boot,
        boot_before: witness.boot,
        epoch,
        parent: None,
        head: 0,
        hash: genesis(identity.terminal, epoch),
        acked: 0,
        closed: Vec::new(),
        quarantined: None,
    };
    rows.put(Key::Meta, Record::Meta(meta));
    migrate::install(rows);
    Output::Opened { witness, parted: None }
}

pub(super) fn open(
    rows: &mut Rows<'_, Terminal>,
    mut meta: Meta,
    witness: Option<Witness>,
    fresh: Witness,
    nonce: u64,
) -> Output {
    let epoch = meta.epoch;
    let parted = match witness {
        Some(found) if found.install != meta.install => Some(Parted::Copied),
        None => Some(Parted::Copied),
        Some(found) if found.boot != meta.boot && found.boot != meta.boot_before => {
            Some(Parted::Restored)
        }
        Some(_) => None,
    };
    if parted.is_some() {
        let acked = meta.acked;
        meta.part(acked, nonce);
    }
    assert_eq!(parted.is_some(), meta.epoch != epoch, "a doubt begins a history, and only that");
    assert!(parted.is_none() || meta.epoch.number > epoch.number, "histories are counted");
    assert!(parted.is_none() || meta.head == 0, "a history begins without entries");
    assert!(witness.is_some() || parted.is_some(), "without a witness there is a doubt");
    meta.install = witness.map_or(fresh.install, |found| found.install);
    // A crash between this commit and the witness leaves the witness at the boot before.
    meta.boot_before = witness.map_or(meta.boot, |found| found.boot);
    meta.boot = fresh.boot;
    let witness = Witness { install: meta.install, boot: meta.boot };
    rows.put(Key::Meta, Record::Meta(meta));
    migrate::open(rows);
    Output::Opened { witness, parted }
}
