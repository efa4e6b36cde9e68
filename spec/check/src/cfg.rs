//! A model's `.cfg`, read as far as needed to make others of it.

use std::fmt::Write as _;

use anyhow::{Context as _, ensure};

use crate::list::Variant;

/// The property by which a model refines the contract. TLC reads it as it is; the checker in this
/// crate is told of the refinement by other means.
pub(crate) const REFINES: &str = "Refines";

/// What a `.cfg` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cfg {
    pub(crate) specification: String,
    pub(crate) constants: Vec<(String, String)>,
    pub(crate) invariants: Vec<String>,
    pub(crate) properties: Vec<String>,
}

impl Cfg {
    /// Reads one; comments are left out.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        let (mut cfg, mut section) = (Self::default(), "");
        for line in text.lines() {
            let line = line.split("\\*").next().unwrap_or_default().trim();
            let (head, rest) = line.split_once(' ').unwrap_or((line, ""));
            match (head, section) {
                ("", _) => {}
                ("SPECIFICATION", _) => cfg.specification = rest.trim().to_owned(),
                ("CONSTANTS", _) => section = "constants",
                ("INVARIANTS", _) => section = "invariants",
                ("PROPERTIES", _) => section = "properties",
                (_, "constants") => {
                    let (name, value) = line.split_once('=').context("a constant has a value")?;
                    cfg.constants.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                (_, "invariants") => cfg.invariants.push(line.to_owned()),
                (_, "properties") => cfg.properties.push(line.to_owned()),
                (_, _) => anyhow::bail!("{line}: what is this?"),
            }
        }
        ensure!(!cfg.specification.is_empty(), "a model has a specification");
        ensure!(!cfg.invariants.is_empty(), "a model has laws");
        Ok(cfg)
    }

    /// Returns the same model with a mistake in it, and one law left.
    pub(crate) fn with_mistake(mut self, variant: &Variant) -> anyhow::Result<Self> {
        for (name, value) in &variant.bounds {
            self.set(name, constant(value))?;
        }
        if let Some(wrong) = &variant.wrong {
            self.set("Wrong", format!("\"{wrong}\""))?;
        }
        let of =
            |laws: &[String]| laws.iter().filter(|law| **law == variant.law).cloned().collect();
        (self.invariants, self.properties) = (of(&self.invariants), of(&self.properties));
        let law = &variant.law;
        ensure!(
            self.invariants.len() + self.properties.len() == 1,
            "{}: {law} is no law of {}",
            variant.name,
            variant.model
        );
        Ok(self)
    }

    fn set(&mut self, name: &str, value: String) -> anyhow::Result<()> {
        let held = self.constants.iter_mut().find(|(held, _)| held == name);
        let (_, held) = held.with_context(|| format!("{name} is no constant of the model"))?;
        *held = value;
        Ok(())
    }

    /// Returns whether it asks for the refinement of the contract, and asks for it no longer.
    pub(crate) fn take_refinement(&mut self) -> bool {
        let before = self.properties.len();
        self.properties.retain(|property| property != REFINES);
        self.properties.len() < before
    }

    /// Returns it as a file.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("SPECIFICATION {}\n", self.specification);
        if !self.constants.is_empty() {
            text.push_str("CONSTANTS\n");
        }
        for (name, value) in &self.constants {
            let _ = writeln!(text, "  {name} = {value}");
        }
        for (head, laws) in [("INVARIANTS", &self.invariants), ("PROPERTIES", &self.properties)] {
            if !laws.is_empty() {
                let _ = writeln!(text, "{head}\n  {}", laws.join("\n  "));
            }
        }
        text
    }
}

/// Returns a constant as TLA+ writes it: a text is taken as it stands.
fn constant(value: &toml::Value) -> String {
    match value {
        toml::Value::Boolean(true) => "TRUE".to_owned(),
        toml::Value::Boolean(false) => "FALSE".to_owned(),
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\\* Why.\nSPECIFICATION Spec\nCONSTANTS\n  Tills = 2\n  Wrong = \"none\"\n\
                        INVARIANTS\n  NoPhantom\n  NoDuplicate\n\
                        PROPERTIES\n  Refines\n  ZeroLoss\n";

    fn variant(law: &str, bounds: &[(&str, i64)]) -> Variant {
        Variant {
            name: "twice".into(),
            what: "it counts twice".into(),
            wrong: Some("Twice".into()),
            model: "some".into(),
            bounds: bounds.iter().map(|(name, n)| ((*name).into(), (*n).into())).collect(),
            law: law.into(),
        }
    }

    #[test]
    fn a_model_is_read_and_written() {
        let cfg = Cfg::read(TEXT).expect("a model");
        let comment = TEXT.lines().next().map_or(0, str::len) + 1;
        assert_eq!(cfg.text(), TEXT[comment..]);
    }

    #[test]
    fn a_variant_has_its_mistake_and_one_law() {
        let cfg = Cfg::read(TEXT).expect("a model");
        let wrong = cfg.clone().with_mistake(&variant("NoDuplicate", &[("Tills", 1)]));
        let wrong = wrong.expect("a variant").text();
        let expected = "SPECIFICATION Spec\nCONSTANTS\n  Tills = 1\n  Wrong = \"Twice\"\n\
                        INVARIANTS\n  NoDuplicate\n";
        assert_eq!(wrong, expected);
        assert!(cfg.clone().with_mistake(&variant("StockIsSum", &[])).is_err(), "no such law");
        assert!(
            cfg.with_mistake(&variant("NoDuplicate", &[("Shops", 1)])).is_err(),
            "no such bound"
        );
    }
}
