//! Nodes as processes: started, told apart by their logs, killed without warning.
//!
//! A process that is dropped is killed, so neither a panic nor an early return leaves one behind.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long a node may take until it listens, on a machine that is busy compiling.
const READY: Duration = Duration::from_secs(60);
/// How long a node may take to end when it is asked to.
const STOP: Duration = Duration::from_secs(30);

/// A node that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Running {
    /// Starts `program`; its log is appended to `log`.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn start(program: &Path, arguments: &[String], log: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let stdout = child.stdout.take().context("a piped output")?;
        Ok(Self { child, said: BufReader::new(stdout).lines(), log: log.to_owned() })
    }

    /// Returns the most memory that it has had in use at once, in bytes.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn peak_bytes(&self) -> anyhow::Result<u64> {
        let id = self.child.id().context("a process that runs")?;
        let said = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = said.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let words = line.context("the system says the peak")?.trim().trim_end_matches(" kB");
        Ok(words.trim().parse::<u64>()? * 1024)
    }

    /// Waits for the line with the address, and returns the address.
    ///
    /// # Errors
    /// If the node ends before, or never says it.
    pub async fn listening(&mut self) -> anyhow::Result<String> {
        let line = tokio::time::timeout(READY, self.said.next_line()).await;
        let line =
            line.with_context(|| format!("not ready in time, see {}", self.log.display()))?;
        let line = line?;
        let address = line.as_deref().and_then(|line| line.strip_prefix("listening on http"));
        match address.map(|rest| rest.trim_start_matches('s').trim_start_matches("://")) {
            Some(address) => Ok(address.trim().to_owned()),
            None => bail!("the node did not start, see {}", self.log.display()),
        }
    }

    /// Returns its number; none once it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it: SIGKILL, no goodbye. When this returns it is gone.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to end with SIGTERM, and waits until it has.
    ///
    /// # Errors
    /// If it does not, or says that it failed.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let id = self.child.id().context("a process that runs")?;
        let asked = Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        if !asked.success() {
            bail!("process {id} cannot be asked to end");
        }
        let ended = tokio::time::timeout(STOP, self.child.wait()).await;
        let status = ended.with_context(|| format!("{} does not end", self.log.display()))??;
        if status.success() { Ok(()) } else { bail!("it ended with {status}, see {:?}", self.log) }
    }
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// With what it said on standard error, if it fails.
pub async fn output(program: &Path, arguments: &[String]) -> anyhow::Result<Vec<u8>> {
    let ran = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("{} cannot be started", program.display()))?;
    if !ran.status.success() {
        let (said, why) = (&ran.stdout, &ran.stderr);
        let (said, why) = (String::from_utf8_lossy(said), String::from_utf8_lossy(why));
        bail!("{} {}: {}\n{said}{why}", program.display(), arguments.join(" "), ran.status);
    }
    Ok(ran.stdout)
}
