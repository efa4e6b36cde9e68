//! Why branches are not taken.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::branches::Branches;

/// The reasons, and the lines that they are for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reasons {
    because: Vec<Because>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Because {
    why: String,
    /// `file: text of the line`.
    lines: BTreeSet<String>,
}

/// What the reasons say of the branches that were not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// How many lines have a reason.
    pub(super) explained: usize,
    /// Lines without a reason: file, number and text.
    pub(super) unexplained: Vec<String>,
    /// Reasons without a line: each side is taken by now, or there is no such line.
    pub(super) stale: Vec<String>,
}

impl Reasons {
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let reasons: Self = toml::from_str(&text).with_context(|| file.display().to_string())?;
        for Because { why, lines } in &reasons.because {
            ensure!(!why.trim().is_empty(), "a reason says something");
            ensure!(!lines.is_empty(), "no line is not taken because {why}");
        }
        Ok(reasons)
    }

    /// Compares the reasons with what was counted.
    pub(super) fn judge(&self, branches: &Branches) -> Judged {
        let mut stale: BTreeSet<&str> =
            self.because.iter().flat_map(|it| &it.lines).map(String::as_str).collect();
        let known = stale.clone();
        let (mut explained, mut unexplained) = (BTreeSet::new(), BTreeSet::new());
        for (file, branch) in branches.untaken() {
            let line = format!("{file}: {}", branch.text);
            if let Some(known) = known.get(line.as_str()) {
                stale.remove(known);
                explained.insert((file, branch.line));
            } else {
                unexplained.insert((file, branch.line, branch.text.as_str()));
            }
        }
        let told = |(file, line, text): (&str, usize, &str)| format!("{file}:{line}: {text}");
        Judged {
            explained: explained.len(),
            unexplained: unexplained.into_iter().map(told).collect(),
            stale: stale.into_iter().map(str::to_owned).collect(),
        }
    }
}

impl Judged {
    /// Returns whether each line has a reason, and each reason a line.
    pub(super) fn is_right(&self) -> bool {
        self.unexplained.is_empty() && self.stale.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::branches::Branch;
    use super::*;

    #[test]
    fn a_line_has_a_reason_and_a_reason_a_line() {
        let branch = |line, text: &str| Branch { line, text: text.to_owned(), taken: [1, 0] };
        let found = vec![branch(3, "if a {"), branch(9, "if b {")];
        let branches = Branches { files: [("f.rs".to_owned(), found)].into(), asserted: 0 };
        let reasons = |lines: &[&str]| {
            let lines = lines.iter().map(|line| (*line).to_owned()).collect();
            Reasons { because: vec![Because { why: "so".to_owned(), lines }] }
        };
        let judged = reasons(&["f.rs: if a {", "f.rs: if c {"]).judge(&branches);
        assert_eq!((judged.explained, judged.is_right()), (1, false));
        assert_eq!(judged.unexplained, ["f.rs:9: if b {"]);
        assert_eq!(judged.stale, ["f.rs: if c {"]);
        let judged = reasons(&["f.rs: if a {", "f.rs: if b {"]).judge(&branches);
        assert_eq!((judged.explained, judged.is_right()), (2, true));
    }
}
