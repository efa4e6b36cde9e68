//! `cargo xtask audit`: which requirement is shown by which law and which tests.
//!
//! The claims stand in `spec/requirements.toml`. A claim fails if it has no test, or one that does
//! not exist, or one that did not pass in the last `cargo xtask test`. A law fails if an end of its
//! chain is loose: see [`chain`]. `docs/audit.md` is all of that as a page.

mod chain;
mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::IsTerminal as _;

use anyhow::{Context as _, bail};
use comfy_table::{ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};
use counterfoil_sim::law::Law;
use counterfoil_tests::binaries::root;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::record::{self, Names};
use crate::spec::seen;

/// How wide the table is where no terminal says it.
const WIDTH: u16 = 120;
const CLAIMS: &str = "spec/requirements.toml";
const PAGE: &str = "docs/audit.md";

/// The laws of the design, and the one that the simulator adds for programs as such. Those that it
/// checks must be among them, and be claimed.
const LAWS: [&str; 16] = [
    "ZeroLoss",
    "NoDuplicate",
    "NoPhantom",
    "AckedIsDurable",
    "NeverForgotten",
    "JournalIntact",
    "InboxOnce",
    "StockIsSum",
    "CatalogConverges",
    "OwnershipHolds",
    "BranchIsolation",
    "PlanIsSafe",
    "ReceiptsGapless",
    "QueueDrains",
    "OutputAfterCommit",
    "NoPanic",
];

/// Print the table of requirements.
#[derive(Debug, clap::Args)]
pub(crate) struct Audit {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Write docs/audit.md anew
    #[arg(long)]
    markdown: bool,
    /// Fail if there is no record of a test run
    #[arg(long)]
    require_run: bool,
    /// Let those that need a browser be missing in it, and say which
    #[arg(long)]
    no_browser: bool,
    /// Let those that need the compiler's target for browsers be missing in it, and say which
    #[arg(long)]
    no_wasm: bool,
    /// Let those that need a PostgreSQL server be missing in it, and say which
    #[arg(long)]
    no_postgres: bool,
}

/// A requirement and what is claimed of it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    text: String,
    status: Status,
    /// The issue in which it is, or will be, shown.
    issue: u8,
    #[serde(default)]
    laws: Vec<String>,
    #[serde(default)]
    tests: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// The tests show all of it.
    Shown,
    /// The tests show a part of it.
    Partly,
    /// Nothing is claimed yet.
    Planned,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Partly => "partly",
            Self::Planned => "planned",
        }
    }
}

/// Audits; `false` if a claim does not hold.
pub(crate) fn run(audit: &Audit) -> anyhow::Result<bool> {
    let text = fs::read_to_string(root().join(CLAIMS)).context(CLAIMS)?;
    let claims: BTreeMap<String, Claim> = toml::from_str(&text).context(CLAIMS)?;
    let mut ran = record::ran()?;
    if ran.is_none() && audit.require_run {
        bail!("there is no record of a test run: `cargo xtask test` makes one");
    }
    if let Some(ran) = &mut ran {
        ran.extend(seen::right()?);
    }
    let mut exist = record::exist()?;
    exist.extend(seen::names()?);
    let left_out = without(&mut ran, &exist, |test| {
        let name = test.rsplit("::").next().unwrap_or(test);
        (audit.no_browser && record::needs_browser(name))
            || (audit.no_wasm && record::needs_wasm(name))
            || (audit.no_postgres && record::needs_postgres(test))
    });
    let mut problems = problems(&claims, &exist, ran.as_ref());
    let sorted = sorted(&claims);
    let chains = chain::chains()?;
    problems.extend(chain::problems(&chains)?);
    let page = page::page(&sorted, &chains);
    if audit.markdown {
        fs::write(root().join(PAGE), &page).context(PAGE)?;
    } else if fs::read_to_string(root().join(PAGE)).ok().as_deref() != Some(page.as_str()) {
        problems.push(format!("{PAGE} is out of date: `cargo xtask audit --markdown` makes it"));
    }
    if audit.json {
        let told = json!({
            "requirements": sorted.iter().map(|(id, claim)| json!({"id": id, "claim": claim}))
                .collect::<Vec<_>>(),
            "tests": exist.len(),
            "ran": ran.as_ref().map(BTreeSet::len),
            "problems": problems,
            "left_out": left_out,
        });
        println!("{told}");
    } else {
        print(&sorted, &exist, ran.as_ref());
        problems.iter().for_each(|problem| println!("FAILS: {problem}"));
        left_out.iter().for_each(|test| println!("NOT RUN, what it needs is not here: {test}"));
    }
    Ok(problems.is_empty())
}

/// Takes the tests that need what is not here for passed, and returns those that were not run.
fn without(ran: &mut Option<Names>, exist: &Names, needs: impl Fn(&str) -> bool) -> Vec<String> {
    let Some(ran) = ran else { return Vec::new() };
    let left_out: Vec<String> =
        exist.difference(ran).filter(|test| needs(test.as_str())).cloned().collect();
    ran.extend(left_out.iter().cloned());
    left_out
}

fn problems(claims: &BTreeMap<String, Claim>, exist: &Names, ran: Option<&Names>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut named = BTreeSet::new();
    for (id, claim) in claims {
        for law in &claim.laws {
            if !LAWS.contains(&law.as_str()) {
                problems.push(format!("{id}: there is no law {law}"));
            }
            named.insert(law.as_str());
        }
        match claim.status {
            Status::Planned if !claim.tests.is_empty() => {
                problems.push(format!("{id} has tests and claims nothing"));
            }
            Status::Shown | Status::Partly if claim.tests.is_empty() => {
                problems.push(format!("{id} is claimed without a test"));
            }
            Status::Shown | Status::Partly | Status::Planned => {}
        }
        for test in &claim.tests {
            if !exist.contains(test) {
                problems.push(format!("{id}: there is no test {test}"));
            } else if ran.is_some_and(|ran| !ran.contains(test)) {
                problems.push(format!("{id}: {test} did not pass when the suite ran"));
            }
        }
    }
    for law in Law::ALL {
        if !LAWS.contains(&law.as_str()) {
            problems.push(format!("the simulator checks {law}, which the design does not name"));
        }
        if !named.contains(law.as_str()) {
            problems.push(format!("no requirement names the law {law}"));
        }
    }
    problems
}

/// Sorts S0.2 before S0.10.
fn sorted(claims: &BTreeMap<String, Claim>) -> Vec<(&String, &Claim)> {
    let number = |id: &str| id.split_once('.').and_then(|(_, number)| number.parse::<u32>().ok());
    let group = |id: &str| match id.split_once('.') {
        // S, C, B: as the requirements stand.
        Some((group, _)) => {
            (["S", "C", "B"].iter().position(|g| group.starts_with(g)), group.to_owned())
        }
        None => (None, String::new()),
    };
    let mut sorted: Vec<_> = claims.iter().collect();
    sorted.sort_by_key(|(id, _)| (group(id), number(id)));
    sorted
}

fn print(claims: &[(&String, &Claim)], exist: &Names, ran: Option<&Names>) {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_width(WIDTH);
    }
    table.set_header(["id", "status", "issue", "tests", "laws", "requirement"]);
    for (id, claim) in claims {
        let status = claim.status.as_str();
        let passed = |test: &&String| ran.unwrap_or(exist).contains(*test);
        let tests = match claim.tests.len() {
            0 => String::new(),
            all => format!("{} of {all}", claim.tests.iter().filter(passed).count()),
        };
        let laws = claim.laws.join(", ");
        table.add_row([id, status, &claim.issue.to_string(), &tests, &laws, &claim.text]);
    }
    println!("{table}");
    let count = |status| claims.iter().filter(|(_, claim)| claim.status == status).count();
    println!(
        "{} requirements: {} shown, {} partly, {} planned; {} tests exist",
        claims.len(),
        count(Status::Shown),
        count(Status::Partly),
        count(Status::Planned),
        exist.len(),
    );
    match ran {
        Some(ran) => println!("{} tests passed in the recorded run", ran.len()),
        None => println!("no run is recorded: `cargo xtask test` makes a record"),
    }
}
