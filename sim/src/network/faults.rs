//! The timed faults of a plan, and the end of all faults.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use counterfoil_protocol::cloud::{self, Input, Site};
use counterfoil_protocol::hash::secret_hash;
use counterfoil_protocol::terminal::Key;
use counterfoil_protocol::time::Millis;

use super::CLONES_MAX;
use super::drive::{Device, Drive, Due};
use super::observe::Mirror;
use super::scene::{Errand, Node, TillBackup, TillSlot, lock};
use crate::coverage::Injected;
use crate::disk::Disk;
use crate::model::START;
use crate::plan::{Fault, Way};
use crate::rng::Stream;
use crate::story::{Lane, What};

impl Drive<'_> {
    pub(super) fn inject(&mut self, fault: Fault) {
        let scene = Arc::clone(&self.scene);
        let count = scene.plan.tills as usize;
        let number = |till: u32| till as usize % count;
        scene.tell(Lane::World, What::Fault, || format!("{fault:?}"));
        match fault {
            Fault::Partition { till, ms, way } => self.partition(number(till), ms, way),
            Fault::CrashTill { till, ms } => {
                let slot = scene.till(number(till));
                if lock(&slot.state).up {
                    scene.injected(Injected::TillCrash);
                    slot.disk.power_cut();
                    self.take_down(Node::Till(number(till)), ms);
                }
            }
            Fault::CrashCloud { ms } => {
                if lock(&scene.cloud.state).up {
                    scene.injected(Injected::CloudCrash);
                    scene.cloud.disk.power_cut();
                    self.take_down(Node::Cloud, ms);
                }
            }
            Fault::BackupTill { till } => {
                let slot = scene.till(number(till));
                if let Some(backup) = self.put_aside(&slot) {
                    lock(&slot.state).backup = Some(backup);
                }
            }
            Fault::RestoreTill { till, with_witness } => {
                self.restore_till(number(till), with_witness);
            }
            Fault::CloneTill { till, with_witness } => {
                self.clone_till(number(till), with_witness);
            }
            Fault::MoveTill { till, by } => self.move_till(number(till), by),
            Fault::BackupCloud => self.backup_cloud(),
            Fault::RestoreCloud => self.restore_cloud(),
            Fault::ClockJump { till, by_ms } => {
                scene.injected(Injected::ClockJump);
                let slot = scene.till(number(till));
                let skew = slot.skew_ms.load(Ordering::Relaxed).saturating_add(by_ms);
                slot.skew_ms.store(skew, Ordering::Relaxed);
            }
            Fault::Revoke { till, ms } => {
                let terminal = scene.till(number(till)).identity.terminal;
                let input = Input::Revoke { terminal };
                let fault = Some(Injected::Revoked);
                scene.send_operator(Errand { input, fault, token: None });
                self.after(ms, Due::Enrol(number(till)));
            }
            Fault::Expire { till, ms } => self.expire(number(till), ms),
            Fault::Drift { till, kind } => self.drift(number(till), kind),
            Fault::Throttle { ms } => {
                scene.injected(Injected::Throttled);
                let until = self.now_ms() + ms;
                scene.cloud.throttled_until_ms.store(until, Ordering::Relaxed);
            }
        }
    }

    fn partition(&mut self, till: usize, ms: u64, way: Way) {
        let until = self.now_ms() + ms;
        let slot = self.scene.till(till);
        {
            let mut state = lock(&slot.state);
            if matches!(way, Way::Both | Way::ToCloud) {
                state.cut_to_ms = until;
            }
            if matches!(way, Way::Both | Way::FromCloud) {
                state.cut_from_ms = until;
            }
        }
        self.scene.injected(match way {
            Way::Both => Injected::Partition,
            Way::ToCloud | Way::FromCloud => Injected::OneWay,
        });
        self.connect(till);
        self.after(ms, Due::Link(till));
    }

    /// Copies a till's disk, unless it is just now unknown what is on it.
    fn put_aside(&self, slot: &TillSlot) -> Option<TillBackup> {
        let up = lock(&slot.state).up;
        let mirror = lock(&slot.mirror);
        let installed = mirror.rows.contains_key(&Key::Meta);
        (up && installed && mirror.uncertain.is_none() && slot.disk.works()).then(|| TillBackup {
            image: slot.disk.image(),
            rows: mirror.rows.clone(),
            witness: *lock(&slot.witness),
            owed: self.scene.board().checker.backup_device(slot.number),
        })
    }

    fn restore_till(&mut self, till: usize, with_witness: bool) {
        let slot = self.scene.till(till);
        let Some(backup) = lock(&slot.state).backup.clone() else { return };
        self.scene.injected(if with_witness {
            Injected::MachineRestored
        } else {
            Injected::TillRestored
        });
        self.scene.board().checker.restore_device(till, &backup.owed);
        slot.disk.restore(backup.image);
        *lock(&slot.mirror) = Mirror { rows: backup.rows, uncertain: None };
        if with_witness {
            *lock(&slot.witness) = backup.witness;
        }
        {
            let mut state = lock(&slot.state);
            state.unsure = None;
            state.unsure_act = None;
            state.unsure_wish = None;
            state.last_draft = None;
            state.last_act = None;
        }
        self.take_down(Node::Till(till), 500);
    }

    fn clone_till(&mut self, till: usize, with_witness: bool) {
        let scene = Arc::clone(&self.scene);
        let number = scene.count();
        let original = scene.till(till);
        if number >= scene.plan.tills as usize + CLONES_MAX {
            return;
        }
        let Some(backup) = self.put_aside(&original) else { return };
        scene.injected(if with_witness { Injected::MachineCloned } else { Injected::TillCopied });
        let device = scene.board().checker.clone_device(&backup.owed);
        assert_eq!(device, number, "devices are numbered as tills are");
        let luck = Stream::new(scene.plan.seed, "network/till/disk", number as u64);
        let token = original.token.borrow().clone();
        self.add_till(
            original.identity,
            Device {
                disk: Disk::holding(backup.image, luck, scene.disk_plan()),
                mirror: Mirror { rows: backup.rows, uncertain: None },
                witness: if with_witness { backup.witness } else { None },
                token,
                skew_ms: original.skew_ms.load(Ordering::Relaxed),
            },
        );
    }

    fn backup_cloud(&self) {
        let cloud = &self.scene.cloud;
        let mut state = lock(&cloud.state);
        let mirror = lock(&cloud.mirror);
        if state.up && mirror.uncertain.is_none() && cloud.disk.works() {
            let journals = self.scene.board().checker.backup_cloud();
            state.backup = Some((cloud.disk.image(), mirror.rows.clone(), journals));
        }
    }

    fn restore_cloud(&mut self) {
        let scene = Arc::clone(&self.scene);
        let cloud = &scene.cloud;
        let Some((image, rows, journals)) = lock(&cloud.state).backup.clone() else { return };
        scene.injected(Injected::CloudRestored);
        scene.board().checker.restore_cloud(&journals);
        cloud.disk.restore(image);
        *lock(&cloud.mirror) = Mirror { rows, uncertain: None };
        // Sometimes it is back before an answer of its former life has arrived.
        let down_ms = self.luck.between(10, 700);
        self.take_down(Node::Cloud, down_ms);
    }

    /// A credential runs out, or is changed behind the till's back.
    fn expire(&mut self, till: usize, ms: u64) {
        let slot = self.scene.till(till);
        let terminal = slot.identity.terminal;
        let site = Site { shop: slot.identity.shop, branch: slot.identity.branch };
        let changed = lock(&slot.luck).happens(300_000);
        let known = lock(&self.scene.cloud.tokens).get(&terminal).map(|token| token.digest);
        let secret = match known {
            Some(digest) if !changed => digest,
            Some(_) | None => secret_hash(b"another"),
        };
        let expires_at = Some(Millis(START + self.now_ms()));
        let input = Input::Enrol { terminal, site, secret, expires_at };
        let fault = Some(Injected::Expired);
        self.scene.send_operator(Errand { input, fault, token: None });
        self.after(ms, Due::Enrol(till));
    }

    /// All faults end: links are up, nodes run, terminals are enrolled, products are defined.
    pub(super) fn heal(&mut self) {
        let scene = Arc::clone(&self.scene);
        scene.tell(Lane::World, What::Fault, || "all faults end".to_owned());
        scene.cloud.throttled_until_ms.store(0, Ordering::Relaxed);
        scene.cloud.disk.heal();
        self.restart(Node::Cloud);
        if scene.plan.park_unknown {
            for batch in 0..4 {
                self.define_products(batch);
            }
        }
        for slot in scene.tills() {
            slot.disk.heal();
            {
                let mut state = lock(&slot.state);
                state.cut_to_ms = 0;
                state.cut_from_ms = 0;
            }
            self.connect(slot.number);
            if self.lacks_credential(&slot) {
                self.enrol(slot.number);
            }
            self.restart(Node::Till(slot.number));
        }
        scene.healed.send_replace(true);
    }

    /// Returns whether the cloud will not listen to a till. Others keep their credential and their
    /// connection: a new one would hide that a client waits for ever on a dead stream.
    fn lacks_credential(&self, slot: &TillSlot) -> bool {
        let cloud = &self.scene.cloud;
        let terminal = slot.identity.terminal;
        let errands = lock(&cloud.errands);
        let later = errands.iter().rev().find(|errand| match errand.input {
            Input::Enrol { terminal: other, .. } | Input::Revoke { terminal: other } => {
                other == terminal
            }
            _ => false,
        });
        if let Some(errand) = later {
            return errand.token.is_none();
        }
        let mirror = lock(&cloud.mirror);
        let known = lock(&cloud.tokens).get(&terminal).map(|token| token.digest);
        let row = mirror.rows.get(&cloud::Key::Terminal(terminal)).map(Arc::as_ref);
        let admitted = match (known, row) {
            (Some(digest), Some(cloud::Record::Terminal(row))) => {
                row.admits(Millis(START + self.now_ms()), digest).is_ok()
            }
            _ => false,
        };
        !admitted || mirror.uncertain.is_some()
    }
}
