//! One cloud node: enrolment, start, death, books.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use counterfoil_cloud::export::Summary;
use serde::Deserialize;

use crate::figures::{Figures, whole};
use crate::process::{Running, output};

/// A cloud node with its store in a directory.
#[derive(Debug)]
pub struct Cloud {
    program: PathBuf,
    store: String,
    log: PathBuf,
    operator: Option<PathBuf>,
    more: Vec<String>,
    running: Option<Running>,
}

/// What `cloud-node check` found.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Events with their effects.
    pub posted: u64,
    /// Second payloads under a taken key.
    pub conflicts: u64,
    /// Places where a law is broken.
    pub problems_found: u64,
}

/// What an enrolment prints.
#[derive(Deserialize)]
struct Enrolled {
    token: String,
}

impl Cloud {
    /// Names a node; `store` is as on the command line (`sled:` or `redb:` and a path).
    #[must_use]
    pub fn new(program: &Path, store: String, log: PathBuf) -> Self {
        Self {
            program: program.to_owned(),
            store,
            log,
            operator: None,
            more: Vec::new(),
            running: None,
        }
    }

    /// Lets whoever has the token in this file administer the node.
    #[must_use]
    pub fn with_operator(self, token_file: PathBuf) -> Self {
        Self { operator: Some(token_file), ..self }
    }

    /// Adds arguments to `serve`.
    #[must_use]
    pub fn with_arguments(self, more: &[&str]) -> Self {
        Self { more: more.iter().map(ToString::to_string).collect(), ..self }
    }

    /// Adds a user, and returns its token. The node must not run.
    ///
    /// # Errors
    /// The command's.
    pub async fn add_user(
        &self,
        shop: &str,
        branch: &str,
        user: &str,
        scopes: &[&str],
    ) -> anyhow::Result<String> {
        let mut names = vec!["add", "--shop", shop, "--branch", branch, "--user", user, "--json"];
        names.extend(["--currency", "GBP", "--store", &self.store]);
        scopes.iter().for_each(|scope| names.extend(["--scope", scope]));
        let all: Vec<String> = std::iter::once("user").chain(names).map(str::to_owned).collect();
        let told: Enrolled = serde_json::from_slice(&output(&self.program, &all).await?)?;
        Ok(told.token)
    }

    /// Enrols a terminal, and returns its credential. The node must not run.
    ///
    /// # Errors
    /// The command's.
    pub async fn enrol(&self, shop: &str, branch: &str, terminal: &str) -> anyhow::Result<String> {
        let names = ["--shop", shop, "--branch", branch, "--terminal", terminal, "--json"];
        let told: Enrolled = serde_json::from_slice(&self.command("enroll", &names).await?)?;
        Ok(told.token)
    }

    /// Revokes a terminal. The node must not run.
    ///
    /// # Errors
    /// The command's.
    pub async fn revoke(&self, terminal: &str) -> anyhow::Result<()> {
        self.command("revoke", &["--terminal", terminal]).await.map(drop)
    }

    /// Starts the node, and returns its address.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(&mut self, listen: &str) -> anyhow::Result<String> {
        assert!(self.running.is_none(), "it does not run yet");
        let mut arguments =
            ["serve", "--store", &self.store, "--listen", listen].map(str::to_owned).to_vec();
        if let Some(file) = &self.operator {
            arguments.push(format!("--operator-token-file={}", file.display()));
        }
        arguments.extend(self.more.iter().cloned());
        let mut running = Running::start(&self.program, &arguments, &self.log)?;
        let address = running.listening().await?;
        self.running = Some(running);
        Ok(address)
    }

    /// Returns the number of its process, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref()?.id()
    }

    /// Returns the most memory that it has had in use at once, in bytes.
    ///
    /// # Errors
    /// If it does not run, or the system does not say.
    pub fn peak_bytes(&self) -> anyhow::Result<u64> {
        self.running.as_ref().context("the cloud runs")?.peak_bytes()
    }

    /// Kills it without warning.
    ///
    /// # Errors
    /// If it does not run, or cannot be killed.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.running.take().context("the cloud runs")?.kill().await
    }

    /// Ends it in peace.
    ///
    /// # Errors
    /// If it does not end as asked.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.running.take().context("the cloud runs")?.stop().await
    }

    /// Returns the sums of the posted events, and how many are parked. The node must not run.
    ///
    /// # Errors
    /// The command's.
    pub async fn figures(&self) -> anyhow::Result<(Figures, u64)> {
        let told = self.command("export", &["--figures", "--json"]).await?;
        let sums: Summary = serde_json::from_slice(&told)?;
        let figures = Figures {
            invoices: sums.invoices,
            lines: sums.lines,
            quantity: whole(sums.quantity_milli),
            money_minor: sums.money_minor,
        };
        Ok((figures, sums.parked))
    }

    /// Verifies the whole database. The node must not run.
    ///
    /// # Errors
    /// The command's, also if it finds a problem.
    pub async fn check(&self) -> anyhow::Result<Check> {
        Ok(serde_json::from_slice(&self.command("check", &["--json"]).await?)?)
    }

    /// Runs a command on its store, and returns what it says. The node must not run.
    ///
    /// # Errors
    /// The command's.
    pub async fn command(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let store = [name, "--store", &self.store];
        let all: Vec<String> = store.iter().chain(arguments).map(ToString::to_string).collect();
        output(&self.program, &all).await
    }
}
