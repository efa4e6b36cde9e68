//! What cashiers do: sell, take back, count stock, try again, and make mistakes.

use std::sync::LazyLock;

use counterfoil_protocol::event::{Adjustment, AdjustmentLine, Body, Line, Tender, Trade};
use counterfoil_protocol::identity::{EventKey, LocalEventId, ProductId};
use counterfoil_protocol::money::{Currency, Milli, Minor};
use counterfoil_protocol::session::{Input as Heard, Nudge};
use counterfoil_protocol::terminal::{Draft, Input, Output};

use super::{Happening, World};
use crate::coverage::Transition;
use crate::law::Violation;
use crate::rng::Stream;

/// How many products there are.
pub(crate) const PRODUCTS: u64 = 24;

/// The products with their names, as most lines are about one of them.
static NAMED: LazyLock<Vec<(ProductId, String)>> =
    LazyLock::new(|| (0..PRODUCTS).map(|number| (named(number), name_of(number))).collect());

/// Returns a product.
pub(crate) fn product(number: u64) -> ProductId {
    NAMED.get(number as usize).map_or_else(|| named(number), |(product, _)| *product)
}

fn named(number: u64) -> ProductId {
    ProductId::parse(&format!("sku-{number}")).expect("a short name")
}

fn name_of(number: u64) -> String {
    format!("Product {number}")
}

impl World {
    /// People begin to use a till.
    pub(super) fn put_to_work(&mut self, till: usize) {
        let first = self.tills[till].work.below(self.plan.sale_every_ms * 1000);
        self.after(first, Happening::Sell(till));
        self.start_sessions(till);
        if self.plan.till_edit_every_ms > 0 {
            self.after(self.plan.till_edit_every_ms * 1000, Happening::EditAtTill(till));
        }
        self.start_correcting(till);
        self.start_archiving(till);
        self.schedule_verify(till);
    }

    /// A cashier does something, and will do something again.
    pub(super) fn sell(&mut self, till: usize) -> Result<(), Violation> {
        if self.healed || self.tills[till].moved {
            return Ok(());
        }
        let us = self.tills[till].work.below(self.plan.sale_every_ms * 2_000);
        self.after(us + 1, Happening::Sell(till));
        if !self.tills[till].up {
            return Ok(());
        }
        match self.next_draft(till) {
            Some(draft) => self.record(till, draft),
            None => Ok(()),
        }
    }

    /// Returns the next real sale of a till, or draws one.
    fn next_draft(&mut self, till: usize) -> Option<Draft> {
        let Some(sales) = &self.sales else { return Some(self.draft(till)) };
        let host = &mut self.tills[till];
        let draft = sales.tills.get(till)?.get(host.sold)?;
        host.sold += 1;
        Some(draft.clone())
    }

    /// Records a draft, and lets the session know.
    pub(super) fn record(&mut self, till: usize, draft: Draft) -> Result<(), Violation> {
        let input = Input::Record(draft);
        let output = self.till_step(till, &input, true)?;
        let Input::Record(draft) = input else { unreachable!("made above") };
        let host = &mut self.tills[till];
        let Some(output) = output else {
            // The till died: the cashier will try the same again.
            host.unsure = Some(draft);
            return Ok(());
        };
        if let Some(seen) = Transition::of_record(&output) {
            host.coverage.saw(seen);
        }
        if matches!(output, Output::Recorded { .. }) {
            host.last_draft = Some(draft);
        }
        self.hear(till, Heard::Nudge(Nudge::Recorded))
    }

    fn draft(&mut self, till: usize) -> Draft {
        let at = self.wall(till);
        let original = self.some_sale(till);
        let host = &mut self.tills[till];
        let rng = &mut host.work;
        if rng.happens(30_000)
            && let Some(last) = &host.last_draft
        {
            return last.clone();
        }
        let pos = *rng.pick(&host.registers);
        // Callers that number their events themselves give a copy of a till the same numbers.
        let local_id = if rng.happens(20_000) {
            LocalEventId::parse(&format!("own-{}", rng.below(12))).expect("a short name")
        } else {
            drawn_name(rng)
        };
        let body = match rng.below(20) {
            0 => Body::Adjustment(adjustment(rng)),
            1 | 2 => Body::Refund { original, trade: trade(rng) },
            _ => Body::Sale(trade(rng)),
        };
        let reference = format!("r{}", rng.below(1_000_000));
        Draft { pos, local_id, at, reference, body }
    }

    /// Returns the key of a sale that some till made last.
    fn some_sale(&mut self, till: usize) -> Option<EventKey> {
        let count = self.tills.len() as u64;
        let other = self.tills[till].work.below(count * 2) as usize;
        let host = &self.tills[if other < self.tills.len() { other } else { till }];
        let draft = host.last_draft.as_ref()?;
        let terminal = host.identity.terminal;
        matches!(draft.body, Body::Sale(_)).then_some(EventKey {
            terminal,
            pos: draft.pos,
            local_id: draft.local_id,
        })
    }
}

/// Draws a name of 32 hexadecimal digits.
pub(super) fn drawn_name(rng: &mut Stream) -> LocalEventId {
    let drawn = u128::from(rng.draw()) << 64 | u128::from(rng.draw());
    let mut digits = [0; 32];
    for (place, digit) in (0..).zip(&mut digits) {
        *digit = b"0123456789abcdef"[(drawn >> (124 - 4 * place)) as usize & 15];
    }
    let text = std::str::from_utf8(&digits).expect("digits are text");
    LocalEventId::parse(text).expect("a short name")
}

pub(crate) fn trade(rng: &mut Stream) -> Trade {
    let lines = (0..rng.between(1, 4)).map(|_| line(rng)).collect();
    let tender = *rng.pick(&[Tender::Cash, Tender::Card, Tender::Other]);
    Trade::paid(Currency::GBP, lines, tender)
}

fn line(rng: &mut Stream) -> Line {
    let number = rng.below(PRODUCTS);
    // One line in two hundred is a mistake that the till must refuse.
    let quantity = if rng.happens(5_000) { 0 } else { rng.between(1, 9) as i64 * 500 };
    let (product, name) = &NAMED[number as usize];
    Line {
        product: *product,
        name: name.clone(),
        quantity: Milli(quantity),
        unit_price: Minor(rng.between(0, 5_000) as i64),
        discount: Minor(0),
        tax_ppm: 200_000,
    }
}

pub(crate) fn adjustment(rng: &mut Stream) -> Adjustment {
    let number = rng.below(PRODUCTS);
    let line = AdjustmentLine {
        product: product(number),
        name: String::new(),
        delta: Milli(rng.between(1, 20) as i64 * 1000 - 10_500),
    };
    Adjustment { reason: "count".into(), lines: vec![line] }
}
