//! When a till asks for its catalog, and when it rests: no phase is without a wake-up.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use counterfoil_protocol::problem::Denial;
use counterfoil_protocol::session::follow::{Follower, Input, Output};
use counterfoil_protocol::session::{Config, Fault, Nudge};
use counterfoil_protocol::terminal::catalog::{Standing, Wanted};
use counterfoil_protocol::time::Millis;
use proptest::prelude::*;

const DELTA: Wanted = Wanted::Delta(7);
const SNAPSHOT: Wanted = Wanted::Snapshot { pinned: None, after: None };

fn standing(wanted: Wanted, proven: bool) -> Option<Standing> {
    Some(Standing { version: Some(7), wanted, proven, more_edits: false })
}

struct Bench {
    follower: Follower,
    now: Millis,
}

impl Bench {
    fn new() -> Self {
        let follower = Follower::new(Config::default(), 1, Millis(0));
        let mut bench = Self { follower, now: Millis(0) };
        assert_eq!(bench.tell(Input::Wake), Some(Output::Ask(1)), "it asks at the start");
        bench
    }

    fn tell(&mut self, input: Input) -> Option<Output> {
        self.follower.handle_input(self.now, input);
        self.follower.poll_output()
    }

    fn wait(&self) -> Millis {
        self.follower.wake_at().since(self.now)
    }
}

#[test]
fn a_proven_catalog_is_asked_for_again_after_half_to_the_whole_interval() {
    let mut bench = Bench::new();
    assert_eq!(bench.tell(Input::Answered(1, Ok(()))), Some(Output::Commit));
    assert_eq!(bench.tell(Input::Committed(standing(DELTA, true))), None);
    let interval = Config::default().idle_greeting;
    assert!((interval.0 / 2..=interval.0).contains(&bench.wait().0), "{:?}", bench.wait());
}

#[test]
fn it_asks_on_at_once_while_there_are_more_edits_to_ask_for() {
    let mut bench = Bench::new();
    assert_eq!(bench.tell(Input::Answered(1, Ok(()))), Some(Output::Commit));
    let more = standing(DELTA, true).map(|standing| Standing { more_edits: true, ..standing });
    assert_eq!(bench.tell(Input::Committed(more)), Some(Output::Ask(2)));
}

#[test]
fn it_goes_on_at_once_while_it_comes_further_and_waits_when_it_does_not() {
    let mut bench = Bench::new();
    for (request, wanted, expected) in [
        (1, SNAPSHOT, Some(2)),         // the first answer is always news
        (2, Wanted::Delta(3), Some(3)), // the snapshot is complete
        (3, Wanted::Delta(5), Some(4)), // a page further
        (4, Wanted::Delta(5), None),    // the same again: wait
    ] {
        assert_eq!(bench.tell(Input::Answered(request, Ok(()))), Some(Output::Commit));
        let next = bench.tell(Input::Committed(standing(wanted, false)));
        assert_eq!(next, expected.map(Output::Ask), "after {wanted:?}");
    }
    assert!(bench.wait() <= Config::default().backoff_cap);
}

#[test]
fn a_proof_that_does_not_hold_costs_a_wait_each_time() {
    let mut bench = Bench::new();
    assert_eq!(bench.tell(Input::Answered(1, Ok(()))), Some(Output::Commit));
    assert_eq!(bench.tell(Input::Committed(standing(DELTA, false))), Some(Output::Ask(2)));
    assert_eq!(bench.tell(Input::Answered(2, Ok(()))), Some(Output::Commit));
    assert_eq!(bench.tell(Input::Committed(standing(SNAPSHOT, false))), None, "drift: wait");
    assert!(bench.wait() > Millis::ZERO);
}

#[test]
fn faults_back_off_and_are_told_how_long() {
    let config = Config::default();
    for (fault, least) in [
        (Fault::Transport, Millis(1)),
        (Fault::Server, Millis(1)),
        (Fault::RateLimited(Some(Millis::from_secs(9))), Millis::from_secs(9)),
        (Fault::RateLimited(Some(Millis::from_secs(9_999))), config.retry_after_cap),
        (Fault::Denied(Denial::Revoked), config.quarantine_probe),
        (Fault::Rejected, config.quarantine_probe),
    ] {
        let mut bench = Bench::new();
        assert_eq!(bench.tell(Input::Answered(1, Err(fault))), None);
        assert!(bench.wait() >= least, "{fault:?}: {:?}", bench.wait());
        assert!(bench.wait() <= config.retry_after_cap, "{fault:?}: {:?}", bench.wait());
    }
}

/// What was announced meanwhile does not override what the cloud asks for; a person does, later.
#[test]
fn a_wait_that_the_cloud_asked_for_is_kept() {
    let config = Config::default();
    let limited = Fault::RateLimited(Some(Millis::from_secs(90)));
    for (fault, least) in [
        (limited, Millis::from_secs(90)),
        (Fault::Denied(Denial::Revoked), config.quarantine_probe),
    ] {
        for nudge in [Nudge::Manual, Nudge::LinkUp] {
            let mut bench = Bench::new();
            assert_eq!(bench.tell(Input::Nudge(nudge)), None, "one question at a time");
            assert_eq!(bench.tell(Input::Answered(1, Err(fault))), None, "{nudge:?} {fault:?}");
            assert!(bench.wait() >= least, "{nudge:?} {fault:?}: {:?}", bench.wait());
            assert_eq!(bench.tell(Input::Nudge(Nudge::LinkUp)), None, "{fault:?} is waited out");
            assert_eq!(bench.tell(Input::Nudge(Nudge::Manual)), Some(Output::Ask(2)));
        }
    }
}

#[test]
fn late_answers_and_early_alarms_change_nothing() {
    let mut bench = Bench::new();
    assert_eq!(bench.tell(Input::Answered(9, Ok(()))), None, "an answer to another question");
    assert_eq!(bench.tell(Input::Wake), None, "too early");
    assert_eq!(bench.tell(Input::Committed(standing(DELTA, true))), None, "nothing was to commit");
    bench.now = bench.follower.wake_at();
    assert_eq!(bench.tell(Input::Wake), None, "the answer has taken too long");
    assert_eq!(bench.tell(Input::Answered(1, Ok(()))), None, "and comes too late");
    assert_eq!(bench.tell(Input::Nudge(Nudge::Manual)), Some(Output::Ask(2)));
    assert_eq!(bench.tell(Input::Nudge(Nudge::LinkUp)), None, "one question at a time");
    assert_eq!(bench.tell(Input::Answered(2, Err(Fault::Transport))), Some(Output::Ask(3)));
}

#[test]
fn an_entity_from_the_future_waits_for_an_update() {
    let mut bench = Bench::new();
    assert_eq!(bench.tell(Input::Answered(1, Ok(()))), Some(Output::Commit));
    assert_eq!(bench.tell(Input::Committed(None)), None);
    assert_eq!(bench.wait(), Config::default().idle_greeting);
}

/// A till that is where the cloud says its catalog ends does not ask, and not for ever.
#[test]
fn a_word_beside_each_greeting_spares_the_question_so_often() {
    let config = Config::default();
    let mut bench = Bench::new();
    assert_eq!(bench.tell(Input::Heads(true)), None, "what is under way will tell");
    assert_eq!(bench.tell(Input::Answered(1, Ok(()))), Some(Output::Commit));
    assert_eq!(bench.tell(Input::Committed(standing(DELTA, true))), None);
    for word in 1..=31 {
        assert_eq!(bench.tell(Input::Heads(true)), None, "word {word}");
        let next = config.idle_greeting.after(config.request_timeout);
        assert!((next..=next.after(config.backoff_cap)).contains(&bench.wait()), "word {word}");
        bench.now = bench.now.after(config.idle_greeting);
    }
    assert_eq!(bench.tell(Input::Heads(true)), None);
    assert!(bench.wait() < config.idle_greeting, "one word too many is not heeded");
    bench.now = bench.follower.wake_at();
    assert_eq!(bench.tell(Input::Wake), Some(Output::Ask(2)), "it asks all the same");
}

#[test]
fn a_word_that_something_is_new_has_it_asked_for_unless_it_waits_for_another_reason() {
    let mut bench = Bench::new();
    assert_eq!(bench.tell(Input::Answered(1, Ok(()))), Some(Output::Commit));
    assert_eq!(bench.tell(Input::Committed(standing(DELTA, true))), None);
    assert_eq!(bench.tell(Input::Heads(false)), Some(Output::Ask(2)));
    assert_eq!(bench.tell(Input::Answered(2, Err(Fault::Server))), None);
    let wait = bench.wait();
    for at_head in [true, false] {
        assert_eq!(bench.tell(Input::Heads(at_head)), None, "it backs off");
        assert_eq!(bench.wait(), wait);
    }
}

fn any_input() -> impl Strategy<Value = Input> {
    let fault = prop_oneof![
        Just(Fault::Transport),
        Just(Fault::Server),
        Just(Fault::RateLimited(Some(Millis(u64::MAX)))),
        Just(Fault::Denied(Denial::Expired)),
    ];
    let wanted = prop_oneof![(0..3_u64).prop_map(Wanted::Delta), Just(SNAPSHOT)];
    prop_oneof![
        Just(Input::Wake),
        prop::sample::select(vec![Nudge::Recorded, Nudge::Manual, Nudge::LinkUp])
            .prop_map(Input::Nudge),
        any::<bool>().prop_map(Input::Heads),
        (0..6_u64, prop::option::of(fault))
            .prop_map(|(request, fault)| Input::Answered(request, fault.map_or(Ok(()), Err))),
        (wanted, any::<bool>()).prop_map(|(w, proven)| Input::Committed(standing(w, proven))),
    ]
}

proptest! {
    #[test]
    fn it_never_sleeps_for_longer_than_its_longest_wait(
        steps in prop::collection::vec((any_input(), 0..40_000_u64), 1..80),
    ) {
        let config = Config::default();
        let past_a_greeting = config.idle_greeting.after(config.request_timeout);
        let longest = past_a_greeting.after(config.backoff_cap).max(config.retry_after_cap);
        let mut follower = Follower::new(config, 3, Millis(0));
        let mut now = Millis(0);
        for (input, passed) in steps {
            now = now.after(Millis(passed)).min(follower.wake_at().max(now));
            follower.handle_input(now, input);
            while follower.poll_output().is_some() {}
            prop_assert!(follower.wake_at().since(now) <= longest);
        }
    }
}
