//! What a person decides of an entry that cannot be posted as it is: correct it, let the other one
//! count, or set it aside.
//!
//! > A sale and its corrections count once, all together, on both sides.
//!
//! | what a person does | the entry | the other one |
//! |---|---|---|
//! | corrects a sale | is replaced: it leaves the queue, and is kept | is recorded, and waits |
//! | gives way, as the cloud says which one counts | is replaced | waits again, to hear so |
//! | sets it aside | needs attention: it is not sent until it is tried again | |
//!
//! Each is one commit, with the stock and the sums of the register's open session. A replaced entry
//! is offered no more, but where the cloud lost it and the journal is to be whole; whatever is
//! answered then changes nothing. Should the cloud post it after all, the correction is refused,
//! and a person lets the original count.
//!
//! Only what was answered with a failure is corrected: what was never offered may be posted any
//! moment. Only an entry that was offered can be set aside: a journal has no gaps, so what was
//! never offered would hold up all that follows.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::adopt::carry;
use super::record::{enter_event, event_of, move_stock, next_number, recognise};
use super::row::{Attention, Entry, Meta, Place, Queued, State, Stock};
use super::{Draft, Input, Key, Output, Record, Terminal, register, settle};
use crate::event::{
    Body, CORRECTED_MAX, Corrected, Correction, Event, EventError, LINES_MAX, Receipt, Trade,
};
use crate::identity::{Epoch, LocalEventId, PosId, ProductId};
use crate::machine::{Query, ReadSet, Rows};
use crate::money::Milli;
use crate::problem::ErrorCode;
use crate::time::Millis;

/// What is noted of an entry that another counts in the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// What counts, by its name on the register.
    pub by: LocalEventId,
    /// Why a person had to look at it.
    pub code: ErrorCode,
    /// Since when.
    pub since: Millis,
}

/// How many entries are looked through for a correction, a page at a time.
const LOOKED_MAX: usize = 20_000;
/// How many entries are read at once.
const PAGE: usize = 256;

const _: () = assert!(PAGE > 0 && LOOKED_MAX > PAGE, "a search gets on");

/// A sale to record in place of another; [`plan`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correct {
    /// The entry whose place it takes, on the same register.
    original: LocalEventId,
    /// Where that stands.
    place: Place,
    /// What that moved.
    products: Vec<ProductId>,
    /// What to record: a sale.
    draft: Draft,
}

/// Two entries, of which the second is to count; [`yielding`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GiveWay {
    pos: PosId,
    from: (LocalEventId, Place),
    to: (LocalEventId, Place),
    /// What both moved.
    products: Vec<ProductId>,
}

impl Correct {
    /// Returns where the entry stands whose place is taken, and what takes it.
    #[must_use]
    pub const fn replaces(&self) -> (Place, LocalEventId) {
        (self.place, self.draft.local_id)
    }
}

impl GiveWay {
    /// Returns where the entry stands that gives way, and to what.
    #[must_use]
    pub const fn replaces(&self) -> (Place, LocalEventId) {
        (self.from.1, self.to.0)
    }
}

/// Returns the input that records `draft`, a sale, in place of the entry `original` of its
/// register; none if there is no sale of that name.
///
/// # Errors
/// The store's.
pub async fn plan<Q: Query<Terminal>>(
    store: &Q,
    original: LocalEventId,
    draft: Draft,
) -> Result<Option<Input>, Q::Error> {
    let Some((place, _, event)) = named(store, draft.pos, original).await? else {
        return Ok(None);
    };
    let products = products(&event);
    assert!(event.local_id() == original, "an entry is found by its name");
    Ok(sold(&event).map(|_| {
        let correct = Correct { original, place, products, draft };
        Input::Correct(Box::new(correct))
    }))
}

/// Returns the input that lets the other one count, of an entry that needs attention because the
/// cloud says that it does: what a correction takes the place of, or what has taken its place.
///
/// # Errors
/// The store's.
pub async fn yielding<Q: Query<Terminal>>(
    store: &Q,
    pos: PosId,
    local_id: LocalEventId,
) -> Result<Option<Input>, Q::Error> {
    let Some((place, entry, event)) = named(store, pos, local_id).await? else { return Ok(None) };
    let Some(Record::Attention(why)) = store.get(&Key::Attention(place.epoch, place.seq)).await?
    else {
        return Ok(None);
    };
    let other = match (why.code, event.corrected().first()) {
        (ErrorCode::OriginalPosted, Some(before)) => named(store, pos, before.local_id).await?,
        (ErrorCode::Withdrawn, _) => {
            let of = Corrected { local_id, payload_hash: entry.payload_hash };
            replacing(store, pos, place, of).await?
        }
        _ => None,
    };
    Ok(other.map(|(to, _, other)| {
        assert_ne!(local_id, other.local_id(), "nothing gives way to itself");
        let mut products = products(&event);
        products.extend(self::products(&other));
        let (from, to) = ((local_id, place), (other.local_id(), to));
        Input::GiveWay(Box::new(GiveWay { pos, from, to, products }))
    }))
}

/// Returns an entry by the name of its event.
async fn named<Q: Query<Terminal>>(
    store: &Q,
    pos: PosId,
    local_id: LocalEventId,
) -> Result<Option<(Place, Entry, Event)>, Q::Error> {
    let seen = store.look(&Key::Local(pos, local_id), super::row::Seen::of).await?;
    let Some(place) = seen.map(|seen| seen.known.place) else { return Ok(None) };
    let Some(Record::Entry(entry)) = store.get(&Key::Entry(place.epoch, place.seq)).await? else {
        return Ok(None);
    };
    let event = Event::from_canonical(&entry.payload).ok();
    let own = event.filter(|event| event.pos() == pos && event.local_id() == local_id);
    Ok(own.map(|event| (place, entry, event)))
}

/// Returns the replaced correction that names an entry: it stands behind it.
async fn replacing<Q: Query<Terminal>>(
    store: &Q,
    pos: PosId,
    after: Place,
    of: Corrected,
) -> Result<Option<(Place, Entry, Event)>, Q::Error> {
    let end = Key::Entry(Epoch { number: u32::MAX, nonce: u64::MAX }, u64::MAX);
    let (mut from, mut looked) = (Key::Entry(after.epoch, after.seq + 1), 0);
    while looked < LOOKED_MAX {
        let page = store.scan(&from, &end, PAGE).await?;
        looked += PAGE;
        assert!(page.len() <= PAGE, "a scan keeps its limit");
        let Some((Key::Entry(epoch, seq), _)) = page.last() else { break };
        from = Key::Entry(*epoch, seq + 1);
        for row in page {
            let (Key::Entry(epoch, seq), Record::Entry(entry)) = row else { continue };
            if entry.pos != pos || !matches!(entry.state, State::Replaced(_)) {
                continue;
            }
            let event = Event::from_canonical(&entry.payload).ok();
            if let Some(event) = event.filter(|event| event.corrected().contains(&of)) {
                return Ok(Some((Place { epoch, seq }, entry, event)));
            }
        }
    }
    Ok(None)
}

/// Returns what was sold, if it is a sale or a correction of one.
fn sold(event: &Event) -> Option<&Trade> {
    match event.body() {
        Body::Sale(trade) | Body::Correction(Correction { trade, .. }) => Some(trade),
        Body::Refund { .. }
        | Body::Adjustment(_)
        | Body::SessionOpened(_)
        | Body::CashMoved(_)
        | Body::SessionClosed(_)
        | Body::CatalogEdited(_) => None,
    }
}

fn products(event: &Event) -> Vec<ProductId> {
    let products: Vec<_> = event.movements().map(|movement| movement.product).collect();
    assert!(products.len() <= LINES_MAX, "an event moves so much and no more");
    products
}

pub(super) fn reads(correct: &Correct, keys: &mut ReadSet<Key>) {
    let Correct { original, place, products, draft } = correct;
    assert!(products.len() <= LINES_MAX, "an event moves so much and no more");
    assert!(place.seq > 0, "what is corrected stands in a journal");
    keys.insert(Key::Entry(place.epoch, place.seq));
    keys.insert(Key::Queue(place.epoch, place.seq));
    keys.insert(Key::Attention(place.epoch, place.seq));
    keys.insert(Key::Local(draft.pos, *original));
    keys.insert(Key::Local(draft.pos, draft.local_id));
    keys.insert(Key::Series(draft.pos));
    keys.insert(Key::Register(draft.pos));
    keys.extend(products.iter().map(|product| Key::Stock(*product)));
    let trade = draft.body.trade().into_iter().flat_map(|trade| &trade.lines);
    keys.extend(trade.map(|line| Key::Stock(line.product)));
}

/// Records the correction, and takes the original out of the queue.
pub(super) fn step(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    meta: Meta,
    correct: &Correct,
) -> Output {
    let Correct { original, place, draft, .. } = correct;
    let Some((entry, before)) = event_at(rows, draft.pos, *original, *place) else {
        return Output::NothingToRetry;
    };
    let (Some(trade), Body::Sale(sale)) = (sold(&before), &draft.body) else {
        return Output::NothingToRetry;
    };
    let mut of = Vec::from([Corrected { local_id: *original, payload_hash: entry.payload_hash }]);
    of.extend_from_slice(before.corrected());
    if of.len() > CORRECTED_MAX {
        return Output::Invalid(EventError::Corrected);
    }
    let body = Body::Correction(Correction { of, trade: sale.clone() });
    let draft = &Draft { body, ..draft.clone() };
    if let Some(seen) = rows.seen(draft.pos, draft.local_id) {
        return recognise(seen, draft);
    }
    let Some(code) = failed(rows, *place).filter(|_| entry.state == State::Open) else {
        return Output::NothingToRetry;
    };
    // Of these the other one counts: a correction of them would be refused as well.
    if matches!(code, ErrorCode::OriginalPosted | ErrorCode::Withdrawn) {
        return Output::NothingToRetry;
    }
    if sale.currency != trade.currency {
        return Output::Invalid(EventError::Currency);
    }
    let series = next_number(rows, &meta, draft);
    let receipt = series.map(|series| Receipt { series: series.epoch, number: series.last });
    let (event, payload) = match event_of(draft, receipt, before.session()).seal() {
        Ok(sealed) => sealed,
        Err(error) => return Output::Invalid(error),
    };
    assert_eq!(event.session(), before.session(), "it belongs to the session of the sale");
    assert!(receipt.is_some() && event.receipt() == receipt, "it has a receipt of its own");
    let named = event.corrected().len();
    assert_eq!(named, before.corrected().len() + 1, "each correction before is named");
    exchange(rows, &before, &event);
    replace(rows, *place, entry, Replaced { by: draft.local_id, code, since: now });
    if let Some(series) = series {
        rows.put(Key::Series(draft.pos), Record::Series(series));
    }
    let place = enter_event(rows, now, meta, &event, payload);
    assert_ne!(place, correct.place, "a correction has a place of its own");
    Output::Recorded { place, receipt, again: false }
}

/// Returns the failure with which the cloud has answered an entry last, if it has.
fn failed(rows: &Rows<'_, Terminal>, place: Place) -> Option<ErrorCode> {
    let waits = rows.queued(place.epoch, place.seq).and_then(|queued| queued.code);
    rows.attention(place.epoch, place.seq).map(|attention| attention.code).or(waits)
}

/// Returns the entry at a place, if the event of this name stands there.
fn event_at(
    rows: &Rows<'_, Terminal>,
    pos: PosId,
    local_id: LocalEventId,
    place: Place,
) -> Option<(Entry, Event)> {
    let known = rows.seen(pos, local_id).is_some_and(|seen| seen.known.place == place);
    let entry = rows.entry(place.epoch, place.seq).filter(|_| known)?;
    let event = Event::from_canonical(&entry.payload).ok()?;
    let own = event.pos() == pos && event.local_id() == local_id;
    own.then(|| (entry.clone(), event))
}

/// Takes an entry out of the queue: another has its place.
fn replace(rows: &mut Rows<'_, Terminal>, place: Place, entry: Entry, replaced: Replaced) {
    assert_ne!(entry.local_id, replaced.by, "nothing takes its own place");
    rows.keep(Key::Replaced(place.epoch, place.seq), Record::Replaced(replaced));
    rows.remove(Key::Queue(place.epoch, place.seq));
    rows.remove(Key::Attention(place.epoch, place.seq));
    let entry = Entry { state: State::Replaced(replaced.by), ..entry };
    rows.put(Key::Entry(place.epoch, place.seq), Record::Entry(entry));
    assert!(rows.queued(place.epoch, place.seq).is_none(), "what is replaced is not sent");
    assert!(rows.attention(place.epoch, place.seq).is_none(), "and needs nobody");
}

/// Lets `after` count in place of `before`: in the stock, and in the session that counts both, as
/// long as it is open. A closing stays as it was stated; the cloud says what differs.
fn exchange(rows: &mut Rows<'_, Terminal>, before: &Event, after: &Event) {
    assert_eq!(before.pos(), after.pos(), "both are of one register");
    assert_ne!(before.local_id(), after.local_id(), "they are two events");
    for movement in before.movements() {
        let held = rows.stock(movement.product).copied().unwrap_or_default();
        let stock = Stock {
            quantity: Milli(held.quantity.0.saturating_sub(movement.delta.0)),
            movements: held.movements.saturating_sub(1),
        };
        rows.put(Key::Stock(movement.product), Record::Stock(stock));
    }
    move_stock(rows, after);
    let register = rows.register(before.pos()).cloned();
    if let Some(mut register) = register
        && let (Some(gone), Some(come)) = (sold(before), sold(after))
        && let Some(open) = &mut register.open
        && Some(open.session) == before.session()
        && before.session() == after.session()
    {
        assert_eq!(gone.currency, come.currency, "a session has one currency");
        open.totals.take_back(gone);
        register::count_in(&mut register, after);
        rows.put(Key::Register(before.pos()), Record::Register(register));
    }
}

pub(super) fn reads_way(way: &GiveWay, keys: &mut ReadSet<Key>) {
    assert_ne!(way.from.1, way.to.1, "two events stand in two places");
    assert!(way.products.len() <= 2 * LINES_MAX, "each moves so much and no more");
    for (local_id, place) in [way.from, way.to] {
        keys.insert(Key::Local(way.pos, local_id));
        keys.insert(Key::Entry(place.epoch, place.seq));
        keys.insert(Key::Queue(place.epoch, place.seq));
        keys.insert(Key::Attention(place.epoch, place.seq));
    }
    keys.insert(Key::Register(way.pos));
    keys.extend(way.products.iter().map(|product| Key::Stock(*product)));
}

/// Lets the other one count, and asks the cloud for its name.
pub(super) fn give_way(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    mut meta: Meta,
    way: &GiveWay,
) -> Output {
    let (from, to) = (way.from, way.to);
    let (Some((gone, before)), Some((come, after))) =
        (event_at(rows, way.pos, from.0, from.1), event_at(rows, way.pos, to.0, to.1))
    else {
        return Output::NothingToRetry;
    };
    let told = rows.attention(from.1.epoch, from.1.seq).map(|attention| attention.code);
    let told = told.filter(|code| matches!(code, ErrorCode::OriginalPosted | ErrorCode::Withdrawn));
    let names = |event: &Event, of: &Entry| {
        let (local_id, payload_hash) = (of.local_id, of.payload_hash);
        event.corrected().contains(&Corrected { local_id, payload_hash })
    };
    let related = names(&before, &come) || names(&after, &gone);
    let replaced = gone.state == State::Open && matches!(come.state, State::Replaced(_));
    let Some(code) = told.filter(|_| related && replaced) else { return Output::NothingToRetry };
    exchange(rows, &before, &after);
    replace(rows, from.1, gone, Replaced { by: to.0, code, since: now });
    rows.retract(Key::Replaced(to.1.epoch, to.1.seq));
    if to.1.epoch == meta.epoch {
        let queued = Queued { attempts: 0, due: now, code: None };
        rows.put(Key::Queue(to.1.epoch, to.1.seq), Record::Queue(queued));
        let come = Entry { state: State::Open, ..come };
        rows.put(Key::Entry(to.1.epoch, to.1.seq), Record::Entry(come));
    } else {
        // Nothing of a closed history is offered: it was not carried over, and is now.
        carry(rows, now, &mut meta, to.1, come);
    }
    settle(rows, meta, None)
}

/// Lets an entry that failed, and waits for another try, wait for a person instead.
pub(super) fn set_aside(
    rows: &mut Rows<'_, Terminal>,
    now: Millis,
    meta: &Meta,
    place: Place,
) -> Output {
    let Some(Queued { attempts, code: Some(code), .. }) =
        rows.queued(place.epoch, place.seq).copied()
    else {
        return Output::NothingToRetry;
    };
    rows.remove(Key::Queue(place.epoch, place.seq));
    let attention = Attention { attempts, code, since: now };
    rows.put(Key::Attention(place.epoch, place.seq), Record::Attention(attention));
    assert!(rows.queued(place.epoch, place.seq).is_none(), "what is set aside is not sent");
    assert!(rows.attention(place.epoch, place.seq).is_some(), "and a person looks at it");
    Output::Settled(meta.backlog())
}
