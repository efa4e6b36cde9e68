//! Each kind of day breaks no law and has the trouble that it is named for.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use counterfoil_sim::coverage::{Coverage, Injected};
use counterfoil_sim::network;
use counterfoil_sim::plan::{Plan, Shape};
use counterfoil_sim::profile::Profile;
use counterfoil_sim::runner::{Level, run_plan};

const SHAPE: Shape = Shape { tills: 0, chaos_ms: 30_000 };

fn run(profile: Profile, level: Level, seeds: u64) -> Coverage {
    let mut coverage = Coverage::default();
    for seed in 0..seeds {
        let mut plan = profile.draw(seed, SHAPE);
        if level == Level::Network {
            network::fit(&mut plan);
        }
        let outcome = run_plan(level, &plan, None, false);
        assert_eq!(outcome.violation, None, "{} {seed}", profile.as_str());
        assert!(outcome.events > 0, "{} {seed}: somebody sells", profile.as_str());
        coverage.add(&outcome.coverage);
    }
    coverage
}

/// What must happen on such a day, and what must not.
const fn trouble(profile: Profile) -> (&'static [Injected], &'static [Injected]) {
    use Injected as I;
    match profile {
        Profile::Drawn => (&[I::Loss, I::Partition, I::TillCrash], &[]),
        Profile::Calm => (&[I::Latency], &[I::Loss, I::Partition, I::TillCrash, I::CloudCrash]),
        Profile::RushHour => (&[I::RateLimited, I::Throttled], &[I::Loss, I::TillCrash]),
        Profile::BadWifi => {
            (&[I::Loss, I::AnswerLost, I::Reset, I::Duplicate, I::Partition], &[I::TillCrash])
        }
        Profile::PowerCuts => (&[I::TillCrash, I::CloudCrash], &[I::Loss, I::Partition]),
        Profile::RestoreFromBackup => (&[I::TillRestored, I::CloudRestored], &[I::Loss]),
        Profile::Clones => (&[I::TillCopied, I::MachineCloned], &[I::Loss, I::CloudRestored]),
        Profile::LongOffline => (&[I::Partition], &[I::Loss, I::TillCrash]),
        Profile::BadDisks => (&[I::TillCrash, I::CloudCrash], &[I::Loss, I::Partition]),
        Profile::LyingFsync => (&[], &[]),
        Profile::Chaos => (&[I::Loss, I::Partition, I::TillCrash, I::CloudRestored], &[]),
    }
}

#[test]
fn every_kind_of_day_is_what_it_is_called() {
    for profile in Profile::ALL {
        let coverage = run(profile, Level::Model, 12);
        let (must, must_not) = trouble(profile);
        for fault in must {
            let times = coverage.fault(*fault);
            assert!(times > 0, "{}: {} never happened", profile.as_str(), fault.as_str());
        }
        for fault in must_not {
            let times = coverage.fault(*fault);
            assert_eq!(times, 0, "{}: {} happened", profile.as_str(), fault.as_str());
        }
    }
}

#[test]
fn every_kind_of_day_runs_at_the_network_level() {
    for profile in Profile::ALL {
        run(profile, Level::Network, 2);
    }
}

#[test]
fn a_plan_goes_through_both_forms_and_one_of_another_version_is_refused() {
    for profile in Profile::ALL {
        let plan = profile.draw(5, SHAPE);
        let json = serde_json::to_string(&plan).expect("a plan is data");
        let toml = toml::to_string_pretty(&plan).expect("a plan is data");
        assert_eq!(serde_json::from_str::<Plan>(&json).expect("it was written here"), plan);
        assert_eq!(toml::from_str::<Plan>(&toml).expect("it was written here"), plan);
        let newer = json.replacen("\"version\":1", "\"version\":2", 1);
        let error = serde_json::from_str::<Plan>(&newer).expect_err("nobody knows version 2");
        assert!(error.to_string().contains("the plan has version 2"), "{error}");
        let old = json.replacen("\"version\":1,", "", 1);
        assert_eq!(serde_json::from_str::<Plan>(&old).expect("it is version 1"), plan);
    }
}
