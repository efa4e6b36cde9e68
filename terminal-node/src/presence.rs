//! What a till says of itself beside what it asks anyway, so that its operator sees how it is: one
//! small header. The cloud decides nothing by it.
//!
//! ```text
//! counterfoil-till: version=0.1.0; pending=3; oldest-ms=12345; now-ms=1700000000000
//! ```

use counterfoil_protocol::event::Event;
use counterfoil_protocol::machine::Page;
use counterfoil_protocol::terminal::{Key, Place, Record, Terminal};
use counterfoil_protocol::time::Millis;
use http::HeaderValue;

use crate::till::{Till, TillError, TillStore, storage_failed};
use crate::transport::{Connector, Transport};

/// The most events that were answered and wait for another try, or for a person, that are counted.
const COUNTED_MAX: usize = 1_000;

type Rows = Page<Terminal>;

impl<S: TillStore> Till<S> {
    /// Lets a transport say with its next request how this till is, if it was made to.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn introduce<C: Connector>(
        &self,
        transport: &mut Transport<C>,
    ) -> Result<(), TillError> {
        if transport.introduces() {
            let word = self.word().await?;
            transport.introduce(word);
        }
        Ok(())
    }

    async fn rows(&self, from: Key, until: Key, most: usize) -> Result<Rows, TillError> {
        let reading = self.reading().await?;
        reading.scan(&from, &until, most).await.map_err(storage_failed)
    }

    /// Counts what waits in the current history, by a few short reads.
    async fn word(&self) -> Result<HeaderValue, TillError> {
        let meta = self.meta().await?;
        let (epoch, acked, head) = (meta.epoch, meta.acked, meta.head);
        let queue = |seq| Key::Queue(epoch, seq);
        let again = self.rows(queue(0), queue(acked + 1), COUNTED_MAX).await?;
        let attention = |seq| Key::Attention(epoch, seq);
        let attention = self.rows(attention(acked + 1), attention(head + 1), COUNTED_MAX).await?;
        let fresh = (head - acked).saturating_sub(attention.len() as u64);
        let pending = fresh.saturating_add(again.len() as u64);
        let now = self.clock().now();
        let mut oldest = Millis::ZERO;
        let first = self.rows(queue(0), queue(head + 1), 1).await?;
        if let Some((Key::Queue(epoch, seq), Record::Queue(_))) = first.first()
            && let Some(entry) = self.entry(Place { epoch: *epoch, seq: *seq }).await?
            && let Ok(event) = Event::from_canonical(&entry.payload)
        {
            oldest = now.since(event.at());
        }
        let version = env!("CARGO_PKG_VERSION");
        let (oldest, now) = (oldest.0, now.0);
        let word =
            format!("version={version}; pending={pending}; oldest-ms={oldest}; now-ms={now}");
        Ok(HeaderValue::from_str(&word).expect("digits and a version can stand in a header"))
    }
}
