//! A sale as the page says it, and its record.

use counterfoil_protocol::event::{Body, Line, Tender, Trade};
use counterfoil_protocol::identity::{LocalEventId, PosId, ProductId};
use counterfoil_protocol::money::{Currency, Milli, Minor};
use counterfoil_protocol::terminal::{Draft, Input, Output};
use serde::Deserialize;

use crate::till::{Till, strange};
use crate::{TillError, Told};

/// A sale. The same register, name and content again is harmless.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SaleBody {
    /// The register.
    pub pos_id: PosId,
    /// The page's name for it.
    pub local_event_id: LocalEventId,
    /// The time to print on it: the same when it is said again.
    pub at_ms: counterfoil_protocol::time::Millis,
    /// ISO 4217.
    pub currency: String,
    /// What was sold.
    pub lines: Vec<LineBody>,
}

/// A position of a sale.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LineBody {
    /// The product.
    pub product_id: ProductId,
    /// Its name at that moment.
    pub name: String,
    /// In thousandths.
    pub quantity_milli: i64,
    /// In minor units.
    pub unit_price_minor: i64,
    /// In millionths.
    #[serde(default)]
    pub tax_ppm: u32,
}

pub(crate) async fn sell(till: &mut Till, sale: SaleBody) -> Result<Told, TillError> {
    let currency = match Currency::parse(&sale.currency) {
        Ok(currency) => currency,
        Err(error) => return Ok(Told::Refused { why: error.to_string() }),
    };
    let draft = Draft {
        pos: sale.pos_id,
        local_id: sale.local_event_id,
        at: sale.at_ms,
        reference: String::new(),
        body: Body::Sale(Trade::paid(currency, lines(sale.lines), Tender::Cash)),
    };
    match till.apply(Input::Record(draft)).await? {
        Output::Recorded { receipt, again, .. } => {
            Ok(Told::Sold { receipt: receipt.map(|receipt| receipt.number), again })
        }
        Output::Taken(_) => {
            Ok(Told::Refused { why: "another sale has this name: nothing was recorded".to_owned() })
        }
        Output::Invalid(error) => Ok(Told::Refused { why: error.to_string() }),
        Output::NotInstalled(other) => Err(TillError::NotInstalled(other)),
        other => Err(strange(&other)),
    }
}

fn lines(said: Vec<LineBody>) -> Vec<Line> {
    let line = |said: LineBody| Line {
        product: said.product_id,
        name: said.name,
        quantity: Milli(said.quantity_milli),
        unit_price: Minor(said.unit_price_minor),
        discount: Minor(0),
        tax_ppm: said.tax_ppm,
    };
    said.into_iter().map(line).collect()
}
