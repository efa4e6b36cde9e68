//! What crosses the border becomes a domain type once, or is refused with the rule it breaks.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use counterfoil_protocol::catalog::edit::FieldValue;
use counterfoil_protocol::catalog::{
    BARCODES_MAX, ENTITY_BYTES_MAX, Entity, EntityError, EntityId,
};
use counterfoil_protocol::codec::DecodeError;
use counterfoil_protocol::event::{
    CORRECTED_MAX, EVENT_BYTES_MAX, Event, EventError, LINES_MAX, PAYMENTS_MAX, TEXT_BYTES_MAX,
};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{Epoch, LocalEventId, PosId, ProductId, TerminalId};
use counterfoil_protocol::label::{LABEL_BYTES_MAX, Label, LabelError};
use counterfoil_protocol::money::{Currency, MILLI_MAX, MINOR_MAX, Milli, Minor};
use counterfoil_protocol::wire::catalog::{EntityV1, ProductV1};
use counterfoil_protocol::wire::correction::{CorrectedV1, CorrectionV1};
use counterfoil_protocol::wire::edit::FieldValueV1;
use counterfoil_protocol::wire::event::{
    AdjustmentLineV1, AdjustmentV1, BodyV1, EventKeyV1, EventV1, LineV1, PaymentV1, ReceiptV1,
    RefundV1, TradeV1,
};

fn line() -> LineV1 {
    LineV1 {
        product_id: ProductId::parse("tea").unwrap(),
        name: "Tea".into(),
        quantity_milli: 1_000,
        unit_price_minor: 100,
        discount_minor: 0,
        tax_ppm: 0,
    }
}

fn trade() -> TradeV1 {
    let payments = vec![PaymentV1 { tender: 1, amount_minor: 100 }];
    TradeV1 { currency: "GBP".into(), lines: vec![line()], payments }
}

fn event(body: BodyV1) -> EventV1 {
    let receipt = ReceiptV1 { series: Epoch { number: 1, nonce: 7 }, number: 1 };
    EventV1 {
        pos_id: PosId::parse("1").unwrap(),
        local_event_id: LocalEventId::parse("a").unwrap(),
        at_ms: 0,
        receipt: (!matches!(body, BodyV1::Adjustment(_))).then_some(receipt),
        reference: String::new(),
        body,
    }
}

/// A sale of one unit for 100, changed.
fn sale(change: impl FnOnce(&mut TradeV1)) -> EventV1 {
    let mut trade = trade();
    change(&mut trade);
    event(BodyV1::Sale(trade))
}

/// A sale whose one line is changed, and that is paid with `paid`.
fn priced(paid: i64, change: impl FnOnce(&mut LineV1)) -> EventV1 {
    sale(|trade| {
        change(&mut trade.lines[0]);
        trade.payments = vec![PaymentV1 { tender: 1, amount_minor: paid }];
        if paid == 0 {
            trade.payments.clear();
        }
    })
}

fn adjusted(change: impl FnOnce(&mut AdjustmentV1)) -> EventV1 {
    let product_id = ProductId::parse("tea").unwrap();
    let line = AdjustmentLineV1 { product_id, name: String::new(), delta_milli: -1 };
    let mut adjustment = AdjustmentV1 { reason: String::new(), lines: vec![line] };
    change(&mut adjustment);
    event(BodyV1::Adjustment(adjustment))
}

fn corrected(of: usize) -> EventV1 {
    let name = |number| LocalEventId::parse(&format!("before-{number}")).unwrap();
    let named = |number| CorrectedV1 { local_event_id: name(number), payload_hash: Hash([7; 32]) };
    let of = (0..of).map(named).collect();
    event(BodyV1::Correction(CorrectionV1 { of, trade: trade() }))
}

fn refunded(change: impl FnOnce(&mut RefundV1)) -> EventV1 {
    let mut refund = RefundV1 { original: None, trade: trade() };
    change(&mut refund);
    event(BodyV1::Refund(refund))
}

fn told(change: impl FnOnce(&mut EventV1)) -> EventV1 {
    let mut event = sale(|_| {});
    change(&mut event);
    event
}

fn check(name: &str, event: EventV1, expected: Result<(), EventError>) {
    let parsed = Event::parse(event.clone());
    assert_eq!(parsed.as_ref().map(|_| ()).map_err(|e| *e), expected, "{name}");
    if let Ok(parsed) = parsed {
        assert_eq!(EventV1::from_event(&parsed), event, "{name}: nothing is changed");
        assert_eq!(Event::from_canonical(&parsed.canonical()), Ok(parsed), "{name}: reads back");
    }
}

#[test]
fn every_bound_holds_at_its_edge_and_not_beyond() {
    use EventError as E;
    let at_edge = "x".repeat(TEXT_BYTES_MAX);
    let beyond = "x".repeat(TEXT_BYTES_MAX + 1);
    let umlauts = "ü".repeat(TEXT_BYTES_MAX / 2);
    let free = || LineV1 { unit_price_minor: 0, ..line() };
    let many = |n: usize| {
        move |trade: &mut TradeV1| {
            trade.lines = vec![free(); n];
            trade.payments.clear();
        }
    };
    let pays = |n: usize| {
        move |trade: &mut TradeV1| {
            trade.payments = vec![PaymentV1 { tender: 2, amount_minor: 1 }; n];
            trade.lines[0].unit_price_minor = n as i64;
        }
    };
    let two = |price: i64| {
        move |trade: &mut TradeV1| {
            trade.lines = vec![LineV1 { unit_price_minor: price, ..line() }; 2];
            trade.payments = vec![PaymentV1 { tender: 1, amount_minor: price }; 2];
        }
    };
    let counts = |n: usize| move |a: &mut AdjustmentV1| a.lines = vec![a.lines[0].clone(); n];
    let ok = Ok(());
    for (name, event, expected) in [
        ("a plain sale", sale(|_| {}), ok),
        ("a plain refund", refunded(|_| {}), ok),
        ("a plain adjustment", adjusted(|_| {}), ok),
        // lines
        ("no line", sale(many(0)), Err(E::Lines)),
        ("the most lines", sale(many(LINES_MAX)), ok),
        ("too many lines", sale(many(LINES_MAX + 1)), Err(E::Lines)),
        ("no line counted", adjusted(counts(0)), Err(E::Lines)),
        ("the most lines counted", adjusted(counts(LINES_MAX)), ok),
        ("too many lines counted", adjusted(counts(LINES_MAX + 1)), Err(E::Lines)),
        // what a correction is of
        ("a correction of nothing", corrected(0), Err(E::Corrected)),
        ("a correction", corrected(1), ok),
        ("the longest correction", corrected(CORRECTED_MAX), ok),
        ("too long a correction", corrected(CORRECTED_MAX + 1), Err(E::Corrected)),
        // payments
        ("the most payments", sale(pays(PAYMENTS_MAX)), ok),
        ("too many payments", sale(pays(PAYMENTS_MAX + 1)), Err(E::Payments)),
        ("paid too little", sale(|t| t.payments[0].amount_minor = 99), Err(E::Unbalanced)),
        ("paid too much", sale(|t| t.payments[0].amount_minor = 101), Err(E::Unbalanced)),
        ("not paid", sale(|t| t.payments.clear()), Err(E::Unbalanced)),
        ("a refund unbalanced", refunded(|r| r.trade.payments.clear()), Err(E::Unbalanced)),
        // texts
        ("the longest name", priced(100, |l| l.name = at_edge.clone()), ok),
        ("too long a name", priced(100, |l| l.name = beyond.clone()), Err(E::Text)),
        ("bytes count, not letters", priced(100, |l| l.name = umlauts.clone()), ok),
        ("one letter more", priced(100, |l| l.name = format!("{umlauts}ü")), Err(E::Text)),
        ("a control character", priced(100, |l| l.name = "a\nb".into()), Err(E::Text)),
        ("a C1 control character", priced(100, |l| l.name = "\u{85}".into()), Err(E::Text)),
        ("the longest reference", told(|e| e.reference = at_edge.clone()), ok),
        ("too long a reference", told(|e| e.reference = beyond.clone()), Err(E::Text)),
        ("too long a reason", adjusted(|a| a.reason = beyond.clone()), Err(E::Text)),
        ("too long a note", adjusted(|a| a.lines[0].name = beyond.clone()), Err(E::Text)),
        // quantities
        ("nothing sold", priced(0, |l| l.quantity_milli = 0), Err(E::Quantity)),
        ("less than nothing", priced(0, |l| l.quantity_milli = -1), Err(E::Quantity)),
        ("a thousandth", priced(0, |l| l.quantity_milli = 1), ok),
        (
            "the most",
            priced(MINOR_MAX / 1000, |l| {
                (l.quantity_milli, l.unit_price_minor) = (MILLI_MAX, 1);
            }),
            ok,
        ),
        ("too much", priced(0, |l| l.quantity_milli = MILLI_MAX + 1), Err(E::Quantity)),
        ("nothing counted", adjusted(|a| a.lines[0].delta_milli = 0), Err(E::Quantity)),
        ("the most counted", adjusted(|a| a.lines[0].delta_milli = MILLI_MAX), ok),
        ("the most lost", adjusted(|a| a.lines[0].delta_milli = -MILLI_MAX), ok),
        ("too much lost", adjusted(|a| a.lines[0].delta_milli = -MILLI_MAX - 1), Err(E::Quantity)),
        ("far too much", adjusted(|a| a.lines[0].delta_milli = i64::MIN), Err(E::Quantity)),
        // amounts
        ("free", priced(0, |l| l.unit_price_minor = 0), ok),
        ("a negative price", priced(0, |l| l.unit_price_minor = -1), Err(E::Amount)),
        ("the lowest price", priced(0, |l| l.unit_price_minor = i64::MIN), Err(E::Amount)),
        ("the highest price", priced(MINOR_MAX, |l| l.unit_price_minor = MINOR_MAX), ok),
        ("too high", priced(0, |l| l.unit_price_minor = MINOR_MAX + 1), Err(E::Amount)),
        (
            "too high in all",
            priced(0, |l| {
                (l.quantity_milli, l.unit_price_minor) = (2_000, MINOR_MAX);
            }),
            Err(E::Amount),
        ),
        ("the highest total", sale(two(MINOR_MAX / 2)), ok),
        ("too high a total", sale(two(MINOR_MAX / 2 + 1)), Err(E::Amount)),
        ("all taken off", priced(0, |l| l.discount_minor = 100), ok),
        ("more than all", priced(0, |l| l.discount_minor = 101), Err(E::Amount)),
        ("a surcharge", priced(101, |l| l.discount_minor = -1), Err(E::Amount)),
        ("a wild surcharge", priced(0, |l| l.discount_minor = i64::MIN), Err(E::Amount)),
        ("all is tax", priced(100, |l| l.tax_ppm = 1_000_000), ok),
        ("more than all is tax", priced(100, |l| l.tax_ppm = 1_000_001), Err(E::Amount)),
        ("paid nothing", sale(|t| t.payments[0].amount_minor = 0), Err(E::Amount)),
        ("paid less", sale(|t| t.payments[0].amount_minor = -1), Err(E::Amount)),
        ("paid wildly", sale(|t| t.payments[0].amount_minor = i64::MAX), Err(E::Amount)),
        // names
        ("a small currency", sale(|t| t.currency = "gbp".into()), Err(E::Name)),
        ("no currency", sale(|t| t.currency = "".into()), Err(E::Name)),
        ("a long currency", sale(|t| t.currency = "GBPS".into()), Err(E::Name)),
        ("tender zero", sale(|t| t.payments[0].tender = 0), Err(E::Name)),
        ("card", sale(|t| t.payments[0].tender = 2), ok),
        ("other", sale(|t| t.payments[0].tender = 3), ok),
        ("an unknown tender", sale(|t| t.payments[0].tender = 4), Err(E::Name)),
        // receipts
        ("no receipt", told(|e| e.receipt = None), Err(E::Receipt)),
        ("receipt zero", told(|e| e.receipt.as_mut().unwrap().number = 0), Err(E::Receipt)),
        ("the last receipt", told(|e| e.receipt.as_mut().unwrap().number = u64::MAX), ok),
        (
            "an adjustment's receipt",
            {
                let receipt = told(|_| {}).receipt;
                EventV1 { receipt, ..adjusted(|_| {}) }
            },
            Err(E::Receipt),
        ),
        (
            "a refund's original",
            refunded(|r| {
                r.original = Some(EventKeyV1 {
                    terminal_id: TerminalId::parse("T").unwrap(),
                    pos_id: PosId::parse("1").unwrap(),
                    local_event_id: LocalEventId::parse("x").unwrap(),
                });
            }),
            ok,
        ),
    ] {
        check(name, event, expected);
    }
}

#[test]
fn bytes_that_are_no_canonical_event_are_refused_by_name() {
    let good = Event::parse(sale(|_| {})).unwrap().canonical();
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    let form = |why| Err(EventError::Form(why));
    let longer = |bytes: &mut Vec<u8>| {
        // `atMs` is the byte after two labels of one letter; 0 may also be written as 251 0 0.
        assert_eq!(bytes[5], 0);
        bytes.splice(5..6, [251, 0, 0]);
    };
    for (name, bytes, expected) in [
        ("as written", good.clone(), Ok(())),
        ("empty", Vec::new(), form(DecodeError::Length)),
        ("another version", with(|b| b[0] = 3), form(DecodeError::Version(3))),
        ("of a session, and names none", with(|b| b[0] = 2), form(DecodeError::Shape)),
        ("cut short", with(|b| b.truncate(b.len() - 1)), form(DecodeError::Shape)),
        ("one byte more", with(|b| b.push(0)), form(DecodeError::Trailing)),
        ("an empty label", with(|b| b[1] = 0), form(DecodeError::Shape)),
        ("a longer number", with(longer), Err(EventError::NotCanonical)),
        ("too large", vec![1; EVENT_BYTES_MAX + 1], Err(EventError::TooLarge)),
        ("as large as can be", vec![1; EVENT_BYTES_MAX], form(DecodeError::Shape)),
    ] {
        let read = Event::from_canonical(&bytes);
        match (name, read.map(|_| ())) {
            // What is behind the first fields decides how such bytes fail; that they fail counts.
            ("as large as can be", Err(EventError::Form(_))) => {}
            (_, read) => assert_eq!(read, expected, "{name}"),
        }
    }
}

#[test]
fn the_largest_event_that_keeps_the_other_bounds_fits() {
    let largest = sale(|trade| {
        let line = LineV1 {
            product_id: ProductId::parse(&"p".repeat(LABEL_BYTES_MAX)).unwrap(),
            name: "n".repeat(TEXT_BYTES_MAX),
            quantity_milli: 1_000_000_000_000,
            unit_price_minor: 1_000,
            discount_minor: 999_999_999_999,
            tax_ppm: 1_000_000,
        };
        trade.lines = vec![line; LINES_MAX];
        trade.payments = vec![PaymentV1 { tender: 3, amount_minor: LINES_MAX as i64 }];
    });
    let bytes = Event::parse(largest).unwrap().canonical();
    assert!(bytes.len() <= EVENT_BYTES_MAX, "{} bytes", bytes.len());
}

#[test]
fn prices_round_half_away_from_zero_and_stay_in_bounds() {
    // thousandths   unit price    price
    for (milli, unit, expected) in [
        (1_000, 255, Some(255)),
        (333, 100, Some(33)),
        (335, 100, Some(34)),
        (5, 100, Some(1)),
        (4, 100, Some(0)),
        (-5, 100, Some(-1)),
        (-4, 100, Some(0)),
        (1_500, 1, Some(2)),
        (2_500, 1, Some(3)),
        (0, MINOR_MAX, Some(0)),
        (1_000, MINOR_MAX, Some(MINOR_MAX)),
        (1_000, -MINOR_MAX, Some(-MINOR_MAX)),
        (1_001, MINOR_MAX, None),
        (i64::MAX, i64::MAX, None),
        (i64::MIN, i64::MAX, None),
    ] {
        assert_eq!(Milli(milli).price(Minor(unit)), expected.map(Minor), "{milli} x {unit}");
    }
    for (units, expected) in [
        (0, Some(0)),
        (-3, Some(-3_000)),
        (MILLI_MAX / 1_000, Some(MILLI_MAX)),
        (MILLI_MAX / 1_000 + 1, None),
        (-MILLI_MAX / 1_000 - 1, None),
        (i64::MAX, None),
        (i64::MIN, None),
    ] {
        assert_eq!(Milli::from_units(units), expected.map(Milli), "{units} units");
    }
    for (text, read) in [("GBP", true), ("gbp", false), ("GB", false), ("£££", false), ("", false)]
    {
        assert_eq!(Currency::parse(text).is_ok(), read, "{text}");
    }
}

#[test]
fn names_are_one_to_thirty_six_printable_characters() {
    let (longest, longer) = ("x".repeat(LABEL_BYTES_MAX), "x".repeat(LABEL_BYTES_MAX + 1));
    for (text, expected) in [
        ("a", Ok(())),
        (longest.as_str(), Ok(())),
        (longer.as_str(), Err(LabelError::TooLong)),
        ("", Err(LabelError::Empty)),
        (" ", Err(LabelError::Character)),
        ("a b", Ok(())),
        ("a\tb", Err(LabelError::Character)),
        ("a\0", Err(LabelError::Character)),
        ("\u{7f}", Err(LabelError::Character)),
        ("~!/\\", Ok(())),
        ("ß", Err(LabelError::Character)),
    ] {
        assert_eq!(Label::parse(text).map(|_| ()), expected, "{text:?}");
    }
}

#[test]
fn a_product_has_so_many_barcodes_and_no_more() {
    let label = |text: &str| Label::parse(text).unwrap();
    let codes = |count: usize| (0..count).map(|n| label(&format!("{n:013}"))).collect::<Vec<_>>();
    let mut twice = codes(2);
    twice[1] = twice[0];
    let mut falling = codes(2);
    falling.reverse();
    for (name, barcodes, whole) in [
        ("none", codes(0), true),
        ("the most", codes(BARCODES_MAX), true),
        ("too many", codes(BARCODES_MAX + 1), false),
        ("one twice", twice, false),
        ("out of order", falling, false),
    ] {
        let value = FieldValue::parse(FieldValueV1::Barcodes(barcodes.clone()));
        assert_eq!(value.err(), (!whole).then_some(EntityError::Barcodes), "{name}");
        let product = ProductV1 {
            product_id: ProductId::parse("tea").unwrap(),
            name: "Tea".into(),
            barcodes,
            price_minor: 100,
            currency: "GBP".into(),
            tax_ppm: 0,
            unit: label("pcs"),
            category: None,
            active: true,
        };
        let product = Entity::parse(EntityV1::Product(product));
        assert_eq!(product.err(), (!whole).then_some(EntityError::Barcodes), "{name}");
    }
    let id = EntityId::product(ProductId::parse("tea").unwrap());
    let large = vec![1; ENTITY_BYTES_MAX + 1];
    assert_eq!(Entity::from_canonical(id, &large), Err(EntityError::TooLarge));
}
