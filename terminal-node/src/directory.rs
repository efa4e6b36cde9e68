//! What else the till's catalog names: categories and customers, with what was edited here laid
//! over.

use counterfoil_protocol::catalog::{Entity, EntityId, Kind};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::terminal::edits::local_edits;
use counterfoil_protocol::terminal::{Key, Record};
use serde::Serialize;

use crate::till::{Till, TillError, TillStore, storage_failed};

/// The most entries of one answer.
pub const NAMED_MAX: usize = 1_000;
/// How many rows are looked at before whoever sells has the till again.
const PAGE: usize = 256;

const _: () = assert!(PAGE > 1, "each page begins with the last row of the one before");

/// A category or a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// Its name for programs.
    pub id: String,
    /// Its name for people.
    pub name: String,
}

/// Returns categories or customers whose names contain `text`, in the order of their names for
/// programs: the first `limit` of them.
///
/// # Errors
/// The store's.
pub async fn named<S: TillStore>(
    till: &Till<S>,
    kind: Kind,
    text: &str,
    limit: usize,
) -> Result<Vec<Named>, TillError> {
    assert!(limit <= NAMED_MAX, "an answer is bounded");
    let wanted = text.to_lowercase();
    let mut found = Vec::new();
    let mut last = None;
    let end = Key::Item(EntityId { kind, id: Label::LAST });
    loop {
        let from = Key::Item(last.unwrap_or(EntityId { kind, id: Label::FIRST }));
        let reading = till.reading().await?;
        let edits = local_edits(&*reading).await.map_err(storage_failed)?;
        let page = reading.scan(&from, &end, PAGE).await.map_err(storage_failed)?;
        let whole = page.len() < PAGE;
        for (key, record) in page {
            let (Key::Item(id), Record::Item(item)) = (key, record) else { continue };
            if last.replace(id) == Some(id) {
                continue;
            }
            let Ok(mut entity) = Entity::from_canonical(id, &item.content) else { continue };
            edits.lay_over(&mut entity);
            let name = match entity {
                Entity::Category(category) => category.name,
                Entity::Customer(customer) => customer.name,
                Entity::Product(_) | Entity::BranchPrice(_) => continue,
            };
            let id = id.id.to_string();
            let fits = name.to_lowercase().contains(&wanted) || id.to_lowercase().contains(&wanted);
            if fits && found.len() < limit {
                found.push(Named { id, name });
            }
        }
        if whole || found.len() == limit {
            return Ok(found);
        }
    }
}
