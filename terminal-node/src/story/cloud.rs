//! The cloud's side of a story, and whether both sides tell the same.

mod text;

use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{LocalEventId, PosId};
use counterfoil_protocol::terminal::diary::{Note, Noted, Outcome};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::explain::{CloudState, CloudStory};
use serde::{Deserialize, Serialize};

use super::ask::{Asker, Unheard};
use super::{Spot, Story};
use crate::books::Standing;
use crate::sync::explain;
use crate::till::{Till, TillError, TillStore};

/// What is known of the cloud's side now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudSide {
    /// Whether it was heard just now, and what of.
    pub heard: Heard,
    /// Why it was not.
    pub explanation: Option<String>,
    /// When the cloud was heard last, if it was not now, as far as this till has noted it.
    pub last_heard_ms: Option<Millis>,
    /// How the two sides stand to each other; none if one of them is not known.
    pub agreement: Option<Agreement>,
    /// What they differ in, and other things that a person should know of both.
    pub remarks: Vec<String>,
    /// What the cloud tells.
    pub story: Option<CloudStory>,
}

/// What was heard of the cloud's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Heard {
    /// Its story.
    Told,
    /// That it has nothing of this name from this till.
    Nothing,
    /// Nothing: its side is not known now.
    NotNow,
}

/// How the two sides stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Agreement {
    /// They tell the same.
    Same,
    /// The cloud knows more: the till hears of it when it speaks to the cloud again.
    TillBehind,
    /// The till knows more: the cloud hears of it when the till speaks to it again.
    CloudBehind,
    /// They cannot both be right: a person must look.
    Contradiction,
}

impl<S: TillStore> Till<S> {
    /// Tells the way of an event on both sides; none if there is no event of this name here.
    /// `heard` is when the running program has heard the cloud last.
    ///
    /// # Errors
    /// The store's. That the cloud is not heard is no error.
    pub async fn both_sides(
        &self,
        asker: &Asker,
        heard: Option<Millis>,
        pos: PosId,
        id: LocalEventId,
    ) -> Result<Option<Story>, TillError> {
        let Some(mut story) = self.story(pos, id).await? else { return Ok(None) };
        let answer = asker.ask(pos, id).await;
        // What was answered meanwhile is part of the story.
        if let Some(later) = self.story(pos, id).await? {
            story = later;
        }
        story.cloud = Some(match answer {
            Ok(told) => CloudSide::heard(&story, told),
            Err(why) => {
                let diary = self.diary().await?;
                let noted = diary.iter().map(|(_, note)| note).filter_map(answered).max();
                let jotted = self.jotted().iter().filter_map(answered).max();
                CloudSide::not_heard(why, noted.max(jotted).max(heard))
            }
        });
        Ok(Some(story))
    }
}

/// Returns when a note says that the cloud answered, if it says so.
fn answered(note: &Note) -> Option<Millis> {
    let Noted::Offered { last, runs, .. } = &note.what else { return None };
    let heard = runs.iter().any(|run| !matches!(run.outcome, Outcome::Unheard(_)));
    heard.then_some(*last)
}

impl CloudSide {
    fn heard(own: &Story, told: Option<CloudStory>) -> Self {
        let (agreement, mut remarks) = compare(own, told.as_ref());
        if let Some(told) = &told {
            remarks.extend(elsewhere(own, told));
        }
        Self {
            heard: if told.is_some() { Heard::Told } else { Heard::Nothing },
            explanation: None,
            last_heard_ms: None,
            agreement: Some(agreement),
            remarks,
            story: told,
        }
    }

    fn not_heard(why: Unheard, last_heard_ms: Option<Millis>) -> Self {
        let explanation = match why {
            Unheard::Fault(fault) => explain(fault).to_owned(),
            Unheard::NotUnderstood => {
                "the cloud does not tell stories in a way that is known here: update the older one \
                 of both programs"
                    .to_owned()
            }
        };
        Self {
            heard: Heard::NotNow,
            explanation: Some(explanation),
            last_heard_ms,
            agreement: None,
            remarks: Vec::new(),
            story: None,
        }
    }
}

/// Compares what both sides tell.
fn compare(own: &Story, told: Option<&CloudStory>) -> (Agreement, Vec<String>) {
    use Agreement::{CloudBehind, Contradiction, Same, TillBehind};
    let with = |agreement, remark: &str| (agreement, vec![remark.to_owned()]);
    let Some(told) = told else {
        return match own.state {
            Standing::Synced => with(
                CloudBehind,
                "the cloud has lost it, as a restored one may have: it is offered again when the \
                 till speaks to it",
            ),
            Standing::Pending | Standing::NeedsAttention | Standing::Replaced => (Same, Vec::new()),
        };
    };
    if told.payload_hash.to_string() != own.payload_hash {
        return other_payload(own, told);
    }
    match (own.state, told.state) {
        (Standing::Synced, CloudState::Posted) if told.server_id == own.server_id => {
            (Same, Vec::new())
        }
        (Standing::Synced, _) => with(
            Contradiction,
            "the till was told that it is posted, and the cloud does not say so now: let the \
             cloud's operator run the check",
        ),
        (Standing::Pending, CloudState::Posted) => with(
            TillBehind,
            "the cloud has posted it, and the till has not heard of that: the next offer is \
             answered so",
        ),
        (Standing::NeedsAttention, CloudState::Posted) => with(
            TillBehind,
            "the cloud has posted it since: another try, and the till hears of that",
        ),
        (Standing::Replaced, CloudState::Posted) => with(
            TillBehind,
            "the cloud had posted it before its correction came: it counts, the correction never \
             does",
        ),
        (Standing::Replaced, CloudState::Waits | CloudState::Rejected) => {
            with(CloudBehind, "what counts in its place has not come to the cloud yet")
        }
        (Standing::Pending, CloudState::Rejected | CloudState::Refused | CloudState::Withdrawn) => {
            with(TillBehind, "it never counts, and the till has not heard of that")
        }
        (Standing::Pending | Standing::NeedsAttention, CloudState::Waits)
        | (
            Standing::NeedsAttention,
            CloudState::Rejected | CloudState::Refused | CloudState::Withdrawn,
        )
        | (Standing::Replaced, CloudState::Refused | CloudState::Withdrawn) => (Same, Vec::new()),
    }
}

/// The cloud counts another event under this name (B.2).
fn other_payload(own: &Story, told: &CloudStory) -> (Agreement, Vec<String>) {
    let is_own = |hash: &Hash| hash.to_string() == own.payload_hash;
    let came = told.conflicts.iter().any(|conflict| is_own(&conflict.payload_hash));
    let kept = if came { "keeps this one beside it" } else { "has not got this one" };
    let agreement = match own.state {
        Standing::Synced => Agreement::Contradiction,
        Standing::Pending => Agreement::TillBehind,
        Standing::NeedsAttention | Standing::Replaced => Agreement::Same,
    };
    let remark = format!(
        "the cloud has another event under this name, that came first, and {kept}: one of both \
         tills' stories is a copy's, or a program used a name twice"
    );
    (agreement, vec![remark])
}

/// Says where the cloud has it from, if that is none of the places where it stood here.
fn elsewhere(own: &Story, told: &CloudStory) -> Option<String> {
    let journal = told.journal.as_ref()?;
    let spot = Spot { epoch: journal.epoch, seq: journal.seq };
    let here = spot == own.place || own.before.contains(&spot);
    (!here).then(|| {
        format!(
            "the cloud has it from entry {} of history {}, which this database does not know: a \
             copy of this till, or its time before a restore, brought it",
            spot.seq, spot.epoch
        )
    })
}

#[cfg(test)]
mod tests;
