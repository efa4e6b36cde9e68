//! `cargo xtask zoo`: wrong protocols, each of which must be found.
//!
//! A law that nobody can break shows nothing. Each file in `sim/zoo` describes a mistake that
//! somebody could make: which text of our code becomes which, and what must notice. Each is made in
//! a copy of the tree, built, and handed to the simulator (or to a named test); one that is not
//! noticed within its seeds fails the command, and so does one whose text is not there any more.

mod accidents;
mod keep;
mod layers;
mod record;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use counterfoil_sim::law::Law;
use counterfoil_tests::binaries::root;
use serde::{Deserialize, Serialize};

use keep::Keep;
use layers::Layer;
use record::Record;

/// Where they are described.
const FOLDER: &str = "sim/zoo";
/// How many seeds are tried if a description does not say.
const SEEDS: u64 = 2_000;
/// Where hunts begin: how many seeds a mistake takes is the median of these.
const STARTS: [u64; 3] = [0, 1 << 32, 2 << 32];
/// How long a hunt may take.
const HUNT: Duration = Duration::from_secs(120);

/// Break the protocol on purpose.
#[derive(Debug, clap::Args)]
pub(crate) struct Zoo {
    /// Only these (default: all)
    names: Vec<String>,
    /// Only say which there are
    #[arg(long)]
    list: bool,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
    /// Write the table to this file too, as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Keep what is found in this file, beside what earlier runs have found: all of them, with
    /// every layer, take hours, and may be hunted in parts
    #[arg(long, value_name = "FILE", conflicts_with = "accidents")]
    record: Option<PathBuf>,
    /// Only those of which the record does not say all that is asked for
    #[arg(long, requires = "record")]
    missing: bool,
    /// Begin no hunt after this many minutes
    #[arg(long, value_name = "MINUTES", conflicts_with = "accidents")]
    minutes: Option<u64>,
    /// Let every layer look for each, and say which of them catches it
    #[arg(long, conflicts_with = "accidents")]
    matrix: bool,
    /// What has happened to others (the names are those of sim/accidents), each on the wrong
    /// protocol that makes the same mistake
    #[arg(long, conflicts_with_all = ["json", "markdown", "list"])]
    accidents: bool,
    /// Write a page for each accident into this folder
    #[arg(long, value_name = "FOLDER", requires = "accidents")]
    pages: Option<PathBuf>,
}

/// A mistake, as `sim/zoo/NAME.toml` describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrong {
    #[serde(skip)]
    name: String,
    /// What is wrong, in words.
    what: String,
    /// The laws of which the first failure must break one.
    #[serde(default)]
    breaks: BTreeSet<String>,
    /// Which simulator looks for it.
    #[serde(default)]
    level: Level,
    /// How many seeds it may take.
    seeds: Option<u64>,
    /// A test that must fail, in place of the simulator: package::target::filter.
    test: Option<String>,
    /// The variant of the specification that makes the same mistake.
    spec: Option<String>,
    edit: Vec<Edit>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    #[default]
    Model,
    Network,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Network => "network",
        }
    }
}

/// One change of a file: a text that is there once, and what stands there then.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    file: PathBuf,
    from: String,
    to: String,
}

/// What became of a mistake.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Catch {
    name: String,
    what: String,
    /// Whether what had to notice it did.
    found: bool,
    /// Who looked for it: a level of the simulator, or a test.
    level: String,
    /// The law that was broken, or the test that failed; none if nothing noticed.
    law: Option<String>,
    seed: Option<u64>,
    /// How many seeds it took, the median of several starts; none if a test found it.
    seeds: Option<u64>,
    said: Option<String>,
    /// What is wrong with the hunt.
    problem: Option<String>,
    /// What the specification says of it.
    spec: Option<String>,
    /// What each layer saw, if all were asked.
    layers: BTreeMap<Layer, Option<String>>,
    /// Of which commit the copy was; with a `+` if it had more than that.
    commit: String,
    ms: u64,
}

/// What noticed a mistake.
#[derive(Debug)]
struct Found {
    by: String,
    seed: Option<u64>,
    seeds: Option<u64>,
    said: String,
}

/// Hunts; `false` if a mistake was not found.
pub(crate) fn run(zoo: &Zoo) -> anyhow::Result<bool> {
    if zoo.accidents {
        return accidents::run(zoo);
    }
    let all = load(&root().join(FOLDER))?;
    let chosen: Vec<&Wrong> = all
        .iter()
        .filter(|wrong| zoo.names.is_empty() || zoo.names.contains(&wrong.name))
        .collect();
    for name in &zoo.names {
        ensure!(all.iter().any(|wrong| wrong.name == *name), "there is no {FOLDER}/{name}.toml");
    }
    if zoo.list {
        show::list(&chosen);
        return Ok(true);
    }
    let mut record = Record::open(zoo.record.as_deref(), &all)?;
    let lacking = |wrong: &&Wrong| !zoo.missing || record.lacks(wrong, zoo.matrix);
    let chosen: Vec<&Wrong> = chosen.into_iter().filter(lacking).collect();
    let caught = hunt_all(zoo, &chosen, &mut record)?;
    show::catches(&caught, zoo.json)?;
    if let Some(file) = &zoo.markdown {
        let text = show::markdown(&record.all());
        fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    if caught.len() < chosen.len() {
        eprintln!("{} were left for another run", chosen.len() - caught.len());
    }
    Ok(caught.iter().all(|catch| catch.found))
}

/// Hunts one after the other, as long as there is time.
fn hunt_all(zoo: &Zoo, chosen: &[&Wrong], record: &mut Record) -> anyhow::Result<Vec<Catch>> {
    let (keep, begun) = (Keep::new(&root())?, Instant::now());
    let limit = zoo.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let progress = show::progress(chosen.len() as u64);
    let mut caught = Vec::new();
    for wrong in chosen {
        if limit.is_some_and(|limit| begun.elapsed() >= limit) {
            break;
        }
        progress.set_message(wrong.name.clone());
        let mut catch = hunt(&keep, wrong)?;
        if zoo.matrix && catch.found {
            ask_all(&keep, wrong, &mut catch)?;
        }
        show::caught(&progress, &catch);
        record.note(catch.clone())?;
        caught.push(catch);
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(caught)
}

/// Lets every layer look for a mistake that has just been made and hunted.
fn ask_all(keep: &Keep, wrong: &Wrong, catch: &mut Catch) -> anyhow::Result<()> {
    if wrong.test.is_some() {
        keep.cargo(&["build", "--quiet", "--package", "counterfoil-sim"])?;
    }
    catch.layers = layers::look(keep)?;
    Ok(())
}

fn load(folder: &Path) -> anyhow::Result<Vec<Wrong>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let text = fs::read_to_string(&path)?;
        let wrong: Wrong = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let known = |law: &String| Law::ALL.iter().any(|known| known.as_str() == law);
        if let Some(law) = wrong.breaks.iter().find(|law| !known(law)) {
            bail!("{}: {law} is no law", path.display());
        }
        let watched = wrong.breaks.is_empty() == wrong.test.is_some();
        ensure!(watched, "{}: name laws or a test, not both", path.display());
        all.push(Wrong { name: name.to_owned(), ..wrong });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Makes the mistake in the copy, and looks who notices.
fn hunt(keep: &Keep, wrong: &Wrong) -> anyhow::Result<Catch> {
    let begun = Instant::now();
    let mut catch = Catch {
        name: wrong.name.clone(),
        what: wrong.what.clone(),
        found: false,
        level: if wrong.test.is_some() { "test" } else { wrong.level.as_str() }.to_owned(),
        law: None,
        seed: None,
        seeds: None,
        said: None,
        problem: None,
        spec: layers::specified(wrong)?,
        layers: BTreeMap::new(),
        commit: keep.commit()?,
        ms: 0,
    };
    keep.restore()?;
    if let Err(problem) = keep.spoil(&wrong.edit) {
        catch.problem = Some(problem.to_string());
        return Ok(catch);
    }
    let looked = match &wrong.test {
        Some(test) => by_test(keep, test),
        None => by_simulator(keep, wrong),
    };
    match looked {
        Ok(Some(found)) => {
            let expected = found.seed.is_none() || wrong.breaks.contains(&found.by);
            catch.problem = (!expected).then(|| format!("found, but by {}", found.by));
            catch.found = expected;
            let Found { by, seed, seeds, said } = found;
            (catch.law, catch.seed, catch.seeds, catch.said) = (Some(by), seed, seeds, Some(said));
        }
        Ok(None) => catch.problem = Some("nothing noticed".to_owned()),
        Err(problem) => catch.problem = Some(format!("{problem:#}")),
    }
    catch.ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(catch)
}

fn by_simulator(keep: &Keep, wrong: &Wrong) -> anyhow::Result<Option<Found>> {
    keep.cargo(&["build", "--quiet", "--package", "counterfoil-sim"])?;
    let Some(mut found) = hunt_from(keep, wrong, STARTS[0])? else { return Ok(None) };
    let mut needed = vec![found.seeds];
    for from in &STARTS[1..] {
        // A start that found nothing within the budget took all of it.
        let again = hunt_from(keep, wrong, *from)?.and_then(|found| found.seeds);
        needed.push(Some(again.unwrap_or_else(|| wrong.seeds.unwrap_or(SEEDS))));
    }
    needed.sort_unstable();
    found.seeds = needed[STARTS.len() / 2];
    Ok(Some(found))
}

fn hunt_from(keep: &Keep, wrong: &Wrong, from: u64) -> anyhow::Result<Option<Found>> {
    let level = wrong.level.as_str();
    let seeds = wrong.seeds.unwrap_or(SEEDS).to_string();
    let mut run = Command::new(keep.binary("sim"));
    run.args(["run", "--fail-fast", "--no-shrink", "--json", "--from", &from.to_string()]);
    run.args(["--level", level, "--seeds", &seeds]).stdout(Stdio::piped()).stderr(Stdio::null());
    let output = keep::within(run, HUNT)?;
    let Some(output) = output else {
        return Ok(Some(Found {
            by: "QueueDrains".into(),
            seed: Some(from),
            seeds: Some(1),
            said: format!("the simulator had not ended after {} s", HUNT.as_secs()),
        }));
    };
    let report: serde_json::Value =
        serde_json::from_slice(&output).context("the simulator prints JSON")?;
    let Some(failure) = report["failures"].get(0) else { return Ok(None) };
    let seed = failure["seed"].as_u64();
    Ok(Some(Found {
        by: failure["law"].as_str().unwrap_or_default().to_owned(),
        seed,
        // A plan that is kept runs before any seed.
        seeds: Some(seed.and_then(|seed| seed.checked_sub(from)).map_or(0, |before| before + 1)),
        said: failure["what"].as_str().unwrap_or_default().to_owned(),
    }))
}

fn by_test(keep: &Keep, test: &str) -> anyhow::Result<Option<Found>> {
    let mut parts = test.splitn(3, "::");
    let (Some(package), Some(target), Some(name)) = (parts.next(), parts.next(), parts.next())
    else {
        bail!("{test} is no package::target::name");
    };
    let place = match target {
        "lib" => vec!["--lib"],
        target => vec!["--test", target],
    };
    let built = [&["test", "--quiet", "--package", package][..], &place].concat();
    keep.cargo(&[&built[..], &["--no-run"]].concat())?;
    let failed = keep.cargo(&[&built[..], &["--", "--exact", name]].concat());
    Ok(failed.err().map(|said| Found {
        by: test.to_owned(),
        seed: None,
        seeds: None,
        said: said.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mistake that can no longer be made is found by nobody: whoever changes the code that one
    /// describes hears of it here, and not only from the command that builds them all.
    #[test]
    fn every_wrong_protocol_can_still_be_made() {
        let root = root();
        let all = load(&root.join(FOLDER)).expect("descriptions that can be read");
        assert!(all.len() >= 50, "{} wrong protocols", all.len());
        for wrong in &all {
            let Wrong { name, test, edit, .. } = wrong;
            layers::specified(wrong).expect("a variant that there is");
            if let Err(problem) = keep::spoiled(&root, edit) {
                panic!("{name}: {problem:#}");
            }
            let Some(test) = test else { continue };
            let [_, target, path] = test.splitn(3, "::").collect::<Vec<_>>()[..] else {
                panic!("{name}: {test} is no package::target::name");
            };
            let (modules, test) = path.rsplit_once("::").unwrap_or(("", path));
            let file = match target {
                "lib" => {
                    format!("src/{}.rs", modules.trim_end_matches("::tests").replace("::", "/"))
                }
                target => format!("tests/{target}.rs"),
            };
            let found = fs::read_dir(&root).expect("the tree").any(|entry| {
                let text = fs::read_to_string(entry.expect("a crate").path().join(&file));
                text.is_ok_and(|text| text.contains(&format!("fn {test}(")))
            });
            assert!(found, "{name}: there is no {test}");
        }
    }

    #[test]
    fn a_mistake_whose_text_is_not_there_once_cannot_be_made() {
        let folder = tempfile::tempdir().expect("a directory");
        fs::write(folder.path().join("a.rs"), "one two two three").expect("a file");
        let edit = |from: &str, to: &str| Edit {
            file: PathBuf::from("a.rs"),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        for (edits, expected) in [
            (vec![edit("one", "1")], Some("1 two two three")),
            (vec![edit("one", "1"), edit("1 two", "")], Some(" two three")),
            (vec![edit("two", "2")], None),
            (vec![edit("four", "4")], None),
            (vec![edit("one", "one")], None),
            (vec![edit("one", "1"), edit("one", "2")], None),
            (vec![], None),
        ] {
            let spoiled = keep::spoiled(folder.path(), &edits).ok();
            let text = spoiled.and_then(|mut files| files.pop_first()).map(|(_, text)| text);
            assert_eq!(text.as_deref(), expected, "{edits:?}");
        }
    }
}
