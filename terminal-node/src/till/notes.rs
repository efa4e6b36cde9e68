//! What is to be noted in the diary, until a commit takes it along.

use counterfoil_protocol::terminal::diary::{NOTES_AT_ONCE_MAX, Note, Noted, notes};
use counterfoil_protocol::terminal::{Input, Key, Record};

use super::{Till, TillError, TillStore, lock, storage_failed};

/// How many notes are read while selling waits.
const PAGE: usize = 256;

impl<S: TillStore> Till<S> {
    /// Notes something with the next commit that is about the cloud: a note costs none of its own.
    /// If so many wait already, the oldest is forgotten.
    pub fn jot(&self, what: Noted) {
        let note = Note { at: self.clock().now(), what };
        let mut waiting = lock(&self.shared.notes);
        if let Some(last) = waiting.last_mut()
            && last.what.takes_in(&note.what)
        {
            return;
        }
        // One place is left for what the commit itself is.
        if waiting.len() + 1 >= NOTES_AT_ONCE_MAX {
            waiting.remove(0);
        }
        waiting.push(note);
    }

    /// Returns what is noted and not on the disk yet.
    #[must_use]
    pub fn jotted(&self) -> Vec<Note> {
        lock(&self.shared.notes).clone()
    }

    /// Returns the whole diary, oldest note first, each with its number.
    ///
    /// # Errors
    /// The store's.
    pub async fn diary(&self) -> Result<Vec<(u64, Note)>, TillError> {
        let mut all = Vec::new();
        let mut from = 1;
        loop {
            let page = {
                let reading = self.reading().await?;
                notes(&*reading, from, PAGE).await.map_err(storage_failed)?
            };
            let Some((last, _)) = page.last() else { return Ok(all) };
            from = last + 1;
            all.extend(page);
        }
    }

    /// Returns the newest notes, oldest first, each with its number.
    ///
    /// # Errors
    /// The store's.
    pub async fn newest_notes(&self, most: usize) -> Result<Vec<(u64, Note)>, TillError> {
        let reading = self.reading().await?;
        let diary = reading.get(&Key::Diary).await.map_err(storage_failed)?;
        let Some(Record::Diary(diary)) = diary else { return Ok(Vec::new()) };
        let from = (diary.written + 1).saturating_sub(most as u64).max(1);
        notes(&*reading, from, most).await.map_err(storage_failed)
    }

    /// Returns the input that writes what is noted into the commit of `input`, if that is one about
    /// the cloud. A commit that fails is the end of this till, and of what was noted.
    pub(super) fn notes_beside(&self, input: &Input) -> Option<Input> {
        let own = match input {
            Input::Adopt(adoption) if adoption.entries.is_empty() => None,
            Input::Adopt(adoption) => Some(Noted::carried(adoption)),
            Input::Retry { place, .. } => Some(Noted::Retried(*place)),
            Input::SetAside(place) => Some(Noted::SetAside(*place)),
            Input::Correct(correct) => {
                let (place, by) = correct.replaces();
                Some(Noted::Replaced { place, by })
            }
            Input::GiveWay(way) => {
                let (place, by) = way.replaces();
                Some(Noted::Replaced { place, by })
            }
            Input::Answered { .. } | Input::Welcomed { .. } | Input::Denied(_) => None,
            Input::Install { .. }
            | Input::Open { .. }
            | Input::Record(_)
            | Input::Delta(_)
            | Input::CatalogRun(_)
            | Input::Session(_)
            | Input::SessionVerdict(_)
            | Input::Inbox(_)
            | Input::ApplyPlan(_)
            | Input::Migrate(_)
            | Input::Archive(_)
            | Input::Note(_) => return None,
        };
        let mut taken = std::mem::take(&mut *lock(&self.shared.notes));
        taken.extend(own.map(|what| Note { at: self.clock().now(), what }));
        if taken.is_empty() { None } else { Some(Input::Note(taken)) }
    }
}
