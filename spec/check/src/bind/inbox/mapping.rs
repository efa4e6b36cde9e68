//! From the running code to the variables of `spec/Inbox.tla`: the refinement mapping.
//!
//! | variable | is |
//! |---|---|
//! | `feed`, `acked`, `feedBackup` | the rows of the cloud's disk, of its backup |
//! | `till`, `tillBackup` | the rows of a till's database, of its backup: [`Mapping::till`] |
//! | `talk`, `stray` | a question's place; the bytes of answers and acknowledgements |
//! | `budget` | the faults that the run has not used up |
//! | `placed` | which orders the cloud's rows have ever held |
//! | `had` | what the rows of a till's disks have ever noted as applied |
//!
//! No variable is left out. A place is a number and a chain hash, which is looked up: it stands for
//! the events that led to it. An event is its order; that it has the same id each time is checked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use counterfoil_protocol::cloud::inbox::{InboxKey, InboxRecord};
use counterfoil_protocol::cloud::{self, Cloud, Site};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::inbox::{EventId, InboxEvent};
use counterfoil_protocol::terminal::inbox::InboxState;
use counterfoil_protocol::terminal::{self, Key, Terminal};
use counterfoil_protocol::wire::inbox::{Ack, Cursor, PendingAnswer, PendingPage, ReferenceV1};
use counterfoil_storage::memory::Image;
use tla_checker::ast::Value;

use crate::bind::bound::{Mapped, Unmapped, Variables, unmapped};
use crate::bind::journal::rows::{number, row};
use crate::bind::journal::world::{product, site, till};
use crate::bind::value::{int, record, sequence, set, text};

use super::constants::Constants;
use super::world::{Talk, UNIT, World, other_site};

/// What was learned of names that the specification keeps as orders, and of what no node knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    constants: Constants,
    /// The id of each order's event.
    ids: BTreeMap<u64, EventId>,
    /// The orders that led to each chain hash.
    places: HashMap<Hash, Vec<u64>>,
    placed: BTreeSet<u64>,
    had: BTreeMap<usize, BTreeSet<u64>>,
}

/// Returns the orders in both feeds, as their rows name them.
pub(super) fn feed_of(image: &Image<Cloud>) -> Vec<u64> {
    let events = [site(), other_site()].into_iter().flat_map(|site| stored(image, site));
    events.filter_map(|(_, event)| order_of(&event)).collect()
}

/// Returns a branch's events with the chain hash at each, in their order.
fn stored(image: &Image<Cloud>, site: Site) -> Vec<(Hash, InboxEvent)> {
    let rows = (1..).map_while(|seq| {
        let key = cloud::Key::Inbox(InboxKey::Event(site.shop, site.branch, seq));
        match image.rows().get(&key).map(|record| &**record) {
            Some(cloud::Record::Inbox(InboxRecord::Event(stored))) => Some(stored),
            _ => None,
        }
    });
    let read =
        rows.map_while(|row| Some((row.chain, InboxEvent::from_canonical(&row.content).ok()?)));
    read.collect()
}

/// A line of an order is what it takes; a sale is its name.
fn order_of(event: &InboxEvent) -> Option<u64> {
    named(ReferenceV1::of(event.reference), event.product)
}

fn named(reference: ReferenceV1, taken: ProductId) -> Option<u64> {
    match reference {
        ReferenceV1::Order { .. } => number(taken.as_str().strip_prefix('p')?),
        ReferenceV1::Sale { local_event_id, .. } => number(local_event_id.as_str()),
    }
}

fn orders(orders: &[u64]) -> Value {
    sequence(orders.iter().map(|order| int(*order)))
}

impl Mapping {
    pub(super) fn new(constants: Constants) -> Self {
        Self { constants, ..Self::default() }
    }

    /// Returns what the whole world is in the specification. Called after each step, as it learns.
    pub(super) fn state(&mut self, world: &World) -> Result<Variables, Unmapped> {
        self.learn(world)?;
        let feeds = self.feeds(&world.nodes.cloud)?;
        self.placed.extend(feeds.iter().flatten());
        let [feed, acked] = self.cloud(&world.nodes.cloud)?;
        let archive = world.nodes.archive.as_ref().map(|image| self.cloud(image)).transpose()?;
        let archive = archive.map(|[feed, acked]| record([("feed", feed), ("acked", acked)]));
        let (mut tills, mut backups, mut talk) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=self.constants.tills {
            let Some(machine) = &world.nodes.machines[number - 1] else {
                return unmapped("a till that is not there");
            };
            let applied = applied(self, &machine.image)?;
            self.had.entry(number).or_default().extend(applied);
            tills.push(self.till(number, &machine.image)?);
            let backup = world.nodes.backups[number - 1].as_ref();
            let backup = backup.map(|kept| self.till(number, &kept.image)).transpose()?;
            backups.push(sequence(backup));
            talk.push(self.talk(number, &world.talk[number - 1])?);
        }
        let strays = world.stray.iter().map(|(of, talk)| self.talk(*of, talk));
        let orders = |all: &BTreeSet<u64>| set(all.iter().map(|order| int(*order)));
        Ok(Variables::from([
            ("feed", feed),
            ("acked", acked),
            ("feedBackup", sequence(archive)),
            ("till", sequence(tills)),
            ("tillBackup", sequence(backups)),
            ("talk", sequence(talk)),
            ("stray", set(strays.collect::<Result<Vec<_>, _>>()?)),
            ("budget", world.left.value()),
            ("placed", orders(&self.placed)),
            ("had", sequence(self.had.values().map(orders))),
        ]))
    }

    /// Notes the id of each event, and which events led to each chain hash of the tills' branch.
    fn learn(&mut self, world: &World) -> Result<(), Unmapped> {
        for site in [site(), other_site()] {
            let mut before = Vec::new();
            for (chain, event) in stored(&world.nodes.cloud, site) {
                let Some(order) = order_of(&event) else { return unmapped("an event of nothing") };
                if *self.ids.entry(order).or_insert(event.id) != event.id {
                    return unmapped(format!("another event for order {order}"));
                }
                let taken = event.product == product(order) && event.delta.0 == -UNIT;
                if !taken || event.created_at != world.created(order) {
                    return unmapped(format!("an event that is not what order {order} says"));
                }
                before.push(order);
                if *self.places.entry(chain).or_insert_with(|| before.clone()) != before {
                    return unmapped("a chain hash of two histories");
                }
            }
        }
        Ok(())
    }

    fn event(&self, event: &InboxEvent) -> Result<u64, Unmapped> {
        match order_of(event) {
            Some(order) if self.ids.get(&order) == Some(&event.id) => Ok(order),
            _ => unmapped(format!("the event {:?}", event.reference)),
        }
    }

    /// A place is the events up to it.
    fn place(&self, place: Cursor) -> Result<&[u64], Unmapped> {
        if place.seq == 0 {
            return Ok(&[]);
        }
        match self.places.get(&place.chain) {
            Some(events) if events.len() as u64 == place.seq => Ok(events),
            _ => unmapped(format!("the place {}, which no inbox has had", place.seq)),
        }
    }

    /// The feeds of both branches, which end where their heads say.
    fn feeds(&self, image: &Image<Cloud>) -> Result<[Vec<u64>; 2], Unmapped> {
        let feed = |site: Site| {
            let events = stored(image, site);
            let key = cloud::Key::Inbox(InboxKey::Head(site.shop, site.branch));
            let head = match image.rows().get(&key).map(|record| &**record) {
                Some(cloud::Record::Inbox(InboxRecord::Head(head))) => (head.seq, head.chain),
                _ => (0, Hash::default()),
            };
            let last = events.last().map_or_else(Hash::default, |(chain, _)| *chain);
            if head != (events.len() as u64, last) {
                return unmapped("a feed that does not end where its head says");
            }
            events.iter().map(|(_, event)| self.event(event)).collect::<Result<Vec<_>, _>>()
        };
        Ok([feed(site())?, feed(other_site())?])
    }

    /// The feeds, and how far each till has acknowledged.
    fn cloud(&self, image: &Image<Cloud>) -> Result<[Value; 2], Unmapped> {
        let feeds = self.feeds(image)?;
        let acked = (1..=self.constants.tills).map(|number| {
            let key = InboxKey::Ack(site().shop, site().branch, till(number));
            match image.rows().get(&cloud::Key::Inbox(key)).map(|record| &**record) {
                Some(cloud::Record::Inbox(InboxRecord::Ack(acked))) => int(acked.through),
                _ => int(0),
            }
        });
        Ok([sequence(feeds.iter().map(|feed| orders(feed))), sequence(acked)])
    }

    /// The inbox on a till's disk: its place, what is applied, the movements commit by commit, and
    /// what those that came through the inbox add up to.
    fn till(&self, number: usize, image: &Image<Terminal>) -> Mapped {
        let state = state(image);
        let place = self.place(state.cursor)?;
        let applied = applied(self, image)?;
        let mut pages: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
        for (order, at) in moved(image, state)? {
            pages.entry(at).or_default().push(int(order));
        }
        Ok(record([
            ("place", orders(place)),
            ("applied", set(applied.into_iter().map(int))),
            ("pages", sequence(pages.into_values().map(sequence))),
            ("stock", int(self.stock(number, image)?)),
        ]))
    }

    /// What a till has sold itself is no matter of its inbox.
    fn stock(&self, number: usize, image: &Image<Terminal>) -> Result<i64, Unmapped> {
        let mut sum = 0;
        for order in 1..=self.constants.orders {
            let own = number == 1 && self.constants.relayed.contains(&order);
            if let Some(terminal::Record::Stock(stock)) = row(image, &Key::Stock(product(order)))
                && !own
            {
                if stock.quantity.0 % UNIT != 0 {
                    return unmapped(format!("a part of {}", product(order)));
                }
                sum += stock.quantity.0 / UNIT;
            }
        }
        Ok(sum)
    }

    fn talk(&self, number: usize, talk: &Talk) -> Mapped {
        Ok(match talk {
            Talk::Rest => record([("kind", text("rest"))]),
            Talk::Ask(after) => {
                record([("kind", text("ask")), ("after", orders(self.place(*after)?))])
            }
            Talk::Told(frame) => match PendingAnswer::decode(frame) {
                Ok(PendingAnswer::Page(page)) => self.page(number, &page)?,
                Ok(PendingAnswer::Restart) => {
                    record([("kind", text("restart")), ("to", int(number))])
                }
                Err(error) => return unmapped(format!("a broken frame: {error}")),
            },
            Talk::Ack(frame) => {
                let Ok(ack) = Ack::decode(frame) else { return unmapped("a broken frame") };
                record([
                    ("kind", text("ack")),
                    ("from", int(number)),
                    ("place", orders(self.place(ack.through)?)),
                ])
            }
        })
    }

    /// A page, with its events in the order in which a till applies them.
    fn page(&self, number: usize, page: &PendingPage) -> Mapped {
        let mut events = Vec::new();
        for pending in &page.events {
            let Ok(event) = InboxEvent::from_canonical(&pending.content) else {
                return unmapped("an event that cannot be read");
            };
            if self.place(pending.at)?.last() != Some(&self.event(&event)?) {
                return unmapped("an event that stands elsewhere");
            }
            events.push(event);
        }
        events.sort_by_key(InboxEvent::order);
        let events: Result<Vec<u64>, _> = events.iter().map(|event| self.event(event)).collect();
        Ok(record([
            ("kind", text("page")),
            ("to", int(number)),
            ("after", orders(self.place(page.after)?)),
            ("reaches", orders(self.place(page.to)?)),
            ("events", orders(&events?)),
        ]))
    }
}

fn state(image: &Image<Terminal>) -> InboxState {
    match row(image, &Key::Inbox) {
        Some(terminal::Record::Inbox(state)) => *state,
        _ => InboxState::default(),
    }
}

/// Returns the orders of a till's movements, with when each was taken in.
fn moved(image: &Image<Terminal>, state: InboxState) -> Result<Vec<(u64, u64)>, Unmapped> {
    let mut moved = Vec::new();
    for at in 1..=state.movements {
        let Some(terminal::Record::Movement(movement)) = row(image, &Key::Movement(at)) else {
            return unmapped(format!("a till that lacks movement {at}"));
        };
        match named(movement.reference, movement.product) {
            Some(order) if goods(order, movement.product) && movement.delta.0 == -UNIT => {
                moved.push((order, movement.applied_at.0));
            }
            _ => return unmapped(format!("the movement {movement:?}")),
        }
    }
    Ok(moved)
}

fn goods(order: u64, moved: ProductId) -> bool {
    product(order) == moved
}

/// Returns the orders that a till has noted as applied, each with the movement that it made.
fn applied(mapping: &Mapping, image: &Image<Terminal>) -> Result<BTreeSet<u64>, Unmapped> {
    let mut applied = BTreeSet::new();
    for (key, record) in image.rows().iter() {
        let (Key::Applied(id), terminal::Record::Applied(number)) = (key, &**record) else {
            continue;
        };
        let order = mapping.ids.iter().find(|(_, known)| *known == id).map(|(order, _)| *order);
        let made = match row(image, &Key::Movement(*number)) {
            Some(terminal::Record::Movement(movement)) => movement.event == *id,
            _ => false,
        };
        match order {
            Some(order) if made => applied.insert(order),
            _ => return unmapped("a note of an event that moved nothing"),
        };
    }
    Ok(applied)
}
