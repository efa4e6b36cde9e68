//! `doctor`: is this till in order?

use std::time::Duration;

use comfy_table::{Cell, Color};
use counterfoil_protocol::session::Fault;
use counterfoil_protocol::terminal::pull;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::inbox::Cursor;
use serde_json::{Value, json};

use super::Failure;
use super::access::{Access, Way, print};
use super::args::At;
use super::show::{Show, table};
use crate::client::Client;
use crate::config::{Config, Home};
use crate::daemon::{self, Disk};
use crate::doctor::{Finding, Level, cloud, place};
use crate::ports::{Clock as _, Entropy as _, SystemClock, SystemEntropy};
use crate::sync::{APP, cloud_ahead};
use crate::till::{Till, TillError, storage_failed};

/// How long the cloud may take to answer.
const WAIT: Duration = Duration::from_secs(15);

pub(super) async fn doctor(show: Show, at: At) -> Result<(), Failure> {
    let home = at.home();
    let config = home.config()?;
    let findings = examine(&home, &config, Access::to_read(home.clone()).await).await;
    tell(show, &findings)?;
    let failed = findings.iter().filter(|finding| finding.level == Level::Fail).count();
    match failed {
        0 => Ok(()),
        1 => Err(Failure::Refused("one thing does not work".to_owned())),
        _ => Err(Failure::Refused(format!("{failed} things do not work"))),
    }
}

/// Looks at everything.
pub(super) async fn examine(
    home: &Home,
    config: &Config,
    access: Result<Access, Failure>,
) -> Vec<Finding> {
    let mut findings = place::look(home, config);
    match access {
        Ok(access) => findings.extend(inside(home, config, &access).await),
        Err(failure) => findings.push(shut(&failure)),
    }
    findings.extend(cloud::reach(config).await);
    findings
}

/// What can be seen by whoever has the database, and hears from the cloud.
async fn inside(home: &Home, config: &Config, access: &Access) -> Vec<Finding> {
    let mut findings = Vec::new();
    match access.way() {
        Way::Daemon(client) => {
            findings.push(Finding::ok("daemon", "runs, and answers"));
            match client.get::<Vec<Finding>>("/doctor").await {
                Ok(found) => findings.extend(found),
                Err(error) => findings.push(unreadable(&error.to_string())),
            }
            findings.extend(asked(home, config, client).await);
        }
        Way::Direct(till) => {
            findings.push(Finding::warn(
                "daemon",
                "does not run",
                "nothing is sent by itself, and the till page is not served",
                "start `terminal-node run`, unless this till is used by commands alone",
            ));
            match till.examine().await {
                Ok(found) => findings.extend(found),
                Err(error) => findings.push(unreadable(&error.to_string())),
            }
            findings.extend(greeted(home, config, till).await);
        }
    }
    findings
}

/// Asks the cloud for something that needs the credential and changes nothing: a daemon that has
/// nothing to send says nothing, so what it heard last may be long ago.
async fn asked(home: &Home, config: &Config, client: &Client) -> Vec<Finding> {
    let status: Value = client.get("/status").await.unwrap_or_default();
    let clock = cloud::clock(status["link"]["cloudAheadMs"].as_i64());
    if let Some(why) = status["quarantineReason"].as_str() {
        return vec![cloud::refused(why), clock];
    }
    let mut transport = match daemon::transport(home, config) {
        Ok(transport) => transport,
        Err(error) => return vec![cloud::refused(&error.to_string()), clock],
    };
    let asking = transport.pending(Cursor::default(), 1, 1, SystemEntropy.draw());
    let answer = tokio::time::timeout(WAIT, asking).await.unwrap_or(Err(Fault::Transport));
    vec![cloud::greeting(answer.err()), clock]
}

/// Greets the cloud without a daemon. What it answers is looked at, and changes nothing here.
async fn greeted(home: &Home, config: &Config, till: &Till<Disk>) -> Vec<Finding> {
    match greet(home, config, till).await {
        Ok(Ok(ahead)) => vec![cloud::greeting(None), cloud::clock(Some(ahead))],
        Ok(Err(fault)) => vec![cloud::greeting(Some(fault)), cloud::clock(None)],
        Err(failure) => vec![cloud::refused(&failure.to_string()), cloud::clock(None)],
    }
}

async fn greet(
    home: &Home,
    config: &Config,
    till: &Till<Disk>,
) -> Result<Result<i64, Fault>, Failure> {
    let mut transport = daemon::transport(home, config)?;
    let hello = {
        let reading = till.reading().await?;
        let meta = pull::meta(&*reading).await.map_err(storage_failed)?;
        let meta = meta.ok_or(TillError::NotInstalled(None))?;
        pull::hello(&*reading, &meta, SystemClock.now(), APP).await.map_err(storage_failed)?
    };
    let (sent, begun) = (SystemClock.now(), tokio::time::Instant::now());
    let answer = tokio::time::timeout(WAIT, transport.greet(&hello, 1, till.draw())).await;
    Ok(answer.unwrap_or(Err(Fault::Transport)).map(|welcome| {
        let way = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let way = Millis(way);
        cloud_ahead(sent, way, welcome.server_time_ms)
    }))
}

fn unreadable(why: &str) -> Finding {
    Finding::fail(
        "database",
        why,
        "a row cannot be read, so the till does not open or has stopped",
        "keep the directory as it is, restart the till's program once, and restore a backup if \
         that does not help",
    )
}

fn shut(failure: &Failure) -> Finding {
    Finding::fail(
        "database",
        failure.to_string(),
        "nobody can look into it",
        "if another process has it, stop that or let it answer; else restore a backup, and keep \
         the directory as it is",
    )
}

fn tell(show: Show, findings: &[Finding]) -> Result<(), Failure> {
    if show.json {
        return print(&format!("{:#}\n", json!(findings)));
    }
    let mut text = String::new();
    let mut table = table();
    table.set_header(["", "what", "found"]);
    for finding in findings {
        let level = match finding.level {
            Level::Ok => Cell::new("ok").fg(Color::Green),
            Level::Warn => Cell::new("warn").fg(Color::Yellow),
            Level::Fail => Cell::new("FAIL").fg(Color::Red),
        };
        table.add_row([level, Cell::new(&finding.check), Cell::new(&finding.found)]);
        if finding.level != Level::Ok {
            let Finding { check, means, next, .. } = finding;
            text += &format!("{check}: {means}\n    next: {next}\n");
        }
    }
    print(&format!("{table}\n{text}"))
}
