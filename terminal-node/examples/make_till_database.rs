//! Makes the till's database that the tests of migration begin with, compressed.
//!
//! It writes whatever schema version the program has that it is built with. How the committed
//! files were made stands beside them, in `tests/fixtures/README.md`.
#![allow(missing_docs, reason = "an example")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use counterfoil_protocol::catalog::Entity;
use counterfoil_protocol::event::{Body, Line, Tender, Trade};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{
    BranchId, LocalEventId, PosId, ProductId, ShopId, TerminalId, Witness,
};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::money::{Currency, Milli, Minor};
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::terminal::catalog::beside;
use counterfoil_protocol::terminal::{Draft, Identity, Input, Output, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{
    BranchPriceV1, CategoryV1, ChangeV1, EntityV1, ProductV1, SnapshotPage,
};
use counterfoil_protocol::wire::message::{ItemResult, PushAnswer, ServerId, Verdict};
use counterfoil_storage::{KeyValue, Redb};
use counterfoil_terminal::ports::{Clock, Entropy};
use counterfoil_terminal::till::Till;
use counterfoil_terminal::witness::WitnessCell;

const PRODUCTS: u64 = 200;

type Disk = Till<KeyValue<Terminal, Redb>>;
type Made = Result<(), Box<dyn std::error::Error>>;

#[derive(Debug, Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Millis {
        Millis(1_700_000_000_000 + self.0.fetch_add(1_000, Ordering::SeqCst))
    }
}

#[derive(Debug)]
struct Counting(u64);

impl Entropy for Counting {
    fn draw(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Made {
    let to = std::env::args().nth(1).ok_or("name the file to write")?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("till.redb");
    fill(&path).await?;
    let packed = zstd::encode_all(&std::fs::read(&path)?[..], 19)?;
    println!("{to}: {} bytes", packed.len());
    std::fs::write(to, packed)?;
    Ok(())
}

async fn fill(path: &Path) -> Made {
    let store = KeyValue::new(Redb::open(path)?);
    let till = Till::new(store, Arc::new(Ticking::default()), Box::new(Counting(0)));
    let identity = Identity {
        shop: ShopId::parse("shop")?,
        branch: BranchId::parse("mitte")?,
        terminal: TerminalId::parse("T-1")?,
    };
    let mut witness = WitnessCell::default();
    till.install(identity, &mut witness).await?;
    till.open(&mut witness).await?;
    for number in 0..6 {
        sell(&till, number).await?;
    }
    let results = vec![
        ItemResult { seq: 1, verdict: Verdict::Created(ServerId(Hash([1; 32]))) },
        ItemResult { seq: 2, verdict: Verdict::Refused(ErrorCode::EventInvalid) },
        ItemResult { seq: 3, verdict: Verdict::Parked(ErrorCode::ProductUnknown) },
        ItemResult { seq: 4, verdict: Verdict::Created(ServerId(Hash([4; 32]))) },
    ];
    let answer = PushAnswer { head: 4, results, stopped: None };
    let epoch = till.meta().await?.epoch;
    till.apply(Input::Answered { epoch, answer }).await?;
    // Another file beside the database: it was copied, and a new epoch begins.
    witness.0 = Some(Witness { install: 1_000, boot: 2_000 });
    till.open(&mut witness).await?;
    for number in 6..9 {
        sell(&till, number).await?;
    }
    catalog(&till).await
}

async fn sell(till: &Disk, number: u64) -> Made {
    let line = Line {
        product: ProductId::parse(&format!("sku-{number:03}"))?,
        name: format!("product {number}"),
        quantity: Milli(1_000),
        unit_price: Minor(199),
        discount: Minor(0),
        tax_ppm: 200_000,
    };
    let draft = Draft {
        pos: PosId::parse("1")?,
        local_id: LocalEventId::parse(&format!("sale-{number}"))?,
        at: till.clock().now(),
        reference: format!("R{number}"),
        body: Body::Sale(Trade::paid(Currency::GBP, vec![line], Tender::Cash)),
    };
    let output = till.record(draft).await?;
    assert!(matches!(output, Output::Recorded { again: false, .. }), "{output:?}");
    Ok(())
}

async fn catalog(till: &Disk) -> Made {
    let mut entities = Vec::new();
    for number in 0..PRODUCTS {
        entities.push(Entity::parse(EntityV1::Product(product(number)?))?);
    }
    let category_id = counterfoil_protocol::identity::CategoryId(Label::parse("tea")?);
    entities.push(Entity::parse(EntityV1::Category(CategoryV1 {
        category_id,
        name: "Tea".to_owned(),
    }))?);
    let product_id = ProductId::parse("sku-007")?;
    let overlay = BranchPriceV1 { product_id, price_minor: 77 };
    entities.push(Entity::parse(EntityV1::BranchPrice(overlay))?);
    let mut changes = Vec::new();
    for entity in entities {
        let content = Some(entity.canonical().into());
        changes.push(ChangeV1 { id: entity.id(), version: 1, content });
    }
    changes.sort_by_key(|change| change.id);
    let page = SnapshotPage { pinned: 1, after: None, last: None, entities: changes };
    let run = beside(&*till.reading().await?, page).await?;
    let output = till.apply(Input::CatalogRun(run)).await?;
    assert!(matches!(output, Output::Catalogued(_)), "{output:?}");
    Ok(())
}

/// Every tenth product has no barcode, every seventh two, and two share one.
fn product(number: u64) -> Result<ProductV1, Box<dyn std::error::Error>> {
    let mut barcodes = Vec::new();
    if !number.is_multiple_of(10) {
        barcodes.push(Label::parse(&format!("4000{number:09}"))?);
    }
    if number.is_multiple_of(7) {
        barcodes.push(Label::parse(&format!("5000{number:09}"))?);
    }
    if number == 11 || number == 12 {
        barcodes.push(Label::parse("9000000000000")?);
    }
    Ok(ProductV1 {
        product_id: ProductId::parse(&format!("sku-{number:03}"))?,
        name: format!("product {number}"),
        barcodes,
        price_minor: i64::try_from(100 + number)?,
        currency: "GBP".to_owned(),
        tax_ppm: 200_000,
        unit: Label::parse("pcs")?,
        category: None,
        active: number != 13,
    })
}
