//! `InboxOnce`, line by line of S0: an online order moves the stock of each till of its branch
//! once, whatever happens on the way.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod inbox_support;
mod support;

use counterfoil_protocol::cloud::inbox::storefront::{self, StoreFront};
use counterfoil_protocol::cloud::inbox::{self, Buffer, Order, OrderError};
use counterfoil_protocol::cloud::{self, InboxKey, InboxRecord};
use counterfoil_protocol::inbox::{InboxEvent, Reference};
use counterfoil_protocol::money::Milli;
use counterfoil_protocol::terminal::{self, inbox as till_inbox};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::inbox::{
    Ack, AckAnswer, Cursor, PendingAnswer, PendingPage, PendingV1, ReferenceV1,
};
use inbox_support::{Counter, NOW, Shop, hash, order, order_id, site};
use support::{adjustment, block_on, product, sale};

/// A shop with a till, and three orders whose times are not in the order of their commits.
fn three_orders() -> (Shop, Counter) {
    let mut shop = Shop::new();
    let counter = shop.till("mitte", "T-1");
    for (id, at) in [("one", 300), ("two", 100), ("three", 200)] {
        let placed = shop.place(&order("mitte", id, at, &[("tea", 2)]));
        assert_eq!(placed, inbox::Output::Placed { again: false, cancelled: false });
    }
    (shop, counter)
}

fn restart(shop: &Shop, counter: &Counter) -> bool {
    matches!(shop.pending(&counter.caller, Some(counter.wanted()), 9), PendingAnswer::Restart)
}

/// S0.1: fetch, apply, acknowledge, sell on; and sell all the same if nobody answers.
#[test]
fn a_till_fetches_applies_and_acknowledges_and_sells_on() {
    let (mut shop, mut counter) = three_orders();
    counter.till.sell(NOW, sale("before", "tea"));
    let alone = counter.stock("tea");
    shop.collect(&mut counter, 2);
    assert_eq!(counter.stock("tea"), alone - 6_000);
    assert_eq!(shop.acked(&counter.caller), 3);
    counter.till.sell(NOW, sale("after", "tea"));
    assert_eq!(counter.stock("tea"), 2 * alone - 6_000);
}

/// S0.2: append-only, unique ids, and the cloud knows what a terminal has not acknowledged.
#[test]
fn the_cloud_appends_and_knows_what_is_not_acknowledged() {
    let (mut shop, counter) = three_orders();
    let before = shop.stored("mitte");
    shop.place(&order("mitte", "four", 1, &[("tea", 1), ("milk", 1), ("tea", 1)]));
    shop.cancel("mitte", "two", 400);
    let after = shop.stored("mitte");
    assert_eq!(after[..3], before, "what was there stays as it was");
    assert_eq!(after.len(), 3 + 3 + 1, "each line is one event, on each side of its order");
    let ids: std::collections::BTreeSet<_> = shop.events("mitte").iter().map(|e| e.id).collect();
    assert_eq!(ids.len(), 7, "each event has a name of its own");
    let page = shop.page(&counter.caller, None, 9);
    assert_eq!((page.after.seq, page.to.seq, page.head, page.acked), (0, 7, 7, 0));
    let fourth = Ack { through: page.events[3].at };
    assert_eq!(shop.ack(&counter.caller, &fourth), AckAnswer { through: 4, known: true });
    let page = shop.page(&counter.caller, None, 9);
    assert_eq!((page.after.seq, page.events.len(), page.acked), (4, 3, 4));
    // A late acknowledgement takes nothing back, and one of another inbox says nothing.
    let first = Ack { through: Cursor { seq: 1, chain: before[0].chain } };
    assert_eq!(shop.ack(&counter.caller, &first), AckAnswer { through: 4, known: true });
    let foreign = Ack { through: Cursor { seq: 6, chain: hash(9) } };
    assert_eq!(shop.ack(&counter.caller, &foreign), AckAnswer { through: 4, known: false });
    let beyond = Ack { through: Cursor { seq: 99, chain: hash(9) } };
    assert_eq!(shop.ack(&counter.caller, &beyond), AckAnswer { through: 4, known: false });
}

/// S0.3: by time, then by name, within what was fetched.
#[test]
fn events_are_applied_by_time_then_by_name() {
    let (mut shop, mut counter) = three_orders();
    for id in ["five", "six", "seven"] {
        shop.place(&order("mitte", id, 200, &[("milk", 1)]));
    }
    let page = shop.page(&counter.caller, None, 9);
    counter.deliver(PendingAnswer::Page(page));
    let applied: Vec<_> = counter.movements().iter().map(|m| (m.created_at, m.event)).collect();
    assert!(applied.is_sorted(), "{applied:?}");
    let times: Vec<u64> = applied.iter().map(|(at, _)| at.0).collect();
    assert_eq!(times, [100, 200, 200, 200, 200, 300]);
    let mut expected: Vec<_> = shop.events("mitte").iter().map(InboxEvent::order).collect();
    expected.sort();
    assert_eq!(applied, expected);
}

/// S0.4: a second delivery is a no-op, also if the acknowledgement was lost, also if the till has
/// forgotten how far it was.
#[test]
fn a_second_delivery_changes_nothing() {
    let (mut shop, mut counter) = three_orders();
    let page = shop.pending(&counter.caller, None, 9);
    assert_eq!(counter.deliver(page.clone()).applied, 3);
    let after = counter.till.store.rows.clone();
    assert_eq!(counter.deliver(page.clone()).applied, 0, "an answer that came twice");
    assert_eq!(counter.till.store.rows, after);
    // The acknowledgement was lost: the cloud offers everything again.
    assert_eq!(shop.page(&counter.caller, None, 9).events.len(), 3);
    counter.till.store.rows.remove(&terminal::Key::Inbox);
    let standing = counter.deliver(page);
    assert_eq!((standing.applied, standing.cursor), (0, 3), "its names are known");
    assert_eq!(counter.stock("tea"), -6_000);
    shop.collect(&mut counter, 9);
    assert_eq!(shop.acked(&counter.caller), 3);
    counter.stock_is_sum();
}

/// S0.4: a till that was restored from a backup is given again what it has lost.
#[test]
fn a_restored_till_catches_up_and_counts_once() {
    let (mut shop, mut counter) = three_orders();
    let page = shop.pending(&counter.caller, None, 1);
    counter.deliver(page);
    let backup = counter.clone();
    shop.collect(&mut counter, 1);
    assert_eq!(shop.acked(&counter.caller), 3);
    let whole = counter.clone();
    counter = backup;
    shop.collect(&mut counter, 1);
    assert_eq!(counter.applied(), whole.applied(), "its own place decides, not the cloud's");
    assert_eq!(counter.stock("tea"), -6_000);
    counter.stock_is_sum();
}

/// S0.4: a cloud that was restored from a backup gives the same numbers to other events.
#[test]
fn a_restored_cloud_cannot_pass_other_events_off_as_known() {
    let (mut shop, mut counter) = three_orders();
    let backup = shop.clone();
    shop.place(&order("mitte", "lost", 400, &[("tea", 1)]));
    shop.collect(&mut counter, 9);
    let mut restored = backup;
    restored.place(&order("mitte", "other", 500, &[("milk", 1)]));
    restored.place(&order("mitte", "lost", 400, &[("tea", 1)]));
    assert_eq!(counter.wanted().seq, 4);
    assert!(restart(&restored, &counter), "place 4 is another event's now");
    restored.collect(&mut counter, 2);
    assert_eq!(counter.stock("milk"), -1_000, "what took its place is not missed");
    assert_eq!(counter.stock("tea"), -7_000, "what was placed again counts once");
    assert_eq!(restored.acked(&counter.caller), 5);
    counter.stock_is_sum();
    // One whose backup had fewer events than the till has read, too.
    let mut empty = Shop::new();
    empty.till("mitte", "T-1");
    assert!(restart(&empty, &counter));
}

/// S0.4: an answer that was long on its way may be of another history than the till stands in.
#[test]
fn an_old_answer_of_another_history_is_left() {
    let mut shop = Shop::new();
    let mut counter = shop.till("mitte", "T-1");
    let mut restored = shop.clone();
    shop.place(&order("mitte", "lost", 1, &[("tea", 1)]));
    let first = shop.pending(&counter.caller, Some(counter.wanted()), 1);
    // Another life of the same till asked a cloud that had lost that order.
    let mut other = counter.clone();
    restored.place(&order("mitte", "a", 2, &[("milk", 1)]));
    restored.place(&order("mitte", "b", 3, &[("milk", 1)]));
    other.deliver(restored.pending(&other.caller, Some(other.wanted()), 1));
    let second = restored.pending(&other.caller, Some(other.wanted()), 1);
    counter.deliver(first);
    let standing = counter.deliver(second);
    assert_eq!((standing.applied, standing.cursor), (0, 1), "place 1 was another event's there");
    restored.collect(&mut counter, 9);
    assert_eq!(counter.stock("milk"), -2_000, "so nothing is missed");
    counter.stock_is_sum();
}

/// S0.5: each applied event is a movement with its source and its reference.
#[test]
fn an_applied_event_is_a_movement() {
    let mut shop = Shop::new();
    let mut counter = shop.till("mitte", "T-1");
    counter.till.sell(NOW, adjustment("count", "tea", 5_000));
    shop.place(&order("mitte", "web-7", 100, &[("tea", 2)]));
    shop.cancel("mitte", "web-7", 300);
    let page = shop.pending(&counter.caller, None, 9);
    counter.deliver_at(Millis(777), page);
    let [taken, back] = counter.movements()[..] else { panic!("two movements") };
    let told = shop.events("mitte");
    assert_eq!(
        taken,
        till_inbox::Movement {
            event: told[0].id,
            product: product("tea"),
            delta: Milli(-2_000),
            reference: ReferenceV1::Order { order_id: order_id("web-7") },
            created_at: Millis(100),
            applied_at: Millis(777),
            stock: Milli(3_000),
            review: false,
        }
    );
    assert_eq!((back.delta, back.stock), (Milli(2_000), Milli(5_000)));
    assert_eq!((back.reference, back.created_at), (taken.reference, Millis(300)));
    let reference = Reference::Order(order_id("web-7"));
    assert_eq!((reference.source(), reference.kind()), ("ONLINE", "ORDER"));
    assert_eq!(reference.to_string(), "web-7");
}

/// S0.6, S3.8: stock below nothing is applied, flagged, and the till sells on.
#[test]
fn negative_stock_is_applied_and_flagged_for_review() {
    let mut shop = Shop::new();
    let mut counter = shop.till("mitte", "T-1");
    counter.till.sell(NOW, adjustment("count", "tea", 3_000));
    for (id, at, pieces) in [("a", 1, 3), ("b", 2, 2), ("c", 3, 1)] {
        shop.place(&order("mitte", id, at, &[("tea", pieces)]));
    }
    shop.collect(&mut counter, 9);
    assert_eq!(counter.stock("tea"), -3_000);
    let flags: Vec<bool> = counter.movements().iter().map(|movement| movement.review).collect();
    assert_eq!(flags, [false, true, true], "down to nothing is not below it");
    let review = counter.review("tea").unwrap();
    assert_eq!((review.first, review.movements, review.lowest), (2, 2, Milli(-3_000)));
    counter.till.sell(NOW, sale("on", "tea"));
    // A person looks at it, once.
    for there in [true, false] {
        let input = till_inbox::Input::Reviewed(product("tea"));
        let output = counter.till.run(NOW, terminal::Input::Inbox(input));
        assert_eq!(output, terminal::Output::Inbox(till_inbox::Output::Reviewed(there)));
    }
    // What comes back makes nobody look again, though the stock is still below nothing.
    shop.cancel("mitte", "c", 9);
    shop.collect(&mut counter, 9);
    assert_eq!((counter.review("tea"), counter.stock("tea") < 0), (None, true));
}

fn shown(shop: &Shop, sku: &str) -> StoreFront {
    let found = storefront::stock(&shop.node.store, site("mitte"), product(sku));
    block_on(found).unwrap().unwrap()
}

fn hold_back(shop: &mut Shop, sku: Option<&str>, buffer: Option<Buffer>) {
    let (site, product) = (site("mitte"), sku.map(product));
    let set = shop.inbox(inbox::Input::Buffer { site, product, buffer });
    assert_eq!(set, inbox::Output::Set);
}

/// S0.7: a safety buffer lowers what the store shows, and nothing that a till ever hears.
#[test]
fn a_safety_buffer_lowers_only_the_store_front() {
    let mut shop = Shop::new();
    let mut counter = shop.till("mitte", "T-1");
    counter.till.sell(NOW, adjustment("tea", "tea", 10_000));
    counter.till.sell(NOW, adjustment("milk", "milk", 10_001));
    shop.sync(&mut counter);
    shop.place(&order("mitte", "web", 100, &[("tea", 1), ("milk", 1)]));
    assert_eq!(shown(&shop, "tea").available, Milli(9_000), "without a buffer it is the stock");
    let bytes = |shop: &Shop, counter: &Counter| {
        let told = shop.pending(&counter.caller, None, 9).encode();
        let mut till = counter.clone();
        shop.clone().collect(&mut till, 9);
        (told, till.till.store.rows)
    };
    let before = bytes(&shop, &counter);
    hold_back(&mut shop, Some("tea"), Some(Buffer::Fixed { milli: Milli(2_500) }));
    hold_back(&mut shop, None, Some(Buffer::Share { ppm: 100_000 }));
    let tea = shown(&shop, "tea");
    assert_eq!((tea.stock, tea.available), (Milli(9_000), Milli(6_500)));
    let milk = shown(&shop, "milk");
    assert_eq!((milk.stock, milk.available), (Milli(9_001), Milli(8_100)), "a share rounds up");
    assert_eq!(bytes(&shop, &counter), before, "no till sees a buffer");
    shop.node.roll_up();
    assert_eq!(shown(&shop, "tea"), tea, "however late stock is rolled up");
    hold_back(&mut shop, Some("tea"), Some(Buffer::Fixed { milli: Milli(99_000) }));
    assert_eq!(shown(&shop, "tea").available, Milli(0), "a store shows no debt");
    hold_back(&mut shop, Some("tea"), None);
    assert_eq!(shown(&shop, "tea").available, Milli(8_100), "then it is one of all others");
    for (buffer, of) in [
        (Buffer::Fixed { milli: Milli(-1) }, Some(product("tea"))),
        (Buffer::Fixed { milli: Milli(1) }, None),
        (Buffer::Share { ppm: 1_000_001 }, None),
        (Buffer::Share { ppm: 1 }, Some(product("tea"))),
    ] {
        assert!(buffer.check(of).is_err(), "{buffer:?}");
    }
}

/// A page with an event of a later version at `index`.
fn with_unreadable(mut page: PendingPage, index: usize) -> PendingAnswer {
    let at = page.events[index].at;
    page.events[index] = PendingV1 { at, content: [2, 1, 1].as_slice().into() };
    PendingAnswer::decode(&PendingAnswer::Page(page).encode()).unwrap()
}

/// S0.8: what was applied before a failure in mid batch is kept, and the rest comes later.
#[test]
fn a_failure_in_mid_batch_keeps_what_was_applied() {
    let (mut shop, mut counter) = three_orders();
    // A crash between two pages, and one that takes the second commit with it.
    let first = shop.pending(&counter.caller, None, 1);
    counter.deliver(first);
    counter.crash_in_commit(shop.pending(&counter.caller, Some(counter.wanted()), 1));
    counter.till.open(NOW, 5);
    assert_eq!((counter.movements().len(), counter.wanted().seq), (1, 1));
    // An event that this program cannot read: what is before it is taken, the rest waits.
    shop.place(&order("mitte", "four", 50, &[("tea", 1)]));
    let page = shop.page(&counter.caller, Some(counter.wanted()), 9);
    let standing = counter.deliver(with_unreadable(page, 1));
    assert_eq!((standing.applied, standing.cursor, standing.unreadable), (1, 2, true));
    assert_eq!(counter.ack().unwrap().through.seq, 2, "what waits is not acknowledged");
    counter.till.sell(NOW, sale("on", "milk"));
    let page = shop.page(&counter.caller, Some(counter.wanted()), 9);
    let standing = counter.deliver(with_unreadable(page, 0));
    assert_eq!((standing.applied, standing.cursor, standing.unreadable), (0, 2, true));
    // The program was updated.
    shop.collect(&mut counter, 9);
    assert_eq!((counter.movements().len(), counter.stock("tea")), (4, -7_000));
}

/// S0.9: an acknowledgement is formed from committed rows, so there is none before the commit.
#[test]
fn nothing_is_acknowledged_before_its_commit() {
    let (shop, mut counter) = three_orders();
    assert_eq!(counter.ack(), None);
    let page = shop.pending(&counter.caller, None, 2);
    counter.crash_in_commit(page.clone());
    assert_eq!(counter.ack(), None, "the commit was lost");
    counter.deliver(page);
    let ack = counter.ack().unwrap();
    assert_eq!((ack.through.seq, counter.movements().len()), (2, 2));
    assert_eq!(ack.through.chain, shop.stored("mitte")[1].chain);
}

/// The same order again is the same order; another one of its name is refused and kept (B.2).
#[test]
fn an_order_counts_once_and_its_name_means_one_thing() {
    let mut shop = Shop::new();
    let first = order("mitte", "web", 100, &[("tea", 2)]);
    let others: Vec<Order> =
        (0..6).map(|n| order("mitte", "web", 100, &[("tea", 3 + n)])).collect();
    shop.place(&first);
    let events = shop.stored("mitte");
    assert_eq!(shop.place(&first), inbox::Output::Placed { again: true, cancelled: false });
    for other in others.iter().chain([&order("nord", "web", 100, &[("tea", 2)])]) {
        assert_eq!(shop.place(other), inbox::Output::OrderTaken);
        assert_eq!(shop.place(other), inbox::Output::OrderTaken);
    }
    assert_eq!(shop.stored("mitte"), events);
    assert_eq!(shop.stored("nord"), []);
    let key = InboxKey::Order(site("mitte").shop, order_id("web")).into();
    let Some(cloud::Record::Inbox(InboxRecord::Order(held))) = shop.node.store.rows.get(&key)
    else {
        panic!("the order is kept")
    };
    assert_eq!(held.others.len(), 4, "the first few others are kept for a person");
    assert_eq!(shop.cancel("nord", "web", 9), inbox::Output::NoSuchOrder);
    assert_eq!(shop.cancel("mitte", "never", 9), inbox::Output::NoSuchOrder);
    assert_eq!(shop.cancel("mitte", "web", 9), inbox::Output::Cancelled { again: false });
    assert_eq!(shop.cancel("mitte", "web", 10), inbox::Output::Cancelled { again: true });
    assert_eq!(shop.place(&first), inbox::Output::Placed { again: true, cancelled: true });
    assert_eq!((shop.stored("mitte").len(), shop.stock("mitte", "tea")), (2, 0));
}

#[test]
fn an_order_has_its_bounds() {
    let new = |lines| Order::new(site("mitte"), order_id("web"), NOW, lines).map(|_| ());
    let line =
        |quantity_milli| inbox::row::OrderLine { product_id: product("tea"), quantity_milli };
    assert_eq!(new(vec![]), Err(OrderError::Lines));
    assert_eq!(new(vec![line(1); 101]), Err(OrderError::Lines));
    assert_eq!(new(vec![line(1); 100]), Ok(()));
    for quantity in [0, -1, 1_000_000_000_001] {
        assert_eq!(new(vec![line(quantity)]), Err(OrderError::Quantity(product("tea"))));
    }
}

/// `BranchIsolation`: the credential decides whose events a till hears.
#[test]
fn a_till_hears_of_its_own_branch_only() {
    let mut shop = Shop::new();
    let (mut mitte, mut nord) = (shop.till("mitte", "T-1"), shop.till("nord", "T-2"));
    shop.place(&order("mitte", "a", 1, &[("tea", 1)]));
    shop.place(&order("nord", "b", 2, &[("milk", 1)]));
    shop.collect(&mut mitte, 9);
    shop.collect(&mut nord, 9);
    assert_eq!((mitte.stock("tea"), mitte.stock("milk")), (-1_000, 0));
    assert_eq!((nord.stock("tea"), nord.stock("milk")), (0, -1_000));
    // The place of one is no place of the other.
    assert!(matches!(shop.pending(&nord.caller, Some(mitte.wanted()), 9), PendingAnswer::Restart));
}

/// The relay: off unless somebody says so; siblings hear of each other, and nobody of itself.
#[test]
fn siblings_hear_of_each_other_if_they_are_to() {
    let mut shop = Shop::new();
    let (mut one, mut two) = (shop.till("mitte", "T-1"), shop.till("mitte", "T-2"));
    one.till.sell(NOW, sale("silent", "tea"));
    shop.sync(&mut one);
    assert_eq!(shop.stored("mitte"), [], "it is off");
    shop.relay("mitte", true);
    one.till.sell(NOW, sale("loud", "tea"));
    two.till.sell(NOW, adjustment("count", "tea", 7_000));
    shop.sync(&mut one);
    shop.sync(&mut two);
    shop.sync(&mut two);
    let (alone, counted) = (one.stock("tea"), two.stock("tea"));
    let sold = alone / 2;
    shop.collect(&mut one, 1);
    shop.collect(&mut two, 1);
    assert_eq!(one.stock("tea"), alone + 7_000);
    assert_eq!(two.stock("tea"), counted + sold, "only what was sold while it was on");
    assert_eq!(
        two.movements()[0].reference,
        ReferenceV1::Sale {
            terminal_id: one.caller.terminal,
            pos_id: support::pos("1"),
            local_event_id: support::local("loud"),
        }
    );
    assert_eq!((shop.acked(&one.caller), shop.acked(&two.caller)), (2, 2));
    // Even a page that brings a till its own movements moves nothing.
    let stored = shop.stored("mitte");
    let event = |n: usize| PendingV1 {
        at: Cursor { seq: n as u64 + 1, chain: stored[n].chain },
        content: stored[n].content.clone(),
    };
    let events = vec![event(0), event(1)];
    let to = events[1].at;
    let page = PendingPage { after: Cursor::default(), to, head: 2, acked: 0, events };
    let mut fresh = shop.till("mitte", "T-1");
    assert_eq!(fresh.deliver(PendingAnswer::Page(page)).applied, 1, "its own is its own");
    shop.relay("mitte", false);
    one.till.sell(NOW, sale("again silent", "tea"));
    shop.sync(&mut one);
    assert_eq!(shop.stored("mitte").len(), 2);
    assert_eq!(shop.stock("mitte", "tea"), 7_000 + 3 * sold, "in the cloud each counts once");
}

/// A till that was enrolled later begins at the beginning: it sums the same events as its siblings.
#[test]
fn a_till_that_comes_later_hears_everything() {
    let (mut shop, mut early) = three_orders();
    shop.collect(&mut early, 9);
    let mut late = shop.till("mitte", "T-9");
    shop.collect(&mut late, 2);
    assert_eq!(late.applied(), early.applied());
    assert_eq!(late.stock("tea"), early.stock("tea"));
}

/// A credential that was revoked acknowledges nothing.
#[test]
fn who_was_turned_away_acknowledges_nothing() {
    let (mut shop, mut counter) = three_orders();
    let page = shop.pending(&counter.caller, None, 9);
    counter.deliver(page);
    let revoke = cloud::Input::Revoke { terminal: counter.caller.terminal };
    assert_eq!(shop.node.run(NOW, revoke), cloud::Output::Revoked);
    let (caller, ack) = (counter.caller, counter.ack().unwrap());
    let input = cloud::Input::Inbox(inbox::Input::Ack { caller, ack });
    assert!(matches!(shop.node.run(NOW, input), cloud::Output::Denied(_)));
    assert_eq!(shop.acked(&counter.caller), 0);
}
