//! What the zoo prints.

use std::io::IsTerminal as _;

use comfy_table::{ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Catch, Wrong};

const WIDTH: u16 = 140;

pub(super) fn progress(count: u64) -> ProgressBar {
    let bar = ProgressBar::new(count);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
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

pub(super) fn catches(catches: &[Catch], as_json: bool) {
    let caught = catches.iter().filter(|catch| catch.problem.is_none()).count();
    if as_json {
        let all: Vec<_> = catches.iter().map(object).collect();
        println!("{}", json!({ "wrong": all, "caught": caught, "all": catches.len() }));
        return;
    }
    let mut table = table();
    table.set_header(["name", "what is wrong", "noticed by", "seed", "built and found in"]);
    for catch in catches {
        let by = match (&catch.problem, &catch.found) {
            (Some(problem), _) => format!("NOT CAUGHT: {problem}"),
            (None, Some(found)) => found.by.clone(),
            (None, None) => String::new(),
        };
        let seed = catch.found.as_ref().and_then(|found| found.seed);
        table.add_row([
            catch.name.clone(),
            catch.what.clone(),
            by,
            seed.map(|seed| seed.to_string()).unwrap_or_default(),
            format!("{:.1} s", catch.took.as_secs_f64()),
        ]);
    }
    println!("{table}\n{caught} of {} wrong protocols were caught", catches.len());
}

fn object(catch: &Catch) -> serde_json::Value {
    json!({
        "name": catch.name,
        "what": catch.what,
        "by": catch.found.as_ref().map(|found| &found.by),
        "seed": catch.found.as_ref().and_then(|found| found.seed),
        "said": catch.found.as_ref().map(|found| &found.said),
        "problem": catch.problem,
        "ms": u64::try_from(catch.took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_width(WIDTH);
    }
    table
}
