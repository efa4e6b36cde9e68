//! The cloud in the model: authentication, group commit, answers after the commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use counterfoil_protocol::cloud::{Caller, Cloud, Input, Key, Offer, Output, Record, Site, inbox};
use counterfoil_protocol::cloud::{RollUp, UnknownProducts, rollup, row::Terminal};
use counterfoil_protocol::hash::{Hash, secret_hash};
use counterfoil_protocol::identity::{Epoch, EventKey, TerminalId};
use counterfoil_protocol::machine;
use counterfoil_protocol::problem::Denial;
use counterfoil_protocol::reconcile::mirror::Mirror;
use counterfoil_protocol::session::Fault;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::inbox::Ack;
use counterfoil_protocol::wire::message::{Hello, Push, PushAnswer, Standing, Stopped, Verdict};
use counterfoil_storage::memory::Failure;

use super::log::committed;
use super::{Happening, Kind, Reply, Request, START, World, shop};
use crate::checker::CloudBackup;
use crate::coverage::Transition;
use crate::law::Violation;
use crate::observed::{Backup, Observed, answered, at_once};
use crate::plan::Plan;
use crate::rng::Stream;
use crate::story::{Lane, What};

/// The most requests of one group commit.
const GROUP_MAX: usize = 32;

pub(super) struct CloudHost {
    machine: Cloud,
    pub(super) store: Observed<Cloud>,
    pub(super) up: bool,
    life: u32,
    jobs: Vec<(Job, Input)>,
    committing: bool,
    /// What it remembers of its catalog, until it ends.
    pub(super) mirror: Option<Mirror>,
    pub(super) secrecy: Stream,
    pub(super) throttled_until_us: u64,
    pub(super) backup: Option<(Backup<Cloud>, CloudBackup)>,
    /// It waits for its disk until then.
    pub(super) busy_until_us: u64,
    pub(super) luck: Stream,
    secrets: u64,
}

struct Job {
    from: Request,
    site: Site,
    /// Which history a push belongs to.
    epoch: Epoch,
    /// What a push offers, to hold its answer against.
    offered: Vec<(u64, Option<EventKey>, Hash)>,
}

impl CloudHost {
    pub(super) fn new(plan: &Plan) -> Self {
        let unknown_products =
            if plan.park_unknown { UnknownProducts::Park } else { UnknownProducts::Accept };
        Self {
            machine: Cloud { unknown_products },
            store: Observed::default(),
            up: false,
            life: 0,
            jobs: Vec::new(),
            committing: false,
            mirror: None,
            secrecy: Stream::new(plan.seed, "cloud/secrecy", 0),
            throttled_until_us: 0,
            backup: None,
            busy_until_us: 0,
            luck: Stream::new(plan.seed, "cloud/luck", 0),
            secrets: 0,
        }
    }

    pub(super) fn start(&mut self) {
        self.up = true;
        self.life += 1;
        self.mirror = None;
        self.jobs.clear();
        self.committing = false;
    }

    pub(super) const fn life(&self) -> u32 {
        self.life
    }

    pub(super) const fn idle(&self) -> bool {
        self.up && self.jobs.is_empty()
    }

    pub(super) fn catalog_version(&self) -> u64 {
        match self.store.memory.rows().get(&Key::Feed(shop())).map(Arc::as_ref) {
            Some(Record::Feed(feed)) => feed.version,
            Some(_) | None => 0,
        }
    }

    pub(super) fn terminal(&self, id: TerminalId) -> Option<&Terminal> {
        match self.store.memory.rows().get(&Key::Terminal(id)).map(Arc::as_ref) {
            Some(Record::Terminal(terminal)) => Some(terminal),
            Some(_) | None => None,
        }
    }
}

impl World {
    /// A request arrives at the cloud.
    pub(super) fn arrive(&mut self, request: Request) -> Result<(), Violation> {
        if !self.cloud.up {
            // Nobody listens: the connection is refused.
            self.reply(&request, Reply::Fault(Fault::Transport));
            return Ok(());
        }
        let till = &self.tills[request.till];
        let (id, secret) = (till.identity.terminal, till.secret);
        let now = Millis(START + self.now_ms());
        let known = self.cloud.terminal(id);
        let Some(known) = known else {
            self.deny(&request, Denial::UnknownTerminal);
            return Ok(());
        };
        if let Err(denial) = known.admits(now, secret) {
            self.deny(&request, denial);
            return Ok(());
        }
        let caller = Caller { terminal: id, secret, site: known.site };
        let site = known.site;
        let (input, epoch, offered) = match request.kind {
            Kind::Catalog(wanted) => {
                let reply = self.serve_catalog(&request, (site, id), wanted)?;
                self.reply(&request, reply);
                return Ok(());
            }
            Kind::Session(pos, session) => {
                self.serve_session(&request, site, id, (pos, session));
                return Ok(());
            }
            Kind::Pending(from) => {
                let reply = self.serve_inbox(site, id, from);
                self.reply(&request, reply);
                return Ok(());
            }
            Kind::Ack => match Ack::decode(&request.bytes) {
                Ok(ack) => {
                    let input = Input::Inbox(inbox::Input::Ack { caller, ack });
                    (input, Epoch::default(), Vec::new())
                }
                Err(_) => return self.reject(&request),
            },
            kind @ (Kind::Reconcile | Kind::Entities) => {
                let reply = self.serve_verify(site, kind, &request.bytes)?;
                self.reply(&request, reply);
                return Ok(());
            }
            Kind::Hello => match Hello::decode(&request.bytes) {
                Ok(hello) => (Input::Hello { caller, hello }, Epoch::default(), Vec::new()),
                Err(_) => return self.reject(&request),
            },
            Kind::Push => match Push::decode(&request.bytes) {
                Ok(push) => {
                    let offer = Offer::read(push, site.shop);
                    let offered = offer.entries().collect();
                    let epoch = offer.epoch();
                    (Input::Push { caller, offer }, epoch, offered)
                }
                Err(_) => return self.reject(&request),
            },
        };
        self.cloud.jobs.push((Job { from: request, site, epoch, offered }, input));
        if !self.cloud.committing {
            self.cloud.committing = true;
            let life = self.cloud.life;
            let us = self.cloud.luck.between(200, 2_500);
            self.after(us, Happening::CloudCommit(life));
        }
        Ok(())
    }

    fn reject(&mut self, request: &Request) -> Result<(), Violation> {
        self.reply(request, Reply::Fault(Fault::Rejected));
        Ok(())
    }

    fn deny(&mut self, request: &Request, denial: Denial) {
        self.coverage.saw(match denial {
            Denial::UnknownTerminal => Transition::DeniedUnknown,
            Denial::Revoked => Transition::DeniedRevoked,
            Denial::Expired => Transition::DeniedExpired,
            Denial::WrongCredential => Transition::DeniedWrong,
        });
        self.reply(request, Reply::Fault(Fault::Denied(denial)));
    }

    /// One group commit: what has gathered since the last one.
    pub(super) fn cloud_commit(&mut self, life: u32) -> Result<(), Violation> {
        if self.cloud.life != life || !self.cloud.up {
            return Ok(());
        }
        let group = self.cloud.jobs.len().min(GROUP_MAX);
        let jobs: Vec<(Job, Input)> = self.cloud.jobs.drain(..group).collect();
        let sites: BTreeSet<Site> = jobs.iter().map(|(job, _)| job.site).collect();
        let (jobs, inputs): (Vec<Job>, Vec<Input>) = jobs.into_iter().unzip();
        let Some(outputs) = self.cloud_step(&inputs, &sites, true)? else { return Ok(()) };
        for (job, output) in jobs.into_iter().zip(outputs) {
            self.release(&job, output)?;
        }
        self.plan_roll_up(sites);
        self.cloud.committing = !self.cloud.jobs.is_empty();
        if self.cloud.committing {
            let us = self.cloud.luck.between(200, 2_500);
            self.after(us, Happening::CloudCommit(life));
        }
        Ok(())
    }

    /// Now and then, what the branches have moved is to be added to their stock. The plan is made
    /// now and carried out later, so that two of them can be about the same pushes.
    fn plan_roll_up(&mut self, sites: BTreeSet<Site>) {
        for site in sites {
            if !self.cloud.luck.happens(50_000) {
                continue;
            }
            let planned = at_once(rollup::plan(&self.cloud.store, site));
            if let Some(rolled) = answered(planned) {
                let us = self.cloud.luck.between(200, 2_000_000);
                self.after(us, Happening::RollUp(self.cloud.life, Box::new((site, rolled))));
            }
        }
    }

    pub(super) fn roll_up(
        &mut self,
        life: u32,
        (site, rolled): (Site, RollUp),
    ) -> Result<(), Violation> {
        if self.cloud.life == life && self.cloud.up {
            self.coverage.saw(Transition::CloudRollUp);
            self.cloud_step(&[Input::RollUp(rolled)], &BTreeSet::from([site]), true)?;
        }
        Ok(())
    }

    /// Runs a group on the cloud's machine; `None` if the cloud died of it.
    pub(super) fn cloud_step(
        &mut self,
        inputs: &[Input],
        sites: &BTreeSet<Site>,
        may_fail: bool,
    ) -> Result<Option<Vec<Output>>, Violation> {
        let at = self.now_ms();
        let now = Millis(START + at);
        let may_fail = may_fail && !self.healed;
        let cloud = &mut self.cloud;
        let wait_us = cloud.store.begin(self.now_us, self.healed);
        let crash = may_fail && cloud.luck.happens(self.plan.crash_ppm);
        let error = may_fail && !crash && cloud.luck.happens(self.plan.storage_error_ppm);
        let mut failure = None;
        if crash || error {
            let before = cloud.luck.happens(500_000);
            let planned = if before { Failure::Before } else { Failure::After };
            cloud.store.fail_next(planned, crash);
            failure = Some(planned);
        }
        let done = at_once(machine::run(&cloud.machine, &mut cloud.store, now, inputs));
        let settled = if done.is_err() { Some(self.settle_cloud(failure)?) } else { None };
        self.see_cloud();
        self.checker.cloud_committed(at, sites, &self.cloud.store.written)?;
        if let Ok(outputs) = done {
            if !self.cloud.store.written.is_empty() {
                self.cloud.busy_until_us = self.now_us + wait_us;
            }
            self.tell(Lane::Cloud, What::Commit, || committed(inputs));
            return Ok(Some(outputs));
        }
        self.cloud_failed((crash, error), settled);
        Ok(None)
    }

    pub(super) fn crash_cloud(&mut self, down_ms: u64) {
        self.cloud.up = false;
        self.cloud.store.go_down();
        self.see_cloud();
        self.cloud.jobs.clear();
        self.tell(Lane::Cloud, What::Crash, || format!("goes down for {down_ms} ms"));
        self.after(down_ms.max(1) * 1000, Happening::RestartCloud);
    }

    /// An answer is released: its commit is durable.
    fn release(&mut self, job: &Job, output: Output) -> Result<(), Violation> {
        let reply = match output {
            Output::Welcome(welcome) => {
                for lane in &welcome.lanes[..1] {
                    self.coverage.saw(match lane.standing {
                        Standing::InStep => Transition::HelloInStep,
                        Standing::TillAhead => Transition::HelloTillAhead,
                        Standing::CloudLostTail => Transition::HelloCloudLostTail,
                        Standing::TillLostTail => Transition::HelloTillLostTail,
                        Standing::Forked => Transition::HelloForked,
                    });
                }
                Reply::Welcome(welcome.encode())
            }
            Output::Pushed(answer) => {
                self.pushed(job, &answer)?;
                Reply::Pushed(job.epoch, answer.encode())
            }
            Output::Denied(denial) => {
                self.deny(&job.from, denial);
                return Ok(());
            }
            Output::Inbox(inbox::Output::Acked(answer)) => {
                self.coverage.saw(Transition::InboxAck);
                if !answer.known {
                    self.coverage.saw(Transition::InboxAckUnknown);
                }
                Reply::Acked(answer.encode())
            }
            Output::Moved
            | Output::Inbox(_)
            | Output::Enrolled
            | Output::OtherSite(_)
            | Output::Revoked
            | Output::NoSuchTerminal
            | Output::RolledUp(_)
            | Output::Edited { .. }
            | Output::SketchSecret(_)
            | Output::Leased(_)
            | Output::Compacted { .. }
            | Output::NameReserved
            | Output::UserAdded
            | Output::NoSuchUser
            | Output::Forbidden(_)
            | Output::Brought(_)
            | Output::HeadMoved
            | Output::Decided(_)
            | Output::NoSuchEvent
            | Output::Settled
            | Output::ThresholdsSet { .. }
            | Output::Defined => Reply::Fault(Fault::Server),
        };
        self.reply(&job.from, reply);
        Ok(())
    }

    /// A push was answered: what it says of each item is durably so.
    fn pushed(&mut self, job: &Job, answer: &PushAnswer) -> Result<(), Violation> {
        let at = self.now_ms();
        self.coverage.saw(Transition::Push);
        // Results stand in the order of the items, and stop where the cloud stopped.
        for (result, (seq, key, hash)) in answer.results.iter().zip(&job.offered) {
            assert_eq!(result.seq, *seq, "each item has its own result");
            let (seen, posted) = match result.verdict {
                Verdict::Created(_) => (Transition::ItemCreated, true),
                Verdict::Existing(_) => (Transition::ItemExisting, true),
                Verdict::Parked(_) => (Transition::ItemParked, false),
                Verdict::Refused(_) => (Transition::ItemRefused, false),
                Verdict::Edited(edited) => {
                    self.coverage.saw(Transition::of_edit(edited.outcome));
                    (Transition::ItemEdited, true)
                }
            };
            self.coverage.saw(seen);
            let Some(key) = *key else { continue };
            self.tell(Lane::Cloud, What::Note, || format!("entry {seq}, {key}: {}", seen.as_str()));
            if posted {
                let rows = self.cloud.store.memory.rows();
                self.checker.answered(at, key, *hash, rows)?;
            } else {
                self.checker.failed_item(key, *hash);
            }
        }
        match answer.stopped {
            Some(Stopped::Gap) => self.coverage.saw(Transition::StoppedGap),
            Some(Stopped::Forked) => self.coverage.saw(Transition::StoppedForked),
            Some(Stopped::UnknownEpoch) => {
                self.coverage.saw(Transition::StoppedUnknownEpoch);
            }
            None => {}
        }
        Ok(())
    }

    /// Enrols a till (again), with a new secret that the till learns.
    pub(super) fn enrol(
        &mut self,
        till: usize,
        expires_at: Option<Millis>,
    ) -> Result<(), Violation> {
        self.cloud.secrets += 1;
        let secret = secret_hash(&self.cloud.secrets.to_le_bytes());
        let terminal = self.tills[till].identity.terminal;
        let done = self.set_secret(till, secret, expires_at)?;
        if done {
            // Copies of a till have a copy of its credential.
            for host in self.tills.iter_mut().filter(|host| host.identity.terminal == terminal) {
                host.secret = secret;
            }
        } else {
            self.after(500_000, Happening::Reenrol(till));
        }
        Ok(())
    }

    /// Gives a terminal a secret without telling the till. Returns whether the cloud was there.
    pub(super) fn set_secret(
        &mut self,
        till: usize,
        secret: Hash,
        expires_at: Option<Millis>,
    ) -> Result<bool, Violation> {
        let identity = self.tills[till].identity;
        let site = Site { shop: identity.shop, branch: identity.branch };
        let terminal = identity.terminal;
        self.administer(Transition::CloudEnrol, Input::Enrol { terminal, site, secret, expires_at })
    }

    pub(super) fn revoke(&mut self, till: usize) -> Result<bool, Violation> {
        let terminal = self.tills[till].identity.terminal;
        self.administer(Transition::CloudRevoke, Input::Revoke { terminal })
    }

    /// Defines a quarter of the products.
    pub(super) fn define_products(&mut self, batch: u64) -> Result<(), Violation> {
        for number in (0..super::work::PRODUCTS).filter(|number| number % 4 == batch) {
            let product = super::work::product(number);
            let input = Input::DefineProduct { shop: shop(), product };
            if !self.administer(Transition::CloudProduct, input)? {
                self.after(500_000, Happening::DefineProducts(batch));
                return Ok(());
            }
        }
        Ok(())
    }

    pub(super) fn administer(
        &mut self,
        transition: Transition,
        input: Input,
    ) -> Result<bool, Violation> {
        if !self.cloud.up {
            return Ok(false);
        }
        self.coverage.saw(transition);
        let done = self.cloud_step(&[input], &BTreeSet::new(), false)?;
        Ok(done.is_some())
    }
}
