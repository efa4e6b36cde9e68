//! The command line of `terminal-node`.
//!
//! Commands talk to the daemon of the directory if one answers, and open the database themselves
//! if none does.

mod access;
mod archive;
mod args;
mod ask;
mod bundle;
mod commands;
mod doctor;
mod explain;
mod mend;
mod page;
mod parcel;
mod product;
mod sessions;
mod show;
mod stock;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use crate::client::ClientError;
use crate::config::ConfigError;
use crate::daemon::DaemonError;
use crate::till::TillError;
use crate::verify::VerifyError;
use args::{Args, Command, LogFormat};

/// Why a command failed; the number is its exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Something was refused, or needs attention.
    #[error("{0}")]
    Refused(String),
    /// The directory, a file or an argument cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The database.
    #[error("{0}")]
    Storage(String),
    /// The cloud, or the daemon.
    #[error("{0}")]
    Network(String),
    /// Whoever reads the output has seen enough.
    #[error("nobody reads on")]
    Unread,
}

impl Failure {
    const fn code(&self) -> u8 {
        match self {
            Self::Unread => 0,
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Storage(_) => 3,
            Self::Network(_) => 4,
        }
    }
}

impl From<TillError> for Failure {
    fn from(error: TillError) -> Self {
        match error {
            TillError::StorageFailed(_) | TillError::Witness(_) | TillError::TooNew(_) => {
                Self::Storage(error.to_string())
            }
            TillError::NotOpen | TillError::NotInstalled(_) => Self::Refused(error.to_string()),
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Till(error) => error.into(),
            VerifyError::Link(_) => Self::Network(error.to_string()),
            VerifyError::NotReady
            | VerifyError::Busy
            | VerifyError::Refused(_)
            | VerifyError::Plan(_) => Self::Refused(error.to_string()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Silent(_) => Self::Network(error.to_string()),
            ClientError::Refused(ref problem) if problem.status == 502 => {
                Self::Network(error.to_string())
            }
            ClientError::Refused(ref problem) if problem.status == 503 => {
                Self::Storage(error.to_string())
            }
            ClientError::Refused(_) => Self::Refused(error.to_string()),
        }
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Till(error) => error.into(),
            DaemonError::Config(error) => error.into(),
            DaemonError::InUse(_)
            | DaemonError::Store(_)
            | DaemonError::Archive { .. }
            | DaemonError::Ended(_) => Self::Storage(error.to_string()),
            DaemonError::Token(_) | DaemonError::NotLoopback(_) => Self::Usage(error.to_string()),
            DaemonError::Listen { .. } => Self::Network(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::Unread;
        }
        // A full disk, or one that fails: no argument would help.
        Self::Storage(error.to_string())
    }
}

/// Runs the command line and returns its exit code: 0 done, 1 refused or needs attention, 2 usage,
/// 3 storage, 4 network.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    log(&args);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(&Failure::Usage(format!("cannot start: {error}"))),
    };
    let done = runtime.block_on(dispatch(args));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => complain(&failure),
    }
}

fn complain(failure: &Failure) -> ExitCode {
    if matches!(failure, Failure::Unread) {
        return ExitCode::SUCCESS;
    }
    eprintln!("terminal-node: {failure}");
    ExitCode::from(failure.code())
}

fn log(args: &Args) {
    use tracing_subscriber::EnvFilter;
    let default = if matches!(args.command, Command::Run(_)) { "info" } else { "warn" };
    let filter =
        EnvFilter::try_from_env("COUNTERFOIL_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    match args.log_format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.init(),
    }
}

async fn dispatch(args: Args) -> Result<(), Failure> {
    let output = show::Show { json: args.json };
    match args.command {
        Command::Init(init) => commands::init(output, init).await,
        Command::Run(run) => commands::run(run).await,
        Command::Page(page) => page::page(output, page).await,
        Command::Sell(sell) => commands::sell(output, sell).await,
        Command::Import(import) => commands::import(output, import).await,
        Command::Status(at) => commands::status(output, at).await,
        Command::Queue(queue) => commands::queue(output, queue).await,
        Command::Explain(wish) => explain::explain(output, wish).await,
        Command::Doctor(at) => doctor::doctor(output, at).await,
        Command::Bundle(wish) => bundle::bundle(output, wish).await,
        Command::Parcel(parcel) => parcel::run(output, parcel).await,
        Command::Watch(at) => watch::watch(output, at).await,
        Command::Retry(retry) => commands::retry(retry).await,
        Command::Correct(wish) => mend::correct(output, wish).await,
        Command::Void(wish) => mend::void(output, wish).await,
        Command::Park(which) => mend::park(which).await,
        Command::GiveWay(which) => mend::give_way(which).await,
        Command::Product(product) => product::product(output, product).await,
        Command::Sync(sync) => commands::sync(output, sync).await,
        Command::Stock(of) => stock::stock(output, of).await,
        Command::Review(review) => stock::review(output, review).await,
        Command::Verify(wish) => verify::verify(output, wish).await,
        Command::Archive(at) => archive::archive(output, at).await,
        Command::Figures(at) => commands::figures(output, at).await,
        Command::Export(at) => commands::export(at).await,
        Command::Session(session) => sessions::run(output, session).await,
    }
}
