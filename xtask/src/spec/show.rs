//! What the check of the specification prints.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::json;

use super::tlc::Tlc;
use super::{Checked, Kind};

const WIDTH: u16 = 140;
const MODELS: [&str; 8] =
    ["model", "states", "states, TLC", "depth", "laws", "sanity", "s", "s, TLC"];
const VARIANTS: [&str; 6] = ["variant", "what is wrong", "model", "broken law", "steps", "s"];

/// Says what came of a model, while others are still looked at.
pub(super) fn said(checked: &Checked) {
    let what = match (&checked.problem, &checked.broken) {
        (Some(problem), _) => format!("WRONG: {problem}"),
        (None, Some(law)) => format!("breaks {law}, as it must"),
        (None, None) if checked.kind == Kind::Actions => "each action is taken".to_owned(),
        (None, None) => format!("{} states", states(checked)),
    };
    let by = if checked.tlc.is_some() { ", by TLC" } else { "" };
    eprintln!("{}{by}: {what}", checked.name);
}

pub(super) fn all(all: &[Checked], as_json: bool) -> anyhow::Result<()> {
    let well = all.iter().filter(|checked| checked.problem.is_none()).count();
    if as_json {
        println!("{}", serde_json::to_string(&json!({ "checked": all, "well": well }))?);
        return Ok(());
    }
    for (kind, head) in [(Kind::Model, &MODELS[..]), (Kind::Variant, &VARIANTS[..])] {
        let rows = rows(all, kind);
        if !rows.is_empty() {
            println!("{}", table(head, rows));
        }
    }
    let (states, ms) = sums(all);
    println!("{well} of {} as they should be; {states} states in {} s", all.len(), ms / 1000);
    for checked in all {
        if let Some(problem) = &checked.problem {
            println!("{}: {problem}", checked.name);
        }
    }
    Ok(())
}

/// Returns both tables as a document.
pub(super) fn markdown(all: &[Checked], tlc: &Tlc) -> String {
    let said = all.iter().find_map(|checked| checked.tlc.as_ref());
    let (version, day) = said.map_or(("", ""), |said| (&said.version, &said.day));
    let (states, ms) = sums(all);
    let mut text = format!(
        "# What the checkers say\n\nWritten by `cargo xtask spec --tlc --large --markdown \
         spec/RESULTS.md` on {day}: tla-checker 0.24.11, TLC {version}, {}, one core each, on a \
         machine that did other work too. States and depth are functions of the models; the times \
         are not. `tla-checker` looked at {states} states, its variants included, in {} s. *Depth* \
         counts the states of the longest of the shortest ways; *sanity* counts predicates whose \
         absence was shown to be wrong.\n",
        tlc.java,
        ms / 1000
    );
    for (title, kind, head) in [
        ("Models", Kind::Model, &MODELS[..]),
        ("Variants: each breaks the law that it must", Kind::Variant, &VARIANTS[..]),
    ] {
        let _ = writeln!(text, "\n## {title}\n\n| {} |", head.join(" | "));
        let _ = writeln!(text, "|{}", "---|".repeat(head.len()));
        for row in rows(all, kind) {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
    }
    text
}

fn sums(all: &[Checked]) -> (usize, u64) {
    let states = all.iter().map(|checked| checked.states).sum();
    (states, all.iter().map(|checked| checked.ms).sum())
}

fn states(checked: &Checked) -> usize {
    checked.tlc.as_ref().map_or(checked.states, |said| said.states)
}

fn rows(all: &[Checked], kind: Kind) -> Vec<Vec<String>> {
    let of_kind = all.iter().filter(|checked| checked.kind == kind);
    of_kind.map(if kind == Kind::Model { model } else { variant }).collect()
}

fn model(checked: &Checked) -> Vec<String> {
    let mine = |number: usize| if checked.states > 0 { number.to_string() } else { String::new() };
    let tlc =
        |of: fn(&super::tlc::Said) -> String| checked.tlc.as_ref().map_or_else(String::new, of);
    vec![
        checked.name.clone(),
        mine(checked.states),
        tlc(|said| said.states.to_string()),
        if checked.states > 0 {
            checked.depth.to_string()
        } else {
            tlc(|said| said.depth.to_string())
        },
        mine(checked.laws.len()),
        mine(checked.reached.len()),
        mine(seconds(checked.ms)),
        tlc(|said| seconds(said.ms).to_string()),
    ]
}

fn variant(checked: &Checked) -> Vec<String> {
    vec![
        checked.name.clone(),
        checked.what.clone(),
        checked.module.clone(),
        checked.broken.clone().unwrap_or_else(|| "none".to_owned()),
        checked.steps.to_string(),
        seconds(checked.ms).to_string(),
    ]
}

fn seconds(ms: u64) -> usize {
    usize::try_from(ms.div_ceil(1000)).unwrap_or(usize::MAX)
}

fn table(head: &[&str], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_width(WIDTH);
    }
    table.set_header(head).add_rows(rows);
    for (number, name) in head.iter().enumerate() {
        let right = matches!(*name, "states" | "states, TLC" | "depth" | "steps" | "s" | "s, TLC");
        if let Some(column) = table.column_mut(number).filter(|_| right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
