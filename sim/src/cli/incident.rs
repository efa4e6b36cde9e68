//! `replay BUNDLE`: the incident of a real till.

use std::path::Path;

use anyhow::Context as _;
use counterfoil_sim::incident::{self, Incident, IncidentError, Retold};
use counterfoil_sim::law::Law;

use super::verdict::End;
use super::{Replay, show};

/// Returns the incident in a file, if it holds one and no plan.
pub(crate) fn read(file: &Path) -> anyhow::Result<Option<Incident>> {
    if file.extension().is_some_and(|end| end == "toml") {
        return Ok(None);
    }
    let bytes = std::fs::read(file)
        .with_context(|| format!("{} is neither a seed nor a readable file", file.display()))?;
    if !Incident::is_meant(&bytes) {
        return Ok(None);
    }
    let coded = |error: IncidentError| anyhow::anyhow!("{}: {error}", error.code());
    Incident::read(&bytes).map(Some).map_err(coded)
}

/// Plays an incident, and shows its story as it is wished.
pub(crate) fn replay(args: &Replay, incident: &Incident) -> anyhow::Result<End> {
    let retold = incident::replay(incident, args.size.shape().chaos_ms, true);
    if show(args, &retold.outcome.story, &format!("bundle {}", args.what))? {
        print(incident, &retold);
    }
    Ok(judge(&retold))
}

/// Says what was played, and what it showed.
fn print(incident: &Incident, retold: &Retold) {
    let Retold { outcome, differs, as_told, filled, left_out } = retold;
    let (version, entries) = (incident.version, incident.entries.len());
    println!(
        "bundle of version {version}: {entries} entries in {} histories, {} notes",
        incident.histories.len(),
        incident.notes.len(),
    );
    println!("{as_told} notes and answers came out as told");
    if *filled > 0 {
        println!("{filled} entries are not in the bundle and were filled in");
    }
    if *left_out > 0 {
        println!("{left_out} notes are about what is not in the bundle and were left out");
    }
    for what in differs {
        println!("not as told: {what}");
    }
    let laws = Law::ALL.iter().filter(|law| outcome.tally.checked(**law) > 0);
    let laws: Vec<String> =
        laws.map(|law| format!("{law} ({})", outcome.tally.checked(*law))).collect();
    println!("laws checked: {}", laws.join(", "));
    let idle = Law::ALL.iter().filter(|law| outcome.tally.checked(**law) == 0);
    let idle: Vec<&str> = idle.map(|law| law.as_str()).collect();
    if !idle.is_empty() {
        println!("never put to the test: {}", idle.join(", "));
    }
    match &outcome.violation {
        Some(violation) => println!("{violation}"),
        None => println!("No law was broken."),
    }
    if differs.is_empty() && outcome.violation.is_none() {
        println!("The roles tell the same story as the bundle.");
    }
}

/// Judges it.
const fn judge(retold: &Retold) -> End {
    match (&retold.outcome.violation, retold.differs.is_empty()) {
        (Some(_), _) => End::Broken,
        (None, false) => End::Differs,
        (None, true) => End::Held,
    }
}
