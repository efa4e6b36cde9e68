//! A sale that cannot be posted is corrected: the original is kept, and of a sale and all of its
//! corrections the cloud posts one, whatever comes first, is lost, restored or copied (B.6).
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use counterfoil_protocol::cloud::decide::{self, Decided, Verb};
use counterfoil_protocol::cloud::row::Fate;
use counterfoil_protocol::cloud::{self, Cloud, UnknownProducts};
use counterfoil_protocol::event::{Body, CORRECTED_MAX, Event, EventError, Trade};
use counterfoil_protocol::identity::EventKey;
use counterfoil_protocol::money::{Currency, Minor};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::terminal::row::State;
use counterfoil_protocol::terminal::{
    self, Draft, Input, Key, Output, Place, Record, SessionAct, SessionDraft, correct,
};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::Verdict;
use support::rows::{attention, entries, ledger, never_forgotten, queued, stock_is_sum};
use support::{Pair, Till, block_on, key_of, local, offer, pos, product, sale, site};

const UNKNOWN: ErrorCode = ErrorCode::ProductUnknown;

/// A pair whose cloud knows tea, and parks what it does not know.
fn strict() -> Pair {
    let mut pair = Pair::new(Cloud { unknown_products: UnknownProducts::Park });
    pair.node.define("tea");
    pair
}

/// A pair in which `a`, a sale of an unknown product, has failed once.
fn failed() -> Pair {
    let mut pair = strict();
    pair.sell(sale("a", "ghost"));
    pair.greet();
    assert_eq!(told(&mut pair), [(1, UNKNOWN.as_str())]);
    pair
}

/// What the cloud answers to what is due, in words.
fn told(pair: &mut Pair) -> Vec<(u64, &'static str)> {
    let answer = pair.offer().expect("there was something to offer");
    assert_eq!(answer.stopped, None);
    let word = |verdict| match verdict {
        Verdict::Created(_) => "created",
        Verdict::Existing(_) => "existing",
        Verdict::Edited(_) => "edited",
        Verdict::Parked(code) | Verdict::Refused(code) => code.as_str(),
    };
    answer.results.iter().map(|result| (result.seq, word(result.verdict))).collect()
}

fn corrects(till: &mut Till, now: Millis, original: &str, draft: Draft) -> Output {
    let planned = block_on(correct::plan(&till.store, local(original), draft)).unwrap();
    till.run(now, planned.expect("there is such a sale"))
}

fn correct_it(pair: &mut Pair, original: &str, by: Draft) -> Place {
    let output = corrects(&mut pair.till, pair.now, original, by);
    let Output::Recorded { place, again: false, .. } = output else {
        panic!("not recorded: {output:?}")
    };
    place
}

/// A person lets the other one count.
fn give_way(pair: &mut Pair, id: &str) -> bool {
    let planned = block_on(correct::yielding(&pair.till.store, pos("1"), local(id))).unwrap();
    let Some(planned) = planned else { return false };
    matches!(pair.till.run(pair.now, planned), Output::Settled(_))
}

fn wait(pair: &mut Pair) {
    pair.now = pair.now.after(terminal::RETRY_CAP);
}

fn fate(pair: &Pair, id: &str) -> Option<Fate> {
    ledger(&pair.node).get(&key_of("1", id)).map(|row| row.fate)
}

fn state(till: &Till, id: &str) -> State {
    let found = entries(till).into_values().filter(|entry| entry.local_id == local(id));
    found.map(|entry| entry.state).find(|state| !matches!(state, State::Moved(_))).unwrap()
}

fn posted(pair: &Pair) -> Vec<EventKey> {
    let rows = ledger(&pair.node).into_iter();
    rows.filter(|(_, row)| row.fate == Fate::Posted).map(|(key, _)| key).collect()
}

fn stock(till: &Till, sku: &str) -> (i64, u64) {
    match till.store.rows.get(&Key::Stock(product(sku))) {
        Some(Record::Stock(stock)) => (stock.quantity.0, stock.movements),
        _ => (0, 0),
    }
}

fn check(pair: &Pair) {
    never_forgotten(&pair.till);
    stock_is_sum(&pair.node);
}

#[test]
fn one_commit_keeps_the_original_takes_it_off_the_queue_and_records_its_correction() {
    let mut pair = failed();
    let before = entries(&pair.till);
    let first = Place { epoch: pair.till.meta().epoch, seq: 1 };
    let commits = pair.till.store.commits;
    let place = correct_it(&mut pair, "a", sale("b", "tea"));
    assert_eq!(pair.till.store.commits, commits + 1, "one commit");
    let after = entries(&pair.till);
    assert_eq!(after[&first].payload, before[&first].payload, "its bytes are what they were");
    assert_eq!(after[&first].chain, before[&first].chain);
    assert_eq!(after[&first].state, State::Replaced(local("b")));
    assert!(queued(&pair.till, first).is_none() && attention(&pair.till, first).is_none());
    assert!(queued(&pair.till, place).is_some(), "the correction waits");
    let event = Event::from_canonical(&after[&place].payload).unwrap();
    assert_eq!(event.kind(), "correction");
    assert_eq!(event.corrected()[0].payload_hash, before[&first].payload_hash);
    assert_eq!(event.receipt().unwrap().number, 2, "it has a receipt of its own");
    assert_eq!((stock(&pair.till, "ghost"), stock(&pair.till, "tea")), ((0, 0), (-2_000, 1)));
    check(&pair);
}

#[test]
fn the_correction_is_posted_and_the_original_never_whoever_asks_for_it_later() {
    let mut pair = failed();
    correct_it(&mut pair, "a", sale("b", "tea"));
    assert_eq!(told(&mut pair), [(2, "created")]);
    assert_eq!(fate(&pair, "a"), Some(Fate::Withdrawn(local("b"))));
    let kept = ledger(&pair.node).remove(&key_of("1", "a")).unwrap();
    assert!(!kept.payload.is_empty(), "the cloud keeps its bytes");
    pair.node.define("ghost");
    // The list of what waits has it no more, and an operator cannot post it.
    let waiting = block_on(decide::waiting(&pair.node.store, site().shop, None)).unwrap();
    assert_eq!(waiting, []);
    for verb in [Verb::Retry, Verb::Accept("so be it".into()), Verb::Reject("no".into())] {
        let planned = decide::plan(&pair.node.store, site().shop, key_of("1", "a"), verb);
        let input = cloud::Input::Decide(Box::new(block_on(planned).unwrap().unwrap()));
        let output = pair.node.run(pair.now, input);
        assert_eq!(output, cloud::Output::Decided(Decided::Withdrawn));
    }
    assert_eq!(posted(&pair), [key_of("1", "b")]);
    pair.quiesce();
    check(&pair);
}

#[test]
fn a_push_of_the_original_that_was_long_on_its_way_changes_nothing() {
    let mut pair = failed();
    wait(&mut pair);
    let terminal::pull::Batch::Push(late) = pair.till.batch(pair.now) else { panic!("it is due") };
    correct_it(&mut pair, "a", sale("b", "tea"));
    assert_eq!(told(&mut pair), [(2, "created")]);
    pair.node.define("ghost");
    let cloud::Output::Pushed(answer) = pair.node.push(pair.now, &late) else { panic!("answered") };
    assert_eq!(answer.results[0].verdict, Verdict::Refused(ErrorCode::Withdrawn));
    pair.till.run(pair.now, Input::Answered { epoch: late.epoch, answer });
    assert_eq!(state(&pair.till, "a"), State::Replaced(local("b")), "and moves no entry");
    assert_eq!(posted(&pair), [key_of("1", "b")]);
    check(&pair);
}

#[test]
fn where_the_original_counts_the_correction_never_does_and_the_till_is_told() {
    let mut pair = failed();
    pair.node.define("ghost");
    wait(&mut pair);
    // The cloud posts it; the answer is lost, and somebody corrects it meanwhile.
    offer(&mut pair.till, &mut pair.node, pair.now, false).unwrap();
    let by = correct_it(&mut pair, "a", sale("b", "tea"));
    assert_eq!(told(&mut pair), [(2, "POS_SYNC_ORIGINAL_POSTED")]);
    assert_eq!(attention(&pair.till, by).unwrap().code, ErrorCode::OriginalPosted);
    assert_eq!(fate(&pair, "b"), Some(Fate::Refused(ErrorCode::OriginalPosted)));
    let again = corrects(&mut pair.till, pair.now, "b", sale("c", "tea"));
    assert_eq!(again, Output::NothingToRetry, "a correction of it would be refused as well");
    // A person lets the original count: it asks for its name, and is synced.
    assert!(give_way(&mut pair, "b"));
    assert_eq!((stock(&pair.till, "ghost"), stock(&pair.till, "tea")), ((-2_000, 1), (0, 0)));
    assert_eq!(told(&mut pair), [(1, "existing")]);
    assert!(matches!(state(&pair.till, "a"), State::Synced(_)));
    assert_eq!(state(&pair.till, "b"), State::Replaced(local("a")));
    assert_eq!(posted(&pair), [key_of("1", "a")]);
    assert!(!give_way(&mut pair, "b"), "once");
    check(&pair);
}

#[test]
fn a_correction_that_waits_is_corrected_and_all_of_them_count_once() {
    let mut pair = failed();
    correct_it(&mut pair, "a", sale("b", "spirit"));
    assert_eq!(told(&mut pair), [(2, UNKNOWN.as_str())]);
    assert_eq!(fate(&pair, "a"), Some(Fate::Withdrawn(local("b"))), "already");
    correct_it(&mut pair, "b", sale("c", "tea"));
    pair.node.define("ghost");
    pair.node.define("spirit");
    assert_eq!(told(&mut pair), [(3, "created")]);
    assert_eq!(fate(&pair, "a"), Some(Fate::Withdrawn(local("c"))));
    assert_eq!(fate(&pair, "b"), Some(Fate::Withdrawn(local("c"))));
    pair.quiesce();
    assert_eq!(posted(&pair), [key_of("1", "c")]);
    check(&pair);
}

#[test]
fn no_more_corrections_follow_each_other_than_an_event_can_name() {
    let mut pair = failed();
    for number in 0..CORRECTED_MAX {
        let (of, by) = (if number == 0 { "a".to_owned() } else { number.to_string() }, number + 1);
        correct_it(&mut pair, &of, sale(&by.to_string(), "ghost"));
        assert_eq!(told(&mut pair).last().unwrap().1, UNKNOWN.as_str());
    }
    let last = CORRECTED_MAX.to_string();
    let more = corrects(&mut pair.till, pair.now, &last, sale("more", "tea"));
    assert_eq!(more, Output::Invalid(EventError::Corrected));
    check(&pair);
}

#[test]
fn copies_of_a_till_that_both_correct_a_sale_post_one_correction() {
    let pair = failed();
    let mut copy = pair.till.clone();
    copy.witness = None;
    copy.open(pair.now, 99);
    // Both number their corrections alike.
    for (mine, theirs) in [("b", "c"), ("same", "same")] {
        let (mut pair, mut copy) = (pair.clone(), copy.clone());
        correct_it(&mut pair, "a", sale(mine, "tea"));
        let draft = support::draft("1", theirs, sale(theirs, "tea").body);
        let draft = Draft { reference: "another".into(), ..draft };
        corrects(&mut copy, pair.now, "a", draft);
        pair.quiesce();
        support::quiesce(&mut copy, &mut pair.node, &mut pair.now);
        assert_eq!(posted(&pair), [key_of("1", mine)]);
        let last = entries(&copy).into_keys().next_back().unwrap();
        let told = attention(&copy, last).unwrap().code;
        let expected = if mine == theirs { ErrorCode::EventInvalid } else { ErrorCode::Withdrawn };
        assert_eq!(told, expected, "its own is kept, and a person hears of it");
        // Neither way of going on counts anything more.
        let by = if mine == theirs { sale("d", "tea") } else { sale("e", "tea") };
        let output = corrects(&mut copy, pair.now, theirs, by);
        assert_eq!(matches!(output, Output::Recorded { .. }), mine == theirs, "{output:?}");
        support::quiesce(&mut copy, &mut pair.node, &mut pair.now);
        assert_eq!(posted(&pair), [key_of("1", mine)]);
        never_forgotten(&copy);
        check(&pair);
    }
}

#[test]
fn a_cloud_that_forgets_both_posts_one_of_them_and_a_person_settles_which() {
    let mut pair = failed();
    let backup = pair.node.store.clone();
    correct_it(&mut pair, "a", sale("b", "tea"));
    assert_eq!(told(&mut pair), [(2, "created")]);
    // The cloud is restored to before the correction, and knows the product by now: the original
    // is offered with the rest of the journal only if it was lost as well.
    for lost in [false, true] {
        let mut pair = pair.clone();
        pair.node.store = if lost { strict().node.store } else { backup.clone() };
        pair.node.define("ghost");
        pair.quiesce();
        let expected = if lost { key_of("1", "a") } else { key_of("1", "b") };
        assert_eq!(posted(&pair), [expected]);
        check(&pair);
        assert_eq!(give_way(&mut pair, "b"), lost, "there is something to settle");
        pair.quiesce();
        assert_eq!(posted(&pair), [expected]);
        assert!(!lost || matches!(state(&pair.till, "a"), State::Synced(_)));
        check(&pair);
        if lost {
            // And once more, back to where only the original was known, without effect: still one
            // of both counts.
            pair.node.store = backup.clone();
            pair.quiesce();
            assert_eq!(posted(&pair).len(), 1);
            check(&pair);
        }
    }
}

#[test]
fn an_original_that_comes_after_its_correction_is_kept_and_never_counts() {
    let mut pair = failed();
    // The till was restored: what it sold is carried over, what was replaced is not.
    correct_it(&mut pair, "a", sale("b", "tea"));
    pair.till.witness = None;
    pair.till.open(pair.now, 99);
    let old = pair.till.clone();
    pair.node.store = strict().node.store;
    pair.quiesce();
    assert_eq!(posted(&pair), [key_of("1", "b")]);
    assert!(matches!(fate(&pair, "a"), Some(Fate::Withdrawn(_))), "withdrawn before it came");
    // Another copy brings it.
    let mut copy = failed().till;
    copy.witness = None;
    copy.open(pair.now, 77);
    pair.node.define("ghost");
    support::quiesce(&mut copy, &mut pair.node, &mut pair.now);
    assert_eq!(posted(&pair), [key_of("1", "b")]);
    let row = ledger(&pair.node).remove(&key_of("1", "a")).unwrap();
    let own = entries(&old).into_values().find(|entry| entry.local_id == local("a")).unwrap();
    assert_eq!(row.payload, own.payload, "its bytes are kept when they come");
    never_forgotten(&copy);
    check(&pair);
}

#[test]
fn a_name_that_was_used_twice_is_corrected_without_touching_the_other_event() {
    let mut pair = Pair::new(Cloud::default());
    let mut copy = pair.till.clone();
    copy.witness = None;
    copy.open(pair.now, 99);
    pair.sell(sale("a", "tea"));
    pair.quiesce();
    copy.sell(pair.now, sale("a", "cake"));
    support::quiesce(&mut copy, &mut pair.node, &mut pair.now);
    let output = corrects(&mut copy, pair.now, "a", sale("a-2", "cake"));
    assert!(matches!(output, Output::Recorded { .. }), "{output:?}");
    support::quiesce(&mut copy, &mut pair.node, &mut pair.now);
    assert_eq!(posted(&pair), [key_of("1", "a"), key_of("1", "a-2")]);
    never_forgotten(&copy);
    check(&pair);
}

#[test]
fn only_what_the_cloud_has_answered_with_a_failure_is_corrected() {
    let mut pair = strict();
    pair.sell(sale("fresh", "ghost"));
    pair.sell(support::refund("back", "ghost", None));
    pair.sell(sale("good", "tea"));
    let no = Output::NothingToRetry;
    assert_eq!(corrects(&mut pair.till, pair.now, "fresh", sale("x", "tea")), no, "never offered");
    pair.greet();
    told(&mut pair);
    assert_eq!(corrects(&mut pair.till, pair.now, "good", sale("x", "tea")), no, "it is posted");
    let planned = correct::plan(&pair.till.store, local("back"), sale("x", "tea"));
    assert!(block_on(planned).unwrap().is_none(), "a refund is made anew");
    let euros = support::trade(vec![support::line("tea", 1_000, 100)]);
    let euros = Trade { currency: Currency::parse("EUR").unwrap(), ..euros };
    let draft = support::draft("1", "x", Body::Sale(euros));
    let other = corrects(&mut pair.till, pair.now, "fresh", draft);
    assert_eq!(other, Output::Invalid(EventError::Currency));
    // The same again is harmless, another content under its name is told.
    let first = corrects(&mut pair.till, pair.now, "fresh", sale("x", "tea"));
    let Output::Recorded { place, receipt, .. } = first else { panic!("{first:?}") };
    let again = corrects(&mut pair.till, pair.now, "fresh", sale("x", "tea"));
    assert_eq!(again, Output::Recorded { place, receipt, again: true });
    let other = corrects(&mut pair.till, pair.now, "fresh", sale("x", "cake"));
    assert_eq!(other, Output::Taken(place));
    assert_eq!(corrects(&mut pair.till, pair.now, "fresh", sale("y", "tea")), no, "replaced once");
    check(&pair);
}

#[test]
fn a_correction_counts_in_the_session_of_its_sale() {
    let mut pair = strict();
    let act = |pair: &mut Pair, id: &str, act| {
        let (local_id, reference) = (local(id), String::new());
        let draft = SessionDraft { pos: pos("1"), local_id, at: Millis(7), reference, act };
        let output = pair.till.run(pair.now, Input::Session(draft));
        assert!(matches!(output, Output::Recorded { .. }), "{output:?}");
    };
    let float = Minor(0);
    act(&mut pair, "day", SessionAct::Open { currency: Currency::GBP, float });
    pair.sell(sale("a", "ghost"));
    pair.sell(sale("late", "ghost"));
    pair.sync();
    correct_it(&mut pair, "a", sale("b", "tea"));
    act(&mut pair, "end", SessionAct::Close { counted: Vec::new() });
    let Some(Record::Closing(closed)) =
        pair.till.store.rows.get(&Key::Closing(pos("1"), local("end")))
    else {
        panic!("it is closed")
    };
    assert_eq!(closed.closed.totals.sales, 2, "each sale counts once, however it was corrected");
    assert_eq!(closed.closed.totals.turnover(), Minor(2 * 510));
    // After the closing: it belongs to the same session all the same.
    correct_it(&mut pair, "late", sale("c", "tea"));
    pair.quiesce();
    let key = cloud::Key::Session(site().shop, support::terminal_id(), pos("1"), local("day"));
    let Some(cloud::Record::Session(row)) = pair.node.store.rows.get(&key) else { panic!("open") };
    assert_eq!(row.posted.sales, 2);
    assert_eq!(row.status(), counterfoil_protocol::wire::session::SessionStatus::Confirmed);
    check(&pair);
}

#[test]
fn what_is_set_aside_is_not_sent_and_holds_up_nobody_but_what_depends_on_it() {
    let mut pair = failed();
    let place = Place { epoch: pair.till.meta().epoch, seq: 1 };
    pair.sell(sale("fresh", "tea"));
    let fresh = Place { seq: 2, ..place };
    let aside = |pair: &mut Pair, place| pair.till.run(pair.now, Input::SetAside(place));
    assert_eq!(aside(&mut pair, fresh), Output::NothingToRetry, "a journal has no gaps");
    assert!(matches!(aside(&mut pair, place), Output::Settled(_)));
    assert_eq!(aside(&mut pair, place), Output::NothingToRetry, "once");
    pair.node.define("ghost");
    pair.sell(support::refund("back", "tea", Some(key_of("1", "a"))));
    pair.quiesce();
    assert_eq!(posted(&pair), [key_of("1", "fresh")], "nothing else is held up");
    assert_eq!(attention(&pair.till, place).map(|why| why.code), Some(UNKNOWN));
    let (pos, local_id) = (pos("1"), local("a"));
    for (place, local_id) in [(place, local_id), (Place { seq: 3, ..place }, local("back"))] {
        assert!(attention(&pair.till, place).is_some());
        pair.till.run(pair.now, Input::Retry { pos, local_id, place });
    }
    pair.quiesce();
    assert_eq!(posted(&pair).len(), 3, "taken back, and sent");
    assert_eq!(stock(&pair.till, "ghost"), (-2_000, 1));
    check(&pair);
}
