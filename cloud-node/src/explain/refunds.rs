//! Refunds that name a sale: the ledger is in the order of names, so they have to be looked for.

use counterfoil_protocol::cloud::{Cloud, Key, Record};
use counterfoil_protocol::event::{Body, Event};
use counterfoil_protocol::identity::{EventKey, ShopId};
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::wire::explain::{LISTED_MAX, OtherEvent};

use super::{Viewer, told_other};
use crate::pages::{Kind, Pages, Span, all, of_terminal};

/// The most rows of the ledger that are looked at for an operator: of its own till, and again of
/// all tills.
pub const LOOKED_MAX: usize = 20_000;
/// The most for a till: many may ask, and often.
pub const LOOKED_FOR_TILL_MAX: usize = 5_000;

/// What was found.
pub(super) struct Found {
    pub(super) refunds: Vec<OtherEvent>,
    /// What was not looked at, in words.
    pub(super) unknown: Vec<String>,
}

/// Returns whether a refund can name it.
pub(super) const fn can_be_returned(event: &Event) -> bool {
    match event.body() {
        Body::Sale(_) | Body::Correction(_) => true,
        Body::Refund { .. }
        | Body::Adjustment(_)
        | Body::SessionOpened(_)
        | Body::CashMoved(_)
        | Body::SessionClosed(_)
        | Body::CatalogEdited(_) => false,
    }
}

/// Looks for refunds of `sale`: in the ledger of its own till, and for an operator in all of it.
pub(super) async fn refunds<Q: Query<Cloud>>(
    reads: &Q,
    shop: ShopId,
    sale: EventKey,
    viewer: Viewer,
) -> Result<Found, Q::Error> {
    let mut found = Found { refunds: Vec::new(), unknown: Vec::new() };
    let own = of_terminal(Kind::Ledger, sale.terminal);
    let most = match viewer {
        Viewer::Operator => LOOKED_MAX,
        Viewer::Till => LOOKED_FOR_TILL_MAX,
    };
    let wanted = Wanted { shop, sale, most };
    let whole = look(reads, own, wanted, &mut found.refunds).await?;
    let whole = match viewer {
        Viewer::Till => {
            found.unknown.push("refunds of it that other tills made: ask an operator".to_owned());
            whole
        }
        Viewer::Operator => {
            look(reads, all(Kind::Ledger), wanted, &mut found.refunds).await? && whole
        }
    };
    found.refunds.sort_by_key(|refund| refund.received_ms);
    if !whole {
        found.unknown.push(format!(
            "every refund of it: at most {most} events of the ledger are looked at for them, \
             and {LISTED_MAX} are told"
        ));
    }
    Ok(found)
}

/// What is looked for, and how far.
#[derive(Clone, Copy)]
struct Wanted {
    shop: ShopId,
    sale: EventKey,
    most: usize,
}

/// Returns whether all of a stretch was looked at.
async fn look<Q: Query<Cloud>>(
    reads: &Q,
    stretch: Span,
    Wanted { shop, sale, most }: Wanted,
    found: &mut Vec<OtherEvent>,
) -> Result<bool, Q::Error> {
    let mut pages = Pages::new(reads, stretch);
    let mut looked = 0;
    loop {
        // Others have their turn between two pages.
        tokio::task::yield_now().await;
        let page = pages.next().await?;
        if page.is_empty() {
            return Ok(true);
        }
        for (key, record) in page {
            let (Key::Ledger(key), Record::Ledger(held)) = (key, record) else { continue };
            looked += 1;
            let event = (held.site.shop == shop).then(|| Event::from_canonical(&held.payload));
            let Some(Ok(event)) = event else { continue };
            let refund = told_other(key, Some(&held));
            if event.original() != Some(sale) || found.contains(&refund) {
                continue;
            }
            if found.len() == LISTED_MAX {
                return Ok(false);
            }
            found.push(refund);
        }
        if looked >= most {
            return Ok(false);
        }
    }
}
