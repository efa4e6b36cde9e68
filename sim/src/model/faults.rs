//! The timed faults of a plan, and the end of all faults.

use std::sync::Arc;

use counterfoil_protocol::hash::secret_hash;
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::session::{Input as Heard, Nudge};
use counterfoil_protocol::terminal::{Input, Key, Place};
use counterfoil_protocol::time::Millis;

use super::drain::SinceHeal;
use super::till::TillHost;
use super::{Happening, STAFF_MS, START, World};
use crate::coverage::Injected;
use crate::law::Violation;
use crate::plan::{Fault, Way};

/// Sorts before every history: they count from 1.
pub(super) const BEFORE_ALL: Epoch = Epoch { number: 0, nonce: 0 };

impl World {
    pub(super) fn inject(&mut self, fault: Fault) -> Result<(), Violation> {
        let count = self.plan.tills as usize;
        let number = |till: u32| till as usize % count;
        match fault {
            Fault::Partition { till, ms, way } => self.partition(number(till), ms, way),
            Fault::CrashTill { till, ms } => {
                if self.tills[number(till)].up {
                    self.coverage.injected(Injected::TillCrash);
                    self.crash_till(number(till), ms);
                }
            }
            Fault::CrashCloud { ms } => {
                if self.cloud.up {
                    self.coverage.injected(Injected::CloudCrash);
                    self.crash_cloud(ms);
                }
            }
            Fault::BackupTill { till } => {
                let host = &mut self.tills[number(till)];
                let owed = self.checker.backup_device(host.device);
                host.backup = Some(host.put_aside(owed));
            }
            Fault::RestoreTill { till, with_witness } => {
                self.restore_till(number(till), with_witness)
            }
            Fault::CloneTill { till, with_witness } => {
                return self.clone_till(number(till), with_witness);
            }
            Fault::MoveTill { till, by } => return self.move_till(number(till), by),
            Fault::BackupCloud => {
                let journals = self.checker.backup_cloud();
                self.cloud.backup = Some((self.cloud.store.image(), journals));
            }
            Fault::RestoreCloud => self.restore_cloud(),
            Fault::ClockJump { till, by_ms } => {
                self.coverage.injected(Injected::ClockJump);
                let host = &mut self.tills[number(till)];
                host.skew_ms = host.skew_ms.saturating_add(by_ms);
            }
            Fault::Revoke { till, ms } => {
                if self.revoke(number(till))? {
                    self.coverage.injected(Injected::Revoked);
                    self.after(ms * 1000, Happening::Reenrol(number(till)));
                }
            }
            Fault::Expire { till, ms } => return self.expire(number(till), ms),
            Fault::Drift { till, kind } => self.drift(number(till), kind),
            Fault::Throttle { ms } => {
                self.coverage.injected(Injected::Throttled);
                self.cloud.throttled_until_us = self.now_us + ms * 1000;
            }
        }
        Ok(())
    }

    fn partition(&mut self, till: usize, ms: u64, way: Way) {
        let until = self.now_us + ms * 1000;
        let host = &mut self.tills[till];
        match way {
            Way::Both => {
                host.cut_to_us = until;
                host.cut_from_us = until;
                self.coverage.injected(Injected::Partition);
            }
            Way::ToCloud => {
                host.cut_to_us = until;
                self.coverage.injected(Injected::OneWay);
            }
            Way::FromCloud => {
                host.cut_from_us = until;
                self.coverage.injected(Injected::OneWay);
            }
        }
    }

    fn restore_till(&mut self, till: usize, with_witness: bool) {
        let host = &mut self.tills[till];
        let Some(backup) = host.backup.clone() else { return };
        self.coverage.injected(if with_witness {
            Injected::MachineRestored
        } else {
            Injected::TillRestored
        });
        self.checker.restore_device(host.device, &backup.owed);
        host.store.restore(backup.image);
        host.archiving.restore(backup.archive);
        if with_witness {
            host.witness = backup.witness;
        }
        host.unsure = None;
        host.unsure_act = None;
        host.last_draft = None;
        host.last_act = None;
        self.crash_till(till, 500);
    }

    fn clone_till(&mut self, till: usize, with_witness: bool) -> Result<(), Violation> {
        if self.tills.len() >= 2 * self.plan.tills as usize {
            return Ok(());
        }
        self.coverage.injected(if with_witness {
            Injected::MachineCloned
        } else {
            Injected::TillCopied
        });
        let original = &self.tills[till];
        let owed = self.checker.backup_device(original.device);
        let backup = original.put_aside(owed);
        let device = self.checker.clone_device(&backup.owed);
        let number = self.tills.len();
        let mut copy = TillHost::new(self.plan.seed, number, device, original.identity);
        copy.secret = original.secret;
        copy.skew_ms = original.skew_ms;
        copy.store = self.till_store(number, Some(backup.image));
        copy.archiving.copy(backup.archive);
        copy.coverage = self.coverage.beside();
        copy.witness = if with_witness { backup.witness } else { None };
        self.tills.push(copy);
        self.start_till(number)?;
        self.put_to_work(number);
        Ok(())
    }

    fn restore_cloud(&mut self) {
        let Some((image, journals)) = &self.cloud.backup else { return };
        self.coverage.injected(Injected::CloudRestored);
        self.checker.restore_cloud(journals);
        let image = image.clone();
        self.cloud.store.restore(image);
        // A plan may name an instant after the faults' end: what was said before is said no more.
        self.tills.iter_mut().for_each(|till| till.since_heal = SinceHeal::default());
        self.crash_cloud(700);
    }

    /// A credential runs out, or is changed behind the till's back.
    fn expire(&mut self, till: usize, ms: u64) -> Result<(), Violation> {
        let changed = self.tills[till].luck.happens(300_000);
        let secret = if changed { secret_hash(b"another") } else { self.tills[till].secret };
        let now = Millis(START + self.now_ms());
        if self.set_secret(till, secret, Some(now))? {
            self.coverage.injected(Injected::Expired);
            self.after(ms * 1000, Happening::Reenrol(till));
        }
        Ok(())
    }

    /// All faults end: links are up, nodes run, terminals are enrolled, products are defined.
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.healed = true;
        self.cloud.throttled_until_us = 0;
        self.cloud.store.heal();
        self.tills.iter().for_each(|till| till.store.heal());
        if !self.cloud.up {
            self.start_cloud()?;
        }
        self.define_all_products()?;
        for till in 0..self.tills.len() {
            let host = &mut self.tills[till];
            host.cut_to_us = 0;
            host.cut_from_us = 0;
            self.enrol(till, None)?;
            if !self.tills[till].up {
                self.start_till(till)?;
            }
            self.hear(till, Heard::Nudge(Nudge::LinkUp))?;
            self.inbox_link_up(till)?;
            self.verify(till)?;
            self.sell_out(till)?;
        }
        self.after(STAFF_MS * 1000, Happening::Staff);
        Ok(())
    }

    /// Sells the rest of the real sales: a till that was down has some left.
    fn sell_out(&mut self, till: usize) -> Result<(), Violation> {
        let Some(sales) = self.sales.clone() else { return Ok(()) };
        let rest = sales.tills.get(till).map_or(&[][..], |drafts| &drafts[self.tills[till].sold..]);
        for draft in rest {
            self.tills[till].sold += 1;
            self.record(till, draft.clone())?;
        }
        Ok(())
    }

    fn define_all_products(&mut self) -> Result<(), Violation> {
        if self.plan.park_unknown {
            for batch in 0..4 {
                self.define_products(batch)?;
            }
        }
        Ok(())
    }

    /// Staff lets in again whom the cloud turns away though the faults have ended, and will look
    /// again: a cloud that is restored has the credentials of its backup.
    pub(super) fn admit(&mut self) -> Result<(), Violation> {
        self.after(STAFF_MS * 1000, Happening::Admit);
        for till in 0..self.tills.len() {
            let (id, secret) = (self.tills[till].identity.terminal, self.tills[till].secret);
            let now = Millis(START + self.now_ms());
            let known = self.cloud.terminal(id);
            let admitted = known.is_some_and(|known| known.admits(now, secret).is_ok());
            if self.cloud.up && !admitted {
                self.enrol(till, None)?;
            }
        }
        Ok(())
    }

    /// Staff looks at what needs attention, and has it tried again.
    pub(super) fn staff(&mut self) -> Result<(), Violation> {
        self.admit()?;
        for till in 0..self.tills.len() {
            self.ask_for_session(till)?;
            for place in self.attention(till) {
                let rows = self.tills[till].store.memory.rows();
                let Some(counterfoil_protocol::terminal::Record::Entry(entry)) =
                    rows.get(&Key::Entry(place.epoch, place.seq)).map(Arc::as_ref)
                else {
                    continue;
                };
                let (pos, local_id) = (entry.pos, entry.local_id);
                let input = self.other_way(till, pos, local_id);
                let input = input.unwrap_or(Input::Retry { pos, local_id, place });
                self.till_step(till, &input, false)?;
                self.hear(till, Heard::Nudge(Nudge::Manual))?;
            }
        }
        Ok(())
    }

    /// Returns the places of what needs attention, in their order.
    pub(super) fn attention(&self, till: usize) -> Vec<Place> {
        let rows = self.tills[till].store.memory.rows();
        let held = rows.range(Key::Attention(BEFORE_ALL, 0)..);
        held.map_while(|(key, _)| {
            let Key::Attention(epoch, seq) = *key else { return None };
            Some(Place { epoch, seq })
        })
        .collect()
    }
}
