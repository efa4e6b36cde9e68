//! What else the till's catalog names: categories and customers, with what was edited here laid
//! over.

use counterfoil_protocol::catalog::{Entity, Kind};
use counterfoil_protocol::terminal::edits::local_edits;
use serde::Serialize;

use crate::shelf::Walk;
use crate::till::{Till, TillError, TillStore, storage_failed};

/// The most entries of one answer.
pub const NAMED_MAX: usize = 1_000;

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
    let mut walk = Walk::over(kind);
    loop {
        let reading = till.reading().await?;
        let edits = local_edits(&*reading).await.map_err(storage_failed)?;
        for (id, item) in walk.next(&*reading).await? {
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
        if walk.is_over || found.len() == limit {
            return Ok(found);
        }
    }
}
