//! What an operator decides of a parked event has the effects that the cloud's own answer would
//! have had, once: on the stock, on the register session that it belongs to, on what waits for it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod support;

use counterfoil_protocol::cloud::decide::{self, Decided, Verb};
use counterfoil_protocol::cloud::inbox::row::Stored;
use counterfoil_protocol::cloud::sessions::session_report;
use counterfoil_protocol::cloud::threshold::{SET_MAX, ThresholdError, Thresholds};
use counterfoil_protocol::cloud::users::{AddUser, Scope, User};
use counterfoil_protocol::cloud::{self, Cloud, InboxRecord, Site, UnknownProducts};
use counterfoil_protocol::event::Tender;
use counterfoil_protocol::event::session::Counted;
use counterfoil_protocol::hash::{Hash, secret_hash};
use counterfoil_protocol::identity::{BranchId, ShopId, TerminalId, UserId};
use counterfoil_protocol::inbox::{InboxEvent, Reference};
use counterfoil_protocol::money::{Currency, MILLI_MAX, Milli, Minor};
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::terminal::{self, RETRY_CAP, SessionAct, SessionDraft};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::session::{SessionReport, SessionStatus};
use support::rows::{at_rest, ledger, stock_is_sum};
use support::{Pair, block_on, key_of, local, pos, product, refund, sale, site, terminal_id};

/// A pair whose cloud knows tea, and parks what it does not know.
fn strict() -> Pair {
    let mut pair = Pair::new(Cloud { unknown_products: UnknownProducts::Park });
    pair.node.define("tea");
    pair
}

fn planned(pair: &Pair, id: &str, verb: Verb) -> Option<decide::Decide> {
    block_on(decide::plan(&pair.node.store, site().shop, key_of("1", id), verb)).unwrap()
}

fn decided(pair: &mut Pair, id: &str, verb: Verb) -> cloud::Output {
    let decide = planned(pair, id, verb).expect("an event that the shop has");
    assert_eq!(decide.site(), site());
    pair.node.run(pair.now, cloud::Input::Decide(Box::new(decide)))
}

fn accept() -> Verb {
    Verb::Accept("goods are on the shelf".into())
}

fn act(pair: &mut Pair, id: &str, act: SessionAct) {
    let (pos, local_id, reference) = (pos("1"), local(id), String::new());
    let draft = SessionDraft { pos, local_id, at: Millis(1_700_000_000_000), reference, act };
    let output = pair.till.run(pair.now, terminal::Input::Session(draft));
    assert!(matches!(output, terminal::Output::Recorded { again: false, .. }), "{output:?}");
}

fn report(pair: &Pair) -> SessionReport {
    let found = session_report(&pair.node.store, site().shop, terminal_id(), pos("1"), local("s"));
    block_on(found).unwrap().unwrap()
}

/// A closed session of two sales, one of goods that the cloud does not know.
fn closed() -> Pair {
    let mut pair = strict();
    act(&mut pair, "s", SessionAct::Open { currency: Currency::GBP, float: Minor(0) });
    pair.sell(sale("a", "tea"));
    pair.sell(sale("b", "ghost"));
    let counted = vec![Counted { tender: Tender::Cash, amount: Minor(1_020) }];
    act(&mut pair, "c", SessionAct::Close { counted });
    pair.sync();
    pair
}

#[test]
fn what_is_accepted_is_counted_in_its_session() {
    let mut pair = closed();
    let before = report(&pair);
    assert_eq!((before.posted.sales, before.status), (1, SessionStatus::Difference));
    assert_eq!(decided(&mut pair, "b", accept()), cloud::Output::Decided(Decided::Posted));
    let after = report(&pair);
    assert_eq!((after.posted.sales, after.posted.lines), (2, 2));
    assert_eq!(after.late.events, 1, "it came after the closing, and is named");
    let again = decided(&mut pair, "b", Verb::Reject("no".into()));
    assert_eq!(again, cloud::Output::Decided(Decided::Posted), "once");
    assert_eq!(report(&pair), after);
    pair.node.roll_up();
    stock_is_sum(&pair.node);
    pair.now = pair.now.after(RETRY_CAP);
    pair.quiesce();
    at_rest(&pair.till, &pair.node);
}

#[test]
fn what_is_rejected_is_counted_nowhere() {
    let mut pair = closed();
    let before = report(&pair);
    let reject = || Verb::Reject("nobody sold that".into());
    assert_eq!(decided(&mut pair, "b", reject()), cloud::Output::Decided(Decided::Rejected));
    for verb in [Verb::Retry, accept(), reject()] {
        let output = decided(&mut pair, "b", verb);
        assert_eq!(output, cloud::Output::Decided(Decided::Rejected), "for good");
    }
    assert_eq!(report(&pair), before);
}

#[test]
fn a_refund_waits_for_its_sale_until_somebody_decides() {
    let mut pair = strict();
    pair.sell(sale("a", "ghost"));
    pair.sell(refund("b", "tea", Some(key_of("1", "a"))));
    pair.sync();
    let waits = |code| cloud::Output::Decided(Decided::Waits(code));
    assert_eq!(decided(&mut pair, "b", Verb::Retry), waits(ErrorCode::OriginalPending));
    assert_eq!(decided(&mut pair, "a", Verb::Retry), waits(ErrorCode::ProductUnknown));
    assert_eq!(decided(&mut pair, "a", accept()), cloud::Output::Decided(Decided::Posted));
    assert_eq!(decided(&mut pair, "b", Verb::Retry), cloud::Output::Decided(Decided::Posted));
    pair.node.roll_up();
    stock_is_sum(&pair.node);
}

#[test]
fn what_is_accepted_is_relayed_to_the_other_tills() {
    let mut pair = strict();
    let on = cloud::inbox::Input::Relay { site: site(), on: true };
    pair.node.run(pair.now, cloud::Input::Inbox(on));
    pair.sell(sale("a", "ghost"));
    pair.sync();
    let told = |pair: &Pair| -> Vec<(InboxEvent, Option<TerminalId>)> {
        let rows = pair.node.store.rows.values();
        let stored = rows.filter_map(|record| match record {
            cloud::Record::Inbox(InboxRecord::Event(stored)) => Some(stored),
            _ => None,
        });
        let read = |stored: &Stored| InboxEvent::from_canonical(&stored.content).unwrap();
        stored.map(|stored| (read(stored), stored.from)).collect()
    };
    assert_eq!(told(&pair), [], "what waits has moved nothing");
    assert_eq!(decided(&mut pair, "a", accept()), cloud::Output::Decided(Decided::Posted));
    let [(event, from)] = told(&pair)[..] else { panic!("one movement") };
    assert_eq!(
        (event.product, event.reference),
        (product("ghost"), Reference::Sale(key_of("1", "a")))
    );
    assert!(event.delta < Milli(0), "the goods are gone");
    assert_eq!(from, Some(terminal_id()), "its own till has counted them itself");
}

#[test]
fn what_is_there_no_more_when_it_is_decided_is_decided_by_nobody() {
    let mut pair = strict();
    pair.sell(sale("a", "ghost"));
    pair.sync();
    let elsewhere = ShopId::parse("elsewhere").unwrap();
    let other = decide::plan(&pair.node.store, elsewhere, key_of("1", "a"), Verb::Retry);
    assert!(block_on(other).unwrap().is_none(), "an event of another shop");
    assert!(planned(&pair, "nothing", Verb::Retry).is_none(), "an event that nobody has");

    let key = cloud::Key::Ledger(key_of("1", "a"));
    let held = ledger(&pair.node)[&key_of("1", "a")].clone();
    let branch = BranchId::parse("other").unwrap();
    let moved = cloud::row::Ledger { site: Site { branch, ..site() }, ..held.clone() };
    let mut epoch = held.epoch;
    epoch.nonce += 1;
    let reborn = cloud::row::Ledger { epoch, ..held.clone() };
    let another = cloud::row::Ledger { payload_hash: Hash::default(), ..held.clone() };
    for ledger in [moved, reborn, another] {
        let decide = planned(&pair, "a", accept()).unwrap();
        pair.node.store.rows.insert(key, cloud::Record::Ledger(ledger));
        let output = pair.node.run(pair.now, cloud::Input::Decide(Box::new(decide)));
        assert_eq!(output, cloud::Output::NoSuchEvent, "a cloud that was restored meanwhile");
        pair.node.store.rows.insert(key, cloud::Record::Ledger(held.clone()));
    }
    let lane = cloud::Key::Lane(terminal_id(), held.epoch);
    let kept = pair.node.store.rows.remove(&lane).unwrap();
    assert_eq!(decided(&mut pair, "a", accept()), cloud::Output::NoSuchEvent, "no history");
    pair.node.store.rows.insert(lane, kept);
    let unreadable = cloud::row::Ledger { payload: vec![9].into(), ..held };
    pair.node.store.rows.insert(key, cloud::Record::Ledger(unreadable));
    assert!(planned(&pair, "a", accept()).is_none(), "bytes that are no event");
}

#[test]
fn thresholds_have_bounds_and_are_set_once() {
    let shop = site().shop;
    let tea = product("tea");
    let of = |count: usize| {
        let numbered = |number| (product(&format!("p-{number}")), Milli(1));
        Thresholds::new(shop, (0..count).map(numbered).collect())
    };
    assert_eq!(of(0), Err(ThresholdError::Count));
    assert_eq!(of(SET_MAX).map(|set| (set.len(), set.is_empty())), Ok((SET_MAX, false)));
    assert_eq!(of(SET_MAX + 1), Err(ThresholdError::Count));
    for (quantity, whole) in [(-1, false), (0, true), (MILLI_MAX, true), (MILLI_MAX + 1, false)] {
        let set = Thresholds::new(shop, vec![(tea, Milli(quantity))]);
        assert_eq!(set.err(), (!whole).then_some(ThresholdError::Quantity), "{quantity}");
    }
    let twice = Thresholds::new(shop, vec![(tea, Milli(1)), (tea, Milli(2))]);
    assert_eq!(twice, Err(ThresholdError::Twice));

    let mut pair = strict();
    let mut set = |quantity| {
        let set = Thresholds::new(shop, vec![(tea, Milli(quantity))]).unwrap();
        pair.node.run(Millis(1), cloud::Input::SetThresholds(set))
    };
    for (quantity, changed) in [(0, 0), (5, 1), (5, 0), (7, 1), (0, 1), (0, 0)] {
        assert_eq!(set(quantity), cloud::Output::ThresholdsSet { changed }, "{quantity}");
    }
    assert!(!pair.node.store.rows.contains_key(&cloud::Key::Threshold(shop, tea)), "as before");
}

#[test]
fn a_user_keeps_its_place_and_an_old_secret_opens_nothing() {
    let mut pair = strict();
    let secret = secret_hash(b"ann");
    let (user, currency) = (UserId::parse("ann").unwrap(), Currency::GBP);
    let wish = AddUser {
        user,
        site: site(),
        secret,
        expires_at: Some(Millis(9)),
        scopes: vec![Scope::StockAdjust, Scope::SalesCreate, Scope::StockAdjust],
        currency,
    };
    let unknown = pair.node.run(Millis(1), cloud::Input::RevokeUser(user));
    assert_eq!(unknown, cloud::Output::NoSuchUser);
    let mut add = |wish: AddUser| pair.node.run(Millis(1), cloud::Input::AddUser(wish));
    assert_eq!(add(wish.clone()), cloud::Output::UserAdded);
    assert_eq!(add(wish.clone()), cloud::Output::UserAdded, "again");
    let branch = BranchId::parse("other").unwrap();
    let elsewhere = AddUser { site: Site { branch, ..site() }, ..wish.clone() };
    assert_eq!(add(elsewhere), cloud::Output::OtherSite(site()));
    let euros = AddUser { currency: Currency::parse("EUR").unwrap(), ..wish };
    assert_eq!(add(euros), cloud::Output::OtherSite(site()));

    let held = |pair: &Pair| -> User {
        match &pair.node.store.rows[&cloud::Key::User(user)] {
            cloud::Record::User(user) => user.clone(),
            other => panic!("{other:?}"),
        }
    };
    let ann = held(&pair);
    assert_eq!(ann.scopes, [Scope::SalesCreate, Scope::StockAdjust], "each once");
    assert!(ann.may(Scope::StockAdjust) && !ann.may(Scope::CatalogRead));
    assert_eq!(ann.admits(Millis(8), secret), Ok(()));
    assert_eq!(ann.admits(Millis(9), secret), Err(Denial::Expired));
    assert_eq!(ann.admits(Millis(8), Hash::default()), Err(Denial::WrongCredential));
    assert_eq!(pair.node.run(Millis(2), cloud::Input::RevokeUser(user)), cloud::Output::Revoked);
    assert_eq!(held(&pair).admits(Millis(8), secret), Err(Denial::Revoked));
}
