//! Names become durable: a synced file in a directory that is not synced can vanish.

use std::fs::{self, File};
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

/// Creates a directory with all that is missing above it, and makes every new name durable.
///
/// # Errors
/// Nothing is known then to have been made: the caller tries again.
pub fn create_directory(path: &Path) -> Result<(), StoreError> {
    let absolute = std::path::absolute(path)
        .map_err(|error| StoreError::before_write("the store's directory", &error))?;
    assert!(absolute.is_absolute(), "each name above it is known");
    let mut missing: Vec<PathBuf> = Vec::new();
    for ancestor in absolute.ancestors().take_while(|ancestor| !ancestor.is_dir()) {
        missing.push(ancestor.to_owned());
    }
    fs::create_dir_all(&absolute)
        .map_err(|error| StoreError::before_write("the store's directory", &error))?;
    assert!(missing.is_sorted_by(|a, b| a.starts_with(b)), "each lies in the next");
    // The highest first. What was there is synced too: whoever made it may have died before.
    for made in missing.iter().rev() {
        parent(made)?;
    }
    parent(&absolute)
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
    use super::*;

    #[test]
    fn all_that_is_missing_above_a_directory_is_made() {
        let directory = tempfile::tempdir().expect("a directory");
        let deep = directory.path().join("a").join("b").join("c");
        for _ in 0..2 {
            create_directory(&deep).expect("made, or there already");
            assert!(deep.is_dir());
        }
        let file = directory.path().join("file");
        File::create(&file).expect("a file");
        assert!(create_directory(&file).is_err(), "a file stands there");
        assert!(create_directory(&file.join("below")).is_err(), "a file stands above");
    }
}
