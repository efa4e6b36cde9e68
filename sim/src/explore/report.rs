//! What an exploration shows a person, and what it shows a machine.

use std::fmt::Write as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use serde_json::{Value, json};

use super::{Bounds, CHECKED, Config, Explored, Numbers};

/// Returns a table, and after it each counterexample.
#[must_use]
pub fn text(explored: &[Explored]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "configuration",
        "bounds",
        "states",
        "transitions",
        "depth",
        "drained from",
        "seconds",
        "result",
    ]);
    for one in explored {
        let seconds = format!("{}.{}", one.wall_ms / 1000, one.wall_ms / 100 % 10);
        let numbers = [
            one.states.to_string(),
            one.transitions.to_string(),
            one.depth.to_string(),
            one.drained.to_string(),
            seconds,
        ];
        let mut row = vec![Cell::new(one.config.name), Cell::new(bounds(&one.config))];
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        row.extend(numbers.into_iter().map(right));
        row.push(Cell::new(result(one)));
        table.add_row(row);
    }
    let mut out = format!("{table}\n");
    let laws: Vec<&str> = CHECKED.iter().map(|law| law.as_str()).collect();
    let _ = writeln!(out, "checked in every state: {}", laws.join(", "));
    for one in explored {
        let _ = writeln!(out, "seen in {}: {}", one.config.name, one.seen.join(", "));
    }
    for one in explored {
        let Some(found) = &one.counterexample else { continue };
        let _ = writeln!(out, "\n{}: {}", one.config.name, found.broken);
        let _ = writeln!(out, "  the shortest way there:");
        for (number, step) in (1..).zip(&found.steps) {
            let _ = writeln!(out, "  {number:>3}. {step}");
        }
    }
    out
}

fn result(one: &Explored) -> String {
    match (&one.counterexample, one.complete) {
        (Some(found), _) => format!("BROKEN: {}", found.broken.law),
        (None, true) => "complete, every law held".to_owned(),
        (None, false) => "CUT, not complete: no law broken so far".to_owned(),
    }
}

fn named(bounds: &Bounds) -> [(&'static str, u8); 9] {
    let names = [
        "sales",
        "crashes",
        "losses",
        "late",
        "duplicates",
        "restores",
        "copies",
        "cloud restores",
        "roll-ups",
    ];
    let mut named = [("", 0); 9];
    for ((slot, name), count) in named.iter_mut().zip(names).zip(bounds.as_array()) {
        *slot = (name, count);
    }
    named
}

fn bounds(config: &Config) -> String {
    let tills = ("tills", config.tills);
    let some = named(&config.bounds).into_iter().filter(|(_, count)| *count > 0);
    let flight = (config.in_flight > 1).then_some(("in flight", config.in_flight));
    let all = std::iter::once(tills).chain(some).chain(flight);
    let said = [
        (config.numbers == Numbers::Own, "same names"),
        (!config.with_witness, "the witness stays"),
        (config.cold_backups, "cold backups"),
    ];
    let all: Vec<String> = all
        .map(|(name, count)| match (count, name) {
            (1, "losses" | "crashes") => format!("1 {}", &name[..name.len() - 2]),
            (1, "copies") => "1 copy".to_owned(),
            (1, _) => format!("1 {}", name.strip_suffix('s').unwrap_or(name)),
            _ => format!("{count} {name}"),
        })
        .chain(said.into_iter().filter(|(is, _)| *is).map(|(_, what)| what.to_owned()))
        .collect();
    all.join(", ")
}

/// Returns one object for machines. Everything but `wall_ms` is a function of the configuration,
/// if the search was complete.
#[must_use]
pub fn json(explored: &[Explored]) -> Value {
    let laws: Vec<&str> = CHECKED.iter().map(|law| law.as_str()).collect();
    let all: Vec<Value> = explored
        .iter()
        .map(|one| {
            let bounds: serde_json::Map<String, Value> = named(&one.config.bounds)
                .into_iter()
                .map(|(name, count)| (name.replace([' ', '-'], "_"), count.into()))
                .collect();
            let counterexample = one.counterexample.as_ref().map(|found| {
                json!({
                    "law": found.broken.law.as_str(),
                    "expected": found.broken.expected,
                    "found": found.broken.found,
                    "steps": found.steps,
                })
            });
            json!({
                "configuration": one.config.name,
                "tills": one.config.tills,
                "in_flight": one.config.in_flight,
                "items": one.config.items,
                "with_witness": one.config.with_witness,
                "cold_backups": one.config.cold_backups,
                "same_names": one.config.numbers == Numbers::Own,
                "bounds": bounds,
                "states": one.states,
                "transitions": one.transitions,
                "depth": one.depth,
                "drained_from": one.drained,
                "seen": one.seen,
                "wall_ms": one.wall_ms,
                "complete": one.complete,
                "counterexample": counterexample,
            })
        })
        .collect();
    json!({ "laws": laws, "explored": all })
}
