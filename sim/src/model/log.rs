//! What happens, as numbers for the digest of a run and as words for who replays it.

use counterfoil_protocol::cloud::Input;
use counterfoil_protocol::terminal::catalog::Wanted;

use super::alarm::Part;
use super::{Answer, Happening, Kind, Reply, Request, World};
use crate::story::{Lane, What};

/// How many bytes are hashed at once.
const HASHED_AT_ONCE: usize = 16 * 1024;

/// The digest of all that happens. A step is a few bytes, and many steps together are hashed in a
/// fraction of the time.
#[derive(Default)]
pub(super) struct Trace {
    hasher: blake3::Hasher,
    waiting: Vec<u8>,
}

impl Trace {
    /// Adds a step.
    pub(super) fn add(&mut self, step: &[u8]) {
        if self.waiting.len() + step.len() > HASHED_AT_ONCE {
            self.hasher.update(&self.waiting);
            self.waiting.clear();
        }
        self.waiting.extend_from_slice(step);
    }

    /// Returns the digest of the steps so far.
    pub(super) fn digest(&mut self) -> [u8; 32] {
        self.hasher.update(&self.waiting);
        self.waiting.clear();
        *self.hasher.finalize().as_bytes()
    }
}

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
        Happening::Retire(till) => (24, *till, 0),
        Happening::Correct(till) => (25, *till, 0),
        Happening::Admit => (26, 0, 0),
        Happening::Archive(till) => (27, *till, 0),
        Happening::Leave(till, life, _) => (28, *till, u64::from(*life)),
    }
}

/// Returns what a request asks for.
pub(super) fn asked(kind: Kind) -> String {
    match kind {
        Kind::Hello => "greeting".into(),
        Kind::Push => "push".into(),
        Kind::Catalog(Wanted::Delta(from)) => format!("catalog after {from}, question"),
        Kind::Catalog(Wanted::Snapshot { after: None, .. }) => "first run of the catalog,".into(),
        Kind::Catalog(Wanted::Snapshot { after: Some(after), .. }) => {
            format!("run of the catalog after {}, question", after.id)
        }
        Kind::Session(_, session) => format!("session {session}, question"),
        Kind::Pending(cursor) => format!("inbox after {}, question", cursor.seq),
        Kind::Ack => "inbox acknowledgement".into(),
        Kind::Reconcile => "sketch".into(),
        Kind::Entities => "rows that differ,".into(),
    }
}

/// Returns what the cloud commits.
pub(super) fn committed(inputs: &[Input]) -> String {
    let named = |input: &Input| match input {
        Input::Hello { .. } => "greeting",
        Input::Push { .. } => "push",
        Input::Enrol { .. } => "enrolment",
        Input::Revoke { .. } => "revocation",
        Input::DefineProduct { .. } => "product",
        Input::EditCatalog(_) => "catalog edit",
        Input::Inbox(_) => "inbox",
        Input::RollUp(_) => "roll-up",
        Input::Lease { .. } => "lease",
        Input::Compact(_) => "compaction",
        Input::DrawSketchSecret { .. } => "sketch secret",
        Input::AddUser(_) | Input::RevokeUser(_) => "user",
        Input::Bring(_) => "sales without a journal",
        Input::Decide(_) => "decision",
        Input::Settle { .. } => "settled notice",
        Input::SetThresholds(_) => "thresholds",
        Input::Logged(_) => "operator",
    };
    inputs.iter().map(named).collect::<Vec<_>>().join(", ")
}

/// Returns the lane of a till.
pub(super) fn lane(till: usize) -> Lane {
    Lane::Till(u32::try_from(till).unwrap_or(u32::MAX))
}

impl World {
    /// Returns whose step it is, of what kind, and what happens in words.
    pub(super) fn told(&self, what: &Happening) -> (Lane, What, String) {
        let note = |lane, text: &str| (lane, What::Note, text.to_owned());
        let at = |till: &usize, text| note(lane(*till), text);
        match what {
            Happening::Request(request) => {
                let Request { till, number, kind, bytes, message, .. } = &**request;
                let text =
                    format!("{} {number} of till-{till}, {} bytes", asked(*kind), bytes.len());
                (Lane::Cloud, What::Receive(*message), text)
            }
            Happening::Answer(answer) => {
                let Answer { till, request, reply, message, .. } = &**answer;
                (lane(*till), What::Receive(*message), heard(reply, *request))
            }
            Happening::Fault(index) => {
                (Lane::World, What::Fault, format!("{:?}", self.plan.faults[*index].fault))
            }
            Happening::Heal => (Lane::World, What::Fault, "all faults end".into()),
            Happening::RestartTill(till) => (lane(*till), What::Start, "starts".into()),
            Happening::RestartCloud => (Lane::Cloud, What::Start, "starts".into()),
            Happening::Sell(till) => at(till, "a customer"),
            Happening::Wake(till, _, Part::Session) => at(till, "wakes"),
            Happening::Wake(till, _, Part::Follower) => at(till, "thinks of its catalog"),
            Happening::Wake(till, _, Part::Collector) => at(till, "thinks of its inbox"),
            Happening::EditAtTill(till) => at(till, "somebody edits the catalog"),
            Happening::Correct(till) => at(till, "somebody looks at what failed"),
            Happening::Archive(till) => at(till, "entries are copied into its archive"),
            Happening::Leave(till, ..) => at(till, "what was copied leaves for the archive"),
            Happening::Drawer(till) => at(till, "a cashier looks into a drawer"),
            Happening::Verify(till) => at(till, "its catalog is verified"),
            Happening::ApplyPlan(till, _) => at(till, "a plan is applied"),
            Happening::CloudCommit(_) => note(Lane::Cloud, "commits what has gathered"),
            Happening::RollUp(_, planned) => {
                let (site, rolled) = &**planned;
                note(Lane::Cloud, &format!("rolls up {} pushes of {}", rolled.len(), site.branch))
            }
            Happening::Reenrol(till) => note(Lane::Cloud, &format!("enrols till-{till}")),
            Happening::Retire(till) => at(till, "has it all arrived?"),
            Happening::DefineProducts(_) => note(Lane::Cloud, "products are defined"),
            Happening::PlanCompaction => note(Lane::Cloud, "plans a compaction"),
            Happening::Compact(_, planned) => {
                let (deletions, to) = (planned.len(), planned.to());
                note(Lane::Cloud, &format!("compacts {deletions} deletions up to {to}"))
            }
            Happening::EditCatalog => note(Lane::Cloud, "somebody edits the catalog"),
            Happening::Order => note(Lane::Cloud, "somebody orders online"),
            Happening::Relay => note(Lane::Cloud, "tills are to hear of each other"),
            Happening::Staff => note(Lane::World, "staff looks at what needs attention"),
            Happening::Admit => note(Lane::World, "staff looks who is turned away"),
        }
    }
}

fn heard(reply: &Reply, request: u64) -> String {
    match reply {
        Reply::Delta(_) => format!("answer to {request}: a delta of the catalog"),
        Reply::Run(_) => format!("answer to {request}: a run of the catalog"),
        Reply::Session(_) => "a word on a session".into(),
        Reply::Pending(_) => format!("answer to {request}: inventory events"),
        Reply::Acked(_) => format!("answer to {request}: acknowledged"),
        Reply::Reconcile(_) => format!("answer to {request}: which rows differ"),
        Reply::Entities(_) => format!("answer to {request}: rows that differ"),
        Reply::Fault(fault) => format!("{fault:?} in answer to {request}"),
        Reply::Welcome(bytes) => format!("welcome in answer to {request}, {} bytes", bytes.len()),
        Reply::Pushed(_, bytes) => format!("results of push {request}, {} bytes", bytes.len()),
    }
}
