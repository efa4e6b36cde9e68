//! What has happened to others does not happen here.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use counterfoil_sim::accidents::all;
use counterfoil_sim::coverage::Injected;
use counterfoil_sim::runner::{Level, run_plan};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn each_accident_is_survived_at_every_level() {
    for accident in all() {
        for level in [Level::Model, Level::Disk, Level::Network] {
            let outcome = run_plan(level, &accident.plan, None, false);
            assert_eq!(outcome.violation, None, "{} at the {level:?} level", accident.name);
            assert!(outcome.events >= 3, "{}: {} sales", accident.name, outcome.events);
        }
    }
}

/// A plan in which nothing goes wrong shows nothing.
#[test]
fn in_each_accident_what_went_wrong_goes_wrong() {
    for (name, fault) in [
        ("cht-core-8093", Injected::CloudRestored),
        ("erpnext-11000", Injected::MachineRestored),
        ("firebase-android-8440", Injected::AnswerLost),
        ("odoo-125037", Injected::MachineRestored),
        ("powersync-kotlin-340", Injected::Loss),
        ("turso-8129", Injected::MachineRestored),
    ] {
        let accident = counterfoil_sim::accidents::find(name).unwrap();
        let outcome = run_plan(Level::Model, &accident.plan, None, false);
        assert!(outcome.coverage.fault(fault) > 0, "{name}: no {fault:?}");
    }
}

#[test]
fn each_accident_has_its_file_its_wrong_protocol_and_its_page() {
    let all = all();
    let names: BTreeSet<String> = all.iter().map(|accident| accident.name.to_owned()).collect();
    let listed = |folder: &str, ending: &str| -> BTreeSet<String> {
        let files = fs::read_dir(root().join(folder)).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect()
    };
    assert_eq!(names, listed("sim/accidents", ".toml"));
    let pages = listed("docs/accidents", ".md");
    assert_eq!(pages, names.iter().cloned().chain(["README".to_owned()]).collect());
    for accident in all {
        let wrong = root().join(format!("sim/zoo/{}.toml", accident.naive));
        assert!(wrong.exists(), "{}: there is no {}", accident.name, wrong.display());
        let page = root().join(format!("docs/accidents/{}.md", accident.name));
        let page = fs::read_to_string(page).unwrap();
        for part in [&accident.title, &accident.url, &accident.there, &accident.ours] {
            assert!(page.contains(part.trim()), "{}: the page is older", accident.name);
        }
        assert!(page.contains("broken at"), "{}: the naive protocol breaks", accident.name);
    }
}
