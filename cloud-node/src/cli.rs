//! The commands of `cloud-node`.

mod books;
mod explain;
mod serve;
mod users;

use std::convert::Infallible;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context as _, anyhow, bail};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use counterfoil_cloud::credential::Token;
use counterfoil_cloud::node::{AnyReads, Local};
use counterfoil_cloud::world::{Clock as _, Entropy as _, SystemClock, SystemEntropy};
use counterfoil_cloud::{backup, compaction};
use counterfoil_protocol::cloud::compaction::LEASE_LIFE;
use counterfoil_protocol::cloud::log::{Logged, Note};
use counterfoil_protocol::cloud::{Input, Output, Site};
use counterfoil_protocol::identity::{BranchId, ProductId, ShopId, TerminalId};
use counterfoil_protocol::time::Millis;
use counterfoil_storage::location::LocationError;
use counterfoil_storage::{Location, StoreError};
use serde_json::json;

/// The command did not do what it was asked, or the check found problems.
pub(crate) const FAILED: u8 = 1;

/// The cloud of Counterfoil: takes in what tills sold, once each.
///
/// Exit codes: 0 done, 1 failed or problems found, 2 wrong usage.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve tills until SIGTERM or Ctrl-C
    ///
    /// Prints one line with the bound address when it is ready to be asked.
    Serve(serve::Serve),
    /// Enrol a terminal, or give an enrolled one a new credential; prints the token, once
    Enroll(Enroll),
    /// Turn a terminal away; its queue stays on the till, in quarantine
    Revoke {
        #[command(flatten)]
        at: At,
        /// Which terminal
        #[arg(long)]
        terminal: TerminalId,
    },
    /// Who may speak for a shop over HTTP, without a till
    #[command(subcommand)]
    User(users::UserCommand),
    /// Add a product to a shop's catalog (matters with --unknown-products park)
    Product {
        #[command(flatten)]
        at: At,
        /// Whose catalog
        #[arg(long)]
        shop: ShopId,
        /// Which product
        #[arg(long)]
        product: ProductId,
    },
    /// Write every event as a line of JSON; the last line holds the sums
    Export {
        #[command(flatten)]
        at: At,
        /// Write the sums only
        #[arg(long)]
        figures: bool,
    },
    /// Tell what a store holds of one event, and what nobody can know of it
    ///
    /// Ask a serving node with GET /v1/admin/explain, or on its pages.
    Explain(explain::Explain),
    /// Take deletions out of a shop's catalog feed that no till needs any more
    ///
    /// A serving node does it by itself; ask one with POST /v1/admin/catalog/compact.
    Compact {
        #[command(flatten)]
        at: At,
        /// Whose catalog
        #[arg(long)]
        shop: ShopId,
    },
    /// Check the whole store, and copy it into one file; PostgreSQL also while nodes serve
    Backup {
        #[command(flatten)]
        at: At,
        /// The file to make
        out: PathBuf,
    },
    /// Make a new store, of any engine, of a backup
    ///
    /// What was sold since the backup, the tills offer again.
    Restore {
        /// Where the new store is to lie: sled:PATH or redb:PATH, where nothing may stand, or an
        /// empty database
        #[arg(long, env = "COUNTERFOIL_STORE", hide_env_values = true, value_name = "LOCATION")]
        store: Named,
        /// The backup
        from: PathBuf,
    },
    /// Verify the whole database: every row, journals, ledger, stock, catalog, sums
    Check {
        #[command(flatten)]
        at: At,
    },
}

/// A store by its name, which may hold a password: what is wrong with it is said without the text,
/// and clap would show the text.
#[derive(Clone, Debug)]
struct Named(Result<Location, LocationError>);

impl FromStr for Named {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.parse()))
    }
}

impl Named {
    /// Returns the place, or ends the program: it was used wrongly.
    fn place(&self) -> &Location {
        match &self.0 {
            Ok(place) => place,
            Err(error) => {
                let what = format!("invalid value for '--store <LOCATION>': {error}");
                Cli::command().error(ErrorKind::ValueValidation, what).exit()
            }
        }
    }
}

#[derive(Debug, Args)]
struct At {
    /// Where the database lies: sled:PATH or redb:PATH, which no server may have open, or
    /// postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, env = "COUNTERFOIL_STORE", hide_env_values = true, value_name = "LOCATION")]
    store: Named,
}

#[derive(Debug, Args)]
struct Enroll {
    #[command(flatten)]
    at: At,
    /// Whose terminal
    #[arg(long)]
    shop: ShopId,
    /// Where it stands
    #[arg(long)]
    branch: BranchId,
    /// Its name
    #[arg(long)]
    terminal: TerminalId,
    /// The credential runs out after this time; otherwise never
    #[arg(long, value_name = "SECS")]
    expires_in: Option<u64>,
}

/// Does what was asked.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(wish) => serve::serve(cli.json, &wish),
        Command::Enroll(wish) => enroll(cli.json, &wish),
        Command::Revoke { at, terminal } => revoke(cli.json, &at, terminal),
        Command::User(command) => users::run(cli.json, command),
        Command::Product { at, shop, product } => define(cli.json, &at, shop, product),
        Command::Export { at, figures } => books::write_export(cli.json, &at, figures),
        Command::Explain(wish) => explain::run(cli.json, &wish),
        Command::Compact { at, shop } => compact(cli.json, &at, shop),
        Command::Backup { at, out } => books::back_up(cli.json, &at, &out),
        Command::Restore { store, from } => {
            books::copied(cli.json, "restored", backup::restore(&from, store.place())?)
        }
        Command::Check { at } => books::check(cli.json, &at),
    }
}

/// Prints a line; whoever started the node may have closed its end, and the node serves on.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn enroll(json: bool, wish: &Enroll) -> anyhow::Result<ExitCode> {
    let random = SystemEntropy.secret().context("the system gives no randomness: try again")?;
    let token = Token::new(wish.terminal, random);
    let expires_at = wish.expires_in.map(|secs| SystemClock.now().after(Millis::from_secs(secs)));
    let input = Input::Enrol {
        terminal: wish.terminal,
        site: Site { shop: wish.shop, branch: wish.branch },
        secret: token.digest(),
        expires_at,
    };
    if *wish.at.store.place() == Location::Memory {
        bail!("memory: ends with this command, and the credential with it: name a store on a disk");
    }
    let input = noted("terminal.enrol", Some(wish.shop), wish.terminal, input);
    let opened = Local::open(wish.at.store.place());
    match ask(opened, input, "POST /v1/admin/terminals")? {
        Some(Output::Enrolled) => {}
        Some(Output::OtherSite(site)) => bail!(
            "terminal {} stands at shop {}, branch {}, and keeps its site: enrol another name",
            wish.terminal,
            site.shop,
            site.branch
        ),
        other => return Err(unexpected(other)),
    }
    if json {
        let told = json!({
            "terminalId": wish.terminal,
            "shopId": wish.shop,
            "branchId": wish.branch,
            "expiresAtMs": expires_at,
            "token": token.reveal(),
        });
        say(&told.to_string());
    } else {
        eprintln!("Enrolled {}. The token is shown this once:", wish.terminal);
        say(&token.reveal());
    }
    Ok(ExitCode::SUCCESS)
}

fn revoke(json: bool, at: &At, terminal: TerminalId) -> anyhow::Result<ExitCode> {
    let route = format!("POST /v1/admin/terminals/{terminal}/revoke");
    let input = noted("terminal.revoke", None, terminal, Input::Revoke { terminal });
    match ask(Local::open_existing(at.store.place()), input, &route)? {
        Some(Output::Revoked) => {}
        Some(Output::NoSuchTerminal) => bail!("there is no terminal {terminal}: check its name"),
        other => return Err(unexpected(other)),
    }
    if json {
        say(&json!({ "terminalId": terminal, "revoked": true }).to_string());
    } else {
        say(&format!("revoked {terminal}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn define(json: bool, at: &At, shop: ShopId, product: ProductId) -> anyhow::Result<ExitCode> {
    let opened = Local::open_existing(at.store.place());
    let input =
        noted("product.define", Some(shop), product, Input::DefineProduct { shop, product });
    match ask(opened, input, "POST /v1/admin/products")? {
        Some(Output::Defined) => {}
        other => return Err(unexpected(other)),
    }
    if json {
        say(&json!({ "shopId": shop, "productId": product }).to_string());
    } else {
        say(&format!("defined {product} in {shop}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn compact(json: bool, at: &At, shop: ShopId) -> anyhow::Result<ExitCode> {
    let route = "POST /v1/admin/catalog/compact";
    let mut local = Local::open(at.store.place()).map_err(|error| held(error, route))?;
    let reads = local.reads();
    let done = compaction::compact(&reads, &SystemClock, shop, LEASE_LIFE, &mut local);
    let done = runtime()?.block_on(done)?;
    if json {
        say(&serde_json::to_string(&done)?);
    } else {
        say(&format!("{} deletions have left, the floor is {}", done.removed, done.floor));
    }
    Ok(ExitCode::SUCCESS)
}

fn unexpected(output: Option<Output>) -> anyhow::Error {
    anyhow!("the database answered another question ({output:?}): report this")
}

/// Lets a command stand in the log of what operators did, in the transaction that does it.
fn noted(action: &str, shop: Option<ShopId>, target: impl Display, input: Input) -> Input {
    let (actor, target) = ("cloud-node".to_owned(), target.to_string());
    Input::Logged(Logged::new(Note { actor, action: action.to_owned(), shop, target }, input))
}

fn ask(
    opened: Result<Local, StoreError>,
    input: Input,
    route: &str,
) -> anyhow::Result<Option<Output>> {
    let mut local = opened.map_err(|error| held(error, route))?;
    Ok(runtime()?.block_on(local.ask(input))?)
}

/// Says what to do when a server has the store.
fn held(error: StoreError, route: &str) -> anyhow::Error {
    let locked = matches!(error, StoreError::Locked { .. });
    let error = anyhow::Error::new(error);
    if locked { error.context(format!("ask the running node instead: {route}")) } else { error }
}

fn reads(at: &At) -> anyhow::Result<(Local, AnyReads)> {
    reads_or(at, "(stop it, or work on a copy of its store)")
}

/// Reads a store, or says what to ask of the node that has it.
fn reads_or(at: &At, advice: &str) -> anyhow::Result<(Local, AnyReads)> {
    let local = Local::open_existing(at.store.place()).map_err(|error| held(error, advice))?;
    // Other nodes may go on with a database that is theirs too.
    let reads = local.reads_of_one_moment()?;
    Ok((local, reads))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")
}
