//! Names become durable: a synced file in a directory that is not synced can vanish.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::StoreError;

/// Syncs the directory that names `path`.
pub(crate) fn parent(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            assert!(path.starts_with(parent), "a name lies in its directory");
            entry(parent)
        }
        Some(_) | None => entry(Path::new(".")),
    }
}

/// Returns the directories that are still to be made for `path`, the outermost first: the name of
/// each is to be synced, not only that of the last.
pub(crate) fn missing(path: &Path) -> Vec<PathBuf> {
    let named = path.ancestors().take_while(|ancestor| !ancestor.as_os_str().is_empty());
    let mut missing: Vec<PathBuf> =
        named.take_while(|ancestor| !ancestor.exists()).map(Path::to_owned).collect();
    missing.reverse();
    assert!(missing.last().is_none_or(|last| last == path), "the last that is made is the path");
    assert!(
        missing.is_sorted_by(|outer, inner| inner.starts_with(outer) && outer != inner),
        "each lies in the one before it, so it is made and synced in a directory that is there"
    );
    missing
}

/// Syncs a file or a directory.
pub(crate) fn entry(path: &Path) -> Result<(), StoreError> {
    assert!(!path.as_os_str().is_empty(), "a path names something");
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| {
        StoreError::before_write(&format!("{} cannot be synced", path.display()), &error)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::missing;

    #[test]
    fn every_directory_that_is_made_is_named_the_outermost_first() {
        let directory = tempfile::tempdir().unwrap();
        let there = directory.path();
        assert!(missing(there).is_empty());
        assert_eq!(missing(&there.join("a")), [there.join("a")]);
        let deep = there.join("a/b/c");
        assert_eq!(missing(&deep), [there.join("a"), there.join("a/b"), deep]);
        let relative = std::path::Path::new("no-such-directory/b");
        assert_eq!(missing(relative), [std::path::Path::new("no-such-directory"), relative]);
    }
}
