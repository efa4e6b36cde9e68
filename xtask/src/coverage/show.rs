//! What is said of branches.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::json;

use super::branches::{Branches, sides};
use super::reasons::Judged;

/// How many files the table names: those with the most sides that were not taken.
const FILES: usize = 12;

pub(super) fn print(
    branches: &Branches,
    specified: Option<&Branches>,
    judged: &Judged,
    as_json: bool,
) -> anyhow::Result<()> {
    let (taken, all) = branches.sides();
    let specified = specified.map(|branches| branches.sides().0);
    let Judged { explained, unexplained, stale } = judged;
    if as_json {
        let object = json!({
            "sides": all, "taken": taken, "taken_by_specification": specified,
            "asserted_left_out": branches.asserted, "explained_lines": explained,
            "unexplained": unexplained, "stale": stale,
        });
        println!("{}", serde_json::to_string(&object)?);
        return Ok(());
    }
    println!("{}", table(branches));
    if let Some(specified) = specified {
        println!("{}: sides that the behaviours of the specification take", part(specified, all));
    }
    println!("{}: sides that are taken", part(taken, all));
    println!("{} branches of assertions are left out", branches.asserted);
    println!("{explained} lines have a side that nothing takes, and the reason");
    for line in unexplained {
        println!("NO REASON  {line}");
    }
    for line in stale {
        println!("NO LINE    {line}");
    }
    Ok(())
}

fn table(branches: &Branches) -> Table {
    let mut files: Vec<(&str, u64, u64)> = branches
        .files
        .iter()
        .map(|(file, found)| {
            let (taken, all) = sides(found);
            (file.as_str(), taken, all)
        })
        .collect();
    files.sort_by_key(|(_, taken, all)| std::cmp::Reverse(all - taken));
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["file", "sides", "not taken"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (file, taken, all) in files.into_iter().take(FILES) {
        table.add_row([file.to_owned(), all.to_string(), (all - taken).to_string()]);
    }
    table
}

/// Returns a part of all, also in per cent with one digit after the point.
fn part(some: u64, all: u64) -> String {
    let per_mille = (some * 1_000).checked_div(all).unwrap_or(0);
    format!("{some} of {all} ({}.{} %)", per_mille / 10, per_mille % 10)
}
