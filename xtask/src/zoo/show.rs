//! What the zoo prints.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::time::Duration;

use super::{Catch, Wrong, layers};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{ProgressBar, ProgressStyle};

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

pub(super) fn catches(catches: &[Catch], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        println!("{}", serde_json::to_string(catches)?);
        return Ok(());
    }
    let caught = catches.iter().filter(|catch| catch.found).count();
    let seconds = catches.iter().map(|catch| catch.ms).sum::<u64>() / 1000;
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
    let (all, minutes, seconds) = (catches.len(), seconds / 60, seconds % 60);
    println!(
        "{table}\n{caught} of {all} wrong protocols were caught, in {minutes}:{seconds:02} min"
    );
    Ok(())
}

/// Returns the table as a document.
pub(super) fn markdown(catches: &[&Catch]) -> String {
    let caught = catches.iter().filter(|catch| catch.found).count();
    let commits: BTreeSet<&str> = catches.iter().map(|catch| catch.commit.as_str()).collect();
    let commits: Vec<&str> = commits.into_iter().collect();
    let mut text = format!(
        "# The zoo\n\nWrong protocols, each of which must be found; `cargo xtask zoo` makes each \
         in a copy of the tree and hunts for it, and\n`--markdown docs/zoo.md` writes this page. \
         *Seeds* is how many it took, the median of three starts; 0 is a kept plan. {caught} of {} \
         were\nfound, in copies of {}.\n\n",
        catches.len(),
        commits.join(", ")
    );
    text += &line(&HEAD.map(str::to_owned));
    text += &line(&HEAD.map(|_| "---".to_owned()));
    text.extend(catches.iter().map(|catch| line(&row(catch))));
    let asked = catches.iter().filter(|catch| !catch.layers.is_empty());
    let asked: Vec<_> =
        asked.map(|catch| (catch.name.as_str(), catch.spec.as_deref(), &catch.layers)).collect();
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
    let (by, law) = match &catch.problem {
        Some(problem) => ("NOT CAUGHT".to_owned(), problem.clone()),
        None => (catch.level.clone(), catch.law.clone().unwrap_or_default()),
    };
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let seconds = format!("{}.{}", catch.ms / 1000, catch.ms % 1000 / 100);
    let (seed, seeds) = (number(catch.seed), number(catch.seeds));
    [catch.name.clone(), catch.what.clone(), by, law, seed, seeds, seconds]
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
