//! The copy of the tree in which mistakes are made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use counterfoil_tests::binaries::cargo;

use super::Edit;

/// How the crates under test are built: most mistakes are found within seconds, so that a build
/// takes longer than a hunt.
const QUICK: [&str; 3] = ["counterfoil-protocol", "counterfoil-storage", "counterfoil-sim"];

/// A copy of the tree, with a build folder of its own that is kept from run to run.
#[derive(Debug)]
pub(super) struct Keep {
    from: PathBuf,
    tree: PathBuf,
    built: PathBuf,
}

impl Keep {
    pub(super) fn new(from: &Path) -> anyhow::Result<Self> {
        let folder = from.join("target").join("zoo");
        let keep =
            Self { from: from.to_owned(), tree: folder.join("tree"), built: folder.join("built") };
        fs::create_dir_all(&keep.tree)?;
        fs::create_dir_all(&keep.built)?;
        Ok(keep)
    }

    /// Makes the copy what the tree is. Files that are the same are left alone, so that little is
    /// built anew; files that the tree has no more are removed, or cargo finds both.
    pub(super) fn restore(&self) -> anyhow::Result<()> {
        let listed = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(&self.from)
            .output()
            .context("git lists the files")?;
        ensure!(listed.status.success(), "git lists the files");
        let names = String::from_utf8(listed.stdout).context("names are text")?;
        let mut kept = BTreeSet::new();
        for name in names.split_terminator('\0') {
            let (from, to) = (self.from.join(name), self.tree.join(name));
            // What is deleted but not committed is still listed.
            let Ok(content) = fs::read(&from) else { continue };
            kept.insert(to.clone());
            if fs::read(&to).is_ok_and(|there| there == content) {
                continue;
            }
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&to, content).with_context(|| to.display().to_string())?;
        }
        prune(&self.tree, &kept)
    }

    /// Returns which commit the tree is of; with a `+` if it has more than that.
    pub(super) fn commit(&self) -> anyhow::Result<String> {
        let said = Command::new("git")
            .args(["describe", "--always", "--dirty=+", "--exclude=*"])
            .current_dir(&self.from)
            .output()
            .context("git names the commit")?;
        ensure!(said.status.success(), "git names the commit");
        let name = String::from_utf8(said.stdout).context("a name is text")?;
        Ok(name.trim().to_owned())
    }

    /// Makes a mistake in the copy.
    pub(super) fn spoil(&self, edits: &[Edit]) -> anyhow::Result<()> {
        for (path, text) in spoiled(&self.tree, edits)? {
            fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Runs cargo in the copy; the error is the end of what it says.
    pub(super) fn cargo(&self, args: &[&str]) -> anyhow::Result<()> {
        let quick = QUICK.iter().flat_map(|package| {
            ["opt-level=1", "debug=false"].map(|set| format!("profile.dev.package.{package}.{set}"))
        });
        let output = cargo()
            .args(quick.flat_map(|setting| ["--config".to_owned(), setting]))
            .args(args)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.built)
            .output()
            .context("cargo starts")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout);
        let first = said.lines().chain(printed.lines()).find(|line| {
            line.starts_with("error") || line.contains("panicked at") || line.contains("FAILED")
        });
        ensure!(output.status.success(), "{}", first.unwrap_or("cargo fails").trim());
        Ok(())
    }

    /// Returns where a program of the copy is.
    pub(super) fn binary(&self, name: &str) -> PathBuf {
        self.built.join("debug").join(name)
    }
}

/// Removes the files of a folder that are not to be kept, however deep.
fn prune(folder: &Path, kept: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        if kind.is_dir() {
            prune(&path, kept)?;
        } else if !kept.contains(&path) {
            fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// Returns what the files of a tree become by a mistake.
///
/// # Errors
/// If a text that it changes is not there, or more than once, or stays as it is.
pub(super) fn spoiled(tree: &Path, edits: &[Edit]) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut spoiled = BTreeMap::new();
    for Edit { file, from, to } in edits {
        let path = tree.join(file);
        let text = match spoiled.remove(&path) {
            Some(text) => text,
            None => fs::read_to_string(&path).with_context(|| file.display().to_string())?,
        };
        let places = text.matches(from.as_str()).count();
        let start = from.trim().lines().next().unwrap_or_default();
        ensure!(places == 1, "{}: {places} places for {start:?}", file.display());
        ensure!(from != to, "{}: {start:?} stays as it is", file.display());
        spoiled.insert(path, text.replacen(from, to, 1));
    }
    ensure!(!spoiled.is_empty(), "a mistake changes something");
    Ok(spoiled)
}

/// Runs a command, and returns what it printed; none if it had to be killed.
pub(super) fn within(mut command: Command, limit: Duration) -> anyhow::Result<Option<Vec<u8>>> {
    let mut child = command.stdin(Stdio::null()).spawn().context("the program starts")?;
    let mut printed = child.stdout.take().context("its output is read")?;
    let (send, ended) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = printed.read_to_end(&mut bytes);
        let _gone = send.send(());
        read.map(|_| bytes)
    });
    let in_time = ended.recv_timeout(limit).is_ok();
    if !in_time {
        child.kill()?;
    }
    child.wait()?;
    let bytes = reader.join().ok().context("its output is read")??;
    Ok(in_time.then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tree_has_no_more_leaves_the_copy() {
        let folder = tempfile::tempdir().expect("a folder");
        let (kept, moved) = (folder.path().join("a/kept.rs"), folder.path().join("a/b/moved.rs"));
        fs::create_dir_all(moved.parent().expect("a parent")).expect("folders");
        for path in [&kept, &moved] {
            fs::write(path, "").expect("a file");
        }
        prune(folder.path(), &BTreeSet::from([kept.clone()])).expect("a look");
        assert!(kept.is_file());
        assert!(!moved.exists());
    }
}
