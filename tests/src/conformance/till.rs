//! A till as far as the wire shows one: a journal, a credential, and two routes.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use counterfoil_protocol::cloud::row::server_id;
use counterfoil_protocol::event::Event;
use counterfoil_protocol::hash::{Hash, genesis, link, payload_hash};
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::wire::event::EventV1;
use counterfoil_protocol::wire::message::{
    Hello, HelloLane, MEDIA_TYPE, ParentV1, Point, Push, PushAnswer, PushItem, ServerId, Welcome,
    WelcomeLane,
};
use serde_json::{Value, json};

use super::Enrolled;
use crate::http::{Answer, ask_with};

/// The media type of the readable form.
pub(super) const JSON: &str = "application/json";
/// The register of every sale.
const REGISTER: &str = "conformance";

/// One till of the suite.
#[derive(Clone, Debug)]
pub struct Till {
    address: String,
    enrolled: Enrolled,
    epoch: Epoch,
    parent: Option<ParentV1>,
    /// The chain hash of each entry, the genesis first.
    chain: Vec<Hash>,
    items: Vec<PushItem>,
}

impl Till {
    /// Makes a till with an empty journal, in a history that no other run of the suite has.
    pub(super) fn new(address: &str, enrolled: &Enrolled) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let nonce = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let epoch = Epoch { number: 1, nonce };
        let chain = vec![genesis(enrolled.terminal_id, epoch)];
        let address = address.to_owned();
        Self { address, enrolled: enrolled.clone(), epoch, parent: None, chain, items: Vec::new() }
    }

    /// Returns the same till with an empty journal in a history after this one, of which the first
    /// `common` entries are shared.
    pub(super) fn parted(&self, common: u64) -> Self {
        let epoch = Epoch { number: self.epoch.number + 1, nonce: self.epoch.nonce ^ 1 };
        let chain = vec![genesis(self.enrolled.terminal_id, epoch)];
        let parent = Some(ParentV1 { epoch: self.epoch, common });
        Self { epoch, parent, chain, items: Vec::new(), ..self.clone() }
    }

    /// Returns the till as it was when its journal had so many entries.
    pub(super) fn back_to(&self, entries: usize) -> Self {
        let mut earlier = self.clone();
        earlier.chain.truncate(entries + 1);
        earlier.items.truncate(entries);
        earlier
    }

    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) const fn enrolled(&self) -> &Enrolled {
        &self.enrolled
    }

    pub(super) fn items(&self) -> Vec<PushItem> {
        self.items.clone()
    }

    /// Enters a sale of one line; the name is new in every run.
    pub(super) fn sells(&mut self, name: &str, price_minor: i64) -> anyhow::Result<PushItem> {
        let sale = json!({"sale": trade(price_minor)});
        self.records(name, sale)
    }

    /// Enters a refund of a sale of this till.
    pub(super) fn refunds(
        &mut self,
        name: &str,
        original: &str,
        price_minor: i64,
    ) -> anyhow::Result<PushItem> {
        let original = json!({"terminalId": self.enrolled.terminal_id, "posId": REGISTER,
            "localEventId": self.local_id(original)});
        self.records(name, json!({"refund": {"original": original, "trade": trade(price_minor)}}))
    }

    fn records(&mut self, name: &str, body: Value) -> anyhow::Result<PushItem> {
        let event: EventV1 = serde_json::from_value(json!({
            "posId": REGISTER, "localEventId": self.local_id(name), "atMs": 1_700_000_000_000_u64,
            "receipt": {"series": self.epoch, "number": self.items.len() + 1}, "reference": "",
            "body": body,
        }))?;
        let event = Event::parse(event).context("the suite's own event")?;
        Ok(self.enters(event.canonical()))
    }

    /// Enters bytes, whatever they are.
    pub(super) fn enters(&mut self, payload: Vec<u8>) -> PushItem {
        let seq = self.items.len() as u64 + 1;
        let chain_hash = link(self.head(), seq, payload_hash(&payload));
        let item = PushItem { seq, chain_hash, payload: payload.into() };
        self.chain.push(chain_hash);
        self.items.push(item.clone());
        item
    }

    fn head(&self) -> Hash {
        *self.chain.last().expect("a chain begins with its genesis")
    }

    /// Names differ from run to run, as a cloud never forgets one; all histories of a till share
    /// them.
    fn local_id(&self, name: &str) -> String {
        format!("{name}-{:x}", self.epoch.nonce >> 1)
    }

    /// Returns the name that the cloud must give to an event.
    pub(super) fn server_id(&self, item: &PushItem) -> anyhow::Result<ServerId> {
        let event = Event::from_canonical(&item.payload)?;
        let key = event.key(self.enrolled.terminal_id);
        Ok(server_id(self.enrolled.shop_id, &key))
    }

    /// What it says in a greeting: of its journal the genesis or the last three entries.
    pub(super) fn hello(&self) -> Hello {
        let head = self.items.len() as u64;
        let points = (head.saturating_sub(2).max(u64::from(head > 0))..=head).rev();
        let points = points.map(|seq| Point { seq, hash: self.chain[seq as usize] }).collect();
        Hello {
            terminal_id: self.enrolled.terminal_id,
            versions: vec![1],
            app: "conformance".to_owned(),
            clock_ms: 1_700_000_000_000,
            lanes: vec![HelloLane { epoch: self.epoch, parent: self.parent, acked: 0, points }],
        }
    }

    /// Greets, and returns what the cloud holds of its journal.
    pub(super) async fn greets(&self) -> anyhow::Result<WelcomeLane> {
        let answer = self.posts("/v1/handshake", MEDIA_TYPE, self.hello().encode()).await?;
        ensure!(answer.status == 200, "a greeting is answered {}", told(&answer));
        let welcome = Welcome::decode(&answer.body).context("a Welcome")?;
        ensure!(welcome.version == 1, "the version is {}", welcome.version);
        let lanes = welcome.lanes.len();
        let lane = welcome.lanes.into_iter().next().context("a lane was shown, none came")?;
        ensure!(lanes == 1, "one lane was shown, {lanes} came");
        ensure!(lane.epoch == self.epoch, "the lane is of another history");
        Ok(lane)
    }

    /// Pushes in the binary form.
    pub(super) async fn pushes(&self, items: Vec<PushItem>) -> anyhow::Result<PushAnswer> {
        let body = self.push(items).encode();
        let answer = self.posts("/v1/sales-events", MEDIA_TYPE, body).await?;
        ensure!(answer.status == 200, "a push is answered {}", told(&answer));
        PushAnswer::decode(&answer.body).context("a PushAnswer")
    }

    pub(super) fn push(&self, items: Vec<PushItem>) -> Push {
        Push { terminal_id: self.enrolled.terminal_id, epoch: self.epoch, items }
    }

    /// Posts with its credential.
    pub(super) async fn posts(
        &self,
        path: &str,
        media: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<Answer> {
        self.posts_as(Some(&self.enrolled.credential), path, media, body).await
    }

    /// Posts with another credential, or with none.
    pub(super) async fn posts_as(
        &self,
        credential: Option<&str>,
        path: &str,
        media: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<Answer> {
        let bearer = credential.map(|credential| format!("Bearer {credential}"));
        let mut headers = vec![("content-type", media), ("accept", media)];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        ask_with(&self.address, "POST", path, &headers, body).await
    }
}

/// What was answered, for people.
pub(super) fn told(answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let body: String = body.chars().take(300).collect();
    format!("{} {body}", answer.status)
}

fn trade(price_minor: i64) -> Value {
    json!({
        "currency": "GBP",
        "lines": [{"productId": "conformance-tea", "name": "Tea", "quantityMilli": 1_000,
            "unitPriceMinor": price_minor, "discountMinor": 0, "taxPpm": 0}],
        "payments": [{"tender": 1, "amountMinor": price_minor}],
    })
}
