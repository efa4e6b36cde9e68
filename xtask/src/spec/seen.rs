//! What was found right of the specification, for the audit: a requirement can rest on a model, a
//! variant or a binding as it can on a test.
//!
//! They are named `spec::model::NAME`, `spec::variant::NAME`, `spec::traces` and `spec::drive`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::Context as _;
use counterfoil_tests::binaries::target_directory;

use super::models::Models;
use super::{Checked, Kind};

/// Logs of the running code are behaviours of the specification.
pub(super) const TRACES: &str = "spec::traces";
/// Behaviours of the specification are what the running code does.
pub(super) const DRIVE: &str = "spec::drive";

/// Returns the names of all that can be found right.
pub(crate) fn names() -> anyhow::Result<BTreeSet<String>> {
    let Models { model, variant } = Models::load()?;
    let models = model.iter().map(|one| format!("spec::model::{}", one.name));
    let variants = variant.iter().map(|one| format!("spec::variant::{}", one.name));
    Ok(models.chain(variants).chain([TRACES, DRIVE].map(str::to_owned)).collect())
}

/// Returns what was right when it was last looked at.
pub(crate) fn right() -> anyhow::Result<BTreeSet<String>> {
    match fs::read_to_string(record()?) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}

/// Notes what each of these was found to be; what was not looked at stays as it was.
pub(super) fn note(found: impl IntoIterator<Item = (String, bool)>) -> anyhow::Result<()> {
    let mut right = right()?;
    for (name, is_right) in found {
        if is_right {
            right.insert(name);
        } else {
            right.remove(&name);
        }
    }
    let file = record()?;
    fs::create_dir_all(file.parent().context("a directory")?)?;
    let lines: Vec<String> = right.into_iter().collect();
    fs::write(&file, lines.join("\n") + "\n").with_context(|| file.display().to_string())
}

/// Returns the name of what was checked, if it has one.
pub(super) fn name(checked: &Checked) -> Option<String> {
    match checked.kind {
        Kind::Model => Some(format!("spec::model::{}", checked.name)),
        Kind::Variant => Some(format!("spec::variant::{}", checked.name)),
        Kind::Actions => None,
    }
}

fn record() -> anyhow::Result<PathBuf> {
    Ok(target_directory()?.join("audit").join("specification.txt"))
}
