//! Makes of the compiled till what a browser loads: `counterfoil-web-bind TILL.wasm PAGE OUT`.
//!
//! The glue between JavaScript and wasm, the files of the page, and their common version in the
//! service worker: a browser keeps all files of one version, or none.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wasm_bindgen_cli_support::Bindgen;

/// Where the version stands in the service worker.
const PLACE: &str = "@VERSION@";

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let input = arguments.next().context("the compiled till is named first")?;
    let page = arguments.next().context("the directory of the page is named second")?;
    let out = arguments.next().context("the directory to write is named third")?;
    let mut binding = Bindgen::new();
    binding.input_path(input).web(true)?.typescript(false).out_name("till");
    binding.generate(&out)?;
    for entry in fs::read_dir(&page).with_context(|| page.display().to_string())? {
        let entry = entry?;
        fs::copy(entry.path(), out.join(entry.file_name()))?;
    }
    let version = version_of(&out)?;
    let worker = fs::read_to_string(page.join("sw.js"))?;
    anyhow::ensure!(worker.contains(PLACE), "the service worker names its version");
    fs::write(out.join("sw.js"), worker.replace(PLACE, &version))?;
    Ok(())
}

/// Returns a name that changes with any byte of any file.
fn version_of(directory: &Path) -> anyhow::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name());
    }
    names.sort();
    let mut hasher = DefaultHasher::new();
    for name in names {
        name.hash(&mut hasher);
        fs::read(directory.join(&name))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}
