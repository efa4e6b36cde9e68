//! What is to be checked: `spec/models.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

/// Every model and every variant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// Actions that only a mistake has: no model takes them.
    pub(crate) mistakes: Vec<String>,
    pub(crate) model: Vec<Model>,
    pub(crate) variant: Vec<Variant>,
}

/// A module with its bounds: `spec/models/NAME.cfg`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) module: String,
    /// Too large for the checker in this crate: TLC alone looks at it, on demand.
    #[serde(default)]
    pub(crate) large: bool,
    /// How many distinct states it has; TLC counts as many.
    pub(crate) states: usize,
    /// Whether its module has a refinement mapping.
    #[serde(default = "yes")]
    pub(crate) refines: bool,
    /// What must be reached: that it never is must fail.
    #[serde(default)]
    pub(crate) sanity: Vec<String>,
}

/// A mistake, and the law by which a model must notice it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variant {
    pub(crate) name: String,
    /// What is wrong, in words.
    pub(crate) what: String,
    /// The value of the constant `Wrong`; none if bounds alone make the difference.
    pub(crate) wrong: Option<String>,
    pub(crate) model: String,
    /// Other bounds than the model's.
    #[serde(default)]
    pub(crate) bounds: BTreeMap<String, toml::Value>,
    pub(crate) law: String,
}

const fn yes() -> bool {
    true
}

impl List {
    /// Reads the list; each model has its file, and each variant its model.
    pub(crate) fn read(spec: &Path) -> anyhow::Result<Self> {
        let file = spec.join("models.toml");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let list: Self = toml::from_str(&text).with_context(|| file.display().to_string())?;
        for model in &list.model {
            let cfg = model.cfg(spec);
            ensure!(cfg.is_file(), "{}: there is no {}", model.name, cfg.display());
        }
        for variant in &list.variant {
            let (name, model) = (&variant.name, &variant.model);
            ensure!(list.model(model).is_some(), "{name}: there is no model {model}");
        }
        Ok(list)
    }

    /// Returns the model of this name.
    pub(crate) fn model(&self, name: &str) -> Option<&Model> {
        self.model.iter().find(|model| model.name == name)
    }

    /// Returns whether a model or a variant has this name.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.model(name).is_some() || self.variant.iter().any(|variant| variant.name == name)
    }
}

impl Model {
    /// Returns its file.
    pub(crate) fn cfg(&self, spec: &Path) -> PathBuf {
        spec.join("models").join(format!("{}.cfg", self.name))
    }
}
