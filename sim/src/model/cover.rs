//! Which transitions a till's commits are.

use counterfoil_protocol::terminal::{Backlog, Input, Parted};
use counterfoil_protocol::wire::message::Verdict;

use super::World;
use crate::coverage::Transition;

impl World {
    pub(super) fn cover_commit(
        &mut self,
        till: usize,
        input: &Input,
        acked: u64,
        backlog: Backlog,
    ) {
        let host = &mut self.tills[till];
        let acked_now = host.meta().map_or(0, |meta| meta.acked);
        let coverage = &mut host.coverage;
        match backlog.parted {
            Some(Parted::LostTail) => coverage.saw(Transition::TillWelcomedLostTail),
            Some(Parted::Forked) => coverage.saw(Transition::TillWelcomedForked),
            Some(Parted::Copied | Parted::Restored) | None => {}
        }
        match input {
            Input::Welcomed { .. } if backlog.parted.is_none() && acked_now < acked => {
                coverage.saw(Transition::TillWelcomedTookBack);
            }
            Input::Answered { answer, .. } => {
                for result in &answer.results {
                    coverage.saw(match result.verdict {
                        Verdict::Created(_) | Verdict::Existing(_) | Verdict::Edited(_) => {
                            Transition::TillSynced
                        }
                        Verdict::Parked(_) => Transition::TillWaits,
                        Verdict::Refused(_) => Transition::TillAttention,
                    });
                }
            }
            Input::Install { .. }
            | Input::Open { .. }
            | Input::Record(_)
            | Input::Welcomed { .. }
            | Input::Denied(_)
            | Input::Adopt(_)
            | Input::Delta(_)
            | Input::CatalogRun(_)
            | Input::Session(_)
            | Input::SessionVerdict(_)
            | Input::Inbox(_)
            | Input::ApplyPlan(_)
            | Input::Migrate(_)
            | Input::Archive(_)
            | Input::Note(_)
            | Input::Correct(_)
            | Input::GiveWay(_)
            | Input::SetAside(_)
            | Input::Retry { .. } => {}
        }
    }
}

/// Returns which transition an input is.
pub(super) const fn kind(input: &Input) -> Transition {
    match input {
        Input::Install { .. } => Transition::TillInstall,
        Input::Open { .. } | Input::Migrate(_) => Transition::TillOpen,
        Input::Record(_) => Transition::TillRecord,
        Input::Welcomed { .. } => Transition::TillWelcomed,
        // Written beside answers, and decides nothing.
        Input::Answered { .. } | Input::Note(_) => Transition::TillAnswered,
        Input::Denied(_) => Transition::TillDenied,
        Input::Adopt(_) => Transition::TillAdopt,
        Input::Retry { .. } => Transition::TillRetry,
        Input::Archive(_) => Transition::TillArchive,
        Input::Correct(_) => Transition::TillCorrect,
        Input::GiveWay(_) => Transition::TillGiveWay,
        Input::SetAside(_) => Transition::TillSetAside,
        Input::Delta(_) => Transition::TillDelta,
        Input::CatalogRun(_) => Transition::TillRun,
        Input::Session(_) => Transition::TillSession,
        Input::SessionVerdict(_) => Transition::TillVerdict,
        Input::Inbox(_) => Transition::TillInbox,
        Input::ApplyPlan(_) => Transition::TillPlan,
    }
}
