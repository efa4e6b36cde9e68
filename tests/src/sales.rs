//! What is sold: the published file if this machine has it, otherwise one made up like it; and a
//! sale of which nothing but its name matters.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use counterfoil_protocol::event::{Body, Line, Tender, Trade};
use counterfoil_protocol::identity::{LocalEventId, PosId, ProductId};
use counterfoil_protocol::money::{Currency, Milli, Minor};
use counterfoil_protocol::terminal::Draft;
use counterfoil_protocol::time::Millis;
use counterfoil_terminal::import::{self, Document};
use counterfoil_terminal::sample;

use crate::binaries::root;
use crate::figures::{Figures, whole};

/// Where the published file lies beside a checkout, if somebody has put it there.
const PUBLISHED: &str = "../shared/data/online-retail-first-10000.csv";
/// How many invoices a made-up file has: about as many as the published one.
const MADE_UP: u64 = 512;

/// Sales from a file.
#[derive(Debug)]
pub struct Sales {
    /// Which file.
    pub source: String,
    /// Its invoices.
    pub documents: Vec<Document>,
    /// What the lines of the file add up to, summed up line by line as they were read.
    pub figures: Figures,
    /// Lines that stand in no event.
    pub not_understood: usize,
}

/// Reads the file at `path`, or the published one, or makes one up.
///
/// # Errors
/// If the file cannot be read.
pub fn load(path: Option<&Path>) -> anyhow::Result<Sales> {
    let beside: PathBuf = root().join(PUBLISHED);
    let (source, bytes) = match path {
        Some(path) => {
            let bytes = fs::read(path).with_context(|| path.display().to_string())?;
            (path.display().to_string(), bytes)
        }
        None if beside.is_file() => (PUBLISHED.to_owned(), fs::read(beside)?),
        None => {
            let made = sample::online_retail(1, MADE_UP);
            (format!("{MADE_UP} made-up invoices"), made.bytes)
        }
    };
    let register = PosId::parse("P-1").context("a register")?;
    let import::Import { documents, report } = import::parse(&bytes[..], register)?;
    let figures = Figures {
        invoices: report.invoices,
        lines: report.understood,
        quantity: whole(report.quantity_milli),
        money_minor: report.money_minor,
    };
    Ok(Sales { source, documents, figures, not_understood: report.not_understood.len() })
}

/// Returns a sale of this name: two of the product `tea`, on register 1.
///
/// # Panics
/// If it is no name.
#[must_use]
pub fn sale(id: &str) -> Draft {
    let line = Line {
        product: ProductId::parse("tea").expect("a name"),
        name: "Tea".to_owned(),
        quantity: Milli(2_000),
        unit_price: Minor(210),
        discount: Minor(0),
        tax_ppm: 200_000,
    };
    Draft {
        pos: PosId::parse("1").expect("a name"),
        local_id: LocalEventId::parse(id).expect("a name"),
        at: Millis(1_750_000_000_000),
        reference: String::new(),
        body: Body::Sale(Trade::paid(Currency::GBP, vec![line], Tender::Cash)),
    }
}
