//! The test vectors of the documents, for machines.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context as _;

use crate::binaries::root;

/// The documents that have vectors: each is held against the code by tests of the protocol.
const DOCUMENTS: [&str; 3] = ["protocol", "sketch", "wire"];

/// By document, then by the vector's name: its text without breaks of lines, or its JSON.
pub type Vectors = BTreeMap<&'static str, BTreeMap<String, String>>;

/// Collects the vectors.
///
/// # Errors
/// If a document cannot be read, or two of its vectors have one name.
pub fn vectors() -> anyhow::Result<Vectors> {
    DOCUMENTS.iter().map(|document| Ok((*document, of(document)?))).collect()
}

fn of(document: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let path = root().join("docs").join(document).with_extension("md");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut found = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```vector ") else { continue };
        let body = lines.by_ref().take_while(|line| *line != "```").map(str::trim);
        let body: String = body.collect();
        let twice = found.insert(name.to_owned(), body);
        anyhow::ensure!(twice.is_none(), "{document}: two vectors are named {name}");
    }
    Ok(found)
}
