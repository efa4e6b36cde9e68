//! A shop with many products, in a real node on a real socket.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use counterfoil_protocol::catalog::{Entity, EntityId};
use counterfoil_protocol::cloud::catalog::EDITS_MAX;
use counterfoil_protocol::cloud::{Edit, Edits, Input, Output};
use counterfoil_protocol::identity::ShopId;
use counterfoil_protocol::wire::catalog::{EntityV1, SnapshotPage};
use counterfoil_protocol::wire::message::MEDIA_TYPE;
use counterfoil_storage::Location;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use crate::bench::frames::{Client, prepare};
use crate::bench::node::Node;

/// A node, its tills' credentials, and what its catalog weighs.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) node: Node,
    pub(crate) tills: Vec<Client>,
    /// The bytes of all products as JSON, and in canonical form.
    pub(crate) json_bytes: u64,
    pub(crate) canonical_bytes: u64,
}

/// Makes a product: about 270 bytes as JSON. `edition` changes what it costs.
pub(crate) fn product(number: u64, edition: u64) -> EntityV1 {
    const WORDS: [&str; 16] = [
        "organic",
        "roasted",
        "mountain",
        "arabica",
        "coffee",
        "beans",
        "whole",
        "family",
        "pack",
        "fairtrade",
        "dark",
        "gentle",
        "harvest",
        "selection",
        "premium",
        "kitchen",
    ];
    let word =
        |place: u64| WORDS[(number.wrapping_mul(2_654_435_761) >> (place * 4)) as usize % 16];
    let name = format!(
        "{} {} {} {} {} {}, {} g",
        word(0),
        word(1),
        word(2),
        word(3),
        word(4),
        word(5),
        50 + number % 40 * 25
    );
    let price = 99 + number.wrapping_mul(7_919) % 4_000 + edition;
    let value = json!({ "product": {
        "productId": format!("SKU-{number:08}"),
        "name": name,
        "barcodes": [format!("40{:011}", number.wrapping_mul(48_271) % 100_000_000_000)],
        "priceMinor": price, "currency": "GBP", "taxPpm": 200_000, "unit": "pcs",
        "category": format!("category-{:03}", number % 200), "active": true,
    }});
    serde_json::from_value(value).expect("it has the form of a product")
}

impl Shop {
    /// Starts a node over a new store in `directory`, with `tills` enrolled in one branch and
    /// `products` in its catalog.
    pub(crate) fn open(directory: &Path, tills: usize, products: u64) -> anyhow::Result<Self> {
        let location: Location = format!("redb:{}", directory.join("cloud.redb").display())
            .parse()
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut tills = prepare(tills, 0, 1)?;
        for till in &mut tills {
            till.branch = "B-0".to_owned();
        }
        let node = Node::start(&location, &tills)?;
        let mut shop = Self { node, tills, json_bytes: 0, canonical_bytes: 0 };
        let numbers: Vec<u64> = (0..products).collect();
        for commit in numbers.chunks(EDITS_MAX) {
            for number in commit {
                let wire = product(*number, 0);
                shop.json_bytes += serde_json::to_vec(&wire)?.len() as u64;
                shop.canonical_bytes += Entity::parse(wire)?.canonical().len() as u64;
            }
            shop.edit(commit, 0)?;
        }
        Ok(shop)
    }

    /// Changes the prices of some products, in one commit.
    pub(crate) fn edit(&self, numbers: &[u64], edition: u64) -> anyhow::Result<()> {
        let edits: Result<Vec<Edit>, _> = numbers
            .iter()
            .map(|number| {
                let entity = Entity::parse(product(*number, edition))?;
                anyhow::Ok(Edit { branch: None, id: entity.id(), entity: Some(entity) })
            })
            .collect();
        let shop = ShopId::parse("bench").context("a name")?;
        let output = self.node.ask(Input::EditCatalog(Edits::new(shop, edits?)?))?;
        let changed =
            matches!(output, Output::Edited { changed, .. } if changed as usize == numbers.len());
        ensure!(changed, "each product was changed");
        Ok(())
    }

    /// Downloads the whole snapshot, page by page as it travels.
    pub(crate) async fn pages(&self) -> anyhow::Result<Vec<Bytes>> {
        Asked::connect(self.node.address, &self.tills[0]).await?.snapshot().await
    }

    /// Downloads the delta after `from`, as it travels.
    pub(crate) async fn delta(&self, from: u64) -> anyhow::Result<Bytes> {
        let mut asked = Asked::connect(self.node.address, &self.tills[0]).await?;
        asked.get(&format!("/v1/catalog/delta?from={from}")).await
    }
}

/// A till that asks and keeps nothing.
pub(crate) struct Asked {
    sender: SendRequest<Empty<Bytes>>,
    address: SocketAddr,
    token: String,
}

impl Asked {
    pub(crate) async fn connect(address: SocketAddr, till: &Client) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, address, token: till.token.clone() })
    }

    /// Downloads the whole snapshot, page by page as it travels.
    pub(crate) async fn snapshot(&mut self) -> anyhow::Result<Vec<Bytes>> {
        let mut pages = Vec::new();
        let mut query = String::new();
        loop {
            let packed = self.get(&format!("/v1/catalog/snapshot?{query}")).await?;
            let page = SnapshotPage::decode(&zstd::decode_all(&*packed)?)?;
            pages.push(packed);
            let Some(EntityId { kind, id }) = page.last else { return Ok(pages) };
            query = format!("pinned={}&kind={}&id={id}", page.pinned, kind.word());
        }
    }

    async fn get(&mut self, path: &str) -> anyhow::Result<Bytes> {
        let request = http::Request::get(path)
            .header("host", self.address.to_string())
            .header("authorization", format!("Bearer {}", self.token))
            .header("accept", MEDIA_TYPE)
            .header("accept-encoding", "zstd")
            .body(Empty::new())?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let packed = response.headers().get("content-encoding").is_some();
        ensure!(response.status() == 200 && packed, "{}", response.status());
        Ok(response.into_body().collect().await?.to_bytes())
    }
}
