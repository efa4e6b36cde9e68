//! What a demonstration prints: progress on standard error, the result on standard output.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use counterfoil_tests::sales::Sales;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::Books;

/// A live line: invoices sold, nodes killed, links cut.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    kills: ProgressBar,
    cuts: ProgressBar,
}

impl Progress {
    pub(super) fn new(invoices: u64) -> Self {
        let bar = ProgressBar::new(invoices);
        let form = "{elapsed:>4} {bar:30} {pos}/{len} invoices sold, {msg}";
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, kills: ProgressBar::hidden(), cuts: ProgressBar::hidden() }
    }

    pub(super) fn sold(&self) {
        self.bar.inc(1);
    }

    pub(super) fn killed(&self) {
        self.kills.inc(1);
        self.tell();
    }

    pub(super) fn cut(&self) {
        self.cuts.inc(1);
        self.tell();
    }

    pub(super) fn say(&self, what: &'static str) {
        self.bar.println(what);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn tell(&self) {
        let (kills, cuts) = (self.kills.position(), self.cuts.position());
        self.bar.set_message(format!("{kills} nodes killed, {cuts} links cut"));
    }
}

pub(super) fn spinner(what: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    spinner.set_message(what);
    spinner.enable_steady_tick(Duration::from_millis(200));
    spinner
}

pub(super) fn plan(sales: &Sales, seed: u64, tills: usize) {
    let (documents, source) = (sales.documents.len(), &sales.source);
    eprintln!("{tills} tills sell {documents} invoices of {source}, seed {seed}");
    if sales.not_understood > 0 {
        eprintln!("{} lines of it cannot be understood and are not sold", sales.not_understood);
    }
}

pub(super) fn books(books: &Books, as_json: bool) {
    let verdict = if books.equal() { "equal" } else { "different" };
    if as_json {
        let told = json!({
            "tills": books.tills,
            "cloud": books.cloud,
            "kills": books.counts.kills(),
            "cuts": books.counts.cuts,
            "verdict": verdict,
        });
        println!("{told}");
        return;
    }
    println!("{}", table(books));
    let counts = &books.counts;
    println!(
        "{} kills ({} of the cloud, {} of tills), {} cuts that broke {} connections, {} slow links",
        counts.kills(),
        counts.cloud_kills,
        counts.till_kills,
        counts.cuts,
        counts.broken,
        counts.delays,
    );
    println!(
        "{} sales were interrupted and repeated; then every sale was repeated once more",
        books.interrupted
    );
    println!(
        "cloud-node check: {} events posted, {} parked, {} conflicts, {} problems",
        books.check.posted, books.parked, books.check.conflicts, books.check.problems_found
    );
    println!("verdict: {verdict}");
}

fn table(books: &Books) -> String {
    let sides = [books.file, books.tills, books.cloud];
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "file", "tills", "cloud", ""]);
    let mut row = |name: &str, values: [String; 3]| {
        let same = values.iter().all(|value| *value == values[0]);
        let mut cells = vec![Cell::new(name)];
        cells.extend(values.map(|value| Cell::new(value).set_alignment(CellAlignment::Right)));
        cells.push(Cell::new(if same { "=" } else { "DIFFERENT" }));
        table.add_row(cells);
    };
    row("invoices", sides.map(|side| side.invoices.to_string()));
    row("lines", sides.map(|side| side.lines.to_string()));
    row("quantity", sides.map(|side| side.quantity.to_string()));
    row("money", sides.map(|side| money(side.money_minor)));
    table.to_string()
}

fn money(minor: i64) -> String {
    let (sign, size) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
    format!("{sign}{}.{:02}", size / 100, size % 100)
}
