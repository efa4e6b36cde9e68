//! Names become durable: a synced file in a directory that is not synced can vanish.

use std::fs::File;
use std::path::Path;

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

/// Syncs a file or a directory.
pub(crate) fn entry(path: &Path) -> Result<(), StoreError> {
    assert!(!path.as_os_str().is_empty(), "a path names something");
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| {
        StoreError::before_write(&format!("{} cannot be synced", path.display()), &error)
    })
}
