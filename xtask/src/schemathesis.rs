//! `cargo xtask schemathesis`: a generator of requests that we did not write reads a node's own
//! `/openapi.json` and looks for answers that it does not tell of: a server error, a status, a
//! kind, a header or a body.
//!
//! The generator is [Schemathesis](https://pypi.org/project/schemathesis/), fetched by pip into a
//! directory of its own under `target`. The node is a real one, with a till, a user, an operator
//! and some rows, so that there is something to be found; it has no rates, or nearly every answer
//! would be 429. Streams of events have no end and are left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use counterfoil_tests::binaries::{self, Profile, root};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::http::ask;
use serde_json::{Value, json};

/// The version whose findings are known.
const PACKAGE: &str = "schemathesis==4.32.5";
/// What an answer is held to. That it also accepts whatever the document allows is no claim of
/// ours: an order of a product that is not there fits the schema, and is refused.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,ignored_auth";
/// What it is told of media types that it does not know: such a body is sent as it is drawn.
const HOOKS: &str = r#"
import schemathesis

@schemathesis.serializer("application/vnd.counterfoil.v1.parcel")
def as_it_is(context, value):
    return value if isinstance(value, bytes) else str(value).encode()
"#;
const OPERATOR: &str = "the-operators-token-of-a-trial";
const SCOPES: [&str; 3] = ["sales:create", "stock:adjust", "catalog:read"];

/// How long to look.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Schemathesis {
    /// Requests of each operation that are drawn, beside those at the bounds of its schemas
    #[arg(long, default_value_t = 50, value_name = "N")]
    examples: u32,
    /// Leave out requests at the bounds of the schemas: with --examples 10 a minute or two
    #[arg(long)]
    short: bool,
    /// What is drawn follows from this
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Where the node keeps its rows, as on its command line (default: sled in a new directory)
    #[arg(long, value_name = "LOCATION")]
    store: Option<String>,
}

/// Returns whether no answer was found that the document does not tell of.
pub(crate) fn run(wish: &Schemathesis) -> anyhow::Result<bool> {
    let home = root().join("target/schemathesis");
    let Some(program) = installed(&home)? else {
        println!("NOT RUN: python3 with pip and venv is needed to fetch Schemathesis");
        return Ok(true);
    };
    let directory = tempfile::Builder::new().prefix("counterfoil-schemathesis-").tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let begun = Instant::now();
    let (mut cloud, address, config) = runtime.block_on(node(wish, directory.path()))?;
    let mut look = Command::new(program);
    look.arg("--config-file").arg(&config).arg("run").arg("--no-color");
    fs::write(directory.path().join("hooks.py"), HOOKS)?;
    look.env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONPATH", directory.path());
    look.args(["--url", &format!("http://{address}"), "--checks", CHECKS]);
    look.args(["--exclude-path", "/v1/live", "--exclude-path", "/v1/admin/live"]);
    look.args(["--seed", &wish.seed.to_string(), "--max-examples", &wish.examples.to_string()]);
    look.args([
        "--phases",
        if wish.short { "examples,fuzzing" } else { "examples,coverage,fuzzing" },
    ]);
    look.args(["--generation-database", "none", "--request-timeout", "30"]);
    look.args(["--suppress-health-check", "all", "--warnings", "off", "--continue-on-failure"]);
    look.arg(format!("http://{address}/openapi.json")).current_dir(directory.path());
    let found = look.status().context("schemathesis cannot be started")?;
    // A node that has panicked, or has lost count, is found here.
    runtime.block_on(cloud.stop())?;
    let check = runtime.block_on(cloud.check())?;
    ensure!(check.problems_found == 0, "the books are not in order: {check:?}");
    let log = fs::read_to_string(directory.path().join("cloud.log"))?;
    ensure!(!log.contains("panicked"), "a handler panicked:\n{log}");
    println!("looked for {} s, the books are in order", begun.elapsed().as_secs());
    Ok(found.success())
}

/// Returns the program, fetched if it is not there; none where there is no pip.
fn installed(home: &Path) -> anyhow::Result<Option<PathBuf>> {
    let program = home.join("bin/schemathesis");
    // Named by what it holds: another version is fetched anew.
    let mark = home.join(PACKAGE);
    if mark.is_file() && program.is_file() {
        return Ok(Some(program));
    }
    if !Command::new("python3")
        .args(["-m", "pip", "--version"])
        .output()
        .is_ok_and(|ran| ran.status.success())
    {
        return Ok(None);
    }
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(home).output();
    if !made.is_ok_and(|made| made.status.success()) {
        return Ok(None);
    }
    let ran = Command::new(home.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE])
        .output()
        .context("pip cannot be started")?;
    ensure!(ran.status.success(), "pip cannot fetch it: {}", String::from_utf8_lossy(&ran.stderr));
    fs::write(&mark, "")?;
    Ok(Some(program))
}

/// Starts a node with something in it, and writes down who may ask what.
async fn node(wish: &Schemathesis, directory: &Path) -> anyhow::Result<(Cloud, String, PathBuf)> {
    let programs = binaries::build(Profile::Test)?;
    let token = directory.join("operator");
    fs::write(&token, OPERATOR)?;
    let own = format!("sled:{}", directory.join("store").display());
    let store = wish.store.clone().unwrap_or(own);
    let cloud = Cloud::new(&programs.cloud, store, directory.join("cloud.log"));
    let mut cloud = cloud.with_operator(token).with_arguments(&["--rate", "0", "--byte-rate", "0"]);
    let user = cloud.add_user("shop", "north", "anna", &SCOPES).await?;
    let till = cloud.enrol("shop", "north", "T-1").await?;
    let address = cloud.start("127.0.0.1:0").await?;
    fill(&address).await?;
    let config = directory.join("schemathesis.toml");
    let bearer =
        |scheme: &str, token: &str| format!("[auth.openapi.{scheme}]\nbearer = \"{token}\"\n");
    let text = [bearer("till", &till), bearer("user", &user), bearer("operator", OPERATOR)];
    // Another shop's name is refused before anything is looked at.
    let shop = "[parameters]\n\"header.x-shop-id\" = \"shop\"\n";
    fs::write(&config, [shop.to_owned(), text.concat()].concat())?;
    Ok((cloud, address, config))
}

/// Gives the shop products, a stock, an order, and something that waits.
async fn fill(address: &str) -> anyhow::Result<()> {
    let product = |id: &str| {
        json!({"put": {"product": {"productId": id, "name": "Tea", "barcodes": ["4001"],
            "priceMinor": 255, "currency": "GBP", "taxPpm": 200_000, "unit": "pcs",
            "category": "drinks", "active": true}}})
    };
    let edits = json!({"shopId": "shop", "edits": [product("tea"), product("0"),
        {"put": {"category": {"categoryId": "drinks", "name": "Drinks"}}},
        {"put": {"customer": {"customerId": "c-1", "name": "Carla"}}},
        {"branchId": "north", "put": {"branchPrice": {"productId": "tea", "priceMinor": 249}}}]});
    // A commit of its own: one commit changes each entity once.
    let gone = json!({"shopId": "shop", "edits": [
        {"delete": {"kind": "category", "id": "drinks"}}]});
    let order = json!({"shopId": "shop", "branchId": "north", "orderId": "web-1",
        "createdAtMs": 1_705_314_600_000_u64,
        "lines": [{"productId": "tea", "quantityMilli": 1_000}]});
    let low = json!({"shopId": "shop", "thresholds": [{"productId": "tea", "belowMilli": 5_000}]});
    for (method, path, body) in [
        ("POST", "/v1/admin/catalog", edits),
        ("POST", "/v1/admin/catalog", gone),
        ("POST", "/v1/admin/orders", order),
        ("PUT", "/v1/admin/low-stock", low),
        ("POST", "/v1/admin/terminals/T-1/verify", Value::Null),
    ] {
        let told = ask(address, method, path, OPERATOR, body.to_string().into_bytes()).await?;
        ensure!(told.status < 300, "{path}: {}", String::from_utf8_lossy(&told.body));
    }
    Ok(())
}
