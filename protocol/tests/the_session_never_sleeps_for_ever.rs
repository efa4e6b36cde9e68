//! > **`QueueDrains`**: link up and queue not empty: an attempt within `Session::attempt_bound`.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::problem::Denial;
use counterfoil_protocol::session::{
    Answer, Commit, Config, Distrust, Fault, Input, Nudge, Output, Reason, Session,
};
use counterfoil_protocol::terminal::Backlog;
use counterfoil_protocol::time::{Millis, Span};
use counterfoil_protocol::wire::message::{
    ItemResult, PushAnswer, ServerId, Stopped, Verdict, Welcome,
};
use proptest::prelude::*;

const EPOCH: Epoch = Epoch { number: 1, nonce: 7 };

fn welcome() -> Answer {
    Answer::Welcome(Welcome {
        version: 1,
        server_time_ms: 0,
        push_items_max: 500,
        push_bytes_max: 1 << 20,
        lanes: Vec::new(),
    })
}

fn pushed(results: u64, stopped: Option<Stopped>) -> Answer {
    let verdict = Verdict::Created(ServerId::default_for_tests());
    let results = (1..=results).map(|seq| ItemResult { seq, verdict }).collect();
    Answer::Pushed(EPOCH, PushAnswer { head: 9, results, stopped })
}

trait ForTests {
    fn default_for_tests() -> Self;
}

impl ForTests for ServerId {
    fn default_for_tests() -> Self {
        Self(counterfoil_protocol::hash::Hash::default())
    }
}

fn backlog(fresh: u64) -> Backlog {
    Backlog { fresh, ..Backlog::default() }
}

/// A session, driven by hand, that shows what it says.
struct Driver {
    session: Session,
    config: Config,
    now: Millis,
}

impl Driver {
    fn new(config: Config) -> Self {
        Self { session: Session::new(config, 42, Millis(0)), config, now: Millis(0) }
    }

    fn say(&mut self, input: Input) -> Option<Output> {
        self.session.handle_input(self.now, input);
        let output = self.session.poll_output();
        assert_eq!(self.session.poll_output(), None, "one thing at a time");
        output
    }

    fn wake(&mut self) -> Option<Output> {
        self.now = self.now.max(self.session.wake_at().at);
        self.say(Input::Wake)
    }

    fn answer(&mut self, request: u64, answer: Answer) -> Option<Output> {
        self.say(Input::Answered(request, Ok(answer)))
    }

    /// Brings it to its first push; returns the number of that request.
    fn until_push(&mut self) -> (u64, usize) {
        let Some(Output::Hello(request)) = self.wake() else { panic!("it greets first") };
        assert!(matches!(
            self.answer(request, welcome()),
            Some(Output::Commit(Commit::Welcomed(_)))
        ));
        match self.say(Input::Committed(backlog(5))) {
            Some(Output::Push(request, items)) => (request, items),
            other => panic!("it pushes after a greeting: {other:?}"),
        }
    }

    fn wait(&self) -> Millis {
        self.session.wake_at().at.since(self.now)
    }
}

#[test]
fn each_fault_backs_off_and_greets_again() {
    let config = Config::default();
    let cap = config.retry_after_cap;
    let minute = Millis::from_secs(60);
    let (any, first) = (Millis(1), config.backoff_base);
    // fault                                       what it commits          least wait  most wait
    for (fault, commits, least, most) in [
        (Fault::Transport, None, any, first),
        (Fault::Untrusted(Distrust::Expired), None, any, first),
        (Fault::Server, None, any, first),
        (Fault::Rejected, None, any, first),
        (Fault::TooLarge, None, any, first),
        (Fault::RateLimited(None), None, any, first),
        (Fault::RateLimited(Some(minute)), None, minute, minute),
        (Fault::RateLimited(Some(Millis(u64::MAX))), None, cap, cap),
        (Fault::Denied(Denial::Expired), None, any, first),
        (Fault::Denied(Denial::WrongCredential), None, any, first),
        (Fault::Denied(Denial::Revoked), Some(Denial::Revoked), any, config.request_timeout),
        (
            Fault::Denied(Denial::UnknownTerminal),
            Some(Denial::UnknownTerminal),
            any,
            config.request_timeout,
        ),
    ] {
        let mut driver = Driver::new(config);
        let (request, _) = driver.until_push();
        let output = driver.say(Input::Answered(request, Err(fault)));
        assert_eq!(output, commits.map(|why| Output::Commit(Commit::Denied(why))), "{fault:?}");
        let wait = driver.wait();
        assert!((least..=most).contains(&wait), "{fault:?} waits {wait}");
        let reason = if commits.is_some() { Reason::Commit } else { Reason::Backoff };
        assert_eq!(driver.session.wake_at().reason, reason, "{fault:?}");
        assert!(matches!(driver.wake(), Some(Output::Hello(_))), "{fault:?} is followed by hello");
    }
}

#[test]
fn a_quarantined_till_probes_and_new_work_does_not_hurry_it() {
    let mut driver = Driver::new(Config::default());
    let (request, _) = driver.until_push();
    driver.say(Input::Answered(request, Err(Fault::Denied(Denial::Revoked))));
    let quarantined = Backlog { quarantined: Some(Denial::Revoked), ..backlog(5) };
    assert_eq!(driver.say(Input::Committed(quarantined)), None);
    assert_eq!(driver.session.wake_at().reason, Reason::Probe);
    assert_eq!(driver.wait(), driver.config.quarantine_probe);
    assert_eq!(driver.say(Input::Nudge(Nudge::Recorded)), None);
    assert!(matches!(driver.say(Input::Nudge(Nudge::Manual)), Some(Output::Hello(_))));
}

#[test]
fn waits_without_any_answer_grow_to_the_cap_and_not_beyond() {
    let mut driver = Driver::new(Config::default());
    let mut longest = Millis::ZERO;
    for _ in 0..60 {
        let Some(Output::Hello(request)) = driver.wake() else { panic!("it tries again") };
        driver.say(Input::Answered(request, Err(Fault::Transport)));
        assert!(driver.wait() <= driver.config.backoff_cap);
        longest = longest.max(driver.wait());
    }
    assert!(longest > Millis(driver.config.backoff_cap.0 / 2), "the cap is neared: {longest}");
    assert_eq!(driver.session.attempt(), 60, "each try is counted");
}

#[test]
fn stale_answers_are_ignored() {
    let mut driver = Driver::new(Config::default());
    let Some(Output::Hello(first)) = driver.wake() else { panic!("it greets") };
    assert_eq!(driver.wake(), None, "the first request has timed out");
    let Some(Output::Hello(second)) = driver.wake() else { panic!("it greets again") };
    assert_ne!(first, second);
    let before = driver.session.wake_at();
    assert_eq!(driver.answer(first, welcome()), None);
    assert_eq!(driver.say(Input::Answered(first, Err(Fault::Transport))), None);
    assert_eq!(driver.say(Input::Committed(backlog(9))), None, "nothing was to be committed");
    assert_eq!(driver.say(Input::NothingToPush(None)), None, "nothing was to be pushed");
    assert_eq!(driver.session.wake_at(), before, "none of them moves the wake-up");
    assert!(driver.answer(second, welcome()).is_some());
    assert_eq!(driver.answer(second, welcome()), None, "an answer counts once");
}

#[test]
fn each_end_of_a_push_has_its_sequel() {
    let parted =
        Backlog { parted: Some(counterfoil_protocol::terminal::Parted::Forked), ..backlog(1) };
    let adopting = Backlog { adopting: true, ..backlog(1) };
    let push = |output: &Option<Output>| matches!(output, Some(Output::Push(..)));
    let hello = |output: &Option<Output>| matches!(output, Some(Output::Hello(_)));
    let adopt = |output: &Option<Output>| *output == Some(Output::Commit(Commit::Adopt));
    type Sequel = fn(&Option<Output>) -> bool;
    // the answer                                 the till's books     what comes next
    for (answer, books, sequel) in [
        (pushed(5, None), backlog(0), push as Sequel),
        (pushed(5, None), backlog(5), push),
        (pushed(1, Some(Stopped::Gap)), backlog(4), hello),
        (pushed(1, Some(Stopped::Forked)), backlog(4), hello),
        (pushed(1, Some(Stopped::UnknownEpoch)), backlog(4), hello),
        (pushed(5, None), parted, hello),
        (pushed(5, None), adopting, adopt),
    ] {
        let mut driver = Driver::new(Config::default());
        let (request, _) = driver.until_push();
        let shown = format!("{answer:?}, {books:?}");
        driver.answer(request, answer);
        let output = driver.say(Input::Committed(books));
        assert!(sequel(&output), "{shown}: {output:?}");
    }
    let causes = [Stopped::Gap, Stopped::Forked, Stopped::UnknownEpoch].map(Some);
    for stopped in causes.into_iter().chain([None]) {
        let mut driver = Driver::new(Config::default());
        let (request, _) = driver.until_push();
        assert_eq!(driver.answer(request, pushed(0, stopped)), None, "no progress");
        assert_eq!(driver.session.wake_at().reason, Reason::Backoff, "{stopped:?} is waited out");
    }
}

#[test]
fn an_empty_queue_rests_until_the_next_retry_or_greeting() {
    let config = Config::default();
    for (due, reason, wait) in [
        (None, Reason::Idle, config.idle_greeting),
        (Some(Millis(5_000)), Reason::Retry, Millis(5_000)),
        (Some(Millis(0)), Reason::Retry, Millis(1)),
        (Some(Millis(u64::MAX)), Reason::Idle, config.idle_greeting),
    ] {
        let mut driver = Driver::new(config);
        assert!(!driver.session.greeted(), "nobody is greeted before a greeting");
        driver.until_push();
        assert!(driver.session.greeted(), "who pushes was greeted");
        assert_eq!(driver.say(Input::NothingToPush(due.map(Span))), None);
        assert_eq!((driver.session.wake_at().reason, driver.wait()), (reason, wait), "{due:?}");
        let idle = reason == Reason::Idle;
        match driver.wake() {
            Some(Output::Hello(_)) if idle => {}
            Some(Output::Push(..)) if !idle => {}
            other => panic!("{due:?}: {other:?}"),
        }
        assert_eq!(driver.session.greeted(), !idle, "{due:?}");
    }
}

#[test]
fn work_that_comes_while_something_is_under_way_is_not_slept_over() {
    let mut driver = Driver::new(Config::default());
    driver.until_push();
    assert_eq!(driver.say(Input::Nudge(Nudge::Recorded)), None);
    assert!(matches!(driver.say(Input::NothingToPush(None)), Some(Output::Push(..))));
    assert_eq!(driver.say(Input::NothingToPush(None)), None);
    assert_eq!(driver.session.wake_at().reason, Reason::Idle);
}

/// What a person wants while a request is under way is not lost with that request.
#[test]
fn a_wish_outlives_the_request_that_failed_meanwhile() {
    let denied = Fault::Denied(Denial::Expired);
    let limited = Fault::RateLimited(Some(Millis::from_secs(60)));
    for (nudge, fault, speaks) in [
        (Nudge::Manual, Fault::Transport, true),
        (Nudge::LinkUp, Fault::Transport, true),
        (Nudge::Manual, Fault::Server, true),
        (Nudge::Manual, Fault::TooLarge, true),
        (Nudge::Recorded, Fault::Transport, false),
        (Nudge::Manual, limited, false),
        (Nudge::LinkUp, limited, false),
        (Nudge::Manual, denied, false),
    ] {
        let mut driver = Driver::new(Config::default());
        let (request, _) = driver.until_push();
        assert_eq!(driver.say(Input::Nudge(nudge)), None, "one request at a time");
        let Some(Output::Hello(again)) = driver.say(Input::Answered(request, Err(fault))) else {
            assert!(!speaks, "{nudge:?} while {fault:?} is on its way");
            assert_eq!(driver.session.wake_at().reason, Reason::Backoff, "{nudge:?} {fault:?}");
            continue;
        };
        assert!(speaks, "{nudge:?} while {fault:?} is on its way");
        assert_eq!(driver.say(Input::Answered(again, Err(fault))), None, "once");
        assert_eq!(driver.session.wake_at().reason, Reason::Backoff, "{nudge:?} {fault:?}");
    }
}

/// What is at the other end of a link that was gone may have been restored meanwhile: only a
/// greeting tells.
#[test]
fn a_link_that_is_back_is_greeted_over_and_new_work_is_just_pushed() {
    for (nudge, greets) in [(Nudge::LinkUp, true), (Nudge::Manual, true), (Nudge::Recorded, false)]
    {
        let is_right = |said: Option<Output>| match said {
            Some(Output::Hello(_)) => greets,
            Some(Output::Push(..)) => !greets,
            Some(Output::Commit(_)) | None => false,
        };
        // At rest.
        let mut driver = Driver::new(Config::default());
        driver.until_push();
        assert_eq!(driver.say(Input::NothingToPush(None)), None);
        assert!(is_right(driver.say(Input::Nudge(nudge))), "{nudge:?} at rest");

        // While a greeting is under way, and while its answer is being committed.
        for settling in [false, true] {
            let mut driver = Driver::new(Config::default());
            let Some(Output::Hello(request)) = driver.wake() else { panic!("it greets first") };
            if settling {
                driver.answer(request, welcome());
                assert_eq!(driver.say(Input::Nudge(nudge)), None, "one thing at a time");
            } else {
                assert_eq!(driver.say(Input::Nudge(nudge)), None, "one thing at a time");
                driver.answer(request, welcome());
            }
            let said = driver.say(Input::Committed(backlog(5)));
            assert!(is_right(said), "{nudge:?} during a greeting, {settling}");
        }

        // While a push is under way, whether there is something to push or not.
        let mut driver = Driver::new(Config::default());
        let (request, _) = driver.until_push();
        assert_eq!(driver.say(Input::Nudge(nudge)), None, "one thing at a time");
        driver.answer(request, pushed(5, None));
        assert!(is_right(driver.say(Input::Committed(backlog(0)))), "{nudge:?} during a push");
        let mut driver = Driver::new(Config::default());
        driver.until_push();
        assert_eq!(driver.say(Input::Nudge(nudge)), None, "one thing at a time");
        assert!(is_right(driver.say(Input::NothingToPush(None))), "{nudge:?} while it looks");
    }
}

#[test]
fn only_a_person_shortens_a_wait_that_the_cloud_has_asked_for() {
    let limited = Fault::RateLimited(Some(Millis::from_secs(60)));
    for (fault, nudge, heeded) in [
        (limited, Nudge::Recorded, false),
        (limited, Nudge::LinkUp, false),
        (limited, Nudge::Manual, true),
        (Fault::Transport, Nudge::Recorded, false),
        (Fault::Transport, Nudge::LinkUp, true),
        (Fault::Transport, Nudge::Manual, true),
    ] {
        let mut driver = Driver::new(Config::default());
        let (request, _) = driver.until_push();
        assert_eq!(driver.say(Input::Answered(request, Err(fault))), None);
        let said = driver.say(Input::Nudge(nudge));
        assert_eq!(matches!(said, Some(Output::Hello(_))), heeded, "{nudge:?} after {fault:?}");
    }
}

#[test]
fn after_a_push_that_was_too_large_comes_one_that_is_neither_empty_nor_larger() {
    let mut driver = Driver::new(Config::default());
    let (request, items) = driver.until_push();
    assert_eq!(items, driver.config.items_max);
    driver.say(Input::Answered(request, Err(Fault::TooLarge)));
    let (_, items) = driver.until_push();
    assert!((1..=driver.config.items_max).contains(&items));
}

#[derive(Clone, Debug)]
enum Move {
    Sleep(u64),
    Wake,
    Nudge(Nudge),
    Welcome(bool),
    Pushed(bool, u64, Option<Stopped>),
    Fail(bool, Fault),
    Committed(u64, bool, bool, bool),
    Nothing(Option<u64>),
}

fn any_move() -> impl Strategy<Value = Move> {
    let nudge = prop_oneof![Just(Nudge::Recorded), Just(Nudge::Manual), Just(Nudge::LinkUp)];
    let stopped = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Stopped::Gap)),
        1 => Just(Some(Stopped::Forked)),
        1 => Just(Some(Stopped::UnknownEpoch)),
    ];
    let fault = prop_oneof![
        Just(Fault::Transport),
        Just(Fault::Untrusted(Distrust::OtherName)),
        Just(Fault::Server),
        Just(Fault::Rejected),
        Just(Fault::TooLarge),
        any::<Option<u64>>().prop_map(|after| Fault::RateLimited(after.map(Millis))),
        Just(Fault::Denied(Denial::Revoked)),
        Just(Fault::Denied(Denial::Expired)),
    ];
    prop_oneof![
        (0_u64..200_000).prop_map(Move::Sleep),
        Just(Move::Wake),
        nudge.prop_map(Move::Nudge),
        any::<bool>().prop_map(Move::Welcome),
        (any::<bool>(), 0_u64..3, stopped).prop_map(|(now, n, s)| Move::Pushed(now, n, s)),
        (any::<bool>(), fault).prop_map(|(now, fault)| Move::Fail(now, fault)),
        (0_u64..3, any::<bool>(), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(fresh, adopting, parted, q)| Move::Committed(fresh, adopting, parted, q)),
        proptest::option::of(0_u64..2_000_000).prop_map(Move::Nothing),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// `QueueDrains`, the part of the session: whatever happens, in whatever order, there is a
    /// wake-up within the bound, and at most one request is under way.
    #[test]
    fn there_is_always_a_wake_up_in_reach(moves in prop::collection::vec(any_move(), 1..80)) {
        let mut driver = Driver::new(Config::default());
        let bound = Session::attempt_bound(&driver.config);
        let mut latest = 0;
        for step in moves {
            let stale = |current: bool, latest: u64| if current { latest } else { latest / 2 };
            let before = driver.session.wake_at();
            let input = match step {
                Move::Sleep(span) => {
                    driver.now = driver.now.after(Millis(span)).min(before.at.max(driver.now));
                    continue;
                }
                Move::Wake => Input::Wake,
                Move::Nudge(nudge) => Input::Nudge(nudge),
                Move::Welcome(now) => Input::Answered(stale(now, latest), Ok(welcome())),
                Move::Pushed(now, n, stopped) => {
                    Input::Answered(stale(now, latest), Ok(pushed(n, stopped)))
                }
                Move::Fail(now, fault) => Input::Answered(stale(now, latest), Err(fault)),
                Move::Committed(fresh, adopting, parted, quarantined) => {
                    Input::Committed(Backlog {
                        fresh,
                        adopting,
                        parted: parted.then_some(counterfoil_protocol::terminal::Parted::LostTail),
                        quarantined: quarantined.then_some(Denial::Revoked),
                    })
                }
                Move::Nothing(due) => Input::NothingToPush(due.map(|due| Span(Millis(due)))),
            };
            match driver.say(input) {
                Some(Output::Hello(request) | Output::Push(request, _)) => {
                    prop_assert!(request > latest, "requests are numbered upwards");
                    latest = request;
                    prop_assert_eq!(driver.session.wake_at().reason, Reason::Timeout);
                }
                Some(Output::Commit(_)) => {
                    prop_assert_eq!(driver.session.wake_at().reason, Reason::Commit);
                }
                None => {}
            }
            let wake = driver.session.wake_at();
            let reach = match wake.reason {
                Reason::Idle | Reason::Retry => driver.config.idle_greeting,
                Reason::Probe => driver.config.quarantine_probe,
                Reason::Start | Reason::Backoff | Reason::Timeout | Reason::Commit => bound,
            };
            prop_assert!(wake.at.since(driver.now) <= reach, "{:?} at {}", wake, driver.now);
        }
        // Left alone, it speaks within two wake-ups: a timeout, then the wait after it.
        let deadline = driver.now.after(driver.config.idle_greeting).after(bound).after(bound);
        let mut spoken = None;
        while spoken.is_none() && driver.now <= deadline {
            spoken = driver.wake();
        }
        prop_assert!(spoken.is_some());
    }
}
