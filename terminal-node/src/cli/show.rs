//! How results look: tables for people, JSON for machines.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, Color, Table};
use counterfoil_protocol::time::Millis;
use serde_json::{Value, json};

use super::Failure;
use super::access::print;
use crate::api::ImportBody;
use crate::books::{QueueItem, TillFigures};
use crate::ports::{Clock as _, SystemClock};

/// How many remarks on lines are shown to people; JSON has all of them.
const REMARKS: usize = 20;

#[derive(Clone, Copy)]
pub(super) struct Show {
    pub(super) json: bool,
}

impl Show {
    pub(super) fn result(
        self,
        value: &Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json { print(&format!("{value:#}\n")) } else { print(&text()) }
    }

    pub(super) fn status(self, status: &Value) -> Result<(), Failure> {
        self.result(status, || status_table(status).to_string() + "\n")
    }

    pub(super) fn queue(self, items: &[QueueItem]) -> Result<(), Failure> {
        self.result(&json!(items), || {
            if items.is_empty() {
                return "everything is synced\n".to_owned();
            }
            let mut table = table();
            table.set_header(["seq", "register", "event", "kind", "reference", "state", "code"]);
            for item in items {
                let state = if item.needs_attention {
                    Cell::new("needs attention").fg(Color::Red)
                } else {
                    Cell::new(format!("waits, {} failures", item.attempts))
                };
                table.add_row([
                    Cell::new(format!("{}/{}", item.epoch, item.seq)),
                    Cell::new(item.pos_id),
                    Cell::new(item.local_event_id),
                    Cell::new(&item.kind),
                    Cell::new(&item.reference),
                    state,
                    Cell::new(item.code.map_or("", |code| code.as_str())),
                ]);
            }
            format!("{table}\n")
        })
    }

    pub(super) fn figures(self, figures: &TillFigures) -> Result<(), Failure> {
        self.result(&json!(figures), || {
            let mut table = table();
            let sums = figures.figures;
            table.add_row(["documents", &figures.documents.to_string()]);
            table.add_row(["events", &sums.events.to_string()]);
            table.add_row(["lines", &sums.lines.to_string()]);
            table.add_row(["quantity", &scaled(sums.quantity.0, 3)]);
            table.add_row(["money", &scaled(sums.money.0, 2)]);
            format!("{table}\n")
        })
    }

    pub(super) fn import(self, import: &ImportBody) -> Result<(), Failure> {
        self.result(&json!(import), || {
            let report = &import.report;
            let mut table = table();
            let unclear = report.not_understood.len();
            table.add_row(["lines", &report.lines.to_string()]);
            table.add_row(["understood", &report.understood.to_string()]);
            table.add_row(["blank", &report.blank.to_string()]);
            table.add_row(["not understood", &unclear.to_string()]);
            table.add_row(["changed", &report.changed.len().to_string()]);
            table.add_row(["invoices", &report.invoices.to_string()]);
            table.add_row(["  of them cancellations", &report.cancellations.to_string()]);
            table.add_row(["quantity", &scaled(report.quantity_milli, 3)]);
            table.add_row(["money", &scaled(report.money_minor, 2)]);
            table.add_row(["this till's invoices", &import.documents.to_string()]);
            table.add_row(["events recorded", &import.events.recorded.to_string()]);
            table.add_row(["recorded before", &import.events.again.to_string()]);
            table.add_row(["refused", &import.events.refused.len().to_string()]);
            let mut text = format!("{table}\n");
            for remark in report.not_understood.iter().take(REMARKS) {
                text += &format!("line {}: {}: {}\n", remark.line, remark.reason, remark.text);
            }
            if unclear > REMARKS {
                text += &format!("... and {} more: see --json\n", unclear - REMARKS);
            }
            for refused in import.events.refused.iter().take(REMARKS) {
                text += &format!("event {}: {}\n", refused.local_event_id, refused.detail);
            }
            text
        })
    }
}

fn status_table(status: &Value) -> Table {
    let mut table = table();
    let identity = &status["identity"];
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let count = |name: &str| status[name].as_u64().unwrap_or_default();
    let place = format!("{}/{}", text(&identity["shop"]), text(&identity["branch"]));
    table.add_row(["till", &format!("{} of {place}", text(&identity["terminal"]))]);
    table.add_row(["cloud", &text(&status["cloud"])]);
    table.add_row(["epoch", &status["epoch"]["number"].to_string()]);
    table.add_row(["synced", &count("synced").to_string()]);
    table.add_row(["pending", &count("pending").to_string()]);
    let attention = count("needsAttention");
    let attention_cell = Cell::new(attention);
    table.add_row([
        Cell::new("needs attention"),
        if attention > 0 { attention_cell.fg(Color::Red) } else { attention_cell },
    ]);
    let age = status["oldestPendingAgeMs"].as_u64().map_or_else(|| "-".to_owned(), span);
    table.add_row(["oldest pending", &age]);
    if let Some(why) = status["quarantineReason"].as_str() {
        table.add_row([Cell::new("quarantine"), Cell::new(why).fg(Color::Red)]);
    }
    if count("archived") > 0 {
        let kib = count("archivedBytes").div_ceil(1024);
        let text = format!("{} events, {kib} KiB", count("archived"));
        table.add_row(["archived", &text]);
    }
    let link = &status["link"];
    let when = link["lastSuccessMs"].as_u64().map_or_else(|| "-".to_owned(), ago);
    table.add_row(["last success", &when]);
    let fault = match (link.is_null(), link["lastFault"].as_str()) {
        (true, _) => "no daemon runs",
        (false, Some(fault)) => fault,
        (false, None) => "ok",
    };
    table.add_row(["link", fault]);
    table
}

pub(super) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        table.force_no_tty();
    }
    table
}

/// A scaled integer as people write it: without going through a float.
pub(super) fn scaled(number: i64, scale: u32) -> String {
    let unit = 10_u64.pow(scale);
    let sign = if number < 0 { "-" } else { "" };
    let (whole, rest) = (number.unsigned_abs() / unit, number.unsigned_abs() % unit);
    if scale == 3 && rest == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{rest:0width$}", width = scale as usize)
    }
}

fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

pub(super) fn ago(at: u64) -> String {
    format!("{} ago", span(SystemClock.now().since(Millis(at)).0))
}
