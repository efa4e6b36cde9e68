//! `explain SALE`: the way of one event.

use clap::Args as ClapArgs;
use counterfoil_protocol::identity::{LocalEventId, PosId};
use serde_json::json;

use super::Failure;
use super::access::Access;
use super::args::At;
use super::show::Show;

/// The most sales that are named if a word fits several.
const NAMED_MAX: usize = 10;

#[derive(Debug, ClapArgs)]
pub(super) struct Explain {
    #[command(flatten)]
    at: At,
    /// The sale: REGISTER/EVENT, or what stands on its slip (number, name or reference).
    sale: String,
    /// The register, if the same words are used on several.
    #[arg(long)]
    pos: Option<PosId>,
}

pub(super) async fn explain(show: Show, wish: Explain) -> Result<(), Failure> {
    let access = Access::to_read(wish.at.home()).await?;
    let named = match (wish.pos, wish.sale.split_once('/')) {
        (Some(pos), _) => LocalEventId::parse(&wish.sale).ok().map(|id| (pos, id)),
        (None, Some((pos, id))) => PosId::parse(pos).ok().zip(LocalEventId::parse(id).ok()),
        (None, None) => None,
    };
    if let Some((pos, id)) = named
        && let Some(story) = access.story(pos, id).await?
    {
        return show.result(&json!(story), || story.text());
    }
    let found = access.receipts(wish.pos, &wish.sale, NAMED_MAX).await?;
    let [(pos, id)] = found[..] else {
        let names: Vec<_> = found.iter().map(|(pos, id)| format!("{pos}/{id}")).collect();
        return Err(Failure::Refused(if names.is_empty() {
            format!("nothing here is called {}", wish.sale)
        } else {
            format!("several are called {}; say which: {}", wish.sale, names.join(", "))
        }));
    };
    match access.story(pos, id).await? {
        Some(story) => show.result(&json!(story), || story.text()),
        None => Err(Failure::Refused(format!("nothing here is called {pos}/{id}"))),
    }
}
