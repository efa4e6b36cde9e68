//! Accidents that have happened to others, as plans: ours must survive each of them.
//!
//! `docs/accidents/` has a page for each: what happened there, and what the same days do to a wrong
//! protocol of `sim/zoo` that makes the same mistake.

use serde::Deserialize;

use crate::plan::Plan;

macro_rules! accident_file {
    ($name:literal) => {
        ($name, include_str!(concat!("../accidents/", $name, ".toml")))
    };
}

/// The files of `sim/accidents`; a test sees that none is left out.
const FILES: [(&str, &str); 6] = [
    accident_file!("cht-core-8093"),
    accident_file!("erpnext-11000"),
    accident_file!("firebase-android-8440"),
    accident_file!("odoo-125037"),
    accident_file!("powersync-kotlin-340"),
    accident_file!("turso-8129"),
];

/// An accident.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accident {
    /// The project and the number of its report: the name of its file.
    #[serde(skip)]
    pub name: &'static str,
    /// In a sentence.
    pub title: String,
    /// Where it happened.
    pub project: String,
    /// The report.
    pub url: String,
    /// What happened there.
    pub there: String,
    /// What keeps it from happening here.
    pub ours: String,
    /// The wrong protocol in `sim/zoo` that makes the same mistake.
    pub naive: String,
    /// The same days, for any protocol.
    pub plan: Plan,
}

/// Returns all of them, in the order of their names.
///
/// # Panics
/// If one cannot be read, which a test would have found.
#[must_use]
pub fn all() -> Vec<Accident> {
    let read = |(name, text): &(&'static str, &str)| {
        let accident: Accident = toml::from_str(text).expect("what is kept can be read");
        Accident { name, ..accident }
    };
    FILES.iter().map(read).collect()
}

/// Returns the one of that name.
#[must_use]
pub fn find(name: &str) -> Option<Accident> {
    all().into_iter().find(|accident| accident.name == name)
}
