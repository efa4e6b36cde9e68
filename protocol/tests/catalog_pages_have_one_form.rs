//! The pages in which the catalog travels: their bytes are golden, and any others are read or
//! refused.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::sync::Arc;

use counterfoil_protocol::catalog::{Digest, EntityId};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{LocalEventId, PosId, ProductId};
use counterfoil_protocol::wire::catalog::{
    CatalogHead, ChangeV1, DeltaAnswer, DeltaPage, EDITS_ASKED_MAX, EditName, HeldEdit,
    SnapshotPage,
};
use counterfoil_protocol::wire::message::MessageError;
use insta::assert_snapshot;
use proptest::prelude::*;

fn name(pos: &str, local_id: &str) -> EditName {
    let local_id = LocalEventId::parse(local_id).unwrap();
    EditName { pos: PosId::parse(pos).unwrap(), local_id }
}

fn change(version: u64, content: Option<&[u8]>) -> ChangeV1 {
    let id = EntityId::product(ProductId::parse("tea").unwrap());
    ChangeV1 { id, version, content: content.map(Arc::from) }
}

fn page() -> DeltaPage {
    let digest = Digest::default().with(Hash([7; 32]));
    DeltaPage {
        from: 3,
        to: 300,
        changes: vec![change(4, Some(b"tea")), change(5, None)],
        head: Some(CatalogHead { version: 300, digest }),
    }
}

fn answers() -> Vec<(&'static str, DeltaAnswer)> {
    let held = HeldEdit { name: name("1", "edit-17"), payload_hash: Hash([9; 32]) };
    vec![
        ("page", DeltaAnswer::Page(page())),
        ("resync", DeltaAnswer::Resync),
        ("with edits", DeltaAnswer::WithEdits(page(), vec![held])),
    ]
}

fn run() -> SnapshotPage {
    let after = Some(EntityId::product(ProductId::parse("salt").unwrap()));
    SnapshotPage { pinned: 9, after, last: None, entities: vec![change(4, Some(b"tea"))] }
}

#[test]
fn golden_pages() {
    let mut text = String::new();
    let mut told = |what: &str, bytes: &[u8]| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{what}: {hex}").unwrap();
    };
    for (what, answer) in answers() {
        told(what, &answer.encode());
        assert_eq!(DeltaAnswer::decode(&answer.encode()), Ok(answer));
    }
    told("run", &run().encode());
    assert_eq!(SnapshotPage::decode(&run().encode()), Ok(run()));
    told("question", EditName::to_text(&[name("1", "edit-17"), name("2", "a b")]).as_bytes());
    assert_snapshot!("catalog_pages", text);
}

#[test]
fn a_question_is_bounded_and_names_edits() {
    let all: Vec<_> = (0..EDITS_ASKED_MAX).map(|n| name("1", &n.to_string())).collect();
    let text = EditName::to_text(&all);
    assert_eq!(EditName::from_text(&text), Ok(all));
    assert_eq!(EditName::from_text(""), Ok(vec![]));
    for wrong in [format!("{text}\n1\tx"), "1".into(), "1\t".into(), "\tx".into(), "1\ta\tb".into()]
    {
        assert_eq!(EditName::from_text(&wrong), Err(MessageError::Parts), "{wrong:?}");
    }
}

#[test]
fn an_answer_tells_of_no_more_edits_than_were_asked_for() {
    let held = HeldEdit { name: name("1", "a"), payload_hash: Hash([9; 32]) };
    let answer = DeltaAnswer::WithEdits(page(), vec![held; EDITS_ASKED_MAX + 1]);
    assert_eq!(DeltaAnswer::decode(&answer.encode()), Err(MessageError::Parts));
    let back = DeltaPage { from: 301, ..page() };
    let answer = DeltaAnswer::WithEdits(back, vec![]);
    assert_eq!(DeltaAnswer::decode(&answer.encode()), Err(MessageError::Order));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read(
        which in 0..4_usize,
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let frames: Vec<Vec<u8>> =
            answers().iter().map(|(_, answer)| answer.encode()).chain([run().encode()]).collect();
        let mut bytes = frames[which].clone();
        let at = at.index(bytes.len());
        bytes[at] = to;
        bytes.truncate(bytes.len() - cut.index(2));
        if let Ok(answer) = DeltaAnswer::decode(&bytes) {
            prop_assert_eq!(DeltaAnswer::decode(&answer.encode()), Ok(answer));
        }
        if let Ok(page) = SnapshotPage::decode(&bytes) {
            prop_assert_eq!(SnapshotPage::decode(&page.encode()), Ok(page));
        }
    }

    #[test]
    fn any_text_is_refused_or_read(text in "([ -~]{0,40}[\t\n]){0,20}") {
        if let Ok(names) = EditName::from_text(&text) {
            prop_assert_eq!(EditName::from_text(&EditName::to_text(&names)), Ok(names));
        }
    }
}
