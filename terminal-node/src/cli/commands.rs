//! What each command does.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;
use std::time::Duration;

use counterfoil_protocol::identity::LocalEventId;
use counterfoil_protocol::money::Currency;
use counterfoil_protocol::terminal::Identity;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::Failure;
use super::access::{Access, print};
use super::args::{At, Import, Init, Item, Queue, Retry, Run, Sell, Sync};
use super::show::Show;
use crate::api::ImportBody;
use crate::api::body::{BatchBody, EventBody, LineBody, TradeBody};
use crate::config::{Config, Home};
use crate::daemon::{self, Daemon, DaemonError};
use crate::import;
use crate::ports::{Entropy as _, SystemEntropy};
use crate::tls;

/// How many invoices are sold in one request, without a pace.
const GROUP: usize = 64;
/// The most bytes of a token file that are read.
const TOKEN_BYTES_MAX: u64 = 4096;

/// What a person must know of a witness that stands beside its database.
const BESIDE: &str = "\
its witness stands beside its database: leave the file `witness` out of backups, or give another
place with --witness. A backup that brings both back prints receipt numbers twice until the till
next speaks to the cloud.
";

impl At {
    pub(super) fn home(self) -> Home {
        Home::new(self.dir)
    }
}

pub(super) async fn init(show: Show, init: Init) -> Result<(), Failure> {
    let (compress, archiving) = (init.compress, init.archiving);
    let Init { at, shop, branch, terminal, cloud, token_file, ca_file, witness, .. } = init;
    let identity = Identity { shop, branch, terminal };
    let home = at.home();
    let before = home.config().ok();
    let witness = match witness {
        Some(path) => Some(std::path::absolute(path)?),
        None => before.as_ref().and_then(|before| before.witness.clone()),
    };
    let ca_file = match ca_file {
        Some(path) => Some(std::path::absolute(path)?),
        None => before.as_ref().and_then(|before| before.ca_file.clone()),
    };
    let (ask_every_secs, stream) =
        before.as_ref().map_or((None, true), |before| (before.ask_every_secs, before.stream));
    let (archive_after_days, archive) =
        before.as_ref().map_or((None, true), |before| (before.archive_after_days, before.archive));
    let mut config = Config {
        identity,
        cloud,
        compress,
        witness,
        ca_file,
        ask_every_secs,
        stream,
        archive_after_days,
        archive,
    };
    archiving.apply(&mut config);
    config.endpoint()?;
    if let Some(path) = &config.ca_file {
        tls::authorities(Some(path)).map_err(|error| Failure::Usage(error.to_string()))?;
    }
    let token = read_token(&token_file)?;
    let made = counterfoil_storage::create_directory(home.path());
    made.map_err(|error| Failure::Storage(error.to_string()))?;
    if let Some(place) = config.witness.as_ref().and_then(|path| path.parent()) {
        let made = counterfoil_storage::create_directory(place);
        made.map_err(|error| Failure::Storage(error.to_string()))?;
    }
    if let Some(before) = before.filter(|before| before.identity == identity) {
        home.carry_witness(&before, &config)?;
    }
    match daemon::store(&home) {
        Ok(store) => daemon::till(store).install(identity, &mut home.witness(&config)).await?,
        // A daemon runs: its till is installed, and takes the new settings when it starts again.
        Err(DaemonError::InUse(_)) if home.config()?.identity == identity => {
            tracing::warn!("a daemon runs: restart it to let it take the new settings");
        }
        Err(error) => return Err(error.into()),
    }
    home.write_cloud_token(&token)?;
    home.write_config(&config)?;
    let directory = home.path().display().to_string();
    let Config { cloud, witness, .. } = &config;
    let told = json!({
        "directory": directory, "identity": identity, "cloud": cloud, "witness": witness,
    });
    show.result(&told, || {
        let mut text = format!("till {terminal} of {shop}/{branch} is ready in {directory}\n");
        if witness.is_none() {
            text += BESIDE;
        }
        text
    })
}

fn read_token(file: &Path) -> Result<String, Failure> {
    let mut token = String::new();
    if file == Path::new("-") {
        io::stdin().lock().take(TOKEN_BYTES_MAX).read_to_string(&mut token)?;
    } else {
        let opened = File::open(file);
        let opened =
            opened.map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
        opened.take(TOKEN_BYTES_MAX).read_to_string(&mut token)?;
    }
    if token.trim().is_empty() {
        return Err(Failure::Usage("the token file is empty".to_owned()));
    }
    Ok(token)
}

pub(super) async fn run(run: Run) -> Result<(), Failure> {
    let stop = stop_signal()?;
    let home = run.at.home();
    if run.archiving.is_said() {
        let mut config = home.config()?;
        run.archiving.apply(&mut config);
        home.write_config(&config)?;
    }
    let daemon = Daemon::start(home, run.listen).await?;
    print(&format!("listening on http://{}\n", daemon.address()))?;
    daemon.run_until(stop).await?;
    Ok(())
}

#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the signature is that of the Unix variant")]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _no_signals = tokio::signal::ctrl_c().await;
    })
}

pub(super) async fn sell(show: Show, sell: Sell) -> Result<(), Failure> {
    let currency =
        Currency::parse(&sell.currency).map_err(|error| Failure::Usage(error.to_string()))?;
    let lines = sell.items.iter().map(line);
    let access = Access::to_sell(sell.at.home()).await?;
    let body = TradeBody {
        pos_id: sell.pos,
        local_event_id: sell.id.unwrap_or_else(random_id),
        // The same command again is the same sale: the till knows the time of the first.
        at_ms: None,
        reference: sell.reference,
        currency: currency.to_string(),
        lines: lines.collect(),
        payments: Vec::new(),
        tender: sell.tender,
        original: None,
    };
    let recorded = access.record(EventBody::Sale(body)).await?;
    show.result(&json!(recorded), || {
        let number = recorded.receipt.as_deref().unwrap_or("-");
        let again = if recorded.again { " (recorded before)" } else { "" };
        format!("receipt {number}, event {}{again}\n", recorded.local_event_id)
    })
}

pub(super) const fn line(item: &Item) -> LineBody {
    LineBody {
        product_id: item.product,
        name: String::new(),
        quantity_milli: item.quantity_milli,
        unit_price_minor: item.price_minor,
        discount_minor: 0,
        tax_ppm: 0,
    }
}

pub(super) fn random_id() -> LocalEventId {
    let id = format!("cli-{:016x}", SystemEntropy.draw());
    LocalEventId::parse(&id).expect("twenty printable characters are a name")
}

pub(super) async fn import(show: Show, import: Import) -> Result<(), Failure> {
    if import.till_index >= import.tills {
        return Err(Failure::Usage("--till-index is below --tills".to_owned()));
    }
    let parsed = import::parse(input(&import.file)?, import.pos)?;
    let documents = import::spread(parsed.documents, import.tills, import.till_index);
    let access = Access::to_sell(import.at.home()).await?;
    let mut result = ImportBody {
        report: parsed.report,
        documents: documents.len() as u64,
        events: BatchBody::default(),
    };
    let bar = progress(result.documents);
    let pace = Duration::from_millis(import.pace_ms);
    let group = if pace.is_zero() { GROUP } else { 1 };
    for documents in documents.chunks(group) {
        let drafts = documents.iter().flat_map(|document| document.drafts.clone()).collect();
        result.events.add(access.record_all(drafts).await?);
        bar.inc(documents.len() as u64);
        if !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
    }
    bar.finish_and_clear();
    show.import(&result)?;
    let refused = result.events.refused.len();
    let unclear = result.report.not_understood.len();
    if refused + unclear == 0 {
        return Ok(());
    }
    let what = format!("{unclear} lines were not understood, {refused} events were refused");
    Err(Failure::Refused(what))
}

fn input(file: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    match File::open(file) {
        Ok(opened) => Ok(Box::new(BufReader::new(opened))),
        Err(error) => Err(Failure::Usage(format!("{}: {error}", file.display()))),
    }
}

/// Drawn on standard error, and only if that is a terminal.
fn progress(documents: u64) -> ProgressBar {
    let template = "{bar:40} {pos}/{len} invoices, {eta} left";
    let style = ProgressStyle::with_template(template);
    let bar = ProgressBar::new(documents);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

pub(super) async fn status(show: Show, at: At) -> Result<(), Failure> {
    let access = Access::to_read(at.home()).await?;
    let status = access.status().await?;
    show.status(&status)
}

pub(super) async fn queue(show: Show, queue: Queue) -> Result<(), Failure> {
    let access = Access::to_read(queue.at.home()).await?;
    show.queue(&access.queue(queue.limit.into()).await?)
}

pub(super) async fn retry(retry: Retry) -> Result<(), Failure> {
    let access = Access::to_sell(retry.at.home()).await?;
    access.retry(retry.pos, retry.id).await
}

pub(super) async fn sync(show: Show, sync: Sync) -> Result<(), Failure> {
    let access = Access::to_sell(sync.at.home()).await?;
    let status = access.sync(Duration::from_secs(sync.timeout)).await?;
    show.status(&status)?;
    if let Some(why) = status["quarantineReason"].as_str() {
        return Err(Failure::Refused(why.to_owned()));
    }
    if let Some(fault) = status["link"]["lastFault"].as_str() {
        return Err(Failure::Network(fault.to_owned()));
    }
    match (status["pending"].as_u64(), status["needsAttention"].as_u64()) {
        (Some(0), Some(0)) => Ok(()),
        (pending, attention) => Err(Failure::Refused(format!(
            "{} events wait, {} need attention",
            pending.unwrap_or_default(),
            attention.unwrap_or_default()
        ))),
    }
}

pub(super) async fn figures(show: Show, at: At) -> Result<(), Failure> {
    let access = Access::to_read(at.home()).await?;
    show.figures(&access.figures().await?)
}

pub(super) async fn export(at: At) -> Result<(), Failure> {
    let access = Access::to_read(at.home()).await?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    access.export(&mut out).await?;
    io::Write::flush(&mut out)?;
    Ok(())
}
