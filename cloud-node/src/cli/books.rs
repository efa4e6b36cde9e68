//! The commands that read whole stores: `export`, `backup`, `restore`, `check`.

use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use counterfoil_cloud::{audit, backup, export};
use counterfoil_storage::Integrity;
use serde_json::json;

use super::{At, FAILED, reads, runtime, say};

pub(super) fn write_export(json: bool, at: &At, figures: bool) -> anyhow::Result<ExitCode> {
    let (_local, reads) = reads(at)?;
    let runtime = runtime()?;
    if !figures {
        let mut out = BufWriter::new(io::stdout().lock());
        let summary = runtime.block_on(export::export(&reads, &mut out))?;
        writeln!(out, "{}", json!({ "figures": summary }))?;
        out.flush()?;
        return Ok(exported(&summary));
    }
    let summary = runtime.block_on(export::summary(&reads))?;
    if json || !io::stdout().is_terminal() {
        say(&serde_json::to_string(&summary)?);
    } else {
        say(&table(&[
            ("events", summary.events.to_string()),
            ("invoices", summary.invoices.to_string()),
            ("lines", summary.lines.to_string()),
            ("quantity, in thousandths", summary.quantity_milli.to_string()),
            ("money, in minor units", summary.money_minor.to_string()),
            ("parked events", summary.parked.to_string()),
            ("unreadable events", summary.unreadable.to_string()),
        ]));
    }
    Ok(exported(&summary))
}

/// What could be read is written in any case; the code tells whether that is all.
fn exported(summary: &export::Summary) -> ExitCode {
    if summary.unreadable == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("cloud-node: {} payloads are no events: run the check", summary.unreadable);
    ExitCode::from(FAILED)
}

pub(super) fn back_up(json: bool, at: &At, out: &Path) -> anyhow::Result<ExitCode> {
    let (mut local, _) = reads(at)?;
    local.check()?;
    let reads = local.reads_of_one_moment()?;
    copied(json, "backed up", backup::back_up(&reads, out)?)
}

pub(super) fn copied(json: bool, done: &str, copied: backup::Copied) -> anyhow::Result<ExitCode> {
    if json {
        say(&serde_json::to_string(&copied)?);
    } else {
        say(&format!("{done}: {} rows, {} bytes", copied.rows, copied.bytes));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn check(json: bool, at: &At) -> anyhow::Result<ExitCode> {
    let (mut local, reads) = reads(at)?;
    let checked = local.check()?;
    if checked.structure == Integrity::Repaired {
        eprintln!("cloud-node: the engine has repaired its structure; no committed row is lost");
    }
    let report = runtime()?.block_on(audit::check(&reads))?;
    if json {
        say(&serde_json::to_string(&report)?);
    } else {
        let counts = report.counts().map(|(name, count)| (name, count.to_string()));
        if io::stdout().is_terminal() {
            say(&table(&counts));
        } else {
            counts.iter().for_each(|(name, count)| say(&format!("{name}: {count}")));
        }
        for problem in &report.problems {
            say(&format!("{}: {}: {}", problem.law, problem.place, problem.what));
        }
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn table(rows: &[(&str, String)]) -> String {
    use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    for (name, value) in rows {
        table.add_row([Cell::new(name), Cell::new(value).set_alignment(CellAlignment::Right)]);
    }
    table.to_string()
}
