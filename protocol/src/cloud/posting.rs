//! Gives events their effects that no till's push brings now: movements, and the relay of them.
//!
//! > **`StockIsSum`**: stock is the sum of movements, always.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::inbox::{InboxKey, feed};
use super::row::{Moved, Stock};
use super::{Cloud, Key, Record, Site};
use crate::catalog::EntityId;
use crate::event::Event;
use crate::hash::Hash;
use crate::identity::{EventKey, ProductId, ShopId, TerminalId};
use crate::inbox::{InboxEvent, Reference, relayed_event_id};
use crate::machine::{ReadSet, Rows};
use crate::time::Millis;
use crate::wire::message::ServerId;

/// What the events of one step move at one branch.
pub(super) struct Posting {
    site: Site,
    /// Named by the first event, as what a push moves is: an event is posted once.
    first: Option<ServerId>,
    moved: BTreeMap<ProductId, Stock>,
    /// What the tills of the branch are to hear of it; none if they hear nothing.
    relayed: Option<Vec<InboxEvent>>,
}

/// Names the rows that any posting reads.
pub(super) fn reads(site: Site, keys: &mut ReadSet<Key>) {
    assert!(!site.shop.as_str().is_empty(), "a site has names");
    keys.insert(InboxKey::Relay(site.shop, site.branch).into());
    keys.insert(InboxKey::Head(site.shop, site.branch).into());
}

/// Names the rows that say whether a product can be sold.
pub(super) fn reads_product(shop: ShopId, product: ProductId, keys: &mut ReadSet<Key>) {
    assert!(!product.as_str().is_empty(), "a product has a name");
    keys.insert(Key::Product(shop, product));
    keys.insert(listed(shop, product));
}

const fn listed(shop: ShopId, product: ProductId) -> Key {
    Key::Item(shop, None, EntityId::product(product))
}

/// Returns the first product of an event that was never defined, and is not in the catalog.
pub(super) fn unknown(rows: &Rows<'_, Cloud>, shop: ShopId, event: &Event) -> Option<ProductId> {
    assert!(event.body().moves_goods(), "only goods can be unknown");
    let moved = event.movements().count();
    assert!(moved > 0, "what moves goods has movements");
    let mut products = event.movements().map(|movement| movement.product);
    products.find(|product| {
        let known = rows.get(&Key::Product(shop, *product)).is_some()
            || rows
                .item(shop, None, EntityId::product(*product))
                .is_some_and(|item| item.content.is_some());
        !known
    })
}

impl Posting {
    pub(super) fn begin(rows: &Rows<'_, Cloud>, site: Site) -> Self {
        let relayed = rows.relays(site).then(Vec::new);
        assert!(relayed.as_ref().is_none_or(Vec::is_empty), "nothing is relayed yet");
        assert!(!site.branch.as_str().is_empty(), "goods are somewhere");
        Self { site, first: None, moved: BTreeMap::new(), relayed }
    }

    /// Adds an event that is posted by this step, and was not before.
    pub(super) fn add(&mut self, key: EventKey, payload: Hash, event: &Event, name: ServerId) {
        assert!(event.body().moves_goods() || event.edit().is_none(), "an edit moves nothing");
        self.first.get_or_insert(name);
        assert!(self.first.is_some(), "what is posted has a name");
        for (number, movement) in (0..).zip(event.movements()) {
            if let Some(relayed) = &mut self.relayed {
                relayed.push(InboxEvent {
                    id: relayed_event_id(self.site.shop, &key, payload, number),
                    created_at: event.at(),
                    product: movement.product,
                    delta: movement.delta,
                    reference: Reference::Sale(key),
                });
            }
            let sum = self.moved.entry(movement.product).or_default();
            *sum = sum.plus(Stock { quantity: movement.delta, movements: 1 });
            assert!(movement.delta.0 != 0, "a movement moves something");
            assert!(sum.movements > 0, "what moves is counted");
        }
    }

    /// Writes the movements, and lets the tills of the branch hear of them but `from`.
    pub(super) fn end(self, rows: &mut Rows<'_, Cloud>, now: Millis, from: Option<TerminalId>) {
        let Site { shop, branch } = self.site;
        assert!(self.first.is_some() || self.moved.is_empty(), "what moves something was posted");
        if let Some(first) = self.first.filter(|_| !self.moved.is_empty()) {
            let moved = self.moved.into_iter().map(|(product, by)| Moved { product, by });
            let moved: Vec<Moved> = moved.collect();
            assert!(moved.is_sorted_by(|a, b| a.product < b.product), "each product once");
            assert!(moved.iter().all(|moved| moved.by.movements > 0), "each has moved");
            rows.append(Key::Movements(shop, branch, first), Record::Movements(moved));
        }
        if let Some(events) = self.relayed.filter(|events| !events.is_empty()) {
            assert!(self.first.is_some(), "only what is posted is relayed");
            assert!(events.iter().all(|event| event.delta.0 != 0), "each event moves something");
            feed::append(rows, now, self.site, from, &events);
        }
    }
}
