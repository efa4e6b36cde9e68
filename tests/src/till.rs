//! One till: installation, start, death, and its local API.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use counterfoil_protocol::terminal::Draft;
use counterfoil_terminal::api::body::{BatchBody, EventBody};
use counterfoil_terminal::books::{Status, TillFigures};
use counterfoil_terminal::drawer::Drawer;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::figures::{Figures, whole};
use crate::http::{self, Answer};
use crate::process::{Running, output};

/// A till with its directory.
#[derive(Debug)]
pub struct Till {
    program: PathBuf,
    home: PathBuf,
    log: PathBuf,
    running: Option<Running>,
}

/// How to ask a till that runs.
#[derive(Clone, Debug)]
pub struct Door {
    address: String,
    token: String,
}

/// Where a till belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The tenant.
    pub shop: &'a str,
    /// The place of business.
    pub branch: &'a str,
    /// The till, as it is enrolled.
    pub terminal: &'a str,
}

impl Till {
    /// Names a till; nothing happens yet.
    #[must_use]
    pub fn new(program: &Path, home: PathBuf, log: PathBuf) -> Self {
        Self { program: program.to_owned(), home, log, running: None }
    }

    /// Returns the directory in which everything of it lies.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Installs it, or gives an installed one another cloud or credential.
    ///
    /// # Errors
    /// The command's.
    pub async fn init(&self, place: Place<'_>, cloud: &str, token: &str) -> anyhow::Result<()> {
        self.init_with(place, cloud, token, &[]).await
    }

    /// As [`Self::init`], with further arguments.
    ///
    /// # Errors
    /// As [`Self::init`].
    pub async fn init_with(
        &self,
        place: Place<'_>,
        cloud: &str,
        token: &str,
        more: &[&str],
    ) -> anyhow::Result<()> {
        fs::create_dir_all(&self.home)?;
        let file = self.home.join("token-as-given");
        fs::write(&file, token)?;
        let (home, file) = (self.home.display().to_string(), file.display().to_string());
        let Place { shop, branch, terminal } = place;
        let arguments = [
            ["init", "--json"],
            ["--dir", &home],
            ["--shop", shop],
            ["--branch", branch],
            ["--terminal", terminal],
            ["--cloud", cloud],
            ["--token-file", &file],
        ];
        let arguments = arguments.iter().flatten().chain(more);
        let arguments: Vec<String> = arguments.map(ToString::to_string).collect();
        output(&self.program, &arguments).await.map(drop)
    }

    /// Speaks to the cloud once, without a daemon.
    ///
    /// # Errors
    /// The command's: among others if an event still waits after it.
    pub async fn sync_alone(&self) -> anyhow::Result<()> {
        assert!(self.running.is_none(), "a daemon would do it");
        let home = self.home.display().to_string();
        output(&self.program, &["sync", "--dir", &home].map(str::to_owned)).await.map(drop)
    }

    /// Starts the daemon.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(&mut self) -> anyhow::Result<Door> {
        self.start_with(&[]).await
    }

    /// As [`Self::start`], with further arguments.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(&mut self, more: &[&str]) -> anyhow::Result<Door> {
        assert!(self.running.is_none(), "it does not run yet");
        let home = self.home.display().to_string();
        let arguments = ["run", "--dir", &home].into_iter().chain(more.iter().copied());
        let arguments: Vec<String> = arguments.map(str::to_owned).collect();
        let mut running = Running::start(&self.program, &arguments, &self.log)?;
        let address = running.listening().await?;
        self.running = Some(running);
        let token = fs::read_to_string(self.home.join("api-token"))?.trim().to_owned();
        Ok(Door { address, token })
    }

    /// Returns the number of its process, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref()?.id()
    }

    /// Kills it without warning.
    ///
    /// # Errors
    /// If it does not run, or cannot be killed.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.running.take().context("the till runs")?.kill().await
    }

    /// Ends it in peace.
    ///
    /// # Errors
    /// If it does not end as asked.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.running.take().context("the till runs")?.stop().await
    }
}

impl Door {
    /// Returns where the till listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns what callers present.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns the address of the till page, with what pairs a browser.
    #[must_use]
    pub fn page(&self, pos: &str) -> String {
        format!("http://{}/#token={}&pos={pos}", self.address, self.token)
    }

    /// Returns what can be sold, as JSON.
    ///
    /// # Errors
    /// If there is no answer, or it is a refusal.
    pub async fn products(&self, search: &str) -> anyhow::Result<serde_json::Value> {
        self.ask("GET", &format!("/products?search={search}"), Vec::new()).await?.json()
    }

    /// Asks anything, and returns whatever is answered.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn raw(&self, method: &str, path: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
        http::ask(&self.address, method, path, &self.token, body).await
    }

    /// Asks a route without a body, and returns its JSON.
    ///
    /// # Errors
    /// If there is no answer, or it is a refusal.
    pub async fn look(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        self.get(path).await
    }

    /// Sells. Harmless to repeat: the till knows each event by its name.
    ///
    /// # Errors
    /// If there is no answer (then nobody knows, ask again), or an event is refused.
    pub async fn sell(&self, drafts: &[Draft]) -> anyhow::Result<BatchBody> {
        let bodies: Vec<EventBody> = drafts.iter().map(EventBody::of).collect();
        let batch: BatchBody =
            self.ask("POST", "/events", serde_json::to_vec(&bodies)?).await?.json()?;
        ensure!(batch.refused.is_empty(), Refused(format!("{:?}", batch.refused)));
        let taken = batch.recorded + batch.again;
        ensure!(taken == drafts.len() as u64, "{taken} of {} events are recorded", drafts.len());
        Ok(batch)
    }

    /// Sells one piece for cash as another program's screen would, by `POST /sales`.
    ///
    /// # Errors
    /// If there is no answer, or it is not that a new sale is recorded.
    pub async fn ring_up(&self, sale: &str, product: &str) -> anyhow::Result<()> {
        let answer = self.offer(sale, product).await?;
        ensure!(answer.status == 201, "{}", String::from_utf8_lossy(&answer.body));
        Ok(())
    }

    /// Offers a sale of one piece for cash, and returns what the till says to it.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn offer(&self, sale: &str, product: &str) -> anyhow::Result<Answer> {
        let line = json!({
            "productId": product, "name": "Tea", "quantityMilli": 1000, "unitPriceMinor": 149,
            "discountMinor": 0, "taxPpm": 200_000,
        });
        let sale = json!({
            "posId": "front", "localEventId": sale, "currency": "GBP", "lines": [line],
            "reference": format!("slip of {sale}"),
            "payments": [{ "tender": "cash", "amountMinor": 149 }],
        });
        self.raw("POST", "/sales", sale.to_string().into_bytes()).await
    }

    /// Asks for the sums.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn figures(&self) -> anyhow::Result<Figures> {
        let TillFigures { documents, figures } = self.get("/figures").await?;
        Ok(Figures {
            invoices: documents,
            lines: figures.lines,
            quantity: whole(figures.quantity.0),
            money_minor: figures.money.0,
        })
    }

    /// Asks for the state of the till.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn status(&self) -> anyhow::Result<Status> {
        self.get("/status").await
    }

    /// Asks what went wrong when the till last spoke to the cloud, in the words for people.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn fault(&self) -> anyhow::Result<Option<String>> {
        let status: serde_json::Value = self.get("/status").await?;
        Ok(status["link"]["lastFault"].as_str().map(str::to_owned))
    }

    /// Speaks to the cloud until nothing waits, for at most `limit`.
    ///
    /// # Errors
    /// If something still waits then, or an event needs attention.
    pub async fn drain(&self, limit: Duration) -> anyhow::Result<Status> {
        let until = tokio::time::Instant::now() + limit;
        loop {
            self.ask("POST", "/sync", Vec::new()).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
            let status = self.status().await?;
            ensure!(status.needs_attention == 0, "events need attention: {status:?}");
            if status.pending == 0 {
                return Ok(status);
            }
            if tokio::time::Instant::now() > until {
                bail!("the queue did not drain: {status:?}");
            }
        }
    }

    /// Waits until `holds` is true of the state, for at most `limit`.
    ///
    /// # Errors
    /// With the last state, if it never is.
    pub async fn until(
        &self,
        limit: Duration,
        holds: impl Fn(&Status) -> bool,
    ) -> anyhow::Result<Status> {
        let until = tokio::time::Instant::now() + limit;
        loop {
            let status = self.status().await?;
            if holds(&status) {
                return Ok(status);
            }
            ensure!(tokio::time::Instant::now() < until, "it does not come to that: {status:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes the till speak to the cloud now.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn sync(&self) -> anyhow::Result<()> {
        self.ask("POST", "/sync", Vec::new()).await.map(drop)
    }

    /// Does something to a register's session: `open`, `cash` or `close`.
    ///
    /// # Errors
    /// If there is no answer, or it is a refusal.
    pub async fn session(
        &self,
        act: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<serde_json::Value> {
        let body = serde_json::to_vec(body)?;
        self.ask("POST", &format!("/sessions/{act}"), body).await?.json()
    }

    /// Returns what a register's drawer should hold, was found to hold, and what the cloud says.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn drawer(&self, pos: &str) -> anyhow::Result<Drawer> {
        self.get(&format!("/sessions/current?posId={pos}")).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask("GET", path, Vec::new()).await?.json()
    }

    async fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
        let answer = http::ask(&self.address, method, path, &self.token, body).await?;
        let refused = (400..500).contains(&answer.status);
        let said = String::from_utf8_lossy(&answer.body);
        ensure!(!refused, Refused(format!("{method} {path}: {}: {said}", answer.status)));
        ensure!(answer.status < 400, "{method} {path}: {}: {said}", answer.status);
        Ok(answer)
    }
}

/// The till said no: asking again would not help.
#[derive(Debug)]
pub struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}
