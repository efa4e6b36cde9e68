//! Every bound and every order of what a till and the cloud ask of each other beside greetings and
//! pushes: at its edge, and beyond. Who is at the other end may be anybody.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use counterfoil_protocol::catalog::{Digest, EntityId};
use counterfoil_protocol::event::Tender;
use counterfoil_protocol::event::session::{Difference, TAX_RATES_MAX, TaxTotal, TenderTotal};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::SessionId;
use counterfoil_protocol::money::{Currency, Minor};
use counterfoil_protocol::sketch::{
    CELL_BYTES, CELLS_MAX, COUNTERS, CellsV1, EstimatorV1, KEY_BYTES, KEYS_MAX, KeysV1,
};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{
    CatalogHead, ChangeV1, DeltaAnswer, DeltaPage, EDITS_ASKED_MAX, EditName, HeldEdit,
    PAGE_BYTES_MAX, PAGE_ENTITIES_MAX, SnapshotPage,
};
use counterfoil_protocol::wire::heads::Heads;
use counterfoil_protocol::wire::inbox::{Cursor, PendingAnswer, PendingPage};
use counterfoil_protocol::wire::message::MessageError::{self, Bytes, Order, Parts};
use counterfoil_protocol::wire::reconcile::{
    ASKED_MAX, CellsAnswer, EntitiesAnswer, EntitiesAsk, EntityRow, MoreV1, ReconcileAnswer,
    ReconcileAsk,
};
use counterfoil_protocol::wire::session::{
    CLOSINGS_MAX, ClosingReport, LATE_MAX, LateEntry, LateReport, SessionReport, SessionStatus,
};
use support::{local, pos, product, site, terminal_id};

fn id(number: usize) -> EntityId {
    EntityId::product(product(&format!("p-{number:05}")))
}

fn change(number: usize, version: u64, bytes: usize) -> ChangeV1 {
    ChangeV1 { id: id(number), version, content: Some(vec![7; bytes].into()) }
}

fn changes(count: usize, bytes: usize) -> Vec<ChangeV1> {
    (0..count).map(|number| change(number, 2, bytes)).collect()
}

const fn head(version: u64) -> CatalogHead {
    CatalogHead { version, digest: Digest { count: 0, lanes: [0; 4] } }
}

#[test]
fn a_page_of_a_delta() {
    let page = |change: fn(&mut DeltaPage)| {
        let mut page = DeltaPage { from: 1, to: 3, changes: changes(2, 1), head: Some(head(3)) };
        change(&mut page);
        page
    };
    for (name, page, expected) in [
        ("as it should be", page(|_| {}), Ok(())),
        ("not to the head", page(|page| page.head = None), Ok(())),
        ("another head", page(|page| page.head = Some(head(4))), Err(Order)),
        ("no change", page(|page| page.changes.clear()), Ok(())),
        ("nowhere", page(|p| (p.changes, p.to, p.head) = (vec![], 1, None)), Ok(())),
        ("backwards", page(|p| (p.changes, p.to, p.head) = (vec![], 0, None)), Err(Order)),
        ("from before", page(|page| page.changes[0].version = 1), Err(Order)),
        ("from after", page(|page| page.changes[1].version = 4), Err(Order)),
        ("out of order", page(|page| page.changes.reverse()), Err(Order)),
        ("twice", page(|page| page.changes[1] = page.changes[0].clone()), Err(Order)),
        ("the most", page(|page| page.changes = changes(PAGE_ENTITIES_MAX, 1)), Ok(())),
        ("too many", page(|page| page.changes = changes(PAGE_ENTITIES_MAX + 1, 1)), Err(Parts)),
        ("full", page(|page| page.changes = changes(16, PAGE_BYTES_MAX / 16)), Ok(())),
        ("too full", page(|page| page.changes = changes(17, PAGE_BYTES_MAX / 16)), Err(Bytes)),
    ] {
        let (sent, name) = (DeltaAnswer::Page(page.clone()), format!("a page, {name}"));
        let told = expected.as_ref().map(|()| sent.clone()).map_err(Clone::clone);
        assert_eq!(DeltaAnswer::decode(&sent.encode()), told, "{name}");
        let sent = DeltaAnswer::WithEdits(page, Vec::new());
        let told = expected.map(|()| sent.clone());
        assert_eq!(DeltaAnswer::decode(&sent.encode()), told, "{name}, with edits");
    }
    let name = EditName { pos: pos("1"), local_id: local("a") };
    let held = HeldEdit { name, payload_hash: Hash::default() };
    for (count, expected) in [(EDITS_ASKED_MAX, Ok(())), (EDITS_ASKED_MAX + 1, Err(Parts))] {
        let sent = DeltaAnswer::WithEdits(page(|_| {}), vec![held; count]);
        let told = expected.map(|()| sent.clone());
        assert_eq!(DeltaAnswer::decode(&sent.encode()), told, "{count} edits");
    }
}

#[test]
fn a_run_of_a_snapshot() {
    let run = |change: fn(&mut SnapshotPage)| {
        let entities = vec![change_at(3), change_at(5)];
        let (after, last) = (Some(id(2)), Some(id(6)));
        let mut run = SnapshotPage { pinned: 9, after, last, entities };
        change(&mut run);
        run
    };
    fn change_at(number: usize) -> ChangeV1 {
        change(number, 2, 1)
    }
    for (name, run, expected) in [
        ("as it should be", run(|_| {}), Ok(())),
        ("the first", run(|run| run.after = None), Ok(())),
        ("the last", run(|run| run.last = None), Ok(())),
        ("up to its own end", run(|run| run.last = Some(id(5))), Ok(())),
        ("beyond its end", run(|run| run.last = Some(id(4))), Err(Order)),
        (
            "an end before it begins",
            run(|r| (r.entities, r.last) = (vec![], Some(id(2)))),
            Err(Order),
        ),
        ("from before", run(|run| run.after = Some(id(3))), Err(Order)),
        ("out of order", run(|run| run.entities.reverse()), Err(Order)),
        ("twice", run(|run| run.entities[1] = change_at(3)), Err(Order)),
        ("a deletion", run(|run| run.entities[0].content = None), Err(Order)),
        ("no entity", run(|run| run.entities.clear()), Ok(())),
        (
            "too many",
            run(|run| run.entities = vec![change_at(3); PAGE_ENTITIES_MAX + 1]),
            Err(Parts),
        ),
        ("too full", run(|run| run.entities = changes(17, PAGE_BYTES_MAX / 16)), Err(Bytes)),
    ] {
        let told = expected.map(|()| run.clone());
        assert_eq!(SnapshotPage::decode(&run.encode()), told, "{name}");
    }
}

#[test]
fn a_comparison() {
    let ask = |counters: usize, have: Option<usize>| ReconcileAsk {
        version: 1,
        digest: Digest::default(),
        estimator: EstimatorV1 { counters: vec![0; counters] },
        more: have.map(|have| MoreV1 { version: 1, have: u32::try_from(have).unwrap() }),
    };
    for (name, ask, expected) in [
        ("the first question", ask(COUNTERS, None), Ok(())),
        ("the next", ask(COUNTERS, Some(CELLS_MAX)), Ok(())),
        ("of more than there are", ask(COUNTERS, Some(CELLS_MAX + 1)), Err(Parts)),
        ("a counter is missing", ask(COUNTERS - 1, None), Err(Parts)),
        ("a counter too many", ask(COUNTERS + 1, None), Err(Parts)),
    ] {
        let told = expected.map(|()| ask.clone());
        assert_eq!(ReconcileAsk::decode(&ask.encode()), told, "{name}");
    }
    let cells = |bytes: usize| {
        let cells = CellsV1 { first: 0, cells: vec![0; bytes] };
        ReconcileAnswer::Cells(CellsAnswer { head: head(1), key: [0; 16], cells })
    };
    let most = CELLS_MAX * CELL_BYTES;
    for (bytes, expected) in [(0, Ok(())), (most, Ok(())), (most + 1, Err(Bytes))] {
        let told = expected.map(|()| cells(bytes));
        assert_eq!(ReconcileAnswer::decode(&cells(bytes).encode()), told, "{bytes} bytes");
    }
}

#[test]
fn the_rows_that_differ() {
    let ask = |keys: usize, extra: usize| {
        let keys = KeysV1 { keys: vec![1; keys * KEY_BYTES] };
        EntitiesAsk { keys, extra: vec![id(1); extra] }
    };
    for (name, ask, expected) in [
        ("one key", ask(1, 0), Ok(())),
        ("one name", ask(0, 1), Ok(())),
        ("nothing", ask(0, 0), Err(Parts)),
        ("the most", ask(0, ASKED_MAX), Ok(())),
        ("too many", ask(1, ASKED_MAX), Err(Parts)),
        ("too many keys", ask(KEYS_MAX + 1, 0), Err(Parts)),
        (
            "half a key",
            EntitiesAsk { keys: KeysV1 { keys: vec![1; KEY_BYTES - 1] }, extra: vec![] },
            Err(Parts),
        ),
    ] {
        let told: Result<EntitiesAsk, MessageError> = expected.map(|()| ask.clone());
        assert_eq!(EntitiesAsk::decode(&ask.encode()), told, "{name}");
    }
    let answer = |rows: Vec<EntityRow>| EntitiesAnswer { head: head(1), floor: 0, rows };
    let full = |count: usize| {
        changes(count, PAGE_BYTES_MAX / 16).into_iter().map(EntityRow::Known).collect()
    };
    for (name, answer, expected) in [
        ("none of that name", answer(vec![EntityRow::Absent]), Ok(())),
        ("the most", answer(vec![EntityRow::Absent; ASKED_MAX]), Ok(())),
        ("too many", answer(vec![EntityRow::Absent; ASKED_MAX + 1]), Err(Parts)),
        ("nearly full", answer(full(15)), Ok(())),
        ("too full", answer(full(17)), Err(Bytes)),
    ] {
        let told = expected.map(|()| answer.clone());
        assert_eq!(EntitiesAnswer::decode(&answer.encode()), told, "{name}");
    }
}

#[test]
fn a_page_of_the_inbox() {
    let at = |seq| Cursor { seq, chain: Hash::default() };
    let page = |after, to, head, acked| {
        PendingAnswer::Page(PendingPage {
            after: at(after),
            to: at(to),
            head,
            acked,
            events: Vec::new(),
        })
    };
    for (name, answer, expected) in [
        ("nothing yet", page(0, 0, 0, 0), Ok(())),
        ("own events left out", page(1, 3, 9, 9), Ok(())),
        ("backwards", page(3, 1, 9, 0), Err(Order)),
        ("beyond the end", page(1, 9, 3, 0), Err(Order)),
        ("acknowledged beyond the end", page(1, 3, 3, 4), Err(Order)),
    ] {
        let told = expected.map(|()| answer.clone());
        assert_eq!(PendingAnswer::decode(&answer.encode()), told, "{name}");
    }
}

#[test]
fn a_report_on_a_session() {
    let tender = |_| TenderTotal { tender: Tender::Cash, taken: Minor(1), returned: Minor(0) };
    let tax = |tax_ppm| TaxTotal { tax_ppm, amount: Minor(1) };
    let tenders = |count: usize| (0..count).map(tender).collect::<Vec<_>>();
    let taxes = |count: u32| (0..count).map(tax).collect::<Vec<_>>();
    let (rates, most) = (u32::try_from(TAX_RATES_MAX).unwrap(), Tender::ALL.len());
    let late = LateEntry { local_event_id: local("a"), posted_at_ms: Millis(1), money: Minor(1) };
    let closing = |difference| ClosingReport { closing_id: local("b"), difference };
    let differs = |tenders, taxes| {
        let closings = vec![closing(Some(Difference { tenders, taxes, ..Difference::default() }))];
        SessionReport { closings, ..report() }
    };
    let posted = |tenders, taxes| {
        let mut report = report();
        (report.posted.tenders, report.posted.taxes) = (tenders, taxes);
        report
    };
    let came_late = |count| {
        let late = LateReport { events: 99, money_minor: 1, last: vec![late; count] };
        SessionReport { late, ..report() }
    };
    let closed =
        |count| SessionReport { closings: vec![closing(None); count], closed: 99, ..report() };
    for (name, report, expected) in [
        ("as it should be", report(), Ok(())),
        ("the most closings", closed(CLOSINGS_MAX), Ok(())),
        ("too many closings", closed(CLOSINGS_MAX + 1), Err(Parts)),
        ("the most late arrivals", came_late(LATE_MAX), Ok(())),
        ("too many late arrivals", came_late(LATE_MAX + 1), Err(Parts)),
        ("the most sums", posted(tenders(most), taxes(rates)), Ok(())),
        ("too many tenders", posted(tenders(most + 1), vec![]), Err(Parts)),
        ("too many rates", posted(vec![], taxes(rates + 1)), Err(Parts)),
        ("the most differences", differs(tenders(most), taxes(2 * rates)), Ok(())),
        ("too many tenders differ", differs(tenders(most + 1), vec![]), Err(Parts)),
        ("too many rates differ", differs(vec![], taxes(2 * rates + 1)), Err(Parts)),
    ] {
        let told = expected.map(|()| report.clone());
        assert_eq!(SessionReport::decode(&report.encode()), told, "{name}");
    }
}

fn report() -> SessionReport {
    SessionReport {
        branch_id: site().branch,
        terminal_id: terminal_id(),
        pos_id: pos("1"),
        session_id: SessionId::parse("s").unwrap(),
        status: SessionStatus::Open,
        currency: Currency::GBP,
        float_minor: None,
        posted: Default::default(),
        foreign: 0,
        closed: 0,
        closings: Vec::new(),
        late: LateReport::default(),
    }
}

#[test]
fn the_line_of_heads() {
    let line = "catalog=1; entities=2; digest=DIGEST; inbox=3; chain=CHAIN; acked=2";
    let with = |digest: &str| line.replace("DIGEST", digest).replace("CHAIN", &"0".repeat(64));
    for (name, digest, whole) in [
        ("as it should be", "0".repeat(64), true),
        ("too short", "0".repeat(63), false),
        ("too long", "0".repeat(65), false),
        ("no digits", "x".repeat(64), false),
        ("of other letters", "\u{e4}".repeat(32), false),
    ] {
        assert_eq!(Heads::from_text(&with(&digest)).is_some(), whole, "{name}");
    }
}
