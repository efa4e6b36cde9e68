//! `bench reconcile`: what it costs to find and mend drift, beside a list of all rows and beside
//! what no exchange can do without.
//!
//! Bytes are those of the messages' binary form, both ways, without HTTP. Catalogs are made in
//! memory; only the deep count reads a disk.

mod catalog;

use std::time::Instant;

use anyhow::{Context as _, bail};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use counterfoil_protocol::reconcile::{Inputs, Next, Verify, census};
use counterfoil_protocol::wire::reconcile::{
    EntitiesAnswer, EntitiesAsk, ReconcileAnswer, ReconcileAsk,
};
use serde::Serialize;

use self::catalog::{Cloud, Till};
use super::{fraction, median, per_mille};

const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];
const DRIFTS: [u64; 6] = [0, 1, 10, 100, 1_000, 10_000];
/// How often a time is taken; the middle one counts.
const ROUNDS: usize = 5;
/// How many drifted tills are told apart from the cloud; of a million rows three.
const DRAWS: u64 = 9;
/// The rows of the catalog that is read from a disk.
const DEEP_ROWS: u64 = 100_000;
/// What a list of all rows would send for each: a name's hash of 16 bytes, and one of its content.
const LISTED_BYTES: u64 = 48;

/// Reconcile.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Reconcile {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Leave the catalog of a million rows out
    #[arg(long)]
    small: bool,
}

/// One exchange.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Row {
    rows: u64,
    drifts: u64,
    /// Bytes both ways until the till knows which rows differ, their keys included.
    find_bytes: u64,
    /// With the rows themselves.
    all_bytes: u64,
    round_trips: u64,
    /// The cloud said that a snapshot is the way.
    snapshot: bool,
    manifest_bytes: u64,
    /// What tells the rows apart from all others, for whoever knows both sides.
    bound_bytes: u64,
    /// The cloud's work for all answers of the exchange, in nanoseconds.
    server_ns: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Deep {
    rows: u64,
    read_micros: u64,
    count_micros: u64,
    plan_micros: u64,
}

/// Measures and prints.
pub(crate) fn run(wish: &Reconcile) -> anyhow::Result<()> {
    let sizes = if wish.small { &SIZES[..2] } else { &SIZES[..] };
    let mut rows = Vec::new();
    let mut built = Vec::new();
    for size in sizes {
        let mut cloud = Cloud::new(*size)?;
        built.push((*size, cloud.build_micros));
        for drifts in DRIFTS {
            rows.push(exchange(&mut cloud, *size, drifts)?);
        }
    }
    let deep = deep()?;
    if wish.json {
        let told = serde_json::json!({ "bench": "reconcile", "exchanges": rows, "deep": deep,
            "mirrorBuildMicros": built });
        println!("{told}");
        return Ok(());
    }
    print_exchanges(&rows);
    println!(
        "means of {DRAWS} drifted tills (of a million rows of 3), the most round trips of any"
    );
    println!("the cloud reads its catalog once after a start:");
    for (size, micros) in built {
        println!("  {size:>9} rows {micros:>9} us");
    }
    print_deep(deep);
    Ok(())
}

fn exchange(cloud: &mut Cloud, size: u64, drifts: u64) -> anyhow::Result<Row> {
    let manifest_bytes = size * LISTED_BYTES;
    let bound_bytes = bound_bits(size, drifts).div_ceil(8);
    let mut row = Row { rows: size, drifts, manifest_bytes, bound_bytes, ..Row::default() };
    if drifts > size {
        row.snapshot = true;
        return Ok(row);
    }
    let draws = if size > 100_000 { 3 } else { DRAWS };
    for draw in 0..draws {
        exchange_once(cloud, &mut row, draw)?;
    }
    let mean = |sum: u64| sum.div_ceil(draws);
    row.find_bytes = mean(row.find_bytes);
    row.all_bytes = mean(row.all_bytes);
    row.server_ns = mean(row.server_ns);
    Ok(row)
}

/// Adds one exchange about a till of its own.
fn exchange_once(cloud: &mut Cloud, row: &mut Row, draw: u64) -> anyhow::Result<()> {
    let till = Till::drifted(row.rows, row.drifts, draw)?;
    let mut trips = 0;
    let mut verify = till.begin()?;
    let mut next = Next::Ask(verify.ask());
    loop {
        next = match next {
            Next::Ask(ask) => {
                let frame = ask.encode();
                let ask = ReconcileAsk::decode(&frame)?;
                // Not the first question of this size: the mirror's sketch has grown.
                let _grown = cloud.answer(&ask)?;
                let begun = Instant::now();
                let answer = cloud.answer(&ask)?.encode();
                row.server_ns += u64::try_from(begun.elapsed().as_nanos())?;
                trips += 1;
                row.find_bytes += (frame.len() + answer.len()) as u64;
                row.all_bytes += (frame.len() + answer.len()) as u64;
                verify.answered(ReconcileAnswer::decode(&answer)?)?
            }
            Next::Fetch(ask) => {
                let frame = ask.encode();
                let ask = EntitiesAsk::decode(&frame)?;
                let begun = Instant::now();
                let answer = cloud.entities(&ask)?.encode();
                row.server_ns += u64::try_from(begun.elapsed().as_nanos())?;
                trips += 1;
                row.find_bytes += frame.len() as u64;
                row.all_bytes += (frame.len() + answer.len()) as u64;
                verify.rows(EntitiesAnswer::decode(&answer)?)?
            }
            Next::Ready => break,
            Next::Snapshot { .. } => {
                row.snapshot = true;
                row.round_trips = row.round_trips.max(trips);
                return Ok(());
            }
            Next::Again => bail!("nobody edits this catalog"),
        };
    }
    row.round_trips = row.round_trips.max(trips);
    let plan = verify.plan(&till.inputs(&verify)?)?;
    anyhow::ensure!(plan.items.len() as u64 == row.drifts, "each drifted row is in the plan, once");
    Ok(())
}

/// Counts a catalog on a disk, against only reading it.
fn deep() -> anyhow::Result<Deep> {
    let directory = tempfile::tempdir()?;
    let till = Till::on_disk(DEEP_ROWS, 10, directory.path())?;
    let mut cloud = Cloud::new(DEEP_ROWS)?;
    let (mut read, mut count, mut plan) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let rows = till.read_all()?;
        read.push(u64::try_from(begun.elapsed().as_micros())?);
        anyhow::ensure!(rows >= DEEP_ROWS - 10, "every row was read");
        let begun = Instant::now();
        let verify = till.begin()?;
        count.push(u64::try_from(begun.elapsed().as_micros())?);
        let begun = Instant::now();
        planned(verify, &till, &mut cloud)?;
        plan.push(u64::try_from(begun.elapsed().as_micros())?);
    }
    let (read_micros, count_micros) = (median(read), median(count));
    Ok(Deep { rows: DEEP_ROWS, read_micros, count_micros, plan_micros: median(plan) })
}

fn planned(mut verify: Verify, till: &Till, cloud: &mut Cloud) -> anyhow::Result<()> {
    let Next::Fetch(ask) = verify.answered(cloud.answer(&verify.ask())?)? else {
        bail!("ten drifted rows are found with one question")
    };
    verify.rows(cloud.entities(&ask)?)?;
    let inputs: Inputs = till.inputs(&verify)?;
    let plan = verify.plan(&inputs)?;
    anyhow::ensure!(plan.items.len() == 10, "each drifted row is in the plan");
    Ok(())
}

fn print_exchanges(rows: &[Row]) {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "rows",
        "drifted",
        "find, B",
        "B/drift",
        "with rows, B",
        "trips",
        "manifest, B",
        "bound, B",
        "server, us",
    ]);
    for row in rows {
        let each = row.find_bytes.checked_div(row.drifts).map(|each| each.to_string());
        let number = |number: u64| number.to_string();
        let found = if row.snapshot { "snapshot".to_owned() } else { number(row.find_bytes) };
        let micros = fraction(row.server_ns);
        table.add_row([
            number(row.rows),
            number(row.drifts),
            found,
            each.filter(|_| !row.snapshot).unwrap_or_default(),
            number(row.all_bytes),
            number(row.round_trips),
            number(row.manifest_bytes),
            number(row.bound_bytes),
            micros,
        ]);
    }
    println!("{table}");
}

fn print_deep(deep: Deep) {
    let Deep { rows, read_micros, count_micros, plan_micros } = deep;
    let ratio = fraction(per_mille(count_micros, read_micros));
    println!("{rows} rows on a disk (redb):");
    println!("  only reading them   {read_micros:>9} us");
    println!("  counting them anew  {count_micros:>9} us, {ratio} of that (target: 2 at most)");
    println!("  from there to a plan of ten rows, without the network {plan_micros} us");
}

/// Returns log2 of the number of ways to choose `drifts` of `size`, in bits.
fn bound_bits(size: u64, drifts: u64) -> u64 {
    let bits: u64 = (0..drifts.min(size)).map(|n| log2(size - n).saturating_sub(log2(n + 1))).sum();
    bits >> 16
}

/// Returns log2 in 65,536ths.
fn log2(number: u64) -> u64 {
    let whole = u64::from(63 - number.max(1).leading_zeros());
    // The rest by squaring: each time it passes 2, a bit more.
    let mut rest = (u128::from(number.max(1)) << 62) >> whole;
    let mut bits = 0;
    for _ in 0..16 {
        rest = (rest * rest) >> 62;
        bits <<= 1;
        if rest >= 2 << 62 {
            rest >>= 1;
            bits |= 1;
        }
    }
    (whole << 16) | bits
}

/// Returns the rows of a till, counted.
fn begun<S>(store: &S, state: &catalog::State) -> anyhow::Result<Verify>
where
    S: counterfoil_protocol::machine::Query<counterfoil_protocol::terminal::Terminal>,
    S::Error: std::fmt::Debug,
{
    let counted = catalog::now(census(store));
    let counted = counted.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    Verify::new(state.identity, &state.catalog, counted).context("the catalog is complete")
}
