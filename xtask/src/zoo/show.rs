//! What the zoo prints.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Catch, Wrong, layers};

const WIDTH: u16 = 140;

pub(super) fn progress(count: u64) -> ProgressBar {
    let bar = ProgressBar::new(count);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

pub(super) fn list(all: &[&Wrong]) {
    let mut table = table();
    table.set_header(["name", "what is wrong", "who must notice"]);
    for wrong in all {
        let laws: Vec<&str> = wrong.breaks.iter().map(String::as_str).collect();
        let who = wrong.test.clone().unwrap_or_else(|| laws.join(" or "));
        table.add_row([wrong.name.as_str(), wrong.what.as_str(), who.as_str()]);
    }
    println!("{table}");
}

/// Says what became of a mistake, while others are still made: a whole zoo takes a while.
pub(super) fn caught(progress: &ProgressBar, catch: &Catch) {
    let [name, _, by, law, seed, seeds, seconds] = row(catch);
    let seed = if seed.is_empty() { seed } else { format!(", seed {seed}, median {seeds}") };
    let line = format!("{name}: {by} {law}{seed}, {seconds} s");
    if progress.is_hidden() {
        eprintln!("{line}");
    } else {
        progress.println(line);
    }
}

pub(super) fn catches(catches: &[Catch], as_json: bool) {
    let caught = catches.iter().filter(|catch| catch.problem.is_none()).count();
    let took: Duration = catches.iter().map(|catch| catch.took).sum();
    if as_json {
        let all: Vec<_> = catches.iter().map(object).collect();
        let (all_of_them, ms) = (catches.len(), millis(took));
        println!("{}", json!({ "wrong": all, "caught": caught, "all": all_of_them, "ms": ms }));
        return;
    }
    let mut table = table();
    table.set_header(HEAD);
    for number in [4, 5, 6] {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for catch in catches {
        table.add_row(row(catch));
    }
    let (all, minutes, seconds) = (catches.len(), took.as_secs() / 60, took.as_secs() % 60);
    println!(
        "{table}\n{caught} of {all} wrong protocols were caught, in {minutes}:{seconds:02} min"
    );
}

/// Returns the table as a document.
pub(super) fn markdown(catches: &[Catch]) -> String {
    let caught = catches.iter().filter(|catch| catch.problem.is_none()).count();
    let mut text = format!(
        "# The zoo\n\nWrong protocols, each of which must be found; `cargo xtask zoo` makes each \
         in a copy of the tree and hunts for it, and\n`--markdown docs/zoo.md` writes this page. \
         *Seeds* is how many it took, the median of three starts; 0 is a kept plan. {caught} of {} \
         were\nfound.\n\n",
        catches.len()
    );
    text += &line(&HEAD.map(str::to_owned));
    text += &line(&HEAD.map(|_| "---".to_owned()));
    text.extend(catches.iter().map(|catch| line(&row(catch))));
    let asked = catches.iter().filter(|catch| !catch.seen.is_empty());
    let asked: Vec<_> =
        asked.map(|catch| (catch.name.as_str(), catch.spec.clone(), &catch.seen)).collect();
    if !asked.is_empty() {
        text += &layers::markdown(&asked);
    }
    text
}

/// Returns a line of a table.
pub(super) fn line(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

const HEAD: [&str; 7] =
    ["name", "what is wrong", "caught by", "law or test", "first seed", "seeds", "seconds"];

/// Returns what [`HEAD`] names.
fn row(catch: &Catch) -> [String; 7] {
    let found = catch.found.as_ref();
    let (by, law) = match (&catch.problem, found) {
        (Some(problem), _) => ("NOT CAUGHT".to_owned(), problem.clone()),
        (None, Some(found)) => (catch.watch.to_owned(), found.by.clone()),
        (None, None) => (String::new(), String::new()),
    };
    let seed = found.and_then(|found| found.seed).map(|seed| seed.to_string());
    let seeds = found.and_then(|found| found.seeds).map(|seeds| seeds.to_string());
    let seconds = format!("{:.1}", catch.took.as_secs_f64());
    let (seed, seeds) = (seed.unwrap_or_default(), seeds.unwrap_or_default());
    [catch.name.clone(), catch.what.clone(), by, law, seed, seeds, seconds]
}

fn object(catch: &Catch) -> serde_json::Value {
    let layers: BTreeMap<_, _> = catch.seen.iter().map(|(layer, by)| (layer.name(), by)).collect();
    json!({
        "name": catch.name,
        "what": catch.what,
        "watch": catch.watch,
        "by": catch.found.as_ref().map(|found| &found.by),
        "seed": catch.found.as_ref().and_then(|found| found.seed),
        "seeds": catch.found.as_ref().and_then(|found| found.seeds),
        "said": catch.found.as_ref().map(|found| &found.said),
        "problem": catch.problem,
        "spec": catch.spec,
        "layers": layers,
        "ms": millis(catch.took),
    })
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_width(WIDTH);
    }
    table
}
