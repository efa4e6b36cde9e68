//! How a run ended, for whoever started it: a person, or a script.

use std::process::ExitCode;

use counterfoil_sim::law::Law;
use counterfoil_sim::profile::Profile;
use counterfoil_sim::report;
use counterfoil_sim::runner::Summary;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Every law held.
    Held,
    /// One did not; or one held that must break.
    Broken,
    /// Every law held, but faults that were asked for never came.
    Silent,
    /// Every law held, but the roles came to something else than a bundle tells.
    Differs,
}

impl End {
    /// Judges a run, and says on the standard error what is wrong with it.
    pub(crate) fn of(profile: Profile, kept_hold: bool, summaries: &[Summary]) -> Self {
        let mut as_expected = kept_hold;
        for summary in summaries {
            for wrong in surprises(profile, summary) {
                eprintln!("{wrong}");
                as_expected = false;
            }
        }
        let silent = report::never_came(summaries);
        silent.iter().for_each(|line| eprintln!("{line}"));
        match (as_expected, silent.is_empty()) {
            (false, _) => Self::Broken,
            (true, false) => Self::Silent,
            (true, true) => Self::Held,
        }
    }

    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Held => ExitCode::SUCCESS,
            Self::Broken => ExitCode::from(1),
            Self::Silent => ExitCode::from(3),
            Self::Differs => ExitCode::from(4),
        }
    }
}

/// Returns what a profile should have broken and did not, and the other way round.
fn surprises(profile: Profile, summary: &Summary) -> Vec<String> {
    let must = profile.breaks(summary.level);
    let (name, level) = (profile.as_str(), summary.level.as_str());
    let mut wrong = Vec::new();
    for law in Law::ALL {
        let broken = summary.violations(*law);
        match (must.contains(law), broken) {
            (false, 1..) => wrong.push(format!("{law} was broken in {broken} seeds")),
            (true, 0) => wrong.push(format!(
                "{law} must break on {name} at the {level} level, and held in {} seeds",
                summary.seeds
            )),
            (true, 1..) => {
                eprintln!("{law} was broken in {broken} seeds, as it must be on {name}");
            }
            (false, 0) => {}
        }
    }
    wrong
}
