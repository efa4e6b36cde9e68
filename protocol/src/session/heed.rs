//! How long a till believes what the cloud has said beside something else: that there is nothing
//! new, of its catalog or its inbox.

use super::Config;
use super::backoff::Backoff;
use crate::time::Millis;

/// How often in a row a till believes that there is nothing new before it asks all the same: its
/// question renews its lease, and nothing rests on a word for longer.
const HEEDED_MAX: u32 = 31;

const _: () = assert!(HEEDED_MAX > 0, "a word is believed");

/// How often in a row a till has not asked, because the cloud had said that nothing is new. Who
/// asks begins anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heed(u32);

impl Heed {
    /// Counts such a word, and returns how long the till rests on it; none if it has believed
    /// enough of them, and waits on as it did.
    pub(super) fn rests(&mut self, config: &Config, backoff: &mut Backoff) -> Option<Millis> {
        assert!(self.0 <= HEEDED_MAX, "sooner or later it asks");
        if self.0 == HEEDED_MAX {
            return None;
        }
        self.0 += 1;
        let spread = backoff.spread(config.backoff_cap.0.max(1));
        let wait = config.past_a_greeting().after(Millis(spread));
        assert!(self.0 > 0 && self.0 <= HEEDED_MAX, "a word that is believed is counted");
        assert!(wait >= config.idle_greeting, "the next word comes before it asks");
        assert!(spread <= config.backoff_cap.0, "tills are spread within bounds");
        Some(wait)
    }
}
