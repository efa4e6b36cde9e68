//! What happens, as numbers for the digest of a run and as words for who replays it.

use super::alarm::Part;
use super::{Answer, Happening, Reply, Request, World};

/// Returns which kind of thing happens, to whom, and a detail.
pub(super) fn fingerprint(what: &Happening) -> (u8, usize, u64) {
    match what {
        Happening::Sell(till) => (1, *till, 0),
        Happening::Wake(till, life, part) => (2, *till, u64::from(*life) * 4 + *part as u64),
        Happening::Request(request) => (3, request.till, request.number),
        Happening::Answer(answer) => (4, answer.till, answer.request),
        Happening::CloudCommit(life) => (5, 0, u64::from(*life)),
        Happening::RestartTill(till) => (6, *till, 0),
        Happening::RestartCloud => (7, 0, 0),
        Happening::Fault(index) => (8, 0, *index as u64),
        Happening::Reenrol(till) => (9, *till, 0),
        Happening::DefineProducts(batch) => (10, 0, *batch),
        Happening::Heal => (11, 0, 0),
        Happening::Staff => (12, 0, 0),
        Happening::EditCatalog => (13, 0, 0),
        Happening::EditAtTill(till) => (14, *till, 0),
        Happening::Drawer(till) => (16, *till, 0),
        Happening::Verify(till) => (17, *till, 0),
        Happening::ApplyPlan(till, life) => (18, *till, u64::from(*life)),
        Happening::PlanCompaction => (19, 0, 0),
        Happening::Compact(life, planned) => (20, planned.len(), u64::from(*life)),
        Happening::RollUp(life, planned) => (21, planned.1.len(), u64::from(*life)),
        Happening::Order => (22, 0, 0),
        Happening::Relay => (23, 0, 0),
    }
}

impl World {
    /// Returns what happens in words.
    pub(super) fn told(&self, what: &Happening) -> String {
        match what {
            Happening::Request(request) => {
                let Request { till, number, kind, bytes, .. } = &**request;
                format!("cloud <- till {till}: {kind:?} {number}, {} bytes", bytes.len())
            }
            Happening::Answer(answer) => told_answer(answer),
            Happening::Fault(index) => format!("fault: {:?}", self.plan.faults[*index].fault),
            Happening::Sell(till) => format!("till {till}: a customer"),
            Happening::Wake(till, _, Part::Session) => format!("till {till} wakes"),
            Happening::Wake(till, _, Part::Follower) => {
                format!("till {till} thinks of its catalog")
            }
            Happening::Wake(till, _, Part::Collector) => format!("till {till} thinks of its inbox"),
            Happening::CloudCommit(_) => "cloud commits".into(),
            Happening::RollUp(_, planned) => {
                let (site, rolled) = &**planned;
                format!("cloud rolls up {} pushes of {}", rolled.len(), site.branch)
            }
            Happening::RestartTill(till) => format!("till {till} starts"),
            Happening::RestartCloud => "cloud starts".into(),
            Happening::Reenrol(till) => format!("cloud enrols till {till}"),
            Happening::DefineProducts(_) => "cloud defines products".into(),
            Happening::Heal => "all faults end".into(),
            Happening::Staff => "staff looks at what needs attention".into(),
            Happening::EditAtTill(till) => format!("till {till}: somebody edits the catalog"),
            Happening::PlanCompaction => "cloud plans a compaction".into(),
            Happening::Compact(_, planned) => {
                format!("cloud compacts {} deletions up to {}", planned.len(), planned.to())
            }
            Happening::EditCatalog => "somebody edits the catalog".into(),
            Happening::Order => "somebody orders online".into(),
            Happening::Relay => "tills are to hear of each other".into(),
            Happening::Drawer(till) => format!("till {till}: a cashier looks into a drawer"),
            Happening::Verify(till) => format!("till {till}: its catalog is verified"),
            Happening::ApplyPlan(till, _) => format!("till {till}: a plan is applied"),
        }
    }
}

fn told_answer(Answer { till, request, reply, .. }: &Answer) -> String {
    match reply {
        Reply::Delta(_) => format!("till {till} hears: a delta of the catalog"),
        Reply::Run(_) => format!("till {till} hears: a run of the catalog"),
        Reply::Session(_) => format!("till {till} hears: a word on a session"),
        Reply::Pending(_) => format!("till {till} hears: inventory events"),
        Reply::Acked(_) => format!("till {till} hears: acknowledged"),
        Reply::Reconcile(_) => format!("till {till} hears: which rows differ"),
        Reply::Entities(_) => format!("till {till} hears: rows that differ"),
        Reply::Fault(fault) => format!("till {till} <- {fault:?} to {request}"),
        Reply::Welcome(bytes) | Reply::Pushed(_, bytes) => {
            format!("till {till} <- answer to {request}, {} bytes", bytes.len())
        }
    }
}
