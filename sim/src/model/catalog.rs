//! The catalog in the model: somebody edits it, and the tills follow.

use counterfoil_protocol::catalog::{Entity, EntityId, Kind};
use counterfoil_protocol::cloud::catalog::{delta_with_edits, snapshot};
use counterfoil_protocol::cloud::{Edit, Edits, Input as CloudInput, Site};
use counterfoil_protocol::identity::{CategoryId, ProductId, TerminalId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::session::Fault;
use counterfoil_protocol::session::follow::{Follower, Input as Heard, Output as Does};
use counterfoil_protocol::terminal::catalog::{Wanted, beside, wanted};
use counterfoil_protocol::terminal::edits::asked;
use counterfoil_protocol::terminal::row::CatalogState;
use counterfoil_protocol::terminal::{Input, Key, Output, Record};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{
    BranchPriceV1, CategoryV1, DeltaAnswer, EditName, EntityV1, ProductV1, SnapshotPage,
};

use super::alarm::Part;
use super::till::TillHost;
use super::{Happening, Kind as Asks, Reply, Request, World, session_config, shop};
use crate::coverage::Transition;
use crate::law::Violation;
use crate::observed::{answered, at_once};
use crate::plan::branch_of;
use crate::rng::Stream;

/// Requests of the follower are numbered from here, those of the session below.
pub(super) const FOLLOWS_FROM: u64 = 1 << 32;
/// Entities of each kind.
pub(super) const ENTITIES: u64 = 40;

/// What the cloud answered, until it is committed.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Delta(DeltaAnswer),
    Run(SnapshotPage),
}

impl TillHost {
    pub(super) fn catalog(&self) -> Option<&CatalogState> {
        match self.store.memory.rows().get(&Key::Catalog).map(AsRef::as_ref) {
            Some(Record::Catalog(state)) => Some(state),
            Some(_) | None => None,
        }
    }
}

impl World {
    /// Starts to follow the catalog, if anybody edits it.
    pub(super) fn start_following(&mut self, till: usize) -> Result<(), Violation> {
        if self.plan.catalog_edit_every_ms == 0 {
            return Ok(());
        }
        let now = Millis(self.now_ms());
        let host = &mut self.tills[till];
        host.told = None;
        host.follower = Some(Follower::new(session_config(), host.entropy.draw(), now));
        self.follow(till, Heard::Wake)
    }

    /// Hands the follower what happened, and does what it wants.
    pub(super) fn follow(&mut self, till: usize, heard: Heard) -> Result<(), Violation> {
        let now = Millis(self.now_ms());
        let host = &mut self.tills[till];
        let Some(follower) = &mut host.follower else { return Ok(()) };
        host.coverage.saw(Transition::FollowerInput);
        follower.handle_input(now, heard);
        while let Some(follower) = &mut self.tills[till].follower {
            let Some(does) = follower.poll_output() else { break };
            self.keep_pace()?;
            match does {
                Does::Ask(number) => {
                    self.tills[till].since_heal.asked = self.healed;
                    let store = &self.tills[till].store;
                    let wanted = answered(at_once(wanted(store)));
                    let edits = EditName::to_text(&answered(at_once(asked(store))));
                    self.send(till, FOLLOWS_FROM + number, Asks::Catalog(wanted), edits.into());
                }
                Does::Commit => self.commit_catalog(till)?,
            }
        }
        if let Some(wake) = self.tills[till].follower.as_ref().map(Follower::wake_at) {
            self.set_alarm(till, Part::Follower, wake);
        }
        Ok(())
    }

    fn commit_catalog(&mut self, till: usize) -> Result<(), Violation> {
        let host = &mut self.tills[till];
        let input = match host.told.take() {
            Some(Told::Delta(answer)) => Input::Delta(answer),
            Some(Told::Run(page)) => {
                Input::CatalogRun(answered(at_once(beside(&host.store, page))))
            }
            None => unreachable!("a commit follows an answer"),
        };
        let waiting = self.tills[till].local_edits().waiting.len();
        let Some(output) = self.till_step(till, &input, true)? else { return Ok(()) };
        self.cover_overlays(till, waiting);
        let standing = if let Output::Catalogued(standing) = output {
            Some(standing)
        } else {
            assert!(matches!(output, Output::CatalogUnreadable(_)), "a page has its own answers");
            None
        };
        let now = Millis(self.now_ms());
        let host = &mut self.tills[till];
        if standing.is_some_and(|standing| standing.proven) {
            host.coverage.saw(Transition::CatalogProven);
            host.since_heal.proven |= host.since_heal.asked;
        }
        if let Some(follower) = &mut host.follower {
            follower.handle_input(now, Heard::Committed(standing));
        }
        Ok(())
    }

    /// An answer for a till's follower arrives.
    pub(super) fn hear_catalog(
        &mut self,
        till: usize,
        number: u64,
        reply: Reply,
    ) -> Result<(), Violation> {
        let answer = match reply {
            Reply::Fault(fault) => Err(fault),
            Reply::Delta(bytes) => {
                DeltaAnswer::decode(&bytes).map(Told::Delta).map_err(|_| Fault::Transport)
            }
            Reply::Run(bytes) => {
                SnapshotPage::decode(&bytes).map(Told::Run).map_err(|_| Fault::Transport)
            }
            Reply::Welcome(_)
            | Reply::Pushed(..)
            | Reply::Session(_)
            | Reply::Pending(_)
            | Reply::Acked(_)
            | Reply::Reconcile(_)
            | Reply::Entities(_) => Err(Fault::Transport),
        };
        let answer = answer.map(|told| self.tills[till].told = Some(told));
        self.follow(till, Heard::Answered(number - FOLLOWS_FROM, answer))
    }

    /// The cloud answers from its committed rows.
    pub(super) fn serve_catalog(
        &mut self,
        request: &Request,
        (site, asker): (Site, TerminalId),
        wanted: Wanted,
    ) -> Result<Reply, Violation> {
        let till = request.till;
        let store = &self.cloud.store;
        Ok(match wanted {
            Wanted::Delta(from) => {
                let edits = names(&request.bytes);
                let answer = at_once(delta_with_edits(store, site, asker, from, 6, &edits));
                let answer = answered(answer);
                if answer.page().is_some() {
                    self.coverage.saw(Transition::CatalogDelta);
                    self.lease(till, site, from)?;
                } else {
                    self.coverage.saw(Transition::CatalogResync);
                    self.saw_below_floor(wanted, &answer);
                }
                Reply::Delta(answer.encode())
            }
            Wanted::Snapshot { pinned, after } => {
                let page = at_once(snapshot(store, site.shop, site.branch, pinned, after, 12));
                self.coverage.saw(Transition::CatalogRun);
                let page = answered(page);
                self.lease(till, site, page.pinned)?;
                Reply::Run(page.encode())
            }
        })
    }

    /// Somebody edits the catalog, until the faults end.
    pub(super) fn edit_catalog(&mut self) -> Result<(), Violation> {
        if self.healed {
            return Ok(());
        }
        let branches = u64::from(self.plan.branches.max(1));
        let every = self.plan.catalog_edit_every_ms;
        let edits = drawn_commit(&mut self.editor, branches);
        let us = self.editor.between(1, every * 2_000);
        // If the cloud is down, whoever edits tries again later, with something else in mind.
        self.administer(Transition::CatalogEdit, CloudInput::EditCatalog(edits))?;
        self.after(us, Happening::EditCatalog);
        Ok(())
    }
}

/// Reads a question: nothing else than a till's own was sent.
fn names(text: &[u8]) -> Vec<EditName> {
    let text = core::str::from_utf8(text).expect("names are text");
    EditName::from_text(text).expect("what was written is read")
}

/// Draws what one commit changes.
pub(crate) fn drawn_commit(rng: &mut Stream, branches: u64) -> Edits {
    let mut edits: Vec<Edit> = Vec::new();
    for _ in 0..rng.between(1, 5) {
        let edit = drawn(rng, branches);
        if !edits.iter().any(|known| (known.branch, known.id) == (edit.branch, edit.id)) {
            edits.push(edit);
        }
    }
    Edits::new(shop(), edits).expect("drawn by the rules")
}

/// What is scanned follows from the price, so that it changes, and two products may share it.
fn barcode(price_minor: i64) -> Label {
    Label::parse(&format!("400{}", price_minor % 60)).expect("a short name")
}

fn drawn(rng: &mut Stream, branches: u64) -> Edit {
    let name = Label::parse(&format!("sku-{}", rng.below(ENTITIES))).expect("a short name");
    let product_id = ProductId(name);
    let price_minor = rng.below(1_000) as i64;
    let (branch, id, wire) = match rng.below(8) {
        0 => {
            let id = EntityId { kind: Kind::Category, id: name };
            let text = format!("category {price_minor}");
            (None, id, EntityV1::Category(CategoryV1 { category_id: CategoryId(name), name: text }))
        }
        1 | 2 => {
            let branch = branch_of(rng.below(branches));
            let wire = BranchPriceV1 { product_id, price_minor };
            (Some(branch), EntityId::branch_price(product_id), EntityV1::BranchPrice(wire))
        }
        _ => {
            let wire = ProductV1 {
                product_id,
                name: format!("product {price_minor}"),
                barcodes: vec![barcode(price_minor)],
                price_minor,
                currency: "GBP".to_owned(),
                tax_ppm: 200_000,
                unit: Label::parse("pcs").expect("a short name"),
                category: None,
                active: true,
            };
            (None, EntityId::product(product_id), EntityV1::Product(wire))
        }
    };
    let deleted = rng.happens(200_000);
    let entity = (!deleted).then(|| Entity::parse(wire).expect("drawn by the rules"));
    Edit { branch, id, entity }
}
