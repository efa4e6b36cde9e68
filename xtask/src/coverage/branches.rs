//! What was taken, from the report of cargo-llvm-cov and the sources.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::below;

/// The branches of a crate: each has two sides.
#[derive(Debug, Default)]
pub(super) struct Branches {
    /// By file, in the order of their lines.
    pub(super) files: BTreeMap<String, Vec<Branch>>,
    /// How many branches of assertions were left out.
    pub(super) asserted: u64,
}

/// A branch, wherever the compiler has put copies of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Branch {
    /// Its line, from 1.
    pub(super) line: usize,
    /// What stands there, without the blanks before and after.
    pub(super) text: String,
    /// How often it was so, and how often it was not.
    pub(super) taken: [u64; 2],
}

#[derive(Deserialize)]
struct Report {
    data: Vec<Data>,
}

#[derive(Deserialize)]
struct Data {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    /// Line and column of its begin and end, how often it was so and was not, and what else there
    /// is to say.
    branches: Vec<Vec<u64>>,
}

impl Branches {
    /// Reads a report; of files below `folder`, and outside their unit tests.
    pub(super) fn read(report: &Path, folder: &Path) -> anyhow::Result<Self> {
        let read: Report = serde_json::from_slice(&fs::read(report)?)
            .with_context(|| format!("{} is no report", report.display()))?;
        let mut branches = Self::default();
        for File { filename, branches: counted } in read.data.into_iter().flat_map(|it| it.files) {
            let Some(name) = below(folder, Path::new(&filename)) else { continue };
            let source = fs::read_to_string(&filename).with_context(|| filename.clone())?;
            branches.add(name, &source, &counted)?;
        }
        ensure!(!branches.files.is_empty(), "the report has no branch of {}", folder.display());
        Ok(branches)
    }

    fn add(&mut self, name: String, source: &str, counted: &[Vec<u64>]) -> anyhow::Result<()> {
        let mut merged: BTreeMap<[u64; 4], [u64; 2]> = BTreeMap::new();
        for branch in counted {
            let [a, b, c, d, yes, no, ..] = branch[..] else { anyhow::bail!("a short branch") };
            let taken = merged.entry([a, b, c, d]).or_default();
            *taken = [taken[0].saturating_add(yes), taken[1].saturating_add(no)];
        }
        let lines: Vec<&str> = source.lines().collect();
        let tests = lines.iter().position(|line| *line == "#[cfg(test)]").unwrap_or(lines.len());
        let asserted = asserted(source);
        let found = self.files.entry(name).or_default();
        for ([line, column, ..], taken) in merged {
            let (line, column) = (usize::try_from(line)?, usize::try_from(column)?);
            let text = *lines.get(line - 1).context("a branch of a line that there is not")?;
            if line > tests {
                continue;
            }
            let before: usize = lines[..line - 1].iter().map(|line| line.len() + 1).sum();
            let place = before + column - 1;
            if asserted.iter().any(|range| range.contains(&place)) {
                self.asserted += 1;
                continue;
            }
            found.push(Branch { line, text: text.trim().to_owned(), taken });
        }
        Ok(())
    }

    /// Returns how many sides were taken, and how many there are.
    pub(super) fn sides(&self) -> (u64, u64) {
        self.files.values().map(|file| sides(file)).fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
    }

    /// Returns how many of a hundred sides were taken, rounded down.
    pub(super) fn percent(&self) -> u64 {
        let (taken, all) = self.sides();
        (taken * 100).checked_div(all).unwrap_or(0)
    }

    /// Returns the branches of which a side was not taken, with their files.
    pub(super) fn untaken(&self) -> impl Iterator<Item = (&str, &Branch)> {
        let all = self.files.iter();
        let all = all.flat_map(|(file, found)| found.iter().map(|branch| (file.as_str(), branch)));
        all.filter(|(_, branch)| branch.taken.contains(&0))
    }
}

/// Returns how many sides of these were taken, and how many there are.
pub(super) fn sides(branches: &[Branch]) -> (u64, u64) {
    let taken = branches.iter().flat_map(|branch| branch.taken).filter(|side| *side > 0);
    (taken.count() as u64, branches.len() as u64 * 2)
}

/// Returns where assertions stand.
fn asserted(source: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (start, _) in source.match_indices("assert") {
        let rest = &source[start..];
        let named = ["assert!(", "assert_eq!(", "assert_ne!("];
        if let Some(name) = named.iter().find(|name| rest.starts_with(**name)) {
            found.push(start..start + name.len() + closed(&rest[name.len()..]));
        }
    }
    found
}

/// Returns where the bracket closes that was opened just before this text. Those in strings do
/// not count.
fn closed(text: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    for (place, byte) in text.bytes().enumerate() {
        match (quoted, byte) {
            _ if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (false, b'(') => depth += 1,
            (false, b')') => depth -= 1,
            (true | false, _) => {}
        }
        if depth == 0 {
            return place;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "fn f(a: u8) {\n    assert!(a > 1 || (a == 0), \"a ) b\");\n    \
                          if a > 2 {}\n}\n\n#[cfg(test)]\nmod tests {\n    if a {}\n}\n";

    #[test]
    fn copies_count_together_and_neither_assertions_nor_tests_count() {
        let mut branches = Branches::default();
        let counted = [
            vec![2, 13, 2, 18, 5, 0, 0, 0, 4],
            vec![2, 22, 2, 30, 0, 0, 0, 0, 4],
            vec![3, 8, 3, 13, 0, 4, 0, 0, 4],
            vec![3, 8, 3, 13, 0, 2, 0, 0, 4],
            vec![8, 8, 8, 9, 1, 0, 0, 0, 4],
        ];
        branches.add("f.rs".to_owned(), SOURCE, &counted).expect("a report");
        assert_eq!(branches.asserted, 2);
        let text = "if a > 2 {}".to_owned();
        let branch = Branch { line: 3, text, taken: [0, 6] };
        assert_eq!(branches.untaken().collect::<Vec<_>>(), [("f.rs", &branch)]);
        assert_eq!((branches.sides(), branches.percent()), ((1, 2), 50));
    }

    #[test]
    fn an_assertion_ends_where_its_own_bracket_does() {
        assert_eq!(closed("a) b)"), 1);
        assert_eq!(closed("(a), \"\\\")\") b"), 10);
        assert_eq!(closed("never"), 5);
    }
}
