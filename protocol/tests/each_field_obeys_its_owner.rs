//! `OwnershipHolds`, rule by rule: what an edit made on a till does in the cloud, field by field.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use counterfoil_protocol::catalog::{
    CatalogEdit, EditError, Entity, EntityId, Field, FieldChange, FieldValue, Kind, Owner,
};
use counterfoil_protocol::cloud::{self, Cloud, Edit, EditNote, Edits};
use counterfoil_protocol::event::Body;
use counterfoil_protocol::identity::{CategoryId, ProductId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::terminal::Draft;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{BranchPriceV1, CategoryV1, EntityV1, ProductV1};
use counterfoil_protocol::wire::edit::FieldValueV1::{
    self, Active, Barcodes, Category, Currency, Name, PriceMinor, TaxPpm, Unit,
};
use counterfoil_protocol::wire::message::EditOutcome::{
    self, Deleted, Overwrote, ServerOwned, Taken, Unknown,
};
use counterfoil_protocol::wire::message::{EditOutcome as Outcome, Verdict};
use support::{Node, Till, draft, greet, key_of, offer, site, sync};

const NOW: Millis = Millis(1_000);

fn label(text: &str) -> Label {
    Label::parse(text).unwrap()
}

fn tea() -> ProductV1 {
    ProductV1 {
        product_id: ProductId::parse("tea").unwrap(),
        name: "Tea".into(),
        barcodes: vec![label("400")],
        price_minor: 149,
        currency: "GBP".into(),
        tax_ppm: 200_000,
        unit: label("pcs"),
        category: None,
        active: true,
    }
}

fn tea_id() -> EntityId {
    EntityId { kind: Kind::Product, id: label("tea") }
}

fn change(from: FieldValueV1, to: FieldValueV1) -> FieldChange {
    FieldChange::new(FieldValue::parse(from).unwrap(), FieldValue::parse(to).unwrap()).unwrap()
}

fn edit_of(entity: EntityId, changes: &[(FieldValueV1, FieldValueV1)]) -> CatalogEdit {
    let changes = changes.iter().cloned().map(|(from, to)| change(from, to)).collect();
    CatalogEdit::new(entity, 1, changes).unwrap()
}

fn edited(id: &str, edit: CatalogEdit) -> Draft {
    draft("1", id, Body::CatalogEdited(edit))
}

/// A cloud that sells tea, and a till that knows it.
fn shop() -> (Node, Till) {
    let (mut node, mut till) = (Node::new(Cloud::default()), Till::install(1));
    operator(&mut node, tea_id(), Some(EntityV1::Product(tea())));
    greet(&mut till, &mut node, NOW);
    (node, till)
}

fn operator(node: &mut Node, id: EntityId, wire: Option<EntityV1>) {
    let entity = wire.map(|wire| Entity::parse(wire).unwrap());
    let branch = id.kind.of_branch().then_some(site().branch);
    let edits = Edits::new(site().shop, vec![Edit { branch, id, entity }]).unwrap();
    node.run(NOW, cloud::Input::EditCatalog(edits));
}

fn item(node: &Node, id: EntityId) -> Option<EntityV1> {
    let branch = id.kind.of_branch().then_some(site().branch);
    match node.store.rows.get(&cloud::Key::Item(site().shop, branch, id)) {
        Some(cloud::Record::Item(item)) => {
            let content = item.content.as_ref()?;
            Some(Entity::from_canonical(id, content).unwrap().to_wire())
        }
        _ => None,
    }
}

fn version(node: &Node) -> u64 {
    match node.store.rows.get(&cloud::Key::Feed(site().shop)) {
        Some(cloud::Record::Feed(feed)) => feed.version,
        _ => 0,
    }
}

fn note(node: &Node, id: &str) -> EditNote {
    match node.store.rows.get(&cloud::Key::EditNote(site().shop, key_of("1", id))) {
        Some(cloud::Record::EditNote(note)) => note.clone(),
        other => panic!("no note but {other:?}"),
    }
}

/// Each row: what an operator does between the till's look and its edit, what the edit changes,
/// what becomes of each field, and the tea afterwards.
#[test]
fn each_field_of_an_edit_goes_the_way_of_its_owner() {
    let drinks = CategoryId::parse("drinks").unwrap();
    let tea_named = |name: &str| ProductV1 { name: name.into(), ..tea() };
    let keep = |_: &mut Node| {};
    let rename = |node: &mut Node| {
        operator(
            node,
            tea_id(),
            Some(EntityV1::Product(ProductV1 { name: "Chai".into(), ..tea() })),
        );
    };
    let reprice = |node: &mut Node| {
        operator(node, tea_id(), Some(EntityV1::Product(ProductV1 { price_minor: 199, ..tea() })));
    };
    let delete = |node: &mut Node| operator(node, tea_id(), None);
    type Row<'a> = (
        &'a str,
        &'a dyn Fn(&mut Node),
        Vec<(FieldValueV1, FieldValueV1)>,
        Vec<EditOutcome>,
        Option<ProductV1>,
        u64,
    );
    let name = || (Name("Tea".into()), Name("Green tea".into()));
    let unit = || (Unit(label("pcs")), Unit(label("kg")));
    let listed = || (Category(None), Category(Some(drinks)));
    let price = || (PriceMinor(149), PriceMinor(1));
    let currency = (Currency("GBP".into()), Currency("EUR".into()));
    let barcodes = (Barcodes(vec![label("400")]), Barcodes(vec![]));
    let rows: Vec<Row<'_>> = vec![
        ("name", &keep, vec![name()], vec![Taken], Some(tea_named("Green tea")), 2),
        (
            "unit",
            &keep,
            vec![unit()],
            vec![Taken],
            Some(ProductV1 { unit: label("kg"), ..tea() }),
            2,
        ),
        (
            "category",
            &keep,
            vec![listed()],
            vec![Taken],
            Some(ProductV1 { category: Some(drinks), ..tea() }),
            2,
        ),
        ("price", &keep, vec![price()], vec![ServerOwned], Some(tea()), 1),
        ("currency", &keep, vec![currency], vec![ServerOwned], Some(tea()), 1),
        ("tax", &keep, vec![(TaxPpm(200_000), TaxPpm(0))], vec![ServerOwned], Some(tea()), 1),
        ("active", &keep, vec![(Active(true), Active(false))], vec![ServerOwned], Some(tea()), 1),
        ("barcodes", &keep, vec![barcodes], vec![ServerOwned], Some(tea()), 1),
        (
            "name and price: the name alone is taken",
            &keep,
            vec![name(), price()],
            vec![Taken, ServerOwned],
            Some(tea_named("Green tea")),
            2,
        ),
        (
            "a name that was changed since: the later commit wins, what it overwrote is kept",
            &rename,
            vec![name()],
            vec![Overwrote],
            Some(tea_named("Green tea")),
            3,
        ),
        (
            "another field was changed since: both changes stand",
            &reprice,
            vec![name()],
            vec![Taken],
            Some(ProductV1 { price_minor: 199, ..tea_named("Green tea") }),
            3,
        ),
        (
            "the other way round: a changed name stays when the unit is edited",
            &rename,
            vec![unit()],
            vec![Taken],
            Some(ProductV1 { unit: label("kg"), ..tea_named("Chai") }),
            3,
        ),
        (
            "somebody wrote the same since: nothing is overwritten, no version is taken",
            &rename,
            vec![(Name("Tea".into()), Name("Chai".into()))],
            vec![Taken],
            Some(tea_named("Chai")),
            2,
        ),
        (
            "a price that the cloud has changed since: the cloud wins",
            &reprice,
            vec![price()],
            vec![ServerOwned],
            Some(ProductV1 { price_minor: 199, ..tea() }),
            2,
        ),
        ("a deleted entity stays deleted", &delete, vec![name()], vec![Deleted], None, 2),
        (
            "a price of a deleted entity",
            &delete,
            vec![name(), price()],
            vec![Deleted, ServerOwned],
            None,
            2,
        ),
    ];
    for (what, meanwhile, changes, outcomes, expected, expected_version) in rows {
        let (mut node, mut till) = shop();
        meanwhile(&mut node);
        let stood = item(&node, tea_id());
        till.sell(NOW, edited("e", edit_of(tea_id(), &changes)));
        let answer = offer(&mut till, &mut node, NOW, true).unwrap();
        let worst = outcomes.iter().copied().max().unwrap();
        let Verdict::Edited(told) = answer.results[0].verdict else { panic!("{what}") };
        assert_eq!((told.outcome, told.version), (worst, expected_version), "{what}");
        assert_eq!(item(&node, tea_id()), expected.map(EntityV1::Product), "{what}");
        assert_eq!(version(&node), expected_version, "{what}");
        let note = note(&node, "e");
        let became: Vec<Outcome> = note.fields.iter().map(|field| field.outcome).collect();
        assert_eq!(became, outcomes, "{what}");
        for (field, (_, to)) in note.fields.iter().zip(&changes) {
            assert_eq!(&field.to, to, "{what}: what was asked for is kept");
            assert_eq!(field.stood.is_some(), stood.is_some(), "{what}: and what stood there");
        }
        assert!(!sync(&mut till, &mut node, NOW), "{what}: all is said");
    }
}

#[test]
fn what_was_overwritten_is_kept_for_a_person() {
    let (mut node, mut till) = shop();
    let chai = ProductV1 { name: "Chai".into(), ..tea() };
    operator(&mut node, tea_id(), Some(EntityV1::Product(chai)));
    let edit = edit_of(tea_id(), &[(Name("Tea".into()), Name("Green tea".into()))]);
    till.sell(NOW, edited("e", edit));
    offer(&mut till, &mut node, NOW, true).unwrap();
    let note = note(&node, "e");
    assert_eq!((note.base_version, note.version), (1, 3));
    assert_eq!(note.fields[0].stood, Some(Name("Chai".into())));
    assert_eq!(note.outcome(), Overwrote);
}

/// Entities that a till's edit cannot reach, whatever it says.
#[test]
fn branch_prices_and_unknown_entities_stay_as_they_are() {
    let price_id = EntityId::branch_price(ProductId::parse("tea").unwrap());
    let price = (PriceMinor(139), PriceMinor(1));
    let named = (Name("Milk".into()), Name("Milch".into()));
    let milk = |kind| EntityId { kind, id: label("milk") };
    let (mut node, mut till) = shop();
    let own = BranchPriceV1 { product_id: ProductId::parse("tea").unwrap(), price_minor: 139 };
    operator(&mut node, price_id, Some(EntityV1::BranchPrice(own.clone())));
    let rows = [
        ("own", price_id, price.clone(), ServerOwned),
        ("others", milk(Kind::BranchPrice), price, ServerOwned),
        ("product", milk(Kind::Product), named.clone(), Unknown),
        ("category", milk(Kind::Category), named.clone(), Unknown),
        ("customer", milk(Kind::Customer), named, Unknown),
    ];
    let before = version(&node);
    for (id, entity, change, expected) in rows {
        till.sell(NOW, edited(id, edit_of(entity, &[change])));
        let answer = offer(&mut till, &mut node, NOW, true).unwrap();
        let Verdict::Edited(told) = answer.results[0].verdict else { panic!("{id}") };
        assert_eq!((told.outcome, told.version), (expected, before), "{id}");
    }
    assert_eq!(version(&node), before, "nothing was committed");
    assert_eq!(item(&node, price_id), Some(EntityV1::BranchPrice(own)));
    assert_eq!(item(&node, milk(Kind::Product)), None);
}

#[test]
fn a_category_and_a_customer_can_be_renamed() {
    let (mut node, mut till) = shop();
    let id = EntityId { kind: Kind::Category, id: label("drinks") };
    let category_id = CategoryId::parse("drinks").unwrap();
    let category = |name: &str| EntityV1::Category(CategoryV1 { category_id, name: name.into() });
    operator(&mut node, id, Some(category("Drinks")));
    let edit = edit_of(id, &[(Name("Drinks".into()), Name("Beverages".into()))]);
    till.sell(NOW, edited("e", edit));
    offer(&mut till, &mut node, NOW, true).unwrap();
    assert_eq!(item(&node, id), Some(category("Beverages")));
}

/// What the operator commits later is the last write, whatever the till's clock says.
#[test]
fn the_order_is_that_of_the_commits() {
    let (mut node, mut till) = shop();
    let late = Draft {
        at: Millis(u64::MAX / 2),
        ..edited("e", edit_of(tea_id(), &[(Name("Tea".into()), Name("Green tea".into()))]))
    };
    till.sell(NOW, late);
    offer(&mut till, &mut node, NOW, true).unwrap();
    let chai = ProductV1 { name: "Chai".into(), ..tea() };
    operator(&mut node, tea_id(), Some(EntityV1::Product(chai.clone())));
    assert_eq!(item(&node, tea_id()), Some(EntityV1::Product(chai)));
    assert_eq!(version(&node), 3);
}

/// Sent again, before and after others have written: the edit has its effect once.
#[test]
fn an_edit_that_is_sent_again_is_not_made_again() {
    let (mut node, mut till) = shop();
    let edit = edit_of(tea_id(), &[(Name("Tea".into()), Name("Green tea".into()))]);
    till.sell(NOW, edited("e", edit));
    let first = offer(&mut till, &mut node, NOW, false).unwrap();
    let chai = ProductV1 { name: "Chai".into(), ..tea() };
    operator(&mut node, tea_id(), Some(EntityV1::Product(chai.clone())));
    let again = offer(&mut till, &mut node, NOW, true).unwrap();
    assert_eq!(again, first, "the answer is the same");
    assert_eq!(item(&node, tea_id()), Some(EntityV1::Product(chai)), "and the operator's stands");
    assert_eq!(version(&node), 3);
}

#[test]
fn two_edits_of_one_push_are_two_commits() {
    let (mut node, mut till) = shop();
    let first = edit_of(tea_id(), &[(Name("Tea".into()), Name("Green tea".into()))]);
    let second = edit_of(tea_id(), &[(Name("Green tea".into()), Name("Sencha".into()))]);
    till.sell(NOW, edited("a", first));
    till.sell(NOW, edited("b", second));
    let answer = offer(&mut till, &mut node, NOW, true).unwrap();
    let told: Vec<_> = answer.results.iter().map(|result| result.verdict).collect();
    let [Verdict::Edited(a), Verdict::Edited(b)] = told[..] else { panic!("{told:?}") };
    assert_eq!((a.version, b.version), (2, 3));
    assert_eq!((a.outcome, b.outcome), (Taken, Taken));
    let sencha = ProductV1 { name: "Sencha".into(), ..tea() };
    assert_eq!(item(&node, tea_id()), Some(EntityV1::Product(sencha)));
    let changes = node.store.rows.keys().filter(|key| matches!(key, cloud::Key::Change(..)));
    assert_eq!(changes.count(), 1, "an entity stands in the feed once");
}

/// The same key with another edit: the first stays, both are kept (B.2).
#[test]
fn a_name_that_is_used_again_is_refused() {
    let (mut node, mut till) = shop();
    let mut other = till.clone();
    let edit = |to: &str| edit_of(tea_id(), &[(Name("Tea".into()), Name(to.into()))]);
    till.sell(NOW, edited("e", edit("Green tea")));
    offer(&mut till, &mut node, NOW, true).unwrap();
    other.open(NOW, 9); // a copy with a history of its own
    other.witness = None;
    other.open(NOW, 10);
    support::adopt(&mut other, NOW);
    other.sell(NOW, edited("e", edit("Coffee")));
    greet(&mut other, &mut node, NOW);
    support::adopt(&mut other, NOW);
    greet(&mut other, &mut node, NOW);
    let answer = offer(&mut other, &mut node, NOW, true).unwrap();
    assert_eq!(answer.results[0].verdict, Verdict::Refused(ErrorCode::EventInvalid));
    let green = ProductV1 { name: "Green tea".into(), ..tea() };
    assert_eq!(item(&node, tea_id()), Some(EntityV1::Product(green)));
    let kept = node.store.rows.keys().filter(|key| matches!(key, cloud::Key::Conflict(..)));
    assert_eq!(kept.count(), 1, "the other is kept");
}

/// Edits that cannot even be written down.
#[test]
fn an_edit_is_checked_at_the_border() {
    let value = |wire| FieldValue::parse(wire).unwrap();
    let name =
        |from: &str, to: &str| FieldChange::new(value(Name(from.into())), value(Name(to.into())));
    assert_eq!(name("Tea", "Tea"), Err(EditError::Nothing));
    let mixed = FieldChange::new(value(Name("Tea".into())), value(Unit(label("kg"))));
    assert_eq!(mixed, Err(EditError::Mixed));
    let (name, unit) =
        (name("Tea", "Chai").unwrap(), change(Unit(label("pcs")), Unit(label("kg"))));
    let product = |changes| CatalogEdit::new(tea_id(), 1, changes).map(|_| ());
    assert_eq!(product(vec![]), Err(EditError::Changes));
    assert_eq!(product(vec![unit.clone(), name.clone()]), Err(EditError::Changes), "their order");
    assert_eq!(product(vec![name.clone(), name.clone()]), Err(EditError::Changes), "each once");
    assert_eq!(product(vec![name.clone(), unit.clone()]), Ok(()));
    let of = |kind, changes| CatalogEdit::new(EntityId { kind, id: label("x") }, 1, changes);
    assert_eq!(of(Kind::Category, vec![unit]).map(|_| ()), Err(EditError::Field));
    assert_eq!(of(Kind::BranchPrice, vec![name]).map(|_| ()), Err(EditError::Field));
    for wire in [Name(String::new()), Name("\n".into()), PriceMinor(-1), TaxPpm(1_000_001)] {
        assert!(FieldValue::parse(wire.clone()).is_err(), "{wire:?}");
    }
}

/// Each field there is has its owner, and the table of the docs says the same.
#[test]
fn the_docs_name_the_owner_of_each_field() {
    let docs = include_str!("../../docs/decisions/0007-ownership.md");
    for field in Field::ALL {
        let owner = match field.owner() {
            Owner::LastWriter => "last writer",
            Owner::Cloud => "cloud",
        };
        let row = format!("| `{}` | {owner} |", field.word());
        assert!(docs.contains(&row), "the table has {row}");
    }
}
