//! Which of the till's connections reach the cloud: when one is back, the other need not wait.
//!
//! Nothing here probes the network. A request that comes through after others did not is the
//! proof that the link is back (S1.2, S3.5), and costs nothing.

use std::sync::{Mutex, PoisonError};

use counterfoil_protocol::session::Fault;

/// One of the till's two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The session's.
    Sync,
    /// The one that follows the catalog.
    Follow,
}

/// What is known of both.
#[derive(Debug, Default)]
pub(crate) struct Reach(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Counts what was noted, so that two events can be put in order.
    noted: u64,
    ways: [Known; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// When it stopped reaching the cloud.
    down_since: Option<u64>,
    /// When it last reached it.
    reached: u64,
}

impl Reach {
    /// Notes what came of a request. `true`: the link is back, and the other way should hear of it.
    ///
    /// That is so if this way itself was down, or if the other one went down after this one was
    /// last up. A way that stays down while this one works is told once and no more: it has
    /// trouble of its own, and backs off.
    pub(crate) fn note(&self, way: Way, fault: Option<Fault>) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.noted += 1;
        let now = state.noted;
        let (own, other) = (way as usize, 1 - way as usize);
        match fault {
            Some(Fault::Transport | Fault::Untrusted(_)) => {
                state.ways[own].down_since.get_or_insert(now);
                false
            }
            // Something answered, and it may be a proxy.
            Some(
                Fault::Server
                | Fault::Denied(_)
                | Fault::RateLimited(_)
                | Fault::TooLarge
                | Fault::Rejected,
            ) => false,
            None => {
                let before = state.ways[own];
                state.ways[own] = Known { down_since: None, reached: now };
                let missed = state.ways[other].down_since;
                before.down_since.is_some() || missed.is_some_and(|since| since > before.reached)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_way_hears_of_a_link_that_is_back_once() {
        use Way::{Follow, Sync};
        const DOWN: Option<Fault> = Some(Fault::Transport);
        // Each line: what was asked on which way, what came of it, whether the other one is told.
        type Asked = (Way, Option<Fault>, bool);
        let table: &[(&str, &[Asked])] = &[
            ("nothing was wrong", &[(Sync, None, false), (Follow, None, false)]),
            ("it was down itself", &[(Sync, DOWN, false), (Sync, None, true), (Sync, None, false)]),
            (
                "the other is down",
                &[
                    (Follow, None, false),
                    (Sync, DOWN, false),
                    (Sync, DOWN, false),
                    (Follow, None, true),
                    (Sync, DOWN, false),
                    (Follow, None, false),
                ],
            ),
            (
                "both were down",
                &[
                    (Sync, DOWN, false),
                    (Follow, DOWN, false),
                    (Follow, None, true),
                    (Sync, None, true),
                    (Follow, None, false),
                ],
            ),
            (
                "a proxy answers",
                &[(Sync, DOWN, false), (Sync, Some(Fault::Server), false), (Sync, None, true)],
            ),
        ];
        for (what, steps) in table {
            let reach = Reach::default();
            for (index, (way, fault, told)) in steps.iter().enumerate() {
                assert_eq!(reach.note(*way, *fault), *told, "{what}, step {index}");
            }
        }
    }
}
