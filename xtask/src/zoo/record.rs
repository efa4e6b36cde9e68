//! What earlier runs have found, as a file: all mistakes, with every layer, take hours.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::layers::Layer;
use super::{Catch, Wrong};

/// What was found, by the names of the mistakes.
#[derive(Debug)]
pub(super) struct Record {
    /// None if it is only for this run.
    file: Option<PathBuf>,
    catches: BTreeMap<String, Catch>,
}

impl Record {
    /// Opens a record, or begins one. What it says of mistakes that there are no more is left out.
    pub(super) fn open(file: Option<&Path>, all: &[Wrong]) -> anyhow::Result<Self> {
        let mut catches = BTreeMap::new();
        if let Some(file) = file.filter(|file| file.exists()) {
            let read = || anyhow::Ok(serde_json::from_slice::<Vec<Catch>>(&fs::read(file)?)?);
            let read = read().with_context(|| format!("{} is no record", file.display()))?;
            catches.extend(read.into_iter().map(|catch| (catch.name.clone(), catch)));
        }
        catches.retain(|name, _| all.iter().any(|wrong| wrong.name == *name));
        Ok(Self { file: file.map(Path::to_owned), catches })
    }

    /// Returns whether a mistake was not found yet as it is described now, or not looked for by
    /// every layer though that is wanted.
    pub(super) fn lacks(&self, wrong: &Wrong, matrix: bool) -> bool {
        let Some(catch) = self.catches.get(&wrong.name) else { return true };
        let other = catch.what != wrong.what || !catch.found;
        other || (matrix && catch.layers.len() < Layer::ALL.len())
    }

    /// Keeps what was found, at once: a run that is cut short has not been for nothing. What the
    /// layers saw stands until they are asked again.
    pub(super) fn note(&mut self, mut catch: Catch) -> anyhow::Result<()> {
        if let Some(before) = self.catches.remove(&catch.name)
            && catch.layers.is_empty()
            && before.commit == catch.commit
        {
            catch.layers = before.layers;
        }
        self.catches.insert(catch.name.clone(), catch);
        let Some(file) = &self.file else { return Ok(()) };
        let text = serde_json::to_string_pretty(&self.all())? + "\n";
        let (partly, shown) = (file.with_extension("partly"), file.display().to_string());
        fs::write(&partly, text).with_context(|| shown.clone())?;
        fs::rename(&partly, file).context(shown)
    }

    /// Returns all that is known.
    pub(super) fn all(&self) -> Vec<&Catch> {
        self.catches.values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(name: &str, what: &str) -> Wrong {
        let text = format!("what = \"{what}\"\nbreaks = [\"ZeroLoss\"]\nedit = []");
        Wrong { name: name.to_owned(), ..toml::from_str(&text).expect("a description") }
    }

    fn catch(name: &str, layers: &[Layer]) -> Catch {
        Catch {
            name: name.to_owned(),
            what: "as before".to_owned(),
            found: true,
            level: "model".to_owned(),
            law: Some("ZeroLoss".to_owned()),
            seed: Some(7),
            seeds: Some(3),
            said: None,
            problem: None,
            spec: None,
            layers: layers.iter().map(|layer| (*layer, None)).collect(),
            commit: "abc".to_owned(),
            ms: 1,
        }
    }

    #[test]
    fn what_was_found_in_part_is_gone_on_with() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("zoo.json");
        let all = ["a", "b", "c"].map(|name| wrong(name, "as before"));
        let mut record = Record::open(Some(&file), &all).expect("a new record");
        assert!(all.iter().all(|wrong| record.lacks(wrong, false)));
        record.note(catch("a", &[])).expect("room");
        record.note(catch("b", &Layer::ALL)).expect("room");
        record.note(catch("b", &[])).expect("room");
        record.note(Catch { found: false, ..catch("c", &[]) }).expect("room");

        let record = Record::open(Some(&file), &all).expect("the record");
        assert_eq!(record.all().len(), 3);
        let lacks = |matrix| all.each_ref().map(|wrong| record.lacks(wrong, matrix));
        assert_eq!(lacks(false), [false, false, true], "what was not found is looked for again");
        assert_eq!(lacks(true), [true, false, true], "what not every layer has looked for, too");
        assert!(record.lacks(&wrong("a", "another mistake"), false));

        let record = Record::open(Some(&file), &all[1..]).expect("the record");
        assert_eq!(record.all().len(), 2, "what there is no more is left out");
        fs::write(&file, "[{}]").expect("a file");
        Record::open(Some(&file), &all).expect_err("nothing is guessed");
    }
}
