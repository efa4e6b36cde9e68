//! What others must have done so that the till could note what it noted: copies of its database,
//! tills beside it, the head office, whoever restores a cloud.

use counterfoil_protocol::cloud::Input as CloudInput;
use counterfoil_protocol::event::{Body, Tender, Trade};
use counterfoil_protocol::identity::{Epoch, EventKey, PosId, ProductId, TerminalId, Witness};
use counterfoil_protocol::money::Minor;
use counterfoil_protocol::problem::Denial;
use counterfoil_protocol::session::Fault;
use counterfoil_protocol::terminal::{Draft, Identity, Input, Output, pull};

use super::record::{goods, trade, unknown};
use super::{Route, Stage, TILL, short_name};
use crate::coverage::{Injected, Transition};
use crate::incident::Told;
use crate::incident::script::Name;
use crate::law::Violation;
use crate::model::log::lane;
use crate::model::till::TillHost;
use crate::model::{Kind, Reply, shop};
use crate::observed::{answered, at_once};
use crate::story::{Lane, What};

impl<'a> Stage<'a> {
    /// Sets a till up, with a database of its own, and enrols it.
    pub(super) fn install(&mut self, of: Identity, nonce: u64) -> Result<usize, Violation> {
        let world = &mut self.world;
        let (number, identity) = (world.tills.len(), Identity { shop: shop(), ..of });
        let device = world.checker.add_device(identity);
        let mut host = TillHost::new(world.plan.seed, number, device, identity);
        host.store = world.till_store(number, None);
        let witness = Witness { install: host.entropy.draw(), boot: host.entropy.draw() };
        host.witness = Some(witness);
        host.up = true;
        host.life = 1;
        host.coverage = world.coverage.beside();
        let known = world.tills.iter().find(|till| till.identity.terminal == identity.terminal);
        let secret = known.map(|till| till.secret);
        host.secret = secret.unwrap_or_default();
        world.tills.push(host);
        self.step(number, &Input::Install { identity, witness, nonce })?;
        if secret.is_none() {
            self.world.enrol(number, None)?;
        }
        Ok(number)
    }

    /// Puts a copy of the till's database aside.
    pub(super) fn put_aside(&mut self, epoch: Epoch) {
        let host = &self.world.tills[TILL];
        let owed = self.world.checker.backup_device(host.device);
        let backup = host.put_aside(owed);
        self.asides.insert(epoch, backup);
    }

    /// Another copy of the database goes on: it records an event, and the cloud hears of it first.
    pub(super) fn other_life(&mut self, epoch: Epoch) -> Result<(), Violation> {
        let Some(backup) = self.asides.remove(&epoch) else { return Ok(()) };
        self.world.coverage.injected(Injected::MachineCloned);
        let original = &self.world.tills[TILL];
        let (identity, secret, skew) = (original.identity, original.secret, original.skew_ms);
        let (number, device) =
            (self.world.tills.len(), self.world.checker.clone_device(&backup.owed));
        let mut copy = TillHost::new(self.world.plan.seed, number, device, identity);
        copy.secret = secret;
        copy.skew_ms = skew;
        copy.store = self.world.till_store(number, Some(backup.image));
        copy.coverage = self.world.coverage.beside();
        copy.witness = backup.witness;
        copy.up = true;
        copy.life = 1;
        self.world.tills.push(copy);
        self.world.tell(lane(number), What::Start, || {
            format!("another copy of the database goes on with {epoch}: in no note")
        });
        let local_id = short_name(&format!("another-{number}"));
        let pos = self.world.tills[TILL].registers[1];
        self.sells(number, (pos, local_id), trade(goods()))?;
        self.greet(number)?;
        self.post(number, u64::MAX)
    }

    /// Another database of this till has posted another event under this name (B.2).
    pub(super) fn namesake(&mut self, name: Name) -> Result<(), Violation> {
        let identity = self.world.tills[TILL].identity;
        let nonce = 1 + self.world.tills.len() as u64;
        let number = self.install(identity, nonce)?;
        self.world.tell(lane(number), What::Start, || {
            format!("another database of this till takes the name {}: in no note", name.1)
        });
        let mut trade = trade(goods());
        trade.lines[0].unit_price = Minor(7);
        let trade = Trade::paid(trade.currency, trade.lines, Tender::Cash);
        self.sells(number, name, trade)?;
        self.greet(number)?;
        self.post(number, u64::MAX)
    }

    fn sells(&mut self, till: usize, name: Name, trade: Trade) -> Result<(), Violation> {
        let at = self.world.wall(till);
        let (pos, local_id) = name;
        let draft = Draft { pos, local_id, at, reference: String::new(), body: Body::Sale(trade) };
        let output = self.step(till, &Input::Record(draft))?;
        if !matches!(output, Output::Recorded { .. }) {
            self.differ(format!("till {till} cannot record {local_id}: {output:?}"));
        }
        Ok(())
    }

    /// The cloud comes back from a backup.
    pub(super) fn restore_cloud(&mut self, number: usize) -> Result<(), Violation> {
        let Some((image, journals)) = self.clouds.remove(&number) else { return Ok(()) };
        self.world.coverage.injected(Injected::CloudRestored);
        self.world.tell(Lane::Cloud, What::Fault, || {
            "it is restored from a backup: in no note".to_owned()
        });
        self.world.checker.restore_cloud(&journals);
        self.world.cloud.store.restore(image);
        self.stale |= self.greeted;
        self.greeted = false;
        self.world.start_cloud()
    }

    /// What kept an event from being posted ends: its product is defined, its original comes.
    pub(super) fn release(&mut self, name: Name) -> Result<(), Violation> {
        let told = self.told_as(name);
        let (unknown, orphan) = (self.unknown.remove(&name), self.orphans.remove(&name));
        if let Some(key) = told.filter(|_| orphan).and_then(|told| self.original(told)) {
            self.post_elsewhere(key)?;
        }
        for product in told.filter(|_| unknown).map_or_else(Vec::new, products) {
            self.define(product)?;
        }
        Ok(())
    }

    pub(super) fn define(&mut self, product: ProductId) -> Result<(), Violation> {
        let input = CloudInput::DefineProduct { shop: shop(), product };
        self.world.administer(Transition::CloudProduct, input)?;
        Ok(())
    }

    /// Defines what is sold in events that were posted at once.
    pub(super) fn define_known(&mut self) -> Result<(), Violation> {
        self.define(goods())?;
        let known = self.incident.entries.values().filter(|told| {
            told.content.is_some() && !self.unknown.contains(&(told.pos, told.local_id))
        });
        let mut products: Vec<ProductId> = known.flat_map(products).collect();
        products.sort_unstable();
        products.dedup();
        products.into_iter().try_for_each(|product| self.define(product))
    }

    fn told_as(&self, (pos, local_id): Name) -> Option<&'a Told> {
        let mut told = self.incident.entries.values();
        told.find(|told| (told.pos, told.local_id) == (pos, local_id))
    }

    /// Returns the sale that a refund takes back. One of this till that is not in the bundle is
    /// left out, as nobody could post it.
    pub(super) fn original(&self, told: &Told) -> Option<EventKey> {
        let content = told.content.as_ref().and_then(|event| event.original());
        let own = self.incident.identity.terminal;
        match told.original.or(content) {
            Some(key) if key.terminal == own => self.told_as((key.pos, key.local_id)).map(|_| key),
            Some(key) => Some(key),
            None if self.ever_orphans.contains(&(told.pos, told.local_id)) => Some(EventKey {
                terminal: TerminalId::parse("elsewhere").expect("a short name"),
                pos: PosId::parse("pos-1").expect("a short name"),
                local_id: told.local_id,
            }),
            None => None,
        }
    }

    /// A refund that was not kept waiting names a sale that was there.
    pub(super) fn post_original(&mut self, told: &Told) -> Result<(), Violation> {
        let own = self.incident.identity.terminal;
        let waits = self.orphans.contains(&(told.pos, told.local_id));
        match self.original(told).filter(|key| key.terminal != own && !waits) {
            Some(key) => self.post_elsewhere(key),
            None => Ok(()),
        }
    }

    /// Another till of the shop has made a sale, and the cloud has it.
    fn post_elsewhere(&mut self, key: EventKey) -> Result<(), Violation> {
        let mut tills = self.world.tills.iter();
        let known = tills.position(|till| till.identity.terminal == key.terminal);
        let number = match known {
            Some(number) => number,
            None => {
                let own = self.world.tills[TILL].identity;
                self.install(Identity { terminal: key.terminal, ..own }, 1)?
            }
        };
        self.world.tell(lane(number), What::Note, || {
            format!("a till beside it has sold {}: in no note", key.local_id)
        });
        self.sells(number, (key.pos, key.local_id), trade(goods()))?;
        self.greet(number)?;
        self.post(number, u64::MAX)
    }

    /// At last the cloud listens no more, if it is told so.
    pub(super) fn turned_away(&mut self) -> Result<(), Violation> {
        let Some(denial) = self.incident.quarantined else { return Ok(()) };
        if denial == Denial::Revoked {
            self.world.revoke(TILL)?;
            let meta = self.meta(TILL);
            let wall = self.world.wall(TILL);
            let hello = at_once(pull::hello(&self.world.tills[TILL].store, &meta, wall, "sim"));
            let hello = answered(hello).encode();
            let reply = self.ask(TILL, Kind::Hello, hello, Route::Heard)?;
            let denied = matches!(reply, Some(Reply::Fault(Fault::Denied(said))) if said == denial);
            self.noted(denied, || format!("the till is turned away: {denial:?}, and is not"));
        }
        self.step(TILL, &Input::Denied(denial))?;
        self.tell(|| format!("told: the cloud does not listen, {denial:?}"));
        Ok(())
    }
}

/// Returns what is sold in an event.
fn products(told: &Told) -> Vec<ProductId> {
    match &told.content {
        Some(event) => event.movements().map(|movement| movement.product).collect(),
        None => vec![unknown(told.local_id)],
    }
}
