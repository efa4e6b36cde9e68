//! What `spec/models.toml` lists, as far as it is asked for here.

use std::fs;

use anyhow::Context as _;
use counterfoil_tests::binaries::root;
use serde::Deserialize;

/// The models of the specification, and the mistakes in it.
#[derive(Debug, Deserialize)]
pub(crate) struct Models {
    pub(crate) model: Vec<Model>,
    pub(crate) variant: Vec<Variant>,
}

/// A model, at which only TLC looks if it is large.
#[derive(Debug, Deserialize)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) module: String,
    #[serde(default)]
    pub(crate) large: bool,
    pub(crate) states: usize,
}

/// A mistake, and the law that it must break.
#[derive(Debug, Deserialize)]
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) law: String,
}

impl Models {
    pub(crate) fn load() -> anyhow::Result<Self> {
        let file = root().join("spec/models.toml");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        toml::from_str(&text).with_context(|| file.display().to_string())
    }
}
