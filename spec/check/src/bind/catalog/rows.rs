//! How the mapping and the world read rows of a catalog.

use std::collections::BTreeSet;

use counterfoil_protocol::cloud::compaction::Floor;
use counterfoil_protocol::cloud::row::{Fate, Feed};
use counterfoil_protocol::cloud::{self, Cloud};
use counterfoil_protocol::terminal::edits::LocalEdits;
use counterfoil_protocol::terminal::row::CatalogState;
use counterfoil_protocol::terminal::{self, Terminal};
use counterfoil_storage::memory::Image;

use crate::bind::bound::Unmapped;
use crate::bind::journal::rows::{number, row};
use crate::bind::journal::world::site;

use super::constants::Constants;
use super::items::{id_of, value_in};

pub(super) fn cloud_item<'a>(
    image: &'a Image<Cloud>,
    key: &cloud::Key,
) -> Option<&'a cloud::Record> {
    image.rows().get(key).map(|record| &**record)
}

pub(in crate::bind) fn feed_of(image: &Image<Cloud>) -> Feed {
    match cloud_item(image, &cloud::Key::Feed(site().shop)) {
        Some(cloud::Record::Feed(feed)) => *feed,
        _ => Feed::default(),
    }
}

pub(in crate::bind) fn floor_of(image: &Image<Cloud>) -> Floor {
    match cloud_item(image, &cloud::Key::Floor(site().shop)) {
        Some(cloud::Record::Floor(floor)) => *floor,
        _ => Floor::default(),
    }
}

/// Returns an item's content (0 if it was deleted) and version; 0 and 0 if there is no row.
pub(in crate::bind) fn item_in(
    constants: &Constants,
    image: &Image<Cloud>,
    item: u64,
) -> Result<(u64, u64), Unmapped> {
    let key = cloud::Key::Item(site().shop, None, id_of(item));
    let Some(cloud::Record::Item(held)) = cloud_item(image, &key) else { return Ok((0, 0)) };
    let content = held.content.as_ref().map(|content| value_in(constants, item, content));
    Ok((content.transpose()?.unwrap_or(0), held.version))
}

/// Returns the edits that the cloud has decided.
pub(in crate::bind) fn decided(image: &Image<Cloud>) -> BTreeSet<u64> {
    let rows = image.rows().iter();
    let posted = rows.filter_map(|(key, record)| match (key, &**record) {
        (cloud::Key::Ledger(key), cloud::Record::Ledger(row)) if row.fate == Fate::Posted => {
            number(key.local_id.as_str())
        }
        _ => None,
    });
    posted.collect()
}

pub(in crate::bind) fn state_of(image: &Image<Terminal>) -> CatalogState {
    match row(image, &terminal::Key::Catalog) {
        Some(terminal::Record::Catalog(state)) => *state,
        _ => CatalogState::default(),
    }
}

pub(in crate::bind) fn local_edits(image: &Image<Terminal>) -> LocalEdits {
    match row(image, &terminal::Key::LocalEdits) {
        Some(terminal::Record::LocalEdits(edits)) => edits.clone(),
        _ => LocalEdits::default(),
    }
}

/// Returns an item's content and version on a till, if it is there.
pub(in crate::bind) fn till_item(
    constants: &Constants,
    image: &Image<Terminal>,
    item: u64,
) -> Result<Option<(u64, u64)>, Unmapped> {
    let Some(terminal::Record::Item(held)) = row(image, &terminal::Key::Item(id_of(item))) else {
        return Ok(None);
    };
    Ok(Some((value_in(constants, item, &held.content)?, held.version)))
}
