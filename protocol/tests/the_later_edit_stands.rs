//! Of two edits of one field at one till the later one stands in the end.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use counterfoil_protocol::catalog::{
    CatalogEdit, EditError, Entity, EntityId, FieldChange, FieldValue,
};
use counterfoil_protocol::cloud::{self, Cloud, Edit, Edits};
use counterfoil_protocol::event::{Body, EventError};
use counterfoil_protocol::identity::CategoryId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::terminal::{Draft, Output, Parted};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{CategoryV1, EntityV1};
use support::{Node, Till, adopt, draft, quiesce, site};

fn tea(name: &str) -> Entity {
    let category_id = CategoryId(Label::parse("tea").unwrap());
    Entity::parse(EntityV1::Category(CategoryV1 { category_id, name: name.into() })).unwrap()
}

fn id() -> EntityId {
    tea("any").id()
}

fn edit(from: &str, to: &str) -> Draft {
    let value = |text: &str| FieldValue::Name(text.to_owned());
    let change = FieldChange::new(value(from), value(to)).unwrap();
    let edit = CatalogEdit::new(id(), 1, vec![change]).unwrap();
    draft("1", to, Body::CatalogEdited(edit))
}

/// Found by the specification (`catalog-late-edits`): what a restored or copied till had edited
/// came to the cloud behind what was edited there since, and stood in the end.
#[test]
fn of_two_edits_around_a_restore_the_later_one_stands() {
    let (mut node, mut till) = (Node::new(Cloud::default()), Till::install(1));
    let mut now = Millis(1_000);
    let entered = vec![Edit { branch: None, id: id(), entity: Some(tea("Tea")) }];
    let entered = Edits::new(site().shop, entered).unwrap();
    node.run(now, cloud::Input::EditCatalog(entered));

    till.sell(now, edit("Tea", "older"));
    till.witness = None;
    assert_eq!(till.open(now, 77), Some(Parted::Copied));
    let again = till.record(now, edit("Tea", "older"));
    assert!(matches!(again, Output::Recorded { again: true, .. }), "{again:?}");
    let refused = till.record(now, edit("older", "newer"));
    assert_eq!(refused, Output::Invalid(EventError::Edit(EditError::Behind)));
    adopt(&mut till, now);
    till.sell(now, edit("older", "newer"));

    quiesce(&mut till, &mut node, &mut now);
    let key = cloud::Key::Item(site().shop, None, id());
    let Some(cloud::Record::Item(item)) = node.store.rows.get(&key) else { panic!("it is there") };
    let held = Entity::from_canonical(id(), item.content.as_deref().unwrap()).unwrap();
    assert_eq!(held, tea("newer"));
}
