//! What can be written on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args as ClapArgs, Parser, Subcommand};
use counterfoil_protocol::identity::{
    BranchId, LocalEventId, PosId, ProductId, ShopId, TerminalId,
};

use crate::api::body::TenderWord;
use crate::archive::KEEP_DAYS_MAX;
use crate::config::Config;
use crate::import::line::decimal;

/// A till that sells offline and syncs in the background.
///
/// Exit codes: 0 done, 1 refused or needs attention, 2 usage, 3 storage, 4 network.
#[derive(Debug, Parser)]
#[command(name = "terminal-node", version, about, long_about)]
pub(super) struct Args {
    /// Writes results as JSON, for machines.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// The form of the log, which goes to standard error. `COUNTERFOIL_LOG=debug` says how much.
    #[arg(long, global = true, env = "COUNTERFOIL_LOG_FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Makes a new till, or changes the cloud address and token of an existing one.
    Init(Init),
    /// Runs the daemon: local API and sync, until SIGTERM.
    Run(Run),
    /// Prints the address of the till page of a daemon that runs, with the token to pair a browser.
    Page(super::page::Page),
    /// Sells.
    Sell(Sell),
    /// Sells the invoices of a file in the layout of the public Online Retail data set.
    ///
    /// Importing the same file again changes nothing. Lines that are not understood are listed.
    Import(Import),
    /// Shows what waits, what is synced, and how the link is doing.
    Status(At),
    /// Lists events that are not synced.
    Queue(Queue),
    /// Tells the way of one sale: recorded, offered, answered, posted, with times; and what is not
    /// known of it.
    Explain(super::explain::Explain),
    /// Looks whether everything is in order: disk, database, witness, clock, cloud.
    ///
    /// Exit codes: 0 it is, warnings aside; 1 something does not work.
    Doctor(At),
    /// Writes one file for whoever looks into an incident: names masked, no credential.
    Bundle(super::bundle::Bundle),
    /// Carries what waits to the cloud as a file, where there is no link.
    #[command(subcommand)]
    Parcel(super::parcel::Parcel),
    /// Shows a till that runs as it changes: a screen on a terminal, else a line for each change.
    Watch(At),
    /// Lets an event that needs attention be tried again.
    Retry(Retry),
    /// Corrects a sale that the cloud could not post: the original is kept, and counts no more.
    Correct(super::mend::Correct),
    /// Takes everything of a sale back, with a reason.
    Void(super::mend::Void),
    /// Sets an event aside that failed and would be tried again; `retry` takes it back.
    Park(super::mend::Which),
    /// Lets the other one count, of an event of which the cloud says that another does.
    GiveWay(super::mend::Which),
    /// Shows or corrects a product.
    #[command(subcommand)]
    Product(super::product::Product),
    /// Speaks to the cloud now, and waits until nothing is left to send.
    Sync(Sync),
    /// Shows the stock as this till knows it: its own movements, and those of online orders.
    Stock(StockOf),
    /// Lists products that online orders took and that are not there.
    Review(Review),
    /// Compares the catalog, row by row, with the cloud's, and shows what to do about it.
    ///
    /// Exit codes: 0 nothing differs, or it was applied; 1 something differs and was not applied.
    Verify(Verify),
    /// Lets what is old enough leave the database for the archive now; a daemon does so by itself.
    Archive(At),
    /// Shows what all events of this till add up to.
    Figures(At),
    /// Writes all events with their state as JSON lines.
    Export(At),
    /// Opens and closes a register's session, and shows what the cloud says of it.
    #[command(subcommand)]
    Session(super::sessions::Session),
}

/// Which till.
#[derive(Clone, Debug, ClapArgs)]
pub(super) struct At {
    /// The till's directory.
    #[arg(long, env = "COUNTERFOIL_DIR")]
    pub(super) dir: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Init {
    #[command(flatten)]
    pub(super) at: At,
    /// The tenant.
    #[arg(long)]
    pub(super) shop: ShopId,
    /// The place of business.
    #[arg(long)]
    pub(super) branch: BranchId,
    /// The till, as it is enrolled in the cloud.
    #[arg(long)]
    pub(super) terminal: TerminalId,
    /// The cloud's address: https://cloud.example, or http://127.0.0.1:8700 with its port.
    #[arg(long, env = "COUNTERFOIL_CLOUD")]
    pub(super) cloud: String,
    /// A file with the credential that enrolment gave; `-` reads it from standard input.
    #[arg(long)]
    pub(super) token_file: PathBuf,
    /// A file with authorities, in PEM, to believe beside those of this machine: a shop's own.
    ///
    /// Its path is kept, and the file is read whenever the till connects anew.
    #[arg(long, value_name = "PEM")]
    pub(super) ca_file: Option<PathBuf>,
    /// Compresses what is sent.
    #[arg(long)]
    pub(super) compress: bool,
    /// Where the witness stands, the file that tells a restored database from the real one.
    ///
    /// Choose a place that backups of the directory leave out. Beside the database, where it stands
    /// if this is not given, a restored backup of the whole directory looks like the till of that
    /// day: until it next speaks to the cloud it prints receipt numbers that were printed before.
    #[arg(long)]
    pub(super) witness: Option<PathBuf>,
    #[command(flatten)]
    pub(super) archiving: Archiving,
}

/// When settled events leave the database for the archive. It is kept in the settings.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub(super) struct Archiving {
    /// How many days an event stays in the database before it leaves for the archive: 30 if it was
    /// never said. Only what the cloud durably holds leaves, and it can be offered again.
    #[arg(long, value_name = "DAYS", conflicts_with = "no_archive",
        value_parser = clap::value_parser!(u32).range(0..=i64::from(KEEP_DAYS_MAX)))]
    pub(super) archive_after_days: Option<u32>,
    /// Lets no more events leave for the archive.
    #[arg(long)]
    pub(super) no_archive: bool,
}

impl Archiving {
    /// Returns whether anything was said.
    pub(super) const fn is_said(self) -> bool {
        self.no_archive || self.archive_after_days.is_some()
    }

    /// Changes the settings as was said.
    pub(super) const fn apply(self, config: &mut Config) {
        if self.is_said() {
            config.archive = !self.no_archive;
        }
        if self.archive_after_days.is_some() {
            config.archive_after_days = self.archive_after_days;
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) at: At,
    /// Where the local API listens: a loopback address. DIR/api-address tells the real port.
    #[arg(long, default_value = "127.0.0.1:0", env = "COUNTERFOIL_TERMINAL_LISTEN")]
    pub(super) listen: SocketAddr,
    #[command(flatten)]
    pub(super) archiving: Archiving,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Sell {
    #[command(flatten)]
    pub(super) at: At,
    /// The register.
    #[arg(long)]
    pub(super) pos: PosId,
    /// What is sold: `sku:quantity:price`, the price of one in main units (`85123A:6:2.55`).
    #[arg(long = "item", required = true)]
    pub(super) items: Vec<Item>,
    /// The sale's own name: the same name and content again is harmless. Random if not given.
    #[arg(long)]
    pub(super) id: Option<LocalEventId>,
    /// The currency of the prices.
    #[arg(long, default_value = "GBP")]
    pub(super) currency: String,
    /// How it is paid.
    #[arg(long, default_value = "cash")]
    pub(super) tender: TenderWord,
    /// Your document number.
    #[arg(long, default_value = "")]
    pub(super) reference: String,
}

/// `sku:quantity:price`.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) product: ProductId,
    pub(super) quantity_milli: i64,
    pub(super) price_minor: i64,
}

impl FromStr for Item {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.rsplitn(3, ':');
        let (Some(price), Some(quantity), Some(sku)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err("write sku:quantity:price, such as 85123A:6:2.55".to_owned());
        };
        Ok(Self {
            product: ProductId::parse(sku).map_err(|error| format!("sku: {error}"))?,
            quantity_milli: decimal(quantity, 3).map_err(|why| format!("quantity {why}"))?,
            price_minor: decimal(price, 2).map_err(|why| format!("price {why}"))?,
        })
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct Import {
    #[command(flatten)]
    pub(super) at: At,
    /// The file; `-` reads standard input.
    pub(super) file: PathBuf,
    /// The register that sells.
    #[arg(long, default_value = "1")]
    pub(super) pos: PosId,
    /// Which of `--tills` tills this is, from 0: invoice i belongs to till i modulo tills.
    #[arg(long, default_value_t = 0)]
    pub(super) till_index: usize,
    /// How many tills share the file.
    #[arg(long, default_value_t = 1)]
    pub(super) tills: usize,
    /// Waits so long after each invoice, to sell over time.
    #[arg(long, default_value_t = 0)]
    pub(super) pace_ms: u64,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Verify {
    #[command(flatten)]
    pub(super) at: At,
    /// Writes the plan to this file as JSON; with --apply, applies the plan that is in it.
    #[arg(long)]
    pub(super) plan: Option<PathBuf>,
    /// Applies the plan: all of it, or nothing if anything changed meanwhile.
    #[arg(long)]
    pub(super) apply: bool,
    /// Does not ask before more than 5 % of the entries are removed.
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Queue {
    #[command(flatten)]
    pub(super) at: At,
    /// The most events to list.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) limit: u16,
}

#[derive(Debug, ClapArgs)]
pub(super) struct StockOf {
    #[command(flatten)]
    pub(super) at: At,
    /// Which product; the first thousand if none is named.
    pub(super) product: Option<ProductId>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Review {
    #[command(flatten)]
    pub(super) at: At,
    /// Notes that somebody has looked at this product.
    #[arg(long)]
    pub(super) done: Option<ProductId>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Retry {
    #[command(flatten)]
    pub(super) at: At,
    /// The register.
    #[arg(long)]
    pub(super) pos: PosId,
    /// The event's own name.
    #[arg(long)]
    pub(super) id: LocalEventId,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Sync {
    #[command(flatten)]
    pub(super) at: At,
    /// Gives up after so many seconds.
    #[arg(long, default_value_t = 60)]
    pub(super) timeout: u64,
}
