//! The Store port over the page's `IndexedDB`: each call is a question that the page answers.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use counterfoil_protocol::machine::{Loaded, Page, Query, Store, Writes};
use counterfoil_protocol::persist::Persist as _;
use counterfoil_protocol::terminal::{Key, Record, Terminal};

use crate::ask::Bytes;
use crate::{Answer, Ask, StoreError, frame};

/// The rows of a till, behind the page. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct IndexedDb(Arc<Mutex<Line>>);

/// One question at a time, and its answer.
#[derive(Debug, Default)]
struct Line {
    ask: Option<Ask>,
    answer: Option<Answer>,
}

impl IndexedDb {
    /// Takes the question that waits for the page, if there is one.
    pub(crate) fn take_ask(&self) -> Option<Ask> {
        self.line().ask.take()
    }

    /// Leaves the page's answer for whoever has asked.
    pub(crate) fn put_answer(&self, answer: Answer) {
        self.line().answer = Some(answer);
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, ask: Ask) -> Result<Vec<Option<Bytes>>, StoreError> {
        let before = self.line().ask.replace(ask);
        assert!(before.is_none(), "one question at a time");
        let answer = poll_fn(|_| match self.line().answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        });
        match answer.await {
            Answer::Values(values) => Ok(values),
            Answer::Failed(why) => Err(StoreError::Failed(why)),
        }
    }
}

impl Store<Terminal> for IndexedDb {
    type Error = StoreError;

    async fn transact(
        &mut self,
        keys: Vec<Key>,
        mut decide: impl FnMut(&Loaded<Terminal>) -> Writes<Terminal> + Send,
    ) -> Result<(), StoreError> {
        let names: Vec<Bytes> = keys.iter().map(name).collect();
        let values = self.ask(Ask::Load(names)).await?;
        if values.len() != keys.len() {
            return Err(StoreError::Failed("it loaded other rows".to_owned()));
        }
        let writes = {
            let mut loaded = Loaded::<Terminal>::with_capacity(keys.len());
            for (key, value) in keys.into_iter().zip(values) {
                let record = value.map(|framed| open(&key, &framed)).transpose()?;
                loaded.push((key, record.map(Arc::new)));
            }
            encoded(&decide(&loaded))
        };
        // Nothing that was decided is known to anybody before this answer.
        let answer = self.ask(Ask::Write(writes)).await?;
        if answer.is_empty() {
            Ok(())
        } else {
            Err(StoreError::Failed("another answer".to_owned()))
        }
    }
}

impl Query<Terminal> for IndexedDb {
    type Error = StoreError;

    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        let found = self.ask(Ask::Get(name(key))).await?;
        let framed = found.into_iter().next().flatten();
        framed.map(|framed| open(key, &framed)).transpose()
    }

    async fn scan(
        &self,
        from: &Key,
        until: &Key,
        limit: usize,
    ) -> Result<Page<Terminal>, StoreError> {
        if from >= until || limit == 0 {
            return Ok(Page::<Terminal>::new()); // the browser would refuse such a range
        }
        let few = u32::try_from(limit).unwrap_or(u32::MAX);
        let ask = Ask::Scan { from: name(from), until: name(until), limit: few };
        let found = self.ask(ask).await?;
        let mut page = Page::<Terminal>::with_capacity(found.len() / 2);
        for pair in found.chunks_exact(2) {
            let [Some(bytes), Some(framed)] = pair else {
                return Err(StoreError::Failed("a row without key or value".to_owned()));
            };
            let key = Terminal::key_from_bytes(bytes)?;
            let record = open(&key, framed)?;
            page.push((key, record));
        }
        let within = page.iter().all(|(key, _)| from <= key && key < until);
        let rises = page.is_sorted_by(|(a, _), (b, _)| a < b);
        if page.len() > limit || !within || !rises {
            return Err(StoreError::Failed("it found other rows".to_owned()));
        }
        Ok(page)
    }
}

fn name(key: &Key) -> Bytes {
    let mut bytes = Vec::with_capacity(32);
    Terminal::key_bytes(key, &mut bytes);
    bytes
}

fn open(key: &Key, framed: &[u8]) -> Result<Record, StoreError> {
    let body = frame::unseal(&name(key), framed)?;
    Ok(Terminal::record_from_bytes(key, body)?)
}

fn encoded(writes: &Writes<Terminal>) -> Vec<(Bytes, Option<Bytes>)> {
    let row = |(key, record): &(Key, Option<Arc<Record>>)| {
        let key = name(key);
        let value = record
            .as_ref()
            .map(|record| frame::seal(&key, |out| Terminal::record_bytes(record, out)));
        (key, value)
    };
    writes.iter().map(row).collect()
}
