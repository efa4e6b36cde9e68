//! Import: clean, dirty and broken lines, exact sums, and the same file twice.

mod support;

use std::fmt::Write as _;
use std::path::PathBuf;

use counterfoil_protocol::event::{Body, Tender};
use counterfoil_protocol::terminal::Output;
use counterfoil_terminal::import::{Import, LINE_BYTES_MAX, parse, spread};
use counterfoil_terminal::sample::online_retail;
use support::{pos, till};

const HEADER: &str =
    "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

fn import(bytes: &[u8]) -> Import {
    parse(bytes, pos()).expect("a slice can be read")
}

/// The real file, if it is on this machine: named by a variable, or beside the workspace.
fn real_file() -> Option<Vec<u8>> {
    let name = "online-retail-first-10000.csv";
    let beside: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "..", "shared", "data", name].iter().collect();
    let path = std::env::var_os("COUNTERFOIL_ONLINE_RETAIL").map_or(beside, PathBuf::from);
    std::fs::read(path).ok()
}

#[test]
fn the_published_file_adds_up_to_its_ground_truth() {
    let Some(bytes) = real_file() else {
        eprintln!("the published file is not here: the generated one is tested instead");
        return;
    };
    let Import { documents, report } = import(&bytes);
    assert_eq!((report.lines, report.understood, report.blank), (10_000, 10_000, 0));
    assert_eq!((report.invoices, report.cancellations), (512, 43));
    assert_eq!((report.quantity_milli, report.money_minor), (78_286_000, 18_066_775));
    assert!(report.not_understood.is_empty() && report.changed.is_empty());
    let sold: i64 = documents
        .iter()
        .filter(|document| !document.number.starts_with('C'))
        .flat_map(|document| &document.drafts)
        .map(|draft| match &draft.body {
            Body::Sale(trade) => trade.total().0,
            Body::Refund { trade, .. } => -trade.total().0,
            Body::Adjustment(_) => 0,
            Body::SessionOpened(_)
            | Body::CashMoved(_)
            | Body::SessionClosed(_)
            | Body::CatalogEdited(_)
            | Body::Correction(_) => unreachable!("a file has sales and adjustments only"),
        })
        .sum();
    assert_eq!(sold, 18_424_833, "without cancellations");
}

#[test]
fn a_generated_file_adds_up_to_what_was_written() {
    for seed in 0..20 {
        let sample = online_retail(seed, 200);
        assert_eq!(sample, online_retail(seed, 200), "the same seed, the same bytes");
        let report = import(&sample.bytes).report;
        assert_eq!(report.lines, sample.lines, "seed {seed}");
        assert_eq!(report.not_understood.len() as u64, sample.broken, "seed {seed}");
        assert_eq!(report.invoices, sample.invoices, "seed {seed}");
        assert_eq!(report.cancellations, sample.cancellations, "seed {seed}");
        assert_eq!(report.quantity_milli, sample.quantity * 1000, "seed {seed}");
        assert_eq!(report.money_minor, sample.money_minor, "seed {seed}");
    }
}

/// What a single line becomes: `id lines total`, or the reason why it is not understood.
fn fate(line: &[u8]) -> String {
    let file = [HEADER.as_bytes(), line].concat();
    let Import { documents, report } = import(&file);
    assert_eq!(report.lines, 1);
    if let Some(remark) = report.not_understood.first() {
        assert_eq!(remark.line, 2);
        return remark.reason.clone();
    }
    let draft = &documents[0].drafts[0];
    assert_eq!(draft.reference, documents[0].number);
    match &draft.body {
        Body::Sale(trade) | Body::Refund { original: None, trade } => {
            let name = &trade.lines[0].name;
            format!("{} [{name}] {}", draft.local_id, trade.total().0)
        }
        Body::Refund { .. } => unreachable!("the file names no originals"),
        Body::SessionOpened(_) | Body::CashMoved(_) | Body::SessionClosed(_) => {
            unreachable!("a file has no sessions")
        }
        Body::CatalogEdited(_) | Body::Correction(_) => unreachable!("the file corrects nothing"),
        Body::Adjustment(adjustment) => {
            format!("{} [{}]", draft.local_id, adjustment.lines[0].name)
        }
    }
}

#[test]
fn each_kind_of_dirt_has_its_fate() {
    let long = "é".repeat(70);
    let long_line = format!("1,A,{long},1,12/1/2010 8:26,1,7,UK\n");
    let cut = format!("inv-1 [{}] 100", "é".repeat(64));
    let huge = "x".repeat(LINE_BYTES_MAX + 1);
    let table: &[(&[u8], &str)] = &[
        (
            b"536365,85123A,WHITE HEART,6,12/1/2010 8:26,2.55,17850,UK\n",
            "inv-536365 [WHITE HEART] 1530",
        ),
        (b"536365,85123A,CRLF,6,12/1/2010 8:26,2.55,17850,UK\r\n", "inv-536365 [CRLF] 1530"),
        (b"536365,85123A,NO END,6,12/1/2010 8:26,2.55,17850,UK", "inv-536365 [NO END] 1530"),
        (b"C536379,D,Discount,-1,12/1/2010 9:41,27.5,14527,UK\n", "ref-C536379 [Discount] 2750"),
        (b"536414,22139,,56,12/1/2010 11:52,0,,UK\n", "inv-536414 [] 0"),
        (b"536589,21777,,-10,12/1/2010 16:50,0,,UK\n", "adj-536589 []"),
        (b"536589,21777,x,-10,12/1/2010 16:50,1,,UK\n", "ref-536589 [x] 1000"),
        (b"C1,21777,x,-10,12/1/2010 16:50,0,,UK\n", "ref-C1 [x] 0"),
        (b"1,A,\"A, \"\"B\"\"\",1,12/1/2010 8:26,1,7,UK\n", "inv-1 [A, \"B\"] 100"),
        (b"1,A,12\" RULER,1,12/1/2010 8:26,1,7,UK\n", "inv-1 [12\" RULER] 100"),
        (b"1,A,CAF\xc9,1,12/1/2010 8:26,1,7,UK\n", "inv-1 [CAF\u{c9}] 100"),
        ("1,A,CAFÉ,1,12/1/2010 8:26,1,7,UK\n".as_bytes(), "inv-1 [CAFÉ] 100"),
        (b"1,A,TAB\tX,1,12/1/2010 8:26,1,7,UK\n", "inv-1 [TAB X] 100"),
        (b"1,BANK CHARGES,x,0.5,12/1/2010 8:26,2.00,7,UK\n", "inv-1 [x] 100"),
        (long_line.as_bytes(), &cut),
        (
            b"1,A,x,0.5,12/1/2010 8:26,0.01,7,UK\n",
            "Quantity * UnitPrice is no whole number of minor units",
        ),
        (
            b"1,A,x,1,12/1/2010 8:26,0.001,7,UK\n",
            "UnitPrice has more decimals than can be kept exactly",
        ),
        (b"1,A,x,1,12/1/2010 8:26,,7,UK\n", "UnitPrice is no decimal number"),
        (
            b"A563185,B,Adjust bad debt,1,8/12/2011 14:50,-11062.06,,UK\n",
            "UnitPrice is below zero or out of bounds",
        ),
        (b"1,A,x,0,12/1/2010 8:26,1,7,UK\n", "Quantity is zero or out of bounds"),
        (b"1,A,x,six,12/1/2010 8:26,1,7,UK\n", "Quantity is no decimal number"),
        (b"1,A,x,1,2010-12-01 08:26,1,7,UK\n", "InvoiceDate is no date of the form M/D/YYYY H:MM"),
        (b"1,A,x,1,2/30/2010 8:26,1,7,UK\n", "InvoiceDate is no date of the form M/D/YYYY H:MM"),
        (b"1,,x,1,12/1/2010 8:26,1,7,UK\n", "StockCode: a name has at least one character"),
        (b",A,x,1,12/1/2010 8:26,1,7,UK\n", "InvoiceNo: a name has at least one character"),
        (b"1,A,\"open,1,12/1/2010 8:26,1,7,UK\n", "a quote is not closed"),
        (b"1,A,\"x\"y,1,12/1/2010 8:26,1,7,UK\n", "there is text after a closing quote"),
        (b"581587,22138,BAKING SET 9 PIECE RETROS", "3 fields where there are 8"),
        (b"1,A,x,1,12/1/2010 8:26,1,7,UK,more\n", "9 fields where there are 8"),
        (huge.as_bytes(), "the line is too long"),
    ];
    for (line, expected) in table {
        let text = String::from_utf8_lossy(line);
        assert_eq!(fate(line), *expected, "{:.80}", text);
    }
}

#[test]
fn a_changed_name_and_a_blank_line_are_reported() {
    let file = format!("{HEADER}\n1,A,TAB\tX,1,12/1/2010 8:26,1,7,UK\n  \n");
    let report = import(file.as_bytes()).report;
    assert_eq!((report.lines, report.blank, report.understood), (3, 2, 1));
    assert_eq!(report.changed.len(), 1);
    assert_eq!(report.changed[0].line, 3);
}

#[test]
fn a_mixed_invoice_becomes_one_event_of_each_kind() {
    let file = "9,A,x,2,12/1/2010 8:26,1,,UK\n8,A,x,1,12/1/2010 8:26,1,7,UK\n\
                9,B,y,-1,12/1/2010 8:27,1,,UK\n9,C,z,-3,12/1/2010 8:27,0,,UK\n";
    let Import { documents, report } = import(file.as_bytes());
    let names: Vec<String> = documents
        .iter()
        .flat_map(|document| &document.drafts)
        .map(|draft| format!("{} {}", draft.local_id, draft.reference))
        .collect();
    assert_eq!(names, ["inv-9 9", "ref-9 9", "adj-9 9", "inv-8 8"]);
    assert_eq!((report.sales, report.refunds, report.adjustments), (2, 1, 1));
    let paid = documents.iter().map(|document| match &document.drafts[0].body {
        Body::Sale(trade) => trade.payments[0].tender,
        other @ (Body::Refund { .. }
        | Body::Adjustment(_)
        | Body::SessionOpened(_)
        | Body::CashMoved(_)
        | Body::SessionClosed(_)
        | Body::CatalogEdited(_)
        | Body::Correction(_)) => panic!("{other:?}"),
    });
    assert!(paid.eq([Tender::Cash, Tender::Card]), "a known customer pays by card");
}

#[test]
fn an_invoice_too_long_for_one_event_continues_in_the_next() {
    let mut file = String::from(HEADER);
    for _ in 0..4_001 {
        writeln!(file, "7,A,x,1,12/1/2010 8:26,0.01,,UK").expect("a string takes every write");
    }
    let documents = import(file.as_bytes()).documents;
    let ids: Vec<_> = documents[0].drafts.iter().map(|draft| draft.local_id.to_string()).collect();
    assert_eq!(ids, ["inv-7", "inv-7-2", "inv-7-3"]);
}

#[test]
fn the_shares_of_all_tills_are_the_whole_file() {
    let documents = import(&online_retail(1, 100).bytes).documents;
    let mut shares: Vec<_> = (0..7).map(|index| spread(documents.clone(), 7, index)).collect();
    let mut together = Vec::new();
    for index in 0..documents.len() {
        together.push(shares[index % 7].remove(0));
    }
    assert_eq!(together, documents);
    assert!(shares.iter().all(Vec::is_empty));
}

#[tokio::test]
async fn a_file_imported_twice_changes_nothing() {
    let sample = online_retail(3, 150);
    let bytes = real_file().unwrap_or_else(|| sample.bytes.clone());
    let Import { documents, report } = import(&bytes);
    let till = till().await;
    let drafts: Vec<_> = documents.into_iter().flat_map(|document| document.drafts).collect();
    let first = till.record_all(drafts.clone()).await.expect("a record");
    let new = |output: &Output| matches!(output, Output::Recorded { again: false, .. });
    assert!(first.iter().all(new), "every draft of an import keeps the rules");
    let figures = till.figures().await.expect("figures");
    assert_eq!(figures.documents, report.invoices);
    assert_eq!(figures.figures.lines, report.understood);
    assert_eq!(figures.figures.quantity.0, report.quantity_milli);
    assert_eq!(figures.figures.money.0, report.money_minor);
    let again = till.record_all(drafts).await.expect("a record");
    assert!(again.iter().all(|output| matches!(output, Output::Recorded { again: true, .. })));
    assert_eq!(till.figures().await.expect("figures"), figures);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_accounted_for(lines in proptest::collection::vec(".{0,80}", 0..20)) {
        let report = import(lines.join("\n").as_bytes()).report;
        let accounted =
            report.understood + report.blank + report.not_understood.len() as u64;
        proptest::prop_assert_eq!(report.lines, accounted);
    }
}
