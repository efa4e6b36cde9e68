//! What the till records, by what its bundle tells of it.

use counterfoil_protocol::event::session::Counted;
use counterfoil_protocol::event::{Adjustment, AdjustmentLine, Body, Line, Tender, Trade};
use counterfoil_protocol::identity::{LocalEventId, ProductId};
use counterfoil_protocol::money::{Currency, Milli, Minor};
use counterfoil_protocol::terminal::{
    Draft, Input, Output, Place, SessionAct, SessionDraft, correct,
};

use super::{Stage, TILL, short_name};
use crate::incident::Told;
use crate::law::Violation;
use crate::observed::{answered, at_once};

impl Stage<'_> {
    /// Records what stands at a place.
    pub(super) fn record(&mut self, place: Place) -> Result<(), Violation> {
        let Some(told) = self.incident.entries.get(&place) else { return self.fill(place) };
        self.filled();
        self.post_original(told)?;
        let input = self.input(told);
        let output = self.step(TILL, &input)?;
        let output = if matches!(output, Output::Recorded { .. }) {
            output
        } else {
            self.tell(|| format!("entry {} is stood in for by an adjustment", place.seq));
            self.step(TILL, &Input::Record(stand_in(told)))?
        };
        if !matches!(output, Output::Recorded { place: at, again: false, .. } if at == place) {
            self.differ(format!("entry {} of {} is recorded elsewhere", place.seq, place.epoch));
        }
        Ok(())
    }

    /// Records something in the place of an entry that is not in the bundle.
    pub(super) fn fill(&mut self, place: Place) -> Result<(), Violation> {
        let story = self.world.story.take();
        let name = format!("filled-{}-{}", place.epoch.number, place.seq);
        let local_id = short_name(&name);
        let pos = self.world.tills[TILL].registers[0];
        let at = self.world.wall(TILL);
        let body = Body::Sale(trade(goods()));
        let draft = Draft { pos, local_id, at, reference: String::new(), body };
        self.step(TILL, &Input::Record(draft))?;
        self.world.story = story;
        let (epoch, first, _) = self.filling.unwrap_or((place.epoch, place.seq, place.seq));
        self.filling = Some((epoch, first, place.seq));
        Ok(())
    }

    /// Says what was filled in last, once.
    pub(super) fn filled(&mut self) {
        if let Some((epoch, first, last)) = self.filling.take() {
            self.tell(|| {
                format!("entries {first} to {last} of {epoch} are not in the bundle: filled in")
            });
        }
    }

    pub(super) fn input(&self, told: &Told) -> Input {
        let (pos, local_id, at) = (told.pos, told.local_id, told.at);
        let act = match told.kind.as_str() {
            "session opened" => Some(SessionAct::Open { currency: Currency::GBP, float: Minor(0) }),
            "cash moved" => Some(SessionAct::Cash { delta: Minor(100), reason: String::new() }),
            "session closed" => {
                let amount = Minor(0);
                let counted = vec![Counted { tender: Tender::Cash, amount }];
                Some(SessionAct::Close { counted })
            }
            _ => None,
        };
        let reference = String::new();
        if let Some(act) = act {
            return Input::Session(SessionDraft { pos, local_id, at, reference, act });
        }
        Input::Record(self.draft(told))
    }

    pub(super) fn draft(&self, told: &Told) -> Draft {
        let (pos, local_id, at) = (told.pos, told.local_id, told.at);
        if let Some(event) = &told.content
            && event.edit().is_none()
        {
            let reference = event.reference().to_owned();
            let body = match event.body() {
                Body::Correction(correction) => Body::Sale(correction.trade.clone()),
                Body::Sale(_)
                | Body::Refund { .. }
                | Body::Adjustment(_)
                | Body::SessionOpened(_)
                | Body::CashMoved(_)
                | Body::SessionClosed(_)
                | Body::CatalogEdited(_) => event.body().clone(),
            };
            return Draft { pos, local_id, at, reference, body };
        }
        let name = (pos, local_id);
        let product = if self.unknown.contains(&name) { unknown(local_id) } else { goods() };
        let body = match told.kind.as_str() {
            "sale" | "correction" => Body::Sale(trade(product)),
            "refund" => Body::Refund { original: self.original(told), trade: trade(product) },
            _ => return stand_in(told),
        };
        Draft { pos, local_id, at, reference: String::new(), body }
    }

    pub(super) fn correct(&mut self, place: Place, by: Place) -> Result<(), Violation> {
        let entries = &self.incident.entries;
        let (Some(original), Some(told)) = (entries.get(&place), entries.get(&by)) else {
            return Ok(());
        };
        let (name, draft) = (original.local_id, self.draft(told));
        let store = &self.world.tills[TILL].store;
        match answered(at_once(correct::plan(store, name, draft))) {
            Some(input) => self.person(&input, place, "it corrected"),
            None => self.record(by),
        }
    }
}

/// What everything is that nothing more is known of.
pub(super) fn goods() -> ProductId {
    ProductId::parse("goods").expect("a short name")
}

/// A product that nobody had defined when the event came.
pub(super) fn unknown(of: LocalEventId) -> ProductId {
    ProductId::parse(of.as_str()).expect("a name is a name")
}

pub(super) fn trade(product: ProductId) -> Trade {
    let line = Line {
        product,
        name: "?".to_owned(),
        quantity: Milli(1000),
        unit_price: Minor(100),
        discount: Minor(0),
        tax_ppm: 0,
    };
    Trade::paid(Currency::GBP, vec![line], Tender::Cash)
}

pub(super) fn stand_in(told: &Told) -> Draft {
    let line = AdjustmentLine { product: goods(), name: String::new(), delta: Milli(1000) };
    let body = Body::Adjustment(Adjustment { reason: told.kind.clone(), lines: vec![line] });
    let (pos, local_id, at) = (told.pos, told.local_id, told.at);
    Draft { pos, local_id, at, reference: String::new(), body }
}
