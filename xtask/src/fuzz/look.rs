//! One target's program, and what it says of its run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::{Target, place, seeds, short};

/// The most memory of a target's process, what libFuzzer keeps for itself included.
const MEMORY_MIB: u32 = 512;
/// How long one input may take.
const INPUT_SECONDS: u32 = 10;
/// What is shown of what a target has said.
const SHOWN_LINES: usize = 30;

/// What a run of a target came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Looked {
    target: &'static str,
    seconds: u32,
    executions: u64,
    per_second: u64,
    /// Edges of the program that were seen.
    coverage: u64,
    peak_mib: u64,
    /// The file with the input that broke it.
    pub(super) found: Option<PathBuf>,
    #[serde(skip)]
    pub(super) said: String,
}

impl Looked {
    /// Returns the line that plays again what was found.
    pub(super) fn again(&self) -> String {
        let found = self.found.as_deref().map(short).unwrap_or_default();
        format!("cargo xtask fuzz --target {} --replay {found}", self.target)
    }
}

/// Lets a target look for so long.
pub(super) fn look(programs: &Path, target: &Target, seconds: u32) -> anyhow::Result<Looked> {
    let (corpus, artifacts) = (place("fuzz/corpus", target)?, place("fuzz/artifacts", target)?);
    let begin = seeds::write(target)?;
    let ran = Command::new(programs.join(target.name))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={}", target.length))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1")
        .args([corpus, begin])
        .output()
        .with_context(|| format!("{} cannot be started", target.name))?;
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    let found = written(&said);
    if !ran.status.success() && found.is_none() {
        bail!("{} ended with {}:\n{}", target.name, ran.status, end_of(&said));
    }
    Ok(Looked {
        target: target.name,
        seconds,
        executions: stat(&said, "number_of_executed_units"),
        per_second: stat(&said, "average_exec_per_sec"),
        coverage: coverage(&said),
        peak_mib: stat(&said, "peak_rss_mb"),
        found,
        said: end_of(&said),
    })
}

/// Plays one input, and returns whether it passes.
pub(super) fn replay(programs: &Path, target: &Target, input: &Path) -> anyhow::Result<bool> {
    let ran = Command::new(programs.join(target.name)).arg(input).status();
    Ok(ran.with_context(|| format!("{} cannot be started", target.name))?.success())
}

/// Returns a table for people.
pub(super) fn table(looked: &[Looked]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["target", "executions", "per s", "coverage", "peak MiB", "found"]);
    for looked in looked {
        let found = looked.found.as_deref().map_or_else(|| "nothing".to_owned(), short);
        table.add_row([
            looked.target.to_owned(),
            looked.executions.to_string(),
            looked.per_second.to_string(),
            looked.coverage.to_string(),
            looked.peak_mib.to_string(),
            found,
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Returns the file that a broken target has written.
fn written(said: &str) -> Option<PathBuf> {
    let line = said.lines().rev().find_map(|line| line.split("Test unit written to ").nth(1));
    line.map(|path| PathBuf::from(path.trim()))
}

fn stat(said: &str, name: &str) -> u64 {
    let line = said.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
    line.and_then(|rest| rest.trim_start_matches(':').trim().parse().ok()).unwrap_or(0)
}

fn coverage(said: &str) -> u64 {
    let mut words = said.lines().rev().find_map(|line| line.split(" cov: ").nth(1));
    let word = words.take().and_then(|rest| rest.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn end_of(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_target_says_is_read() {
        let said = "#2\tINITED cov: 7 ft: 9 corp: 1/1b exec/s: 0 rss: 27Mb\n\
                    #16113\tDONE   cov: 479 ft: 866 corp: 93/7572b lim: 269 exec/s: 9\n\
                    artifact_prefix='x/'; Test unit written to x/crash-1f\n\
                    stat::number_of_executed_units: 16113\n\
                    stat::average_exec_per_sec:     9\nstat::peak_rss_mb:              28\n";
        assert_eq!(coverage(said), 479);
        assert_eq!(written(said), Some(PathBuf::from("x/crash-1f")));
        assert_eq!(stat(said, "number_of_executed_units"), 16_113);
        assert_eq!((stat(said, "average_exec_per_sec"), stat(said, "peak_rss_mb")), (9, 28));
    }
}
