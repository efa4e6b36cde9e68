//! Close of day (B.17): the till states what a register has counted, the cloud answers *confirmed*
//! or the exact difference, and what comes late attaches to its session.
#![allow(missing_docs, clippy::unwrap_used, clippy::unwrap_in_result, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod support;

use counterfoil_protocol::cloud::row::Fate;
use counterfoil_protocol::cloud::sessions::{Session, session_report};
use counterfoil_protocol::cloud::{self, Cloud, UnknownProducts};
use counterfoil_protocol::event::session::{Counted, Difference, TaxTotal, TenderTotal};
use counterfoil_protocol::event::{Body, Event, Tender};
use counterfoil_protocol::money::{Currency, Minor};
use counterfoil_protocol::terminal::register::{self, ClosedSession, UNSETTLED_MAX};
use counterfoil_protocol::terminal::{
    self, Draft, Input, Output, Place, SessionAct, SessionDraft, SessionOutput,
};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::session::{CLOSINGS_MAX, LATE_MAX, SessionReport, SessionStatus};
use support::rows::{entries, event, ledger};
use support::{
    Pair, Till, adjustment, block_on, draft, greet, key_of, line, local, offer, pos, quiesce,
    refund, sale, site, terminal_id, trade,
};

fn act(id: &str, act: SessionAct) -> SessionDraft {
    let (pos, local_id) = (pos("1"), local(id));
    SessionDraft { pos, local_id, at: Millis(1_700_000_000_000), reference: String::new(), act }
}

fn open(id: &str) -> SessionDraft {
    act(id, SessionAct::Open { currency: Currency::GBP, float: Minor(10_000) })
}

fn cash(id: &str, delta: i64) -> SessionDraft {
    act(id, SessionAct::Cash { delta: Minor(delta), reason: "bank".into() })
}

fn close(id: &str, counted: i64) -> SessionDraft {
    let counted = vec![Counted { tender: Tender::Cash, amount: Minor(counted) }];
    act(id, SessionAct::Close { counted })
}

fn tried(till: &mut Till, draft: SessionDraft) -> Output {
    till.run(Millis(1_000), Input::Session(draft))
}

fn done(till: &mut Till, draft: SessionDraft) -> Place {
    match tried(till, draft) {
        Output::Recorded { place, receipt: None, again: false } => place,
        other => panic!("not recorded: {other:?}"),
    }
}

fn closing(till: &Till, id: &str) -> ClosedSession {
    match &till.store.rows[&terminal::Key::Closing(pos("1"), local(id))] {
        terminal::Record::Closing(row) => (**row).clone(),
        other => panic!("no closing: {other:?}"),
    }
}

fn session(pair: &Pair, id: &str) -> Session {
    let key = cloud::Key::Session(site().shop, terminal_id(), pos("1"), local(id));
    match &pair.node.store.rows[&key] {
        cloud::Record::Session(row) => (**row).clone(),
        other => panic!("no session: {other:?}"),
    }
}

fn report(pair: &Pair, id: &str) -> SessionReport {
    let found = session_report(&pair.node.store, site().shop, terminal_id(), pos("1"), local(id));
    let report = block_on(found).unwrap().unwrap();
    SessionReport::decode(&report.encode()).unwrap()
}

/// What the cloud says of a closing; `None`: confirmed.
fn verdict(pair: &Pair, id: &str, closing: &str) -> Option<Difference> {
    report(pair, id).closing(local(closing)).unwrap().difference.clone()
}

/// The difference that one cash sale of 5.10 at 19 % makes, so many times.
fn sales_more(by: i64) -> Difference {
    let money = Minor(510 * by);
    Difference {
        sales: by,
        lines: by,
        tenders: vec![TenderTotal { tender: Tender::Cash, taken: money, returned: Minor(0) }],
        taxes: vec![TaxTotal { tax_ppm: 190_000, amount: money }],
        ..Difference::default()
    }
}

/// Every session's row is the sum of the posted events that name it.
fn check_sums(pair: &Pair) {
    for (key, record) in &pair.node.store.rows {
        let (cloud::Key::Session(_, _, of, id), cloud::Record::Session(row)) = (key, record) else {
            continue;
        };
        let posted = ledger(&pair.node).into_values().filter(|row| row.fate == Fate::Posted);
        let events: Vec<Event> = posted.map(|row| event(&row.payload)).collect();
        let own = events.iter().filter(|event| event.pos() == *of && event.session() == Some(*id));
        let (mut sales, mut refunds, mut taken, mut closed) = (0, 0, 0, 0);
        for event in own {
            match event.body() {
                Body::Sale(trade) => {
                    sales += 1;
                    taken += trade.total().0;
                }
                Body::Refund { trade, .. } => {
                    refunds += 1;
                    taken -= trade.total().0;
                }
                Body::SessionClosed(_) => closed += 1,
                _ => {}
            }
        }
        let posted = &row.posted;
        assert_eq!((posted.sales, posted.refunds, posted.turnover().0), (sales, refunds, taken));
        let by_tender: i64 = posted.tenders.iter().map(|t| t.taken.0 - t.returned.0).sum();
        assert_eq!(by_tender, taken, "what was paid is what was sold");
        assert_eq!(row.closed, closed);
    }
}

#[test]
fn a_register_counts_what_is_sold_between_opening_and_closing() {
    let mut till = Till::install(7);
    till.sell(Millis(1), sale("before", "tea"));
    let opened = done(&mut till, open("day-1"));
    till.sell(Millis(2), sale("a", "tea"));
    till.sell(Millis(3), refund("b", "tea", Some(key_of("1", "a"))));
    till.sell(Millis(4), adjustment("c", "tea", -300));
    till.sell(Millis(5), Draft { pos: pos("2"), ..sale("d", "tea") });
    done(&mut till, cash("in", 2_000));
    done(&mut till, cash("out", -5_000));
    let sealed = done(&mut till, close("end-1", 7_254));
    till.sell(Millis(6), sale("after", "tea"));

    let row = closing(&till, "end-1");
    let closed = &row.closed;
    assert_eq!((closed.from.epoch, closed.from.seq), (opened.epoch, opened.seq));
    assert_eq!((closed.to.epoch, closed.to.seq), (sealed.epoch, sealed.seq), "sealed at its place");
    let totals = &closed.totals;
    assert_eq!((totals.sales, totals.refunds, totals.lines), (1, 1, 2));
    assert_eq!((totals.cash_in, totals.cash_out), (Minor(2_000), Minor(5_000)));
    assert_eq!(totals.turnover(), Minor(255));
    // 100.00 at the opening, 5.10 sold, 2.55 given back, 20.00 put in, 50.00 taken out.
    assert_eq!(closed.expected(Tender::Cash), Minor(10_000 + 510 - 255 + 2_000 - 5_000));
    assert_eq!(closed.counted(Tender::Cash), Some(Minor(7_254)));
    assert_eq!((closed.expected(Tender::Card), closed.counted(Tender::Card)), (Minor(0), None));

    let named: Vec<_> = entries(&till)
        .values()
        .map(|entry| (event(&entry.payload).local_id(), event(&entry.payload).session()))
        .collect();
    let day = Some(local("day-1"));
    for (id, expected) in [
        ("before", None),
        ("day-1", day),
        ("a", day),
        ("b", day),
        ("c", None),
        ("d", None),
        ("in", day),
        ("out", day),
        ("end-1", day),
        ("after", None),
    ] {
        assert!(named.contains(&(local(id), expected)), "{id} belongs to {expected:?}");
    }
}

#[test]
fn a_sale_and_its_sessions_sums_are_one_commit() {
    let mut till = Till::install(7);
    done(&mut till, open("day-1"));
    let before = till.store.commits;
    till.sell(Millis(2), sale("a", "tea"));
    assert_eq!(till.store.commits, before + 1);
    let wrote = &till.store.wrote;
    assert!(wrote.contains(&terminal::Key::Register(pos("1"))), "{wrote:?}");
    assert!(wrote.contains(&terminal::Key::Series(pos("1"))), "{wrote:?}");
    // Without a session a sale writes no row of a register, and has version 1.
    till.sell(Millis(2), Draft { pos: pos("2"), ..sale("b", "tea") });
    assert!(!till.store.wrote.contains(&terminal::Key::Register(pos("2"))));
    let versions: Vec<u8> = entries(&till).values().map(|entry| entry.payload[0]).collect();
    assert_eq!(versions, [2, 2, 1]);
}

#[test]
fn what_cannot_happen_to_a_session_is_refused() {
    let mut till = Till::install(7);
    let none = Output::Session(SessionOutput::NoneOpen);
    assert_eq!(tried(&mut till, cash("x", 1)), none);
    assert_eq!(tried(&mut till, close("y", 1)), none);
    done(&mut till, open("day-1"));
    let open_already = Output::Session(SessionOutput::AlreadyOpen(local("day-1")));
    assert_eq!(tried(&mut till, open("day-2")), open_already);
    for bad in [
        cash("x", 0),
        act("x", SessionAct::Close { counted: [1, 2].map(counted).into() }),
        close("x", -1),
        SessionDraft { reference: "\n".into(), ..cash("x", 1) },
    ] {
        let refused = tried(&mut till, bad.clone());
        assert!(matches!(refused, Output::Invalid(_)), "{bad:?}: {refused:?}");
    }
    // A draft cannot bring a closing of its own, with sums that nobody has counted.
    let row = block_on(register::current(&till.store, pos("1"))).unwrap().0.unwrap();
    let forged = row.closed(row.from, Vec::new());
    let refused = till.record(Millis(1), draft("1", "x", Body::SessionClosed(forged)));
    assert!(matches!(refused, Output::Invalid(_)), "{refused:?}");
    assert_eq!(entries(&till).len(), 1, "nothing of this was recorded");
    done(&mut till, close("end-1", 10_000));
    assert_eq!(tried(&mut till, close("end-2", 10_000)), none, "closed twice");
    done(&mut till, open("day-2"));
}

fn counted(amount: i64) -> Counted {
    Counted { tender: Tender::Cash, amount: Minor(amount) }
}

#[test]
fn the_same_again_is_harmless_while_it_is_open_and_after() {
    let mut till = Till::install(7);
    let acts = [open("day-1"), cash("out", -500), close("end-1", 9_500)];
    let others = [
        act("day-1", SessionAct::Open { currency: Currency::GBP, float: Minor(1) }),
        cash("out", -501),
        close("end-1", 9_501),
    ];
    let mut places = Vec::new();
    for draft in &acts {
        places.push(done(&mut till, draft.clone()));
        till.sell(Millis(2), sale(&format!("sale-{}", places.len()), "tea"));
    }
    let rows = till.store.rows.clone();
    for ((draft, other), place) in acts.iter().zip(&others).zip(&places) {
        let again = Output::Recorded { place: *place, receipt: None, again: true };
        assert_eq!(tried(&mut till, draft.clone()), again, "{draft:?}");
        assert_eq!(tried(&mut till, other.clone()), Output::Taken(*place), "{other:?}");
        let misnamed = SessionDraft { act: cash("x", 7).act, ..draft.clone() };
        assert_eq!(tried(&mut till, misnamed), Output::Taken(*place), "{draft:?}");
        let sold = till.record(Millis(9), sale(draft.local_id.as_str(), "tea"));
        assert_eq!(sold, Output::Taken(*place), "a sale under the name of {draft:?}");
    }
    let Output::Recorded { again, .. } = till.record(Millis(9), sale("sale-1", "tea")) else {
        panic!("a sale of a closed session is known")
    };
    assert!(again);
    let known_sale = tried(&mut till, cash("sale-1", 7));
    assert!(matches!(known_sale, Output::Taken(_)), "{known_sale:?}");
    assert_eq!(till.store.rows, rows, "nothing was written");
}

#[test]
fn a_trade_in_another_currency_is_sold_and_not_counted() {
    let mut till = Till::install(7);
    done(&mut till, open("day-1"));
    let mut euros = trade(vec![line("tea", 1_000, 300)]);
    euros.currency = Currency::parse("EUR").unwrap();
    till.sell(Millis(2), draft("1", "a", Body::Sale(euros)));
    let open = block_on(register::current(&till.store, pos("1"))).unwrap().0.unwrap();
    assert_eq!(open.totals.sales, 0);
}

#[test]
fn a_day_that_arrived_is_confirmed_and_the_till_keeps_the_word() {
    let mut pair = Pair::new(Cloud::default());
    done(&mut pair.till, open("day-1"));
    pair.sell_all(&["a", "b", "c"]);
    pair.sync();
    assert_eq!(report(&pair, "day-1").status, SessionStatus::Open);
    done(&mut pair.till, close("end-1", 11_530));
    let unsettled = |till: &Till| block_on(register::unsettled(&till.store)).unwrap();
    assert_eq!(unsettled(&pair.till), [(pos("1"), local("day-1"))]);
    pair.sync();
    let told = report(&pair, "day-1");
    assert_eq!(told.status, SessionStatus::Confirmed);
    assert_eq!((told.posted.sales, told.float_minor, told.late.events), (3, Some(10_000), 0));
    check_sums(&pair);
    let noted = pair.till.run(Millis(77), Input::SessionVerdict(told.clone()));
    assert_eq!(noted, Output::Session(SessionOutput::Noted(1)));
    let row = closing(&pair.till, "end-1");
    assert_eq!(row.told.as_ref().map(|told| told.at), Some(Millis(77)));
    assert_eq!(row.told.unwrap().report.difference, None);
    assert_eq!(unsettled(&pair.till), []);
    // A word on another till's session, or on one that it never closed, changes nothing.
    let rows = pair.till.store.rows.clone();
    let other = SessionReport { terminal_id: "T-2".parse().unwrap(), ..told.clone() };
    let unknown = SessionReport { session_id: local("day-9"), ..told };
    for report in [other, unknown] {
        let noted = pair.till.run(Millis(78), Input::SessionVerdict(report));
        assert_eq!(noted, Output::Session(SessionOutput::Noted(0)));
    }
    assert_eq!(pair.till.store.rows, rows);
}

#[test]
fn a_sale_that_comes_late_attaches_and_posts_an_adjustment() {
    let mut pair = Pair::new(Cloud { unknown_products: UnknownProducts::Park });
    pair.node.define("tea");
    done(&mut pair.till, open("day-1"));
    pair.sell(sale("a", "tea"));
    pair.sell(sale("b", "new"));
    done(&mut pair.till, close("end-1", 11_020));
    pair.sync();
    assert_eq!(verdict(&pair, "day-1", "end-1"), Some(sales_more(-1)), "one sale waits");
    assert_eq!(report(&pair, "day-1").status, SessionStatus::Difference);
    // The till hears so, and goes on asking.
    let told = report(&pair, "day-1");
    pair.till.run(Millis(77), Input::SessionVerdict(told));
    assert_eq!(closing(&pair.till, "end-1").told.unwrap().report.difference, Some(sales_more(-1)));
    assert_eq!(block_on(register::unsettled(&pair.till.store)).unwrap().len(), 1);
    check_sums(&pair);

    pair.node.define("new");
    pair.quiesce();
    let told = report(&pair, "day-1");
    assert_eq!(told.status, SessionStatus::Confirmed);
    assert_eq!((told.late.events, told.late.money_minor), (1, 510));
    assert_eq!(told.late.last[0].local_event_id, local("b"));
    assert_eq!(told.late.last[0].money, Minor(510));
    check_sums(&pair);
    // Everything again changes nothing.
    let rows = pair.node.store.rows.clone();
    pair.quiesce();
    let sessions = |rows: &std::collections::BTreeMap<cloud::Key, cloud::Record>| {
        let all = rows.iter().filter(|(key, _)| matches!(key, cloud::Key::Session(..)));
        all.map(|(key, record)| (*key, record.clone())).collect::<Vec<_>>()
    };
    assert_eq!(sessions(&pair.node.store.rows), sessions(&rows));
}

#[test]
fn a_refund_that_waits_beyond_the_closing_is_counted_when_it_is_posted() {
    let mut pair = Pair::new(Cloud { unknown_products: UnknownProducts::Park });
    pair.node.define("tea");
    pair.sell(sale("yesterday", "new"));
    done(&mut pair.till, open("day-1"));
    pair.sell(refund("back", "tea", Some(key_of("1", "yesterday"))));
    done(&mut pair.till, close("end-1", 9_745));
    pair.sync();
    let money = Minor(-255);
    let missing = Difference {
        refunds: -1,
        lines: -1,
        tenders: vec![TenderTotal { tender: Tender::Cash, taken: Minor(0), returned: money }],
        taxes: vec![TaxTotal { tax_ppm: 190_000, amount: Minor(255) }],
        ..Difference::default()
    };
    assert_eq!(verdict(&pair, "day-1", "end-1"), Some(missing));
    pair.node.define("new");
    pair.quiesce();
    assert_eq!(verdict(&pair, "day-1", "end-1"), None);
    assert_eq!(report(&pair, "day-1").late.money_minor, -255);
    check_sums(&pair);
}

#[test]
fn a_restored_till_that_forgot_a_sale_hears_which_sums_it_lacks() {
    let mut pair = Pair::new(Cloud::default());
    done(&mut pair.till, open("day-1"));
    pair.sell(sale("a", "tea"));
    let backup = pair.till.store.clone();
    pair.till.open(Millis(2), 42);
    pair.sell(sale("b", "tea"));
    done(&mut pair.till, cash("out", -500));
    pair.sync();
    pair.till.store = backup;
    pair.till.open(Millis(5), 99);
    pair.sell(sale("c", "tea"));
    done(&mut pair.till, close("end-1", 11_020));
    pair.quiesce();
    let forgot = Difference { cash_out: Minor(500), ..sales_more(1) };
    assert_eq!(verdict(&pair, "day-1", "end-1"), Some(forgot));
    assert_eq!(session(&pair, "day-1").posted.sales, 3);
    let closed = closing(&pair.till, "end-1").closed;
    assert_ne!(closed.from.epoch, closed.to.epoch, "the session lived through the new epoch");
    check_sums(&pair);
}

#[test]
fn two_copies_of_a_till_close_one_session_and_both_closings_are_explained() {
    let mut pair = Pair::new(Cloud::default());
    done(&mut pair.till, open("day-1"));
    pair.sell(sale("a", "tea"));
    let mut copy = pair.till.clone();
    copy.witness = None;
    copy.open(Millis(5), 99);
    pair.sell(sale("b", "tea"));
    copy.sell(Millis(6), sale("c", "tea"));
    copy.sell(Millis(6), sale("d", "tea"));
    done(&mut pair.till, close("end-1", 11_020));
    done(&mut copy, close("end-2", 11_530));
    pair.quiesce();
    assert_eq!(verdict(&pair, "day-1", "end-1"), None, "nobody has heard of the copy yet");
    quiesce(&mut copy, &mut pair.node, &mut pair.now);
    pair.quiesce();
    assert_eq!(verdict(&pair, "day-1", "end-1"), Some(sales_more(2)), "what the copy sold");
    assert_eq!(verdict(&pair, "day-1", "end-2"), Some(sales_more(1)), "what the original sold");
    let told = report(&pair, "day-1");
    assert_eq!((told.closed, told.late.events, told.posted.sales), (2, 2, 4));
    assert_eq!(told.status, SessionStatus::Difference);
    check_sums(&pair);
}

#[test]
fn an_event_that_is_carried_over_keeps_its_session() {
    let mut pair = Pair::new(Cloud::default());
    done(&mut pair.till, open("day-1"));
    pair.sell(sale("a", "tea"));
    done(&mut pair.till, close("end-1", 10_510));
    // The witness is lost: all of it is carried over into a new epoch.
    pair.till.witness = None;
    pair.till.open(Millis(5), 99);
    pair.quiesce();
    assert_eq!(verdict(&pair, "day-1", "end-1"), None);
    for draft in [open("day-1"), close("end-1", 10_510)] {
        let again = tried(&mut pair.till, draft);
        assert!(matches!(again, Output::Recorded { again: true, .. }), "{again:?}");
    }
    let again = pair.till.record(Millis(9), sale("a", "tea"));
    assert!(matches!(again, Output::Recorded { again: true, .. }), "{again:?}");
}

#[test]
fn a_cloud_that_lost_its_tail_counts_again_and_not_twice() {
    let mut pair = Pair::new(Cloud::default());
    done(&mut pair.till, open("day-1"));
    pair.sell(sale("a", "tea"));
    pair.sync();
    let backup = pair.node.store.clone();
    pair.sell(sale("b", "tea"));
    done(&mut pair.till, close("end-1", 11_020));
    pair.sync();
    let before = session(&pair, "day-1");
    pair.node.store = backup;
    pair.quiesce();
    assert_eq!(session(&pair, "day-1"), before);
    // The answer is lost after the commit: the same push again.
    pair.sell(sale("c", "tea"));
    greet(&mut pair.till, &mut pair.node, pair.now);
    offer(&mut pair.till, &mut pair.node, pair.now, false).unwrap();
    pair.quiesce();
    assert_eq!(verdict(&pair, "day-1", "end-1"), None);
    check_sums(&pair);
}

#[test]
fn lists_are_bounded_and_what_they_leave_out_is_counted() {
    let mut pair = Pair::new(Cloud::default());
    done(&mut pair.till, open("day-1"));
    let copy = pair.till.clone();
    done(&mut pair.till, close("end-0", 10_000));
    pair.quiesce();
    // Copy after copy closes the session once more, each with sales of its own.
    let copies = CLOSINGS_MAX.max(LATE_MAX) + 3;
    for number in 1..=copies {
        let mut copy = copy.clone();
        copy.witness = None;
        copy.open(Millis(5), 100 + number as u64);
        copy.sell(Millis(6), sale(&format!("sale-{number}"), "tea"));
        done(&mut copy, close(&format!("end-{number}"), 10_510));
        quiesce(&mut copy, &mut pair.node, &mut pair.now);
    }
    let told = report(&pair, "day-1");
    assert_eq!(told.closed as usize, copies + 1);
    assert_eq!(told.closings.len(), CLOSINGS_MAX);
    assert_eq!(told.closings.last().unwrap().closing_id, local(&format!("end-{copies}")));
    assert_eq!((told.late.events as usize, told.late.last.len()), (copies, LATE_MAX));
    assert_eq!(told.late.money_minor, 510 * copies as i64);
    check_sums(&pair);

    let mut till = Till::install(9);
    for day in 0..UNSETTLED_MAX + 3 {
        done(&mut till, open(&format!("day-{day}")));
        done(&mut till, close(&format!("end-{day}"), 10_000));
    }
    let unsettled = block_on(register::unsettled(&till.store)).unwrap();
    assert_eq!(unsettled.len(), UNSETTLED_MAX, "the oldest is not asked for any more");
    assert!(!unsettled.contains(&(pos("1"), local("day-0"))));
}
