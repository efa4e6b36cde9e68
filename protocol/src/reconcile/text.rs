//! A plan as a shop manager reads it, without explanation: what is to be done, to what, and why.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::fields::{Field, FieldChange, Shown};
use super::plan::{Action, Plan, PlanItem, Reason};
use super::width::{plain, width};
use crate::catalog::Kind;

/// The most items that are shown one by one; more are summed up.
pub const SHOWN_MAX: usize = 200;
/// How many of them are shown all the same.
const FIRST: usize = 20;
/// Values wider than this are not aligned with.
const COLUMN_MAX: usize = 40;
/// How far items are indented below their action.
const INDENT: &str = "         ";

const _: () = assert!(FIRST > 0, "some are always shown");
const _: () = assert!(COLUMN_MAX > 20, "most names fit a column");
const _: () = assert!(SHOWN_MAX < super::plan::ITEMS_MAX, "a long plan is summed up");
const _: () = assert!(FIRST <= SHOWN_MAX, "the first ones are some of them");
const _: () = assert!(INDENT.len() == 9, "an action and its space");

impl Plan {
    /// Returns the plan as text: lines of plain text, each at most as long as its names.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write_head(&mut out);
        if self.items.len() > SHOWN_MAX {
            self.write_summary(&mut out);
        }
        let shown = if self.items.len() > SHOWN_MAX { FIRST } else { self.items.len() };
        assert!(shown <= SHOWN_MAX && shown <= self.items.len(), "a long plan is summed up");
        for item in &self.items[..shown] {
            out.push('\n');
            write_item(&mut out, item);
        }
        self.write_end(&mut out);
        assert!(out.ends_with('\n'), "a text ends with its line");
        assert!(!out.contains('\r'), "names have no control characters");
        out
    }

    fn write_head(&self, out: &mut String) {
        let till = &self.till;
        let (shop, branch, terminal) = (till.shop, till.branch, till.terminal);
        line(out, &format!("Catalog check of till {terminal} (branch {branch}, shop {shop})"));
        let rows = grouped(self.before.count);
        let version = self.cloud.version;
        line(
            out,
            &format!("{rows} entries, compared with version {version} of the cloud's catalog"),
        );
        out.push('\n');
        if self.items.is_empty() {
            line(out, "Nothing differs: every entry is as it is in the cloud.");
        } else {
            let told = [
                (self.counts.update, "to change"),
                (self.counts.insert, "to add"),
                (self.counts.delete, "to remove"),
                (self.counts.keep, "to leave as it is"),
            ];
            let told: Vec<String> = told
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{} {what}", grouped(*count)))
                .collect();
            line(out, &told.join(", "));
        }
        if self.mends_sum() && self.items.is_empty() {
            line(out, "Only this till's own checksum of them was wrong.");
        }
        if self.needs_confirmation() {
            let share = self.counts.delete.saturating_mul(1_000) / self.before.count.max(1);
            let (removed, rows) = (grouped(self.counts.delete), grouped(self.before.count));
            out.push('\n');
            line(
                out,
                &format!(
                    "ATTENTION: this removes {removed} of {rows} entries ({}.{} %).",
                    share / 10,
                    share % 10
                ),
            );
            line(out, "Apply it only if you know why so many are gone from the cloud.");
        }
        assert!(out.ends_with('\n'), "a head ends with its line");
    }

    fn write_summary(&self, out: &mut String) {
        assert!(self.items.len() > SHOWN_MAX, "only a long plan is summed up");
        out.push('\n');
        line(out, &format!("{:<14}{:>9}{:>9}{:>9}{:>9}", "", "change", "add", "remove", "leave"));
        for kind in Kind::ALL {
            let count = |action| {
                let like = |item: &&PlanItem| item.id.kind == kind && item.action == action;
                grouped(self.items.iter().filter(like).count() as u64)
            };
            let (update, insert) = (count(Action::Update), count(Action::Insert));
            let (delete, keep) = (count(Action::Delete), count(Action::Keep));
            if self.items.iter().any(|item| item.id.kind == kind) {
                let name = kind_word(kind);
                line(out, &format!("{name:<14}{update:>9}{insert:>9}{delete:>9}{keep:>9}"));
            }
        }
        out.push('\n');
        let all = grouped(self.items.len() as u64);
        line(out, &format!("The first {FIRST} of {all}; the plan as JSON has them all:"));
    }

    fn write_end(&self, out: &mut String) {
        out.push('\n');
        if self.counts.keep > 0 {
            line(out, "What is left as it is settles itself with the next update.");
        }
        if self.counts.changing() == 0 && self.mends_sum() {
            line(out, "Applying it corrects this till's own checksum, and nothing else.");
        } else if self.changes_something() {
            let version = self.version;
            line(out, &format!("Applying it brings this till's catalog to version {version}."));
            line(out, "Sales and the queue are not touched. If a row changes before then,");
            line(out, "nothing is applied at all.");
        } else {
            line(out, "There is nothing to apply.");
        }
        assert!(out.ends_with('\n'), "the end ends with its line");
    }
}

fn write_item(out: &mut String, item: &PlanItem) {
    let before = out.len();
    let action = match item.action {
        Action::Insert => "ADD",
        Action::Update => "CHANGE",
        Action::Delete => "REMOVE",
        Action::Keep => "LEAVE",
    };
    let (kind, id, name) = (kind_word(item.id.kind), item.id.id, plain(&item.name));
    let name = if name.is_empty() { String::new() } else { format!("  {name}") };
    line(out, &format!("{action:<9}{kind} {id}{name}"));
    for text in changed(&item.changes, item.action) {
        line(out, &format!("{INDENT}{text}"));
    }
    let why = match item.reason {
        Reason::Lost => "it is missing on this till",
        Reason::Drifted => "this till has something else than the cloud",
        Reason::Unreadable => "this till's copy is damaged and cannot be read",
        Reason::DeletedInCloud => "it was deleted in the cloud",
        Reason::UnknownToCloud => "the cloud has nothing of that name for this branch",
        Reason::EditedHere => "it was edited on this till, and that is not sent yet",
        Reason::NewInCloud => "the cloud has just changed it: the next update brings it",
    };
    line(out, &format!("{INDENT}because {why}"));
    if item.unsynced > 0 {
        let unsynced = item.unsynced;
        let sales = if unsynced == 1 { "1 sale names" } else { &format!("{unsynced} sales name") };
        line(out, &format!("{INDENT}note: {sales} it and must still be sent. They keep what was"));
        line(out, &format!("{INDENT}printed on the receipt, and are sent as if nothing happened."));
    }
    assert!(out.len() > before + INDENT.len(), "each item is told, and why");
    assert!(out.ends_with('\n'), "an item ends with its line");
}

/// Returns a line for each field that changes, with the values below each other.
fn changed(changes: &[FieldChange], action: Action) -> Vec<String> {
    // Of what comes or goes as a whole, the name stands above, and the rest says little.
    let whole = matches!(action, Action::Insert | Action::Delete);
    let told = |field| matches!(field, Field::Price | Field::Barcodes | Field::Category);
    let rows: Vec<(&str, String, String)> = changes
        .iter()
        .filter(|change| !whole || told(change.field))
        .map(|change| (change.field.word(), value(&change.local), value(&change.cloud)))
        .collect();
    let widest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0).min(COLUMN_MAX);
    let names = widest(&mut rows.iter().map(|(name, ..)| name.len()));
    let locals = widest(&mut rows.iter().map(|(_, local, _)| width(local)));
    assert!(names <= COLUMN_MAX && locals <= COLUMN_MAX, "columns are narrow");
    assert!(rows.len() <= Field::ALL.len(), "each field has one line");
    let told = |(name, local, cloud): &(&str, String, String)| match action {
        Action::Insert => format!("{name:<names$}  {cloud}"),
        Action::Delete => format!("{name:<names$}  {local}"),
        Action::Update | Action::Keep => {
            let gap = locals.saturating_sub(width(local));
            format!("{name:<names$}  {local}{:gap$}  ->  {cloud}", "")
        }
    };
    let told: Vec<String> = rows.iter().map(told).collect();
    assert!(told.len() <= changes.len(), "each change has one line at most");
    told
}

fn value(shown: &Option<Shown>) -> String {
    match shown {
        None => "(nothing)".to_string(),
        Some(Shown::Text(text)) => plain(text),
        Some(Shown::Money { minor, currency }) => money(*minor, currency),
        Some(Shown::Rate(ppm)) => {
            let (whole, rest) = (ppm / 10_000, ppm % 10_000);
            let rest = format!("{rest:04}");
            match rest.trim_end_matches('0') {
                "" => format!("{whole} %"),
                rest => format!("{whole}.{rest} %"),
            }
        }
        Some(Shown::Flag(true)) => "yes".to_string(),
        Some(Shown::Flag(false)) => "no".to_string(),
        Some(Shown::List(texts)) => texts.join(", "),
    }
}

/// Returns an amount in main units, with as many digits as the currency has (ISO 4217).
#[must_use]
pub fn money(minor: i64, currency: &str) -> String {
    let digits = match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    };
    let unit = 10_u64.pow(digits);
    let (sign, amount) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
    let main = grouped(amount / unit);
    let rest = amount % unit;
    assert!(unit > 0, "a currency has a unit");
    assert!(rest < unit, "what is left is less than one");
    let name = if currency.is_empty() { String::new() } else { format!("{currency} ") };
    match digits {
        0 => format!("{name}{sign}{main}"),
        digits => format!("{name}{sign}{main}.{rest:0width$}", width = digits as usize),
    }
}

/// Returns a number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    assert!(out.len() <= digits.len() + digits.len() / 3, "a comma for three digits");
    assert!(out.len() >= digits.len(), "no digit is lost");
    out
}

const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Product => "product",
        Kind::Category => "category",
        Kind::Customer => "customer",
        Kind::BranchPrice => "branch price",
    }
}

/// Appends a line without blanks at its end.
fn line(out: &mut String, text: &str) {
    writeln!(out, "{}", text.trim_end()).expect("a string takes every write");
}

#[cfg(test)]
mod tests {
    use super::{grouped, money};

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        for (minor, currency, text) in [
            (149, "GBP", "GBP 1.49"),
            (5, "EUR", "EUR 0.05"),
            (-5, "EUR", "EUR -0.05"),
            (1_234_567, "USD", "USD 12,345.67"),
            (980, "JPY", "JPY 980"),
            (1_500, "KWD", "KWD 1.500"),
            (149, "", "1.49"),
        ] {
            assert_eq!(money(minor, currency), text);
        }
        assert_eq!(grouped(1_000_000), "1,000,000");
    }
}
