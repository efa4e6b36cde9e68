//! `sim explore`: every state of small configurations.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Args;
use counterfoil_sim::explore::{self, Bounds, Config, Explored, NAMED, Numbers};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How many configurations are explored if nothing is said: the first of the named ones.
const USUAL: usize = 3;
/// The exit code of a search that was cut.
const CUT: u8 = 3;

/// What to explore. Any bound makes a configuration of one's own.
#[derive(Args)]
pub(super) struct Explore {
    /// Named configurations, several by commas, or `all` (default: the first three; `--list`).
    #[arg(long, value_delimiter = ',', conflicts_with = "bounds")]
    only: Vec<String>,
    /// Prints the named configurations.
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    own: Own,
    /// Stop after so many states: about 300 bytes each.
    #[arg(long, default_value_t = 20_000_000)]
    states_max: u64,
    /// A search that was stopped by `--states-max` is no failure.
    #[arg(long)]
    cut_is_fine: bool,
    /// On how many threads (default: all cores). The result is the same on any number.
    #[arg(long)]
    jobs: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(id = "bounds", multiple = true)]
struct Own {
    /// Tills.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=8))]
    tills: Option<u8>,
    /// Sales, at any till.
    #[arg(long)]
    sales: Option<u8>,
    /// Crashes of a till, or of the cloud within a commit.
    #[arg(long)]
    crashes: Option<u8>,
    /// Messages that are lost.
    #[arg(long)]
    losses: Option<u8>,
    /// Requests for whose answer the till stops waiting, and that may still arrive.
    #[arg(long)]
    late: Option<u8>,
    /// Messages that arrive twice.
    #[arg(long)]
    duplicates: Option<u8>,
    /// Restores of tills from a backup, with and without the file outside the database.
    #[arg(long)]
    restores: Option<u8>,
    /// Copies of tills.
    #[arg(long)]
    copies: Option<u8>,
    /// Restores of the cloud from a backup.
    #[arg(long)]
    cloud_restores: Option<u8>,
    /// Roll-ups of the cloud's stock.
    #[arg(long)]
    roll_ups: Option<u8>,
    /// Messages under way for which one till waits; 1 is what the session does.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=8))]
    in_flight: Option<u8>,
    /// Entries in one push.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64))]
    items: Option<u8>,
    /// Copies and restored tills give the names of their sales again (B.2).
    #[arg(long)]
    same_names: bool,
    /// The file outside the database is never restored or copied: no receipt may come twice.
    #[arg(long)]
    witness_stays: bool,
    /// A till is stopped for its backup, and started again.
    #[arg(long)]
    cold_backups: bool,
}

impl Own {
    /// Returns the configuration, if anything was said of it.
    fn config(&self) -> Option<Config> {
        let counts = [
            self.tills,
            self.sales,
            self.crashes,
            self.losses,
            self.late,
            self.duplicates,
            self.restores,
            self.copies,
            self.cloud_restores,
            self.roll_ups,
            self.in_flight,
            self.items,
        ];
        let said = self.same_names || self.witness_stays || self.cold_backups;
        if counts.iter().all(Option::is_none) && !said {
            return None;
        }
        let plain = Config::default();
        Some(Config {
            tills: self.tills.unwrap_or(plain.tills),
            in_flight: self.in_flight.unwrap_or(plain.in_flight),
            items: self.items.unwrap_or(plain.items),
            bounds: Bounds {
                sales: self.sales.unwrap_or(2),
                crashes: self.crashes.unwrap_or(0),
                losses: self.losses.unwrap_or(0),
                late: self.late.unwrap_or(0),
                duplicates: self.duplicates.unwrap_or(0),
                restores: self.restores.unwrap_or(0),
                copies: self.copies.unwrap_or(0),
                cloud_restores: self.cloud_restores.unwrap_or(0),
                roll_ups: self.roll_ups.unwrap_or(0),
            },
            with_witness: !self.witness_stays,
            cold_backups: self.cold_backups,
            numbers: if self.same_names { Numbers::Own } else { Numbers::Random },
            ..plain
        })
    }
}

/// Explores, and says what was found: 0 all laws held everywhere, 1 one was broken, 3 not every
/// state was visited.
pub(super) fn run(args: &Explore) -> anyhow::Result<ExitCode> {
    if args.list {
        for config in &NAMED {
            println!("{}", config.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut explored = Vec::new();
    for config in chosen(args)? {
        explored.push(with_progress(&config, args));
    }
    if args.json {
        println!("{}", explore::json(&explored));
    } else {
        print!("{}", explore::text(&explored));
    }
    if explored.iter().any(|one| one.counterexample.is_some()) {
        return Ok(ExitCode::from(1));
    }
    let cut = explored.iter().any(|one| !one.complete) && !args.cut_is_fine;
    Ok(if cut { ExitCode::from(CUT) } else { ExitCode::SUCCESS })
}

fn chosen(args: &Explore) -> anyhow::Result<Vec<Config>> {
    if let Some(own) = args.own.config() {
        return Ok(vec![own]);
    }
    if args.only.is_empty() {
        return Ok(NAMED[..USUAL].to_vec());
    }
    if args.only == ["all"] {
        return Ok(NAMED.to_vec());
    }
    let named = |name: &String| {
        let found = NAMED.iter().find(|config| config.name == name).copied();
        found.ok_or_else(|| anyhow::anyhow!("no configuration is called {name}; see --list"))
    };
    args.only.iter().map(named).collect()
}

fn with_progress(config: &Config, args: &Explore) -> Explored {
    let bar = ProgressBar::new_spinner();
    if args.json && !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{prefix:>20} {spinner} {msg}  {elapsed}") {
        bar.set_style(style);
    }
    bar.set_prefix(config.name);
    let explored = explore::explore(config, args.states_max, args.jobs, |states, steps, depth| {
        bar.tick();
        bar.set_message(format!("{states} states, {steps} transitions, depth {depth}"));
    });
    bar.finish();
    explored
}
