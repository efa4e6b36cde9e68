//! Events of register sessions at the border: one form each, old bytes as they were, sums that do
//! not depend on an order, and every rule by its name.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use counterfoil_protocol::event::session::{
    Counted, Difference, Mark, SUM_MAX, TAX_RATES_MAX, TaxTotal, TenderTotal, Totals,
};
use counterfoil_protocol::event::{
    CashMoved, Event, EventError, SessionClosed, SessionOpened, Tender,
};
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::money::{Currency, MINOR_MAX, Minor};
use counterfoil_protocol::wire::event::{
    AdjustmentLineV1, AdjustmentV1, BodyV1, EventAny, EventV1, EventV2, LineV1, PaymentV1,
    ReceiptV1, TradeV1,
};
use counterfoil_protocol::wire::message::MessageError;
use counterfoil_protocol::wire::session::{
    CLOSINGS_MAX, ClosingReport, LateReport, SessionReport, SessionStatus,
};
use proptest::prelude::*;
use support::{local, pos, product, site, terminal_id};

const EPOCH: Epoch = Epoch { number: 2, nonce: 7 };

fn event(id: &str, body: BodyV1) -> EventV2 {
    let trades = matches!(body, BodyV1::Sale(_) | BodyV1::Refund(_));
    EventV2 {
        pos_id: pos("1"),
        local_event_id: local(id),
        at_ms: 0,
        receipt: trades.then_some(ReceiptV1 { series: EPOCH, number: 1 }),
        reference: String::new(),
        body,
        session_id: local("day"),
    }
}

fn opened(float: i64) -> BodyV1 {
    BodyV1::SessionOpened(SessionOpened { currency: Currency::GBP, float: Minor(float) })
}

fn moved(delta: i64) -> BodyV1 {
    let reason = "bank".into();
    BodyV1::CashMoved(CashMoved { currency: Currency::GBP, delta: Minor(delta), reason })
}

fn totals() -> Totals {
    let (taken, returned) = (Minor(510), Minor(255));
    Totals {
        sales: 1,
        refunds: 1,
        lines: 2,
        tenders: vec![TenderTotal { tender: Tender::Cash, taken, returned }],
        taxes: vec![TaxTotal { tax_ppm: 190_000, amount: Minor(255) }],
        ..Totals::default()
    }
}

fn closed(change: impl FnOnce(&mut SessionClosed)) -> BodyV1 {
    let mut closed = SessionClosed {
        currency: Currency::GBP,
        from: Mark { epoch: EPOCH, seq: 1 },
        to: Mark { epoch: EPOCH, seq: 4 },
        float: Minor(10_000),
        totals: totals(),
        counted: vec![Counted { tender: Tender::Cash, amount: Minor(10_255) }],
    };
    change(&mut closed);
    BodyV1::SessionClosed(closed)
}

fn trade(taxes: &[(u32, i64)], tender: u8) -> TradeV1 {
    let lines = taxes.iter().map(|(tax_ppm, price)| LineV1 {
        product_id: product("tea"),
        name: String::new(),
        quantity_milli: 1_000,
        unit_price_minor: *price,
        discount_minor: 0,
        tax_ppm: *tax_ppm,
    });
    let sum: i64 = taxes.iter().map(|(_, price)| price).sum();
    let payments = if sum > 0 { vec![PaymentV1 { tender, amount_minor: sum }] } else { vec![] };
    TradeV1 { currency: "GBP".into(), lines: lines.collect(), payments }
}

fn adjustment() -> BodyV1 {
    let line = AdjustmentLineV1 { product_id: product("tea"), name: "".into(), delta_milli: 1 };
    BodyV1::Adjustment(AdjustmentV1 { reason: String::new(), lines: vec![line] })
}

#[test]
fn each_rule_of_a_session_event_has_its_name() {
    let second = |amount| Counted { tender: Tender::Cash, amount: Minor(amount) };
    let tender = |tender| TenderTotal { tender, taken: Minor(1), returned: Minor(0) };
    let tax = |tax_ppm| TaxTotal { tax_ppm, amount: Minor(1) };
    for (name, wire, expected) in [
        ("an opening", event("day", opened(0)), Ok(())),
        ("an opening of another name", event("x", opened(0)), Err(EventError::Session)),
        ("a float below zero", event("day", opened(-1)), Err(EventError::Amount)),
        ("a float too large", event("day", opened(MINOR_MAX + 1)), Err(EventError::Amount)),
        ("cash in", event("x", moved(MINOR_MAX)), Ok(())),
        ("cash out", event("x", moved(-MINOR_MAX)), Ok(())),
        ("no cash", event("x", moved(0)), Err(EventError::Amount)),
        ("too much cash", event("x", moved(i64::MIN)), Err(EventError::Amount)),
        ("a closing", event("x", closed(|_| {})), Ok(())),
        ("a sale of a session", event("x", BodyV1::Sale(trade(&[(0, 5)], 1))), Ok(())),
        ("an adjustment of a session", event("x", adjustment()), Err(EventError::Session)),
        (
            "a receipt for cash",
            EventV2 {
                receipt: Some(ReceiptV1 { series: EPOCH, number: 1 }),
                ..event("x", moved(1))
            },
            Err(EventError::Receipt),
        ),
        (
            "the same tender counted twice",
            event("x", closed(|c| c.counted.push(second(1)))),
            Err(EventError::Totals),
        ),
        (
            "counted below zero",
            event("x", closed(|c| c.counted = vec![second(-1)])),
            Err(EventError::Totals),
        ),
        (
            "tenders that fall",
            event(
                "x",
                closed(|c| c.totals.tenders = vec![tender(Tender::Card), tender(Tender::Cash)]),
            ),
            Err(EventError::Totals),
        ),
        (
            "rates that fall",
            event("x", closed(|c| c.totals.taxes = vec![tax(2), tax(1)])),
            Err(EventError::Totals),
        ),
        (
            "a rate above the whole",
            event("x", closed(|c| c.totals.taxes = vec![tax(1_000_001)])),
            Err(EventError::Totals),
        ),
        (
            "too many rates",
            event("x", closed(|c| c.totals.taxes = (0..=TAX_RATES_MAX as u32).map(tax).collect())),
            Err(EventError::Totals),
        ),
        (
            "a sum too large",
            event("x", closed(|c| c.totals.cash_in = Minor(SUM_MAX + 1))),
            Err(EventError::Totals),
        ),
        (
            "given back below zero",
            event("x", closed(|c| c.totals.tenders[0].returned = Minor(-1))),
            Err(EventError::Totals),
        ),
        (
            "a count too large",
            event("x", closed(|c| c.totals.lines = u64::MAX)),
            Err(EventError::Totals),
        ),
        ("no place", event("x", closed(|c| c.to.seq = 0)), Err(EventError::Totals)),
    ] {
        let parsed = Event::parse_in_session(wire.clone());
        assert_eq!(parsed.as_ref().map(|_| ()).map_err(|e| *e), expected, "{name}");
        if let Ok(parsed) = parsed {
            let bytes = parsed.canonical();
            assert_eq!(bytes[0], 2, "{name} has version 2");
            assert_eq!(Event::from_canonical(&bytes), Ok(parsed.clone()), "{name} is read back");
            assert_eq!(EventAny::from_event(&parsed), EventAny::V2(wire), "{name} is not changed");
        }
    }
}

#[test]
fn a_session_event_without_a_session_is_none() {
    for body in [opened(0), moved(1), closed(|_| {})] {
        let EventV2 { pos_id, local_event_id, at_ms, receipt, reference, body, .. } =
            event("day", body);
        let wire = EventV1 { pos_id, local_event_id, at_ms, receipt, reference, body };
        assert_eq!(Event::parse(wire), Err(EventError::Session));
    }
}

#[test]
fn the_version_byte_and_the_session_go_together() {
    let with = Event::parse_in_session(event("x", BodyV1::Sale(trade(&[(0, 5)], 1)))).unwrap();
    let EventAny::V2(wire) = EventAny::from_event(&with) else { panic!("it names a session") };
    let EventV2 { pos_id, local_event_id, at_ms, receipt, reference, body, .. } = wire;
    let without = EventV1 { pos_id, local_event_id, at_ms, receipt, reference, body };
    let without = Event::parse(without).unwrap();
    let (with, without) = (with.canonical(), without.canonical());
    // Version 2 is version 1 and the session's name behind it.
    let named = [&[2][..], &without[1..], b"\x03day"].concat();
    assert_eq!(with, named);
    for (bytes, version) in [(&with, 1), (&without, 2)] {
        let swapped = [&[version][..], &bytes[1..]].concat();
        assert!(Event::from_canonical(&swapped).is_err(), "version {version} is another form");
    }
}

#[test]
fn json_of_either_version_is_read_back() {
    let sale = || BodyV1::Sale(trade(&[(0, 5)], 1));
    for body in [sale(), opened(0), moved(-5), closed(|_| {})] {
        let id = if matches!(body, BodyV1::SessionOpened(_)) { "day" } else { "x" };
        let event = Event::parse_in_session(event(id, body)).unwrap();
        let text = serde_json::to_string(&EventAny::from_event(&event)).unwrap();
        let read: EventAny = serde_json::from_str(&text).unwrap();
        assert_eq!(read.parse(), Ok(event), "{text}");
    }
}

#[test]
fn what_differs_is_told_by_name_and_sign() {
    let BodyV1::SessionClosed(stated) = closed(|_| {}) else { unreachable!() };
    let none = Difference::default();
    type Change = fn(&mut Totals);
    let rows: [(&str, Change, Difference); 8] = [
        ("nothing", |_| {}, none.clone()),
        ("a sale more", |t| t.sales += 1, Difference { sales: 1, ..none.clone() }),
        ("a refund less", |t| t.refunds -= 1, Difference { refunds: -1, ..none.clone() }),
        ("lines", |t| t.lines = 0, Difference { lines: -2, ..none.clone() }),
        ("cash in", |t| t.cash_in.0 += 7, Difference { cash_in: Minor(7), ..none.clone() }),
        ("cash out", |t| t.cash_out.0 += 7, Difference { cash_out: Minor(7), ..none.clone() }),
        (
            "a card sale that the till does not know",
            |t| {
                let (taken, returned) = (Minor(9), Minor(0));
                t.tenders.push(TenderTotal { tender: Tender::Card, taken, returned });
            },
            Difference {
                tenders: vec![TenderTotal {
                    tender: Tender::Card,
                    taken: Minor(9),
                    returned: Minor(0),
                }],
                ..none.clone()
            },
        ),
        (
            "a rate that only the till has, and one that only the cloud has",
            |t| t.taxes = vec![TaxTotal { tax_ppm: 70_000, amount: Minor(255) }],
            Difference {
                taxes: vec![
                    TaxTotal { tax_ppm: 70_000, amount: Minor(255) },
                    TaxTotal { tax_ppm: 190_000, amount: Minor(-255) },
                ],
                ..none.clone()
            },
        ),
    ];
    for (name, change, expected) in rows {
        let mut posted = totals();
        change(&mut posted);
        let found = Difference::between(&posted, Minor(10_000), 0, &stated);
        assert_eq!(found, expected, "{name}");
        assert_eq!(found.is_none(), expected == none, "{name}");
    }
    let found = Difference::between(&totals(), Minor(9_000), 3, &stated);
    assert_eq!(found, Difference { float: Minor(-1_000), foreign: 3, ..none });
}

#[test]
fn a_report_keeps_its_bounds() {
    let closing = ClosingReport { closing_id: local("x"), difference: None };
    let report = |count| SessionReport {
        branch_id: site().branch,
        terminal_id: terminal_id(),
        pos_id: pos("1"),
        session_id: local("day"),
        status: SessionStatus::Confirmed,
        currency: Currency::GBP,
        float_minor: Some(5),
        posted: totals(),
        foreign: 0,
        closed: 1,
        closings: vec![closing.clone(); count],
        late: LateReport::default(),
    };
    let good = report(CLOSINGS_MAX);
    assert_eq!(SessionReport::decode(&good.encode()), Ok(good));
    let long = report(CLOSINGS_MAX + 1).encode();
    assert_eq!(SessionReport::decode(&long), Err(MessageError::Parts));
}

/// Adds events up in the order given.
fn sum(events: &[Event]) -> Totals {
    let mut totals = Totals::default();
    for event in events {
        totals.add(event);
    }
    totals
}

fn trades() -> impl Strategy<Value = Event> {
    let lines = prop::collection::vec((0_u32..60, 0_i64..500), 1..6);
    (lines, 1_u8..4, any::<bool>(), -3_i64..4).prop_map(|(lines, tender, back, cash)| {
        let trade = trade(&lines, tender);
        let body = match (cash, back) {
            (1.. | ..=-1, true) => moved(cash),
            (_, false) => BodyV1::Sale(trade),
            (0, true) => BodyV1::Refund(counterfoil_protocol::wire::event::RefundV1 {
                original: None,
                trade,
            }),
        };
        Event::parse_in_session(event("x", body)).unwrap()
    })
}

proptest! {
    /// `NoDuplicate`, in its session: the sums are those of the events, in whatever order they
    /// arrive, even if there are more tax rates than are counted apart.
    #[test]
    fn sums_do_not_depend_on_the_order(
        events in prop::collection::vec(trades(), 1..40),
        seed in any::<u64>(),
    ) {
        let mut shuffled = events.clone();
        let mut draw = seed;
        for at in (1..shuffled.len()).rev() {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(at, (draw >> 33) as usize % (at + 1));
        }
        let totals = sum(&events);
        prop_assert_eq!(&sum(&shuffled), &totals);
        let turnover: i64 = events.iter().map(|event| event.figures().money.0).sum();
        prop_assert_eq!(totals.turnover(), Minor(turnover));
        prop_assert!(totals.taxes.len() <= TAX_RATES_MAX);
        let stated = SessionClosed {
            currency: Currency::GBP,
            from: Mark { epoch: EPOCH, seq: 1 },
            to: Mark { epoch: EPOCH, seq: 2 },
            float: Minor(0),
            totals: totals.clone(),
            counted: Vec::new(),
        };
        prop_assert!(Difference::between(&totals, Minor(0), 0, &stated).is_none());
        let expected: i64 = Tender::ALL.iter().map(|tender| stated.expected(*tender).0).sum();
        prop_assert_eq!(expected, turnover + totals.cash_in.0 - totals.cash_out.0);
    }
}
