//! Doors for fuzz targets: the readers of bodies, which nothing else can call from outside.

use bytes::Bytes;
use counterfoil_protocol::catalog::Entity;
use counterfoil_protocol::cloud::Site;
use counterfoil_protocol::cloud::direct::Direct;
use counterfoil_protocol::cloud::users::UserCaller;
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{BranchId, ShopId, UserId};
use counterfoil_protocol::money::Currency;
use counterfoil_protocol::wire::message::Push;

use super::users::Known;
use super::{body, import, json, pos_sync, upstream};

/// Returns the events that a body of `POST /api/pos/sync` or `POST /api/v1/sync/upstream` brings.
#[must_use]
pub fn contracts(bytes: &[u8]) -> Vec<Direct> {
    let Some(known) = known() else { return Vec::new() };
    let sales = pos_sync::read(bytes, &known).unwrap_or_default();
    let sales = sales.into_iter().filter_map(|(_, sale)| sale.ok());
    sales.chain(upstream::events(bytes, &known).unwrap_or_default()).collect()
}

/// Returns the push that a body in JSON is; its bounds are not checked.
#[must_use]
pub fn push(bytes: &[u8]) -> Option<Push> {
    json::read(bytes).ok()
}

/// Returns the products of a file.
#[must_use]
pub fn products(bytes: &[u8]) -> Option<Vec<Entity>> {
    let (edits, _) = import::read(bytes).ok()?;
    Some(edits.into_iter().filter_map(|edit| edit.entity).collect())
}

/// Returns what a compressed body holds, if that is at most `most` bytes.
#[must_use]
pub fn unpacked(wire: &[u8], most: usize) -> Option<Bytes> {
    body::decompress(wire, most).ok()
}

fn known() -> Option<Known> {
    let shop = ShopId::parse("shop").ok()?;
    let branch = BranchId::parse("north").ok()?;
    let (user, secret) = (UserId::parse("anna").ok()?, Hash::default());
    let caller = UserCaller { user, secret, site: Site { shop, branch } };
    Some(Known { caller, currency: Currency::GBP })
}
