//! What a run shows a person, and what it shows a machine.

use std::fmt::Write as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use serde_json::{Value, json};

use crate::coverage::{Coverage, Injected, Transition};
use crate::law::Law;
use crate::pairs::Pairs;
use crate::runner::{Level, Summary};

/// Returns one object for machines: `digest` and every count are functions of the seeds, and
/// only `wall_ms` is not.
#[must_use]
pub fn json(summaries: &[Summary]) -> Value {
    let sum = |count: &dyn Fn(&Summary) -> u64| -> u64 { summaries.iter().map(count).sum() };
    let laws: serde_json::Map<String, Value> = Law::ALL
        .iter()
        .map(|law| {
            let checked = sum(&|summary| summary.tally.checked(*law));
            let violations = sum(&|summary| summary.violations(*law));
            (law.to_string(), json!({"checked": checked, "violations": violations}))
        })
        .collect();
    let faults: serde_json::Map<String, Value> = Injected::ALL
        .iter()
        .filter(|fault| can_come(summaries, **fault))
        .map(|fault| (fault.as_str().into(), sum(&|s| s.coverage.fault(*fault)).into()))
        .collect();
    let transitions: serde_json::Map<String, Value> = Transition::ALL
        .iter()
        .filter(|kind| summaries.iter().any(|summary| summary.level.shows(**kind)))
        .map(|kind| (kind.as_str().into(), sum(&|s| s.coverage.transition(*kind)).into()))
        .collect();
    let failures: Vec<Value> = summaries
        .iter()
        .flat_map(|summary| {
            summary.failures.iter().map(move |(seed, violation)| {
                json!({
                    "level": summary.level.as_str(),
                    "seed": seed,
                    "law": violation.law.as_str(),
                    "at_ms": violation.at_ms,
                    "what": violation.what,
                })
            })
        })
        .collect();
    let digests: Vec<&str> = summaries.iter().map(|summary| summary.digest.as_str()).collect();
    let never_came: Vec<Value> = summaries
        .iter()
        .flat_map(|summary| {
            summary.never_came().into_iter().map(move |(fault, asked)| {
                let level = summary.level.as_str();
                json!({"level": level, "fault": fault.as_str(), "asked_for_ms": asked})
            })
        })
        .collect();
    json!({
        "seeds": sum(&|summary| summary.seeds),
        "violations": sum(&|summary| summary.failures.len() as u64),
        "laws": laws,
        "faults": faults,
        "transitions": transitions,
        "total_transitions": sum(&|summary| summary.coverage.total_transitions()),
        "item_transitions": sum(&|summary| summary.coverage.item_transitions()),
        "events": sum(&|summary| summary.events),
        "sim_ms": sum(&|summary| summary.sim_ms),
        "wall_ms": sum(&|summary| summary.wall_ms),
        "digest": digests.join("+"),
        "failures": failures,
        "never_came": never_came,
    })
}

/// Returns the report for CI systems: JUnit XML, a suite for each level, a case for each law. A law
/// that was never put to the test is a skipped case.
#[must_use]
pub fn junit(summaries: &[Summary]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for summary in summaries {
        let level = summary.level.as_str();
        let broken = Law::ALL.iter().filter(|law| summary.violations(**law) > 0).count();
        let (tests, seconds) = (Law::ALL.len(), seconds(summary.wall_ms));
        let _ = writeln!(
            out,
            "  <testsuite name=\"{level} level, {} seeds\" tests=\"{tests}\" \
             failures=\"{broken}\" time=\"{seconds}\">",
            summary.seeds
        );
        for law in Law::ALL {
            let _ = write!(out, "    <testcase classname=\"{level}\" name=\"{law}\">");
            for (seed, violation) in summary.failures.iter().filter(|(_, v)| v.law == *law) {
                let what = escaped(&violation.what);
                let _ = write!(out, "<failure message=\"seed {seed}\">{what}</failure>");
            }
            if summary.tally.checked(*law) == 0 {
                out.push_str("<skipped/>");
            }
            out.push_str("</testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

/// XML has no way to write most control characters.
fn escaped(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c });
    let plain: String = plain.collect();
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Returns the report for people.
#[must_use]
pub fn text(summaries: &[Summary]) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", laws(summaries));
    let _ = writeln!(
        out,
        "{}",
        counts("fault", Injected::ALL.len(), summaries, |s, index| {
            (Injected::ALL[index].as_str(), s.coverage.fault(Injected::ALL[index]))
        })
    );
    let _ = writeln!(
        out,
        "{}",
        counts("transition", Transition::ALL.len(), summaries, |s, index| {
            (Transition::ALL[index].as_str(), s.coverage.transition(Transition::ALL[index]))
        })
    );
    let _ = writeln!(out, "{}", speed(summaries));
    out
}

fn laws(summaries: &[Summary]) -> Table {
    let mut table = table(&["law", "checked", "violations"]);
    for law in Law::ALL {
        let checked: u64 = summaries.iter().map(|s| s.tally.checked(*law)).sum();
        let broken: u64 = summaries.iter().map(|s| s.violations(*law)).sum();
        table.add_row([
            Cell::new(law.as_str()),
            number(checked),
            if broken == 0 { right("none".into()) } else { number(broken) },
        ]);
    }
    table
}

/// Counts side by side, in as many columns as fit without scrolling.
fn counts(
    title: &str,
    kinds: usize,
    summaries: &[Summary],
    count: impl Fn(&Summary, usize) -> (&'static str, u64),
) -> Table {
    let mut table = table(&[title, "seen", title, "seen"]);
    let rows = kinds.div_ceil(2);
    let total = |index: usize| -> [Cell; 2] {
        if index >= kinds {
            return [Cell::new(""), Cell::new("")];
        }
        let seen: u64 = summaries.iter().map(|s| count(s, index).1).sum();
        let name = summaries.first().map_or("", |s| count(s, index).0);
        [Cell::new(name), number(seen)]
    };
    for row in 0..rows {
        let [left, left_seen] = total(row);
        let [right, right_seen] = total(row + rows);
        table.add_row([left, left_seen, right, right_seen]);
    }
    table
}

fn speed(summaries: &[Summary]) -> Table {
    let mut table = table(&[
        "level",
        "seeds",
        "seeds/s",
        "sales",
        "transitions",
        "transitions/s",
        "simulated",
        "real",
        "ratio",
    ]);
    for summary in summaries {
        let wall = summary.wall_ms.max(1);
        let transitions = summary.coverage.total_transitions();
        table.add_row([
            Cell::new(summary.level.as_str()),
            number(summary.seeds),
            number(summary.seeds * 1000 / wall),
            number(summary.events),
            number(transitions),
            number(transitions * 1000 / wall),
            right(span(summary.sim_ms)),
            right(span(wall)),
            right(format!("{} x", group(summary.sim_ms / wall))),
        ]);
    }
    table
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(header.iter().map(|text| Cell::new(*text)));
    table
}

fn number(value: u64) -> Cell {
    right(group(value))
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// Returns a number with its thousands set apart.
#[must_use]
pub fn group(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns a span as a person says it.
#[must_use]
pub fn span(ms: u64) -> String {
    let secs = ms / 1000;
    match secs {
        0..60 => format!("{secs}.{} s", ms % 1000 / 100),
        60..3_600 => format!("{} min {} s", secs / 60, secs % 60),
        3_600..172_800 => format!("{} h {} min", secs / 3_600, secs % 3_600 / 60),
        _ => format!("{} d {} h", secs / 86_400, secs % 86_400 / 3_600),
    }
}

/// Returns the faults and transitions that never happened, and that some level should have shown.
#[must_use]
pub fn never(summaries: &[Summary]) -> Vec<&'static str> {
    let faults = Injected::ALL
        .iter()
        .filter(|fault| summaries.iter().all(|s| s.coverage.fault(**fault) == 0))
        .filter(|fault| summaries.iter().any(|s| s.level.has(**fault)))
        .map(|fault| fault.as_str());
    let transitions = Transition::ALL
        .iter()
        .filter(|kind| summaries.iter().all(|s| s.coverage.transition(**kind) == 0))
        .filter(|kind| {
            let must = |s: &Summary| s.level.shows(**kind) && why_rare(s.level, **kind).is_none();
            summaries.iter().any(must)
        })
        .map(|kind| kind.as_str());
    faults.chain(transitions).collect()
}

/// Returns a line for each class of faults that was asked for and never came: such a run shows less
/// than it seems to.
#[must_use]
pub fn never_came(summaries: &[Summary]) -> Vec<String> {
    let mut lines = Vec::new();
    for summary in summaries {
        let level = summary.level.as_str();
        for (fault, asked) in summary.never_came() {
            let name = fault.as_str();
            lines.push(format!(
                "{name}: asked for over {} at the {level} level, never came",
                span(asked)
            ));
        }
    }
    lines
}

/// Returns which transition was seen after which fault at all levels together, with the counts of
/// both.
#[must_use]
pub fn pairs(summaries: &[Summary]) -> (Pairs, Coverage) {
    let (mut pairs, mut coverage) = (Pairs::default(), Coverage::default());
    for summary in summaries {
        pairs.merge(&summary.pairs);
        coverage.add(&summary.coverage);
    }
    (pairs, coverage)
}

/// Returns the transitions that did not happen at a level and need not, each with its reason.
#[must_use]
pub fn rare(summaries: &[Summary]) -> Vec<String> {
    let mut lines = Vec::new();
    for summary in summaries {
        let level = summary.level.as_str();
        for (kind, why) in summary.level.rare() {
            if summary.coverage.transition(*kind) == 0 {
                lines.push(format!("rare at the {level} level: {}: {why}", kind.as_str()));
            }
        }
    }
    lines
}

/// Returns whether a fault can come at one of the levels, or has come there: a disk that lies does
/// on a profile of its own.
fn can_come(summaries: &[Summary], fault: Injected) -> bool {
    summaries.iter().any(|s| s.level.has(fault) || s.coverage.fault(fault) > 0)
}

fn why_rare(level: Level, kind: Transition) -> Option<&'static str> {
    level.rare().iter().find(|(rare, _)| *rare == kind).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::Violation;
    use crate::plan::Shape;
    use crate::profile::Profile;
    use crate::runner::{Job, run};

    #[test]
    fn a_broken_law_is_a_failed_case_and_one_never_tried_a_skipped_one() {
        let job = Job {
            level: Level::Model,
            from: 0,
            seeds: 1,
            shape: Shape { tills: 1, chaos_ms: 2_000 },
            profile: Profile::Calm,
            sales: None,
            jobs: 1,
            fail_fast: false,
        };
        let mut summary = run(&job, |_, _| {});
        let what = "expected <1> & found \"0\"\u{1b}".to_owned();
        summary.failures.push((7, Violation { law: Law::ZeroLoss, at_ms: 3, what }));
        let junit = junit(&[summary]);
        let case = "<testcase classname=\"model\" name=\"ZeroLoss\"><failure message=\"seed 7\">\
                    expected &lt;1&gt; &amp; found &quot;0&quot; </failure></testcase>";
        assert!(junit.contains(case), "{junit}");
        assert!(junit.contains("failures=\"1\""), "{junit}");
        assert!(junit.contains("name=\"NoDuplicate\"></testcase>"), "{junit}");
        assert!(junit.contains("name=\"PlanIsSafe\"><skipped/></testcase>"), "{junit}");
    }
}
