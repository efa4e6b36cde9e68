//! Which transitions were seen after which faults: a protocol that was only ever asked to crash
//! while nothing happened has not been asked much.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::coverage::{Coverage, Injected, Transition};

/// In how many seeds each transition was seen after each fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs {
    seeds: Vec<u32>,
}

impl Default for Pairs {
    fn default() -> Self {
        Self { seeds: vec![0; Transition::ALL.len() * Injected::ALL.len()] }
    }
}

impl Pairs {
    /// Counts what one seed showed.
    pub fn add(&mut self, seed: &Coverage) {
        let rows = self.seeds.chunks_exact_mut(Injected::ALL.len());
        for (transition, row) in Transition::ALL.iter().zip(rows) {
            for fault in seed.faults_before(*transition).iter() {
                row[fault as usize] += 1;
            }
        }
    }

    /// Adds the counts of another run.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.seeds.iter_mut().zip(&other.seeds) {
            *mine += theirs;
        }
    }

    /// Returns in how many seeds `transition` was seen when `fault` had happened before.
    #[must_use]
    pub fn seeds(&self, transition: Transition, fault: Injected) -> u32 {
        self.seeds[transition as usize * Injected::ALL.len() + fault as usize]
    }

    /// Returns the table for people: a column for each fault that happened, and in each place one
    /// digit, which says how many digits the number of seeds has. Behind it stands by name what was
    /// never reached.
    #[must_use]
    pub fn text(&self, coverage: &Coverage) -> String {
        let happened = |fault: &&Injected| coverage.fault(**fault) > 0;
        let faults: Vec<Injected> = Injected::ALL.iter().filter(happened).copied().collect();
        let mut out = String::from("transition after fault, in how many seeds:\n");
        let _ =
            writeln!(out, "  . none, 1 one to nine, 2 ten to 99, 3 a hundred to 999, and so on");
        for (index, fault) in faults.iter().enumerate() {
            let _ = writeln!(out, "  {:>2} {}", column(index), fault.as_str());
        }
        let _ = write!(out, "\n{:32}", "");
        for index in 0..faults.len() {
            let _ = write!(out, " {:>2}", column(index));
        }
        out.push('\n');
        for transition in Transition::ALL {
            let _ = write!(out, "{:32}", transition.as_str());
            for fault in &faults {
                let _ = write!(out, " {:>2}", digits(self.seeds(*transition, *fault)));
            }
            out.push('\n');
        }
        out.push_str("\nnever reached:\n");
        for line in self.never(coverage, &faults) {
            let _ = writeln!(out, "  {line}");
        }
        out
    }

    /// Returns what was never reached, a line for each transition that lacks something.
    fn never(&self, coverage: &Coverage, faults: &[Injected]) -> Vec<String> {
        let mut lines = Vec::new();
        for transition in Transition::ALL {
            let name = transition.as_str();
            if coverage.transition(*transition) == 0 {
                lines.push(format!("{name}: not at all"));
                continue;
            }
            let lacks = faults.iter().filter(|fault| self.seeds(*transition, **fault) == 0);
            let lacks: Vec<&str> = lacks.map(|fault| fault.as_str()).collect();
            if lacks.len() == faults.len() && !lacks.is_empty() {
                lines.push(format!("{name}: after no fault"));
            } else if !lacks.is_empty() {
                lines.push(format!("{name}: after {}", lacks.join(", ")));
            }
        }
        let silent = Injected::ALL.iter().filter(|fault| coverage.fault(**fault) == 0);
        lines.extend(silent.map(|fault| format!("{}: never happened", fault.as_str())));
        lines
    }

    /// Returns the table for machines: by transition, then by fault, with its zeroes.
    #[must_use]
    pub fn json(&self) -> Value {
        let row = |transition: &Transition| {
            let count = |fault: &Injected| {
                (fault.as_str().to_owned(), self.seeds(*transition, *fault).into())
            };
            let row: Map<String, Value> = Injected::ALL.iter().map(count).collect();
            (transition.as_str().to_owned(), row.into())
        };
        Value::Object(Transition::ALL.iter().map(row).collect())
    }
}

/// Names a column: a to z, then aa to az.
fn column(index: usize) -> String {
    let letter = |index: usize| char::from(b'a' + (index % 26) as u8);
    match index {
        0..26 => letter(index).to_string(),
        _ => format!("{}{}", letter(index / 26 - 1), letter(index)),
    }
}

fn digits(seeds: u32) -> String {
    seeds.checked_ilog10().map_or_else(|| ".".to_owned(), |log| (log + 1).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_counts_for_what_is_seen_after_it_in_its_own_seed() {
        let mut pairs = Pairs::default();
        let mut first = Coverage::default();
        let mut till = first.beside();
        till.saw(Transition::TillInstall);
        first.injected(Injected::Loss);
        till.saw(Transition::TillRecord);
        till.injected(Injected::TillCrash);
        first.saw(Transition::Push);
        first.add(&till);
        pairs.add(&first);
        let mut second = Coverage::default();
        second.saw(Transition::Push);
        second.injected(Injected::Loss);
        pairs.add(&second);
        for (transition, fault, seeds) in [
            (Transition::TillInstall, Injected::Loss, 0),
            (Transition::TillRecord, Injected::Loss, 1),
            (Transition::TillRecord, Injected::TillCrash, 0),
            (Transition::Push, Injected::TillCrash, 1),
            (Transition::Push, Injected::Loss, 1),
        ] {
            let name = (transition.as_str(), fault.as_str());
            assert_eq!(pairs.seeds(transition, fault), seeds, "{name:?}");
        }
        let mut both = first.clone();
        both.add(&second);
        let text = pairs.text(&both);
        assert!(text.contains("till.record: after till power cut\n"), "{text}");
        assert!(text.contains("till.install: after no fault\n"), "{text}");
        assert!(text.contains("till.adopt: not at all\n"), "{text}");
        assert!(text.contains("disk full: never happened\n"), "{text}");
        assert_eq!(pairs.json()["cloud.push"]["till power cut"], 1);
    }

    #[test]
    fn a_count_is_shown_by_its_length_and_columns_have_names() {
        let shown = [0, 1, 9, 10, 999, 1_000].map(digits);
        assert_eq!(shown, [".", "1", "1", "2", "3", "4"]);
        assert_eq!([0, 25, 26, 51].map(column), ["a", "z", "aa", "az"]);
    }
}
