//! `cargo xtask zoo --accidents`: what has happened to others, on wrong protocols of ours.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use counterfoil_sim::accidents::{self, Accident};
use counterfoil_tests::binaries::root;

use super::keep::{self, Keep};
use super::{FOLDER, HUNT, Wrong, Zoo, load, show};

/// How many of the last steps a page shows.
const STEPS: &str = "18";
/// How a diagram says that a law is broken.
const MARK: &str = "VIOLATION ";

/// Makes the mistake of each accident in a copy, and shows what its days do to it; `false` if one
/// survives.
pub(super) fn run(zoo: &Zoo) -> anyhow::Result<bool> {
    let all = accidents::all();
    for name in &zoo.names {
        ensure!(all.iter().any(|one| one.name == name), "there is no sim/accidents/{name}.toml");
    }
    let chosen = all
        .iter()
        .filter(|one| zoo.names.is_empty() || zoo.names.iter().any(|name| name == one.name));
    let wrongs = load(&root().join(FOLDER))?;
    let keep = Keep::new(&root())?;
    let mut table = show::table();
    table.set_header(["accident", "the same mistake", "what breaks"]);
    let mut all_broken = true;
    for accident in chosen {
        eprintln!("{}", accident.name);
        let wrong = wrongs.iter().find(|wrong| wrong.name == accident.naive);
        let wrong = wrong.with_context(|| format!("there is no {}", accident.naive))?;
        let told = suffer(&keep, accident, wrong)?;
        let broken = told.as_deref().and_then(what_breaks);
        all_broken &= broken.is_some();
        table.add_row([accident.name, &accident.naive, broken.unwrap_or("NOTHING")]);
        if let (Some(folder), Some(told), Some(broken)) = (&zoo.pages, &told, broken) {
            let file = folder.join(accident.name).with_extension("md");
            let page = page(accident, wrong, told, broken);
            fs::write(&file, page).with_context(|| file.display().to_string())?;
        }
    }
    println!("{table}");
    Ok(all_broken)
}

/// Returns the last steps of the accident, if the wrong protocol ends at all.
fn suffer(keep: &Keep, accident: &Accident, wrong: &Wrong) -> anyhow::Result<Option<String>> {
    keep.restore()?;
    keep.spoil(&wrong.edit)?;
    keep.cargo(&["build", "--quiet", "--package", "counterfoil-sim"])?;
    let mut replay = Command::new(keep.binary("sim"));
    replay.args(["replay", accident.name, "--mermaid", STEPS]);
    replay.stdout(Stdio::piped()).stderr(Stdio::null());
    let told = keep::within(replay, HUNT)?;
    told.map(String::from_utf8).transpose().context("a diagram is text")
}

fn what_breaks(told: &str) -> Option<&str> {
    let (_, broken) = told.split_once(MARK)?;
    Some(broken.lines().next().unwrap_or(broken))
}

fn page(accident: &Accident, wrong: &Wrong, told: &str, broken: &str) -> String {
    let Accident { name, title, project, url, there, ours, naive, .. } = accident;
    let (there, ours, told, what) = (there.trim(), ours.trim(), told.trim(), &wrong.what);
    let number = url.rsplit('/').next().unwrap_or_default();
    let sim = "cargo run --release -p counterfoil-sim -- replay";
    format!(
        "# {title}\n\n\
         What happened, as told in [{project}#{number}]({url}):\n\n\
         {there}\n\n\
         ## The same days, with the mistake made on purpose\n\n\
         [`{naive}`](../../sim/zoo/{naive}.toml): {what}. The plan is \
         [sim/accidents/{name}.toml](../../sim/accidents/{name}.toml). It ends so:\n\n\
         > {broken}\n\n\
         ```mermaid\n{told}\n```\n\n\
         ## Ours\n\n\
         {ours}\n\n\
         ```sh\n\
         {sim} {name}   # the same days: no law is broken\n\
         {sim} {name} --html {name}.html\n\
         cargo xtask zoo --accidents {name}   # the mistake, made in a copy of the tree\n\
         ```\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broken_law_is_read_from_the_diagram() {
        let told = "a\n    Note over world: VIOLATION ZeroLoss broken at 9 ms: gone\n";
        assert_eq!(what_breaks(told), Some("ZeroLoss broken at 9 ms: gone"));
        assert_eq!(what_breaks("all is well"), None);
    }
}
