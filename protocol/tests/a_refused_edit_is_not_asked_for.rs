//! An edit that was decided, and is refused by a cloud that has forgotten it and holds another
//! payload under its name, is not asked for any more: it would keep younger ones from it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use counterfoil_protocol::catalog::{CatalogEdit, EntityId, FieldChange, FieldValue};
use counterfoil_protocol::event::Body;
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::problem::ErrorCode;
use counterfoil_protocol::terminal::Input;
use counterfoil_protocol::terminal::edits::{asked, local_edits};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::EDITS_ASKED_MAX;
use counterfoil_protocol::wire::message::{
    EditOutcome, Edited, ItemResult, PushAnswer, ServerId, Verdict,
};
use support::{Till, block_on, draft};

const NOW: Millis = Millis(1_000);
const EDITS: u64 = EDITS_ASKED_MAX as u64 + 1;

fn answer(till: &mut Till, verdicts: impl Iterator<Item = (u64, Verdict)>) {
    let results = verdicts.map(|(seq, verdict)| ItemResult { seq, verdict }).collect();
    let answer = PushAnswer { head: EDITS, results, stopped: None };
    let epoch = till.meta().epoch;
    till.run(NOW, Input::Answered { epoch, answer });
}

fn names(till: &Till) -> Vec<String> {
    let names = block_on(asked(&till.store)).unwrap();
    names.iter().map(|name| name.local_id.to_string()).collect()
}

#[test]
fn what_is_refused_makes_room_for_what_is_decided() {
    let mut till = Till::install(1);
    for number in 1..=EDITS {
        let value = |text: &str| FieldValue::Name(text.to_owned());
        let change = FieldChange::new(value("old"), value("new")).unwrap();
        let id = EntityId::product(ProductId::parse(&format!("p{number}")).unwrap());
        let edit = CatalogEdit::new(id, 1, vec![change]).unwrap();
        till.sell(NOW, draft("1", &number.to_string(), Body::CatalogEdited(edit)));
    }
    assert!(names(&till).is_empty(), "nothing is decided yet");
    let edited = Edited {
        server_id: ServerId(counterfoil_protocol::hash::Hash([7; 32])),
        version: 9,
        outcome: EditOutcome::Taken,
    };
    answer(&mut till, (1..=EDITS).map(|seq| (seq, Verdict::Edited(edited))));
    assert_eq!(names(&till), (1..EDITS).map(|n| n.to_string()).collect::<Vec<_>>(), "the oldest");
    let refused = Verdict::Refused(ErrorCode::EventInvalid);
    answer(&mut till, (1..EDITS).map(|seq| (seq, refused)));
    assert_eq!(names(&till), [EDITS.to_string()]);
    let edits = block_on(local_edits(&till.store)).unwrap();
    assert_eq!(edits.waiting.len() as u64, EDITS, "each lies over until a person has it answered");
}
