//! `correct`, `void`, `park`, `give-way`: what a person does about a sale that went wrong.

use clap::Args as ClapArgs;
use counterfoil_protocol::identity::{LocalEventId, PosId};
use counterfoil_protocol::money::Currency;
use serde_json::json;

use super::Failure;
use super::access::{Access, Way};
use super::args::{At, Item};
use super::ask::segment;
use super::commands::{line, random_id};
use super::show::Show;
use crate::api::body::{EventBody, RecordedBody, TenderWord, TradeBody};
use crate::mend::{Mended, REASON_BYTES_MAX, Unmended};

/// Which event.
#[derive(Debug, ClapArgs)]
pub(super) struct Which {
    #[command(flatten)]
    at: At,
    /// The register.
    #[arg(long)]
    pos: PosId,
    /// The event's own name.
    #[arg(long)]
    id: LocalEventId,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Correct {
    #[command(flatten)]
    which: Which,
    /// What was sold: `sku:quantity:price`, as for `sell`.
    #[arg(long = "item", required = true)]
    items: Vec<Item>,
    /// The correction's own name. Random if not given.
    #[arg(long)]
    new_id: Option<LocalEventId>,
    /// The currency of the prices: that of the sale.
    #[arg(long, default_value = "GBP")]
    currency: String,
    /// How it was paid.
    #[arg(long, default_value = "cash")]
    tender: TenderWord,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Void {
    #[command(flatten)]
    which: Which,
    /// Why.
    #[arg(long)]
    reason: String,
}

pub(super) async fn correct(show: Show, wish: Correct) -> Result<(), Failure> {
    let Which { at, pos, id } = wish.which;
    let currency =
        Currency::parse(&wish.currency).map_err(|error| Failure::Usage(error.to_string()))?;
    let body = TradeBody {
        pos_id: pos,
        local_event_id: wish.new_id.unwrap_or_else(random_id),
        at_ms: None,
        reference: String::new(),
        currency: currency.to_string(),
        lines: wish.items.iter().map(line).collect(),
        payments: Vec::new(),
        tender: wish.tender,
        original: None,
    };
    let access = Access::to_sell(at.home()).await?;
    let recorded = match access.way() {
        Way::Daemon(client) => {
            client.post(&path(pos, id, "correct"), json!(body).to_string()).await?
        }
        Way::Direct(till) => {
            let body = EventBody::Sale(body);
            let at = till.stamp(None, pos, body.name().1).await?;
            let draft = body.draft(at).map_err(|error| Failure::Refused(error.to_string()))?;
            told(till.correct(id, draft).await)?
        }
    };
    said(show, &recorded)
}

pub(super) async fn void(show: Show, wish: Void) -> Result<(), Failure> {
    let Void { which: Which { at, pos, id }, reason } = wish;
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(Failure::Usage(format!("say why, in 1 to {REASON_BYTES_MAX} bytes")));
    }
    let access = Access::to_sell(at.home()).await?;
    let recorded = match access.way() {
        Way::Daemon(client) => {
            let body = json!({ "reason": reason }).to_string();
            client.post(&path(pos, id, "void"), body).await?
        }
        Way::Direct(till) => told(till.void(pos, id, &reason, None).await)?,
    };
    said(show, &recorded)
}

pub(super) async fn park(which: Which) -> Result<(), Failure> {
    let Which { at, pos, id } = which;
    let access = Access::to_sell(at.home()).await?;
    let done = match access.way() {
        Way::Daemon(client) => {
            client.order("/queue/park", named(pos, id)).await?;
            true
        }
        Way::Direct(till) => till.set_aside(pos, id).await?,
    };
    refused_unless(done, "no event of this name failed and waits for another try")
}

pub(super) async fn give_way(which: Which) -> Result<(), Failure> {
    let Which { at, pos, id } = which;
    let access = Access::to_sell(at.home()).await?;
    let done = match access.way() {
        Way::Daemon(client) => {
            client.order("/queue/give-way", named(pos, id)).await?;
            true
        }
        Way::Direct(till) => till.give_way(pos, id).await?,
    };
    refused_unless(done, "of no event of this name the cloud says that another counts")
}

fn path(pos: PosId, id: LocalEventId, what: &str) -> String {
    format!("/sales/{}/{}/{what}", segment(pos.as_str()), segment(id.as_str()))
}

fn named(pos: PosId, id: LocalEventId) -> String {
    json!({ "posId": pos, "localEventId": id }).to_string()
}

fn refused_unless(done: bool, why: &str) -> Result<(), Failure> {
    if done { Ok(()) } else { Err(Failure::Refused(why.to_owned())) }
}

fn told(done: Result<Mended, Unmended>) -> Result<RecordedBody, Failure> {
    match done {
        Ok((id, place, receipt, again)) => Ok(RecordedBody::new(id, place, receipt, again)),
        Err(Unmended::Till(error)) => Err(error.into()),
        Err(error) => Err(Failure::Refused(error.to_string())),
    }
}

fn said(show: Show, recorded: &RecordedBody) -> Result<(), Failure> {
    show.result(&json!(recorded), || {
        let number = recorded.receipt.as_deref().unwrap_or("-");
        let again = if recorded.again { " (recorded before)" } else { "" };
        format!("receipt {number}, event {}{again}\n", recorded.local_event_id)
    })
}
