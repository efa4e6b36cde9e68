//! Parcels: what waits, as a file that a person carries to the cloud, and the answers that come
//! back (B.19). For places where a till never has a link, or has none for weeks.
//!
//! The file is that of [`counterfoil_protocol::wire::parcel`]. To write one changes nothing that
//! was recorded, and to take its answers is to hear what a link would have told. Any of them may be
//! lost, carried twice, or overtaken by a link that is back: see [`Outstanding`].
//!
//! [`Outstanding`]: counterfoil_protocol::wire::parcel::Outstanding

pub(crate) mod kept;

use std::fmt;

use counterfoil_protocol::hash::{Hash, secret_hash};
use counterfoil_protocol::session::Nudge;
use counterfoil_protocol::terminal::diary::Noted;
use counterfoil_protocol::terminal::pull::{self, Batch};
use counterfoil_protocol::terminal::{Backlog, Input, Output};
use counterfoil_protocol::wire::message::{PushAnswer, PushItem, Verdict};
use counterfoil_protocol::wire::parcel::{
    Answers, Offered, Offers, PARCEL_BYTES_MAX, PARCEL_PUSHES_MAX, ParcelError,
};
use serde::{Deserialize, Serialize};

use crate::sync::APP;
use crate::till::{Till, TillError, TillStore, storage_failed};

/// What the parcels of a till are sealed with. Its `Debug` form hides it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seal(Hash);

/// A parcel, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub parcel: Vec<u8>,
    /// How many entries are in it.
    pub entries: u64,
    /// How many more wait for the next one.
    pub left: u64,
}

/// What the answers of the cloud have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// How many entries the cloud holds, for good.
    pub synced: u64,
    /// How many it did not accept, or not yet; see the queue.
    pub refused: u64,
    /// How many events wait now.
    pub pending: u64,
    /// How many need attention now.
    pub needs_attention: u64,
    /// Whether there is more to say: the cloud lacks what it once had, or stopped before the end,
    /// or the histories have parted. Write another parcel.
    pub again: bool,
    /// Whether the answers came too late, and nothing was changed: they were taken, or those to a
    /// later parcel were, or a link has told better, or another copy of this till has asked.
    pub late: bool,
}

/// Why a parcel is not taken. Nothing is changed by it.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The file.
    #[error(transparent)]
    Parcel(#[from] ParcelError),
    /// The till.
    #[error(transparent)]
    Till(#[from] TillError),
}

impl Seal {
    /// Makes it of the credential for the cloud, `cf_<terminalId>_<secret>`.
    #[must_use]
    pub fn of(token: &str) -> Self {
        // The name may have underscores, the secret has none.
        let secret = token.trim().rsplit_once('_').map_or(token, |(_, secret)| secret);
        Self(secret_hash(secret.as_bytes()))
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(hidden)")
    }
}

impl<S: TillStore> Till<S> {
    /// Puts what waits into a parcel, as far as there is room, and says where the journals stand.
    ///
    /// # Errors
    /// The till's.
    pub async fn write_parcel(&self, seal: Seal) -> Result<Written, TillError> {
        self.carry_over().await?;
        let number = self.draw();
        self.parcels(|kept| kept.written(number))?;
        let (now, limits) = (self.clock().now(), pull::Limits::default());
        let (meta, hello, batch) = {
            let reading = self.reading().await?;
            let meta = pull::meta(&*reading).await.map_err(storage_failed)?;
            let meta = meta.ok_or(TillError::NotInstalled(None))?;
            let hello = pull::hello(&*reading, &meta, now, APP).await.map_err(storage_failed)?;
            let batch = pull::batch(&*reading, &meta, now, limits).await.map_err(storage_failed)?;
            (meta, hello, batch)
        };
        let (mut pushes, mut bytes, mut last) = (Vec::new(), 0, meta.acked);
        let mut next = if let Batch::Push(push) = batch { Some(push) } else { None };
        while let Some(push) = next {
            bytes += push.items.iter().map(|item| item.payload.len()).sum::<usize>();
            last = push.items.last().map_or(last, |item| item.seq.max(last));
            pushes.push(push);
            let full = pushes.len() == PARCEL_PUSHES_MAX || bytes >= PARCEL_BYTES_MAX;
            next = if full || last >= meta.head {
                None
            } else {
                // Selling waits for one push at a time.
                let reading = self.reading().await?;
                let push = pull::fresh_push(&*reading, &meta, last + 1, limits).await;
                push.map_err(storage_failed)?
            };
        }
        let offers = Offers { number, hello, pushes };
        let (parcel, taken) = offers.seal(seal.0);
        let items = offers.pushes[..taken].iter().flat_map(|push| &push.items);
        let count = |(n, last): (u64, u64), item: &PushItem| (n + 1, item.seq.max(last));
        let (entries, last) = items.fold((0, meta.acked), count);
        tracing::info!(entries, bytes = parcel.len(), "a parcel was written");
        Ok(Written { parcel, entries, left: meta.head - last })
    }

    /// Takes the cloud's answers to a parcel: what it holds leaves the queue.
    ///
    /// # Errors
    /// [`TakeError`]; a store error may come after a part was taken. The rest is told by the
    /// answers to the next parcel.
    pub async fn take_parcel(&self, seal: Seal, bytes: &[u8]) -> Result<Taken, TakeError> {
        let Answers { number, terminal, welcome, answers } = Answers::open(bytes, seal.0)?;
        let meta = self.meta().await?;
        if meta.identity.terminal != terminal {
            return Err(ParcelError::Foreign.into());
        }
        let mut taken = Taken { late: !self.parcels(|kept| kept.takes(number))?, ..<_>::default() };
        if !taken.late {
            let backlog = self.hear(Input::Welcomed { welcome, nonce: self.draw() }).await?;
            taken.again = backlog.parted.is_some() || backlog.adopting;
            if let Some(why) = backlog.parted {
                tracing::warn!(parted = ?why, "a new epoch was opened");
                self.jot(Noted::Parted { why, epoch: self.meta().await?.epoch });
            }
            for (offered, answer) in answers {
                self.take_answer(offered, answer, &mut taken).await?;
            }
            self.carry_over().await?;
            let now = self.meta().await?;
            taken.again |= now.epoch == meta.epoch && now.acked < meta.acked;
            self.nudge(Nudge::Manual);
        }
        let status = self.status().await?;
        let (synced, refused, pending) = (taken.synced, taken.refused, status.pending);
        tracing::info!(synced, refused, pending, late = taken.late, "answers to a parcel came");
        Ok(Taken { pending, needs_attention: status.needs_attention, ..taken })
    }

    async fn take_answer(
        &self,
        Offered { epoch, last }: Offered,
        answer: PushAnswer,
        taken: &mut Taken,
    ) -> Result<(), TillError> {
        // Not of this journal, but of what this till was before its histories parted.
        let own = pull::has(&*self.reading().await?, epoch, last).await.map_err(storage_failed)?;
        if !own || epoch != self.meta().await?.epoch {
            taken.again = true;
            return Ok(());
        }
        taken.again |= answer.stopped.is_some();
        for result in &answer.results {
            match result.verdict {
                Verdict::Created(_) | Verdict::Existing(_) | Verdict::Edited(_) => {
                    taken.synced += 1;
                }
                Verdict::Parked(_) | Verdict::Refused(_) => taken.refused += 1,
            }
        }
        self.jot(Noted::answered(self.clock().now(), epoch, &answer));
        self.hear(Input::Answered { epoch, answer }).await.map(drop)
    }

    async fn hear(&self, input: Input) -> Result<Backlog, TillError> {
        let output = self.apply(input).await?;
        if let Output::NotInstalled(other) = output {
            return Err(TillError::NotInstalled(other));
        }
        let Output::Settled(backlog) = output else {
            unreachable!("an answer of the cloud is not answered by {output:?}")
        };
        Ok(backlog)
    }
}
