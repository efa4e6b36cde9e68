//! Messages between till and cloud, as frames and in JSON.

use std::fmt::Debug;

use counterfoil_protocol::cloud::{Offer, Site};
use counterfoil_protocol::codec::MESSAGE_BYTES_MAX;
use counterfoil_protocol::event::EVENT_BYTES_MAX;
use counterfoil_protocol::identity::{ShopId, TerminalId};
use counterfoil_protocol::wire::catalog::{DeltaAnswer, SnapshotPage};
use counterfoil_protocol::wire::inbox::{Ack, AckAnswer, PendingAnswer};
use counterfoil_protocol::wire::message::{
    HELLO_LANES_MAX, Hello, PUSH_BYTES_MAX, PUSH_ITEMS_MAX, Push, PushAnswer, Welcome,
};
use counterfoil_protocol::wire::reconcile::{
    EntitiesAnswer, EntitiesAsk, ReconcileAnswer, ReconcileAsk,
};
use counterfoil_protocol::wire::session::SessionReport;

use crate::again;
use crate::memory::bounded;

/// A decoder of messages takes at most what a message has, counted at the full width of its
/// numbers; some of it is held twice while it is compared.
pub(crate) const MEMORY_MAX: usize = 8 * MESSAGE_BYTES_MAX;

/// Reads frames.
///
/// # Panics
/// If a law does not hold.
pub fn frames(bytes: &[u8]) {
    bounded(MEMORY_MAX, || {
        if let Some(hello) = again::frame(bytes, Hello::decode, Hello::encode) {
            assert!(hello.lanes.len() <= HELLO_LANES_MAX, "a greeting is bounded");
        }
        if let Some(push) = again::frame(bytes, Push::decode, Push::encode) {
            of_push(push);
        }
        again::frame(bytes, Welcome::decode, Welcome::encode);
        again::frame(bytes, PushAnswer::decode, PushAnswer::encode);
    });
}

fn of_push(push: Push) {
    let items = push.items.len();
    assert!((1..=PUSH_ITEMS_MAX).contains(&items), "a push is bounded");
    let payloads = push.items.iter().map(|item| item.payload.len());
    assert!(payloads.clone().all(|bytes| bytes <= EVENT_BYTES_MAX), "so is each of its items");
    assert!(payloads.sum::<usize>() <= PUSH_BYTES_MAX, "and all of them");
    let shop = ShopId::parse("shop").expect("a name");
    assert_eq!(Offer::read(push, shop).len(), items, "each item is looked at");
}

/// Reads every message in JSON.
///
/// # Panics
/// If a law does not hold.
pub fn json(bytes: &[u8]) {
    bounded(MEMORY_MAX, || {
        both(bytes, Hello::check, Hello::encode, Hello::decode);
        both(bytes, Push::check, Push::encode, Push::decode);
        both(bytes, Ok, Welcome::encode, Welcome::decode);
        both(bytes, Ok, PushAnswer::encode, PushAnswer::decode);
        both(bytes, SnapshotPage::check, SnapshotPage::encode, SnapshotPage::decode);
        both(bytes, Ok, Ack::encode, Ack::decode);
        both(bytes, Ok, AckAnswer::encode, AckAnswer::decode);
        both(bytes, ReconcileAsk::check, ReconcileAsk::encode, ReconcileAsk::decode);
        both(bytes, EntitiesAsk::check, EntitiesAsk::encode, EntitiesAsk::decode);
        both(bytes, SessionReport::check, SessionReport::encode, SessionReport::decode);
        // Their bounds are looked at where frames are read.
        again::json::<DeltaAnswer>(bytes);
        again::json::<PendingAnswer>(bytes);
        again::json::<ReconcileAnswer>(bytes);
        again::json::<EntitiesAnswer>(bytes);
        again::json::<Site>(bytes);
        again::json::<TerminalId>(bytes);
    });
}

/// What is taken in JSON is taken as a frame, and is the same there.
fn both<T, E: PartialEq + Debug>(
    bytes: &[u8],
    check: impl Fn(T) -> Result<T, E>,
    encode: impl Fn(&T) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> Result<T, E>,
) where
    T: Clone + serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug,
{
    if let Some(value) = again::json::<T>(bytes)
        && let Ok(value) = check(value)
    {
        assert_eq!(decode(&encode(&value)), Ok(value), "both forms mean the same");
    }
}
