//! What the clients send: prepared before the clock starts, the same bytes for both servers.

use anyhow::Context as _;
use bytes::Bytes;
use counterfoil_cloud::credential::Token;
use counterfoil_protocol::event::Event;
use counterfoil_protocol::hash::{Hash, genesis, link, payload_hash};
use counterfoil_protocol::identity::{Epoch, TerminalId};
use counterfoil_protocol::wire::event::EventV1;
use counterfoil_protocol::wire::message::{Hello, HelloLane, Point, Push, PushItem};
use counterfoil_tests::random::Random;
use serde_json::json;

/// How many canonical bytes a sale has.
pub(crate) const SALE_BYTES: usize = 377;
/// How many products a branch sells.
const PRODUCTS: u64 = 1_000;

/// One till and everything it will send.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) terminal: TerminalId,
    pub(crate) branch: String,
    pub(crate) secret: Hash,
    pub(crate) token: String,
    pub(crate) hello: Bytes,
    pub(crate) pushes: Vec<Bytes>,
}

/// Prepares `clients` tills with `sales` sales each, `batch` in a push.
pub(crate) fn prepare(clients: usize, sales: usize, batch: usize) -> anyhow::Result<Vec<Client>> {
    (0..clients).map(|number| client(number, sales, batch)).collect()
}

fn client(number: usize, sales: usize, batch: usize) -> anyhow::Result<Client> {
    let terminal = TerminalId::parse(&format!("T-{number:02}")).context("a name")?;
    let mut secret = [0x5e; 32];
    secret[..8].copy_from_slice(&(number as u64).to_le_bytes());
    let token = Token::new(terminal, secret);
    let epoch = Epoch { number: 1, nonce: 77 };
    let start = genesis(terminal, epoch);
    let mut draw = Random::new(number as u64);
    let mut chain = start;
    let mut items = Vec::with_capacity(sales);
    for seq in 1..=sales as u64 {
        let payload = sale(seq, &mut draw)?;
        chain = link(chain, seq, payload_hash(&payload));
        items.push(PushItem { seq, chain_hash: chain, payload: payload.into() });
    }
    let pushes = items.chunks(batch).map(|items| {
        let push = Push { terminal_id: terminal, epoch, items: items.to_vec() };
        Bytes::from(push.encode())
    });
    let hello = Hello {
        terminal_id: terminal,
        versions: vec![1],
        app: "bench".to_owned(),
        clock_ms: 1,
        lanes: vec![HelloLane {
            epoch,
            parent: None,
            acked: 0,
            points: vec![Point { seq: 0, hash: start }],
        }],
    };
    Ok(Client {
        terminal,
        branch: format!("B-{}", number % 4),
        secret: token.digest(),
        token: token.reveal(),
        hello: hello.encode().into(),
        pushes: pushes.collect(),
    })
}

/// A sale of one to three lines, padded to the same length by the names of its products.
fn sale(seq: u64, draw: &mut Random) -> anyhow::Result<Vec<u8>> {
    let lines: Vec<(u64, i64, i64)> = (0..draw.between(1, 3))
        .map(|_| {
            let (quantity, price) = (draw.between(1, 12), draw.between(50, 2_000));
            (draw.between(1, PRODUCTS), quantity.cast_signed(), price.cast_signed())
        })
        .collect();
    let bare = event(seq, &lines, 0)?.canonical().len();
    let payload = event(seq, &lines, SALE_BYTES.saturating_sub(bare))?.canonical();
    Ok(payload)
}

fn event(seq: u64, lines: &[(u64, i64, i64)], padding: usize) -> anyhow::Result<Event> {
    let each = padding / lines.len();
    let total: i64 = lines.iter().map(|(_, quantity, price)| quantity * price).sum();
    let lines: Vec<_> = lines
        .iter()
        .map(|(product, quantity, price)| {
            json!({
                "productId": format!("SKU-{product:05}"), "name": "n".repeat(each.min(128)),
                "quantityMilli": quantity * 1_000, "unitPriceMinor": price,
                "discountMinor": 0, "taxPpm": 200_000,
            })
        })
        .collect();
    let event: EventV1 = serde_json::from_value(json!({
        "posId": "P-1", "localEventId": format!("{seq:08}-0000-4000-8000-000000000000"),
        "atMs": 1_760_000_000_000_u64 + seq,
        "receipt": {"series": {"number": 1, "nonce": 77}, "number": seq},
        "reference": format!("INV-{seq:08}"),
        "body": {"sale": {
            "currency": "GBP", "lines": lines,
            "payments": [{"tender": 2, "amountMinor": total}],
        }},
    }))?;
    Ok(Event::parse(event)?)
}
