//! What a till reads beside the protocol's own forms.

use counterfoil_protocol::cloud::direct::Direct;
use counterfoil_protocol::event::Body;
use counterfoil_protocol::identity::{PosId, ShopId};
use counterfoil_terminal::{fuzzing, import, witness as own};

use crate::memory::bounded;
use crate::messages::MEMORY_MAX;

/// Reads a file of sales.
///
/// # Panics
/// If a law does not hold.
pub fn sales(bytes: &[u8]) {
    let pos = PosId::parse("1").expect("a name");
    let shop = ShopId::parse("shop").expect("a name");
    bounded(MEMORY_MAX, || {
        let import = import::parse(bytes, pos).expect("bytes in memory are read");
        let report = &import.report;
        let told = report.understood + report.blank + report.not_understood.len() as u64;
        assert_eq!(told, report.lines, "every line is accounted for");
        let drafts: Vec<_> = import.documents.into_iter().flat_map(|of| of.drafts).collect();
        let counted = report.sales + report.refunds + report.adjustments;
        assert_eq!(drafts.len() as u64, counted, "every event is counted");
        for draft in drafts {
            let (id, at) = (draft.local_id, draft.at);
            let taken = match draft.body {
                Body::Sale(trade) | Body::Refund { original: None, trade } => {
                    Direct::sale(shop, id, at, trade)
                }
                Body::Adjustment(adjustment) => Direct::adjustment(shop, id, at, adjustment),
                other => panic!("a file of sales has no {other:?}"),
            };
            assert!(taken.is_ok(), "what was understood can be recorded: {taken:?}");
        }
    });
}

/// Reads a witness.
///
/// # Panics
/// If a law does not hold.
pub fn witness(bytes: &[u8]) {
    bounded(1 << 20, || {
        if let Some(read) = own::parse(bytes) {
            assert_eq!(own::text(read).as_bytes(), bytes, "a witness has one form only");
        }
    });
}

/// Reads a stream of news, whole and in two pieces; the first byte says where it is cut.
///
/// # Panics
/// If a law does not hold.
pub fn live(bytes: &[u8]) {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let (first, second) = stream.split_at(usize::from(*cut).min(stream.len()));
    bounded(1 << 20, || {
        let (whole, parted) = (fuzzing::stream(&[stream]), fuzzing::stream(&[first, second]));
        // A stream that is given up is so by the piece that is too long.
        if let (Some(whole), Some(parted)) = (whole, parted) {
            assert_eq!(whole, parted, "it does not matter how it comes");
        }
    });
}
