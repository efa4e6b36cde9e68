//! A shop: its operator, its cloud, and tills that are installed at it.
//!
//! The shop's name is `shop`. Whatever goes wrong is an error with what was said.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::binaries::{self, Binaries, Profile};
use crate::cloud::Cloud;
use crate::http::{self, Answer};
use crate::till::{Place, Till};

/// The operator's token.
pub const OPERATOR: &str = "an operator's token";

/// A shop whose cloud runs.
#[derive(Debug)]
pub struct Shop {
    /// Its cloud: to be killed, stopped, checked.
    pub cloud: Cloud,
    directory: PathBuf,
    programs: Binaries,
    address: String,
    members: Vec<Member>,
}

/// An enrolled till.
#[derive(Debug)]
struct Member {
    name: String,
    branch: String,
    token: String,
}

impl Shop {
    /// Opens a shop in `directory` on `engine` (`sled` or `redb`), and enrols its tills: the name
    /// of each, and its branch.
    ///
    /// # Errors
    /// If the programs cannot be built, or do not do as they are told.
    pub async fn open(
        directory: &Path,
        engine: &str,
        tills: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        Self::open_with(directory, engine, tills, &[]).await
    }

    /// As [`Self::open`], with further arguments for `cloud-node serve`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(
        directory: &Path,
        engine: &str,
        tills: &[(&str, &str)],
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let store = format!("{engine}:{}", directory.join("cloud").display());
        Self::open_built(Profile::Test, directory, store, tills, arguments).await
    }

    /// As [`Self::open_with`], with programs that are built so, and a store as on the command line.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_built(
        profile: Profile,
        directory: &Path,
        store: String,
        tills: &[(&str, &str)],
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let programs = tokio::task::spawn_blocking(move || binaries::build(profile)).await??;
        let operator = directory.join("operator");
        fs::write(&operator, OPERATOR)?;
        let log = directory.join("cloud.log");
        let cloud = Cloud::new(&programs.cloud, store, log).with_operator(operator);
        let mut cloud = cloud.with_arguments(arguments);
        let mut members = Vec::new();
        for (name, branch) in tills {
            let token = cloud.enrol("shop", branch, name).await?;
            members.push(Member { name: (*name).to_owned(), branch: (*branch).to_owned(), token });
        }
        let address = cloud.start("127.0.0.1:0").await?;
        Ok(Self { cloud, directory: directory.to_owned(), programs, address, members })
    }

    /// Returns what the cloud has logged so far.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn cloud_log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.directory.join("cloud.log"))?)
    }

    /// Returns where the cloud listens, also while it is dead.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the credential of a till.
    ///
    /// # Errors
    /// If it was not enrolled.
    pub fn token(&self, till: &str) -> anyhow::Result<&str> {
        Ok(&self.member(till)?.token)
    }

    fn member(&self, till: &str) -> anyhow::Result<&Member> {
        let found = self.members.iter().find(|member| member.name == till);
        found.with_context(|| format!("no till {till} was enrolled"))
    }

    /// Returns the program of a till.
    #[must_use]
    pub fn terminal_program(&self) -> &Path {
        &self.programs.terminal
    }

    /// Returns the simulator.
    #[must_use]
    pub fn simulator(&self) -> PathBuf {
        self.programs.simulator()
    }

    /// Kills the cloud without warning, and starts it again where it was.
    ///
    /// # Errors
    /// If it does not run, or does not come up again.
    pub async fn kill_cloud(&mut self) -> anyhow::Result<()> {
        self.cloud.kill().await?;
        self.restart().await
    }

    /// Starts a cloud that does not run, where it was.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let address = self.cloud.start(&self.address).await?;
        ensure!(address == self.address, "it listens at {address}, not at {}", self.address);
        Ok(())
    }

    /// Installs an enrolled till, which speaks to the cloud `through` a link, or directly.
    ///
    /// # Errors
    /// The command's.
    pub async fn install(&self, till: &str, through: Option<SocketAddr>) -> anyhow::Result<Till> {
        let Member { name, branch, token } = self.member(till)?;
        let log = self.directory.join(format!("{name}.log"));
        let installed = Till::new(&self.programs.terminal, self.directory.join(name), log);
        let place = Place { shop: "shop", branch, terminal: name };
        let cloud = through.map_or_else(|| self.address.clone(), |through| through.to_string());
        installed.init(place, &format!("http://{cloud}"), token).await?;
        Ok(installed)
    }

    /// Asks the cloud for anything, as the operator.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn operator(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        http::ask(&self.address, method, path, OPERATOR, body).await
    }

    /// Asks the cloud for anything, as a till.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn as_till(&self, till: &str, path: &str) -> anyhow::Result<Answer> {
        http::ask(&self.address, "GET", path, self.token(till)?, Vec::new()).await
    }

    /// Offers a commit of the catalog, and returns what the cloud says to it.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn offer(&self, edits: &Value) -> anyhow::Result<Answer> {
        let body = json!({ "shopId": "shop", "edits": edits });
        self.operator("POST", "/v1/admin/catalog", Some(&body)).await
    }

    /// Commits edits of the catalog.
    ///
    /// # Errors
    /// If they are not taken.
    pub async fn edit(&self, edits: &[Value]) -> anyhow::Result<Value> {
        let answer = self.offer(&json!(edits)).await?;
        let said = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 200, "{}: {said}", answer.status);
        answer.json()
    }
}
