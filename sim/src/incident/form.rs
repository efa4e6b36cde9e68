//! The bundle as it stands in a file: read once, checked, and made into an [`Incident`].

use std::collections::BTreeMap;

use counterfoil_protocol::identity::{
    BranchId, Epoch, EventKey, LocalEventId, PosId, ShopId, TerminalId,
};
use counterfoil_protocol::problem::{Denial, ErrorCode};
use counterfoil_protocol::terminal::diary::{NOTES_AT_ONCE_MAX, NOTES_MAX, RUNS_MAX, Run};
use counterfoil_protocol::terminal::{Identity, Parted, Place};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::event::EventAny;
use counterfoil_terminal::bundle::{BUNDLE_ENTRIES_MAX, BUNDLE_VERSION};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{
    FILLED_MAX, HISTORIES_MAX, Happened, History, Incident, IncidentError, Note, Stood, Told, Waits,
};

/// The largest number of an entry: no till has so many.
const SEQ_MAX: u64 = 1 << 40;
/// The most histories in a bundle: a till remembers 32 that are settled.
const CLOSED_MAX: usize = 4096;
/// The most of the queue in a bundle.
const QUEUE_MAX: usize = 10_000;

#[derive(Deserialize)]
struct Head {
    bundle: u64,
}

#[derive(Deserialize)]
struct Bundle {
    till: Inside,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inside {
    identity: Names,
    epoch: Epoch,
    head: u64,
    acked: u64,
    closed: Vec<Closed>,
    quarantined: Option<String>,
    pending: u64,
    needs_attention: u64,
    queue: Vec<Queued>,
    entries: Vec<Entry>,
    diary: Vec<Noted>,
    memory: Vec<Noted>,
}

#[derive(Deserialize)]
struct Names {
    shop: ShopId,
    branch: BranchId,
    terminal: TerminalId,
}

#[derive(Deserialize)]
struct Closed {
    epoch: Epoch,
    head: u64,
    kept: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Queued {
    epoch: Epoch,
    seq: u64,
    needs_attention: bool,
    attempts: u8,
    code: Option<ErrorCode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    epoch: Epoch,
    seq: u64,
    register: PosId,
    event: LocalEventId,
    kind: String,
    at_ms: Option<Millis>,
    state: StateForm,
    #[serde(default)]
    original: Option<Original>,
    #[serde(default)]
    corrects: Vec<LocalEventId>,
    #[serde(default)]
    content: Option<EventAny>,
}

#[derive(Deserialize)]
struct Original {
    terminal: TerminalId,
    register: PosId,
    event: LocalEventId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum StateForm {
    Open,
    Synced(IgnoredAny),
    Replaced(LocalEventId),
    Moved { epoch: Epoch, seq: u64 },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Noted {
    at_ms: Millis,
    what: What,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum What {
    Started,
    Parted { why: Parted, epoch: Epoch },
    Offered { epoch: Epoch, times: u32, runs: Vec<Run> },
    Carried { from: Epoch, runs: Vec<Stretch> },
    Retried { epoch: Epoch, seq: u64 },
    SetAside { epoch: Epoch, seq: u64 },
    Replaced { epoch: Epoch, seq: u64 },
}

#[derive(Deserialize)]
struct Stretch {
    first: u64,
    count: u64,
}

pub(super) fn is_meant(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Head>(bytes).is_ok()
}

pub(super) fn read(bytes: &[u8]) -> Result<Incident, IncidentError> {
    let form = |error: serde_json::Error| IncidentError::Form(error.to_string());
    let Head { bundle: version } = serde_json::from_slice(bytes).map_err(form)?;
    if version == 0 || version > u64::from(BUNDLE_VERSION) {
        return Err(IncidentError::Version(version));
    }
    let Bundle { till } = serde_json::from_slice(bytes).map_err(form)?;
    bounded(&till)?;
    let Names { shop, branch, terminal } = till.identity;
    let waiting = till.pending.saturating_add(till.needs_attention);
    let incident = Incident {
        version: version as u32,
        identity: Identity { shop, branch, terminal },
        histories: histories(till.epoch, till.head, &till.closed)?,
        acked: till.acked,
        whole_queue: till.queue.len() as u64 == waiting,
        quarantined: till.quarantined.as_deref().map(denial).transpose()?,
        queue: till.queue.iter().map(waits).collect(),
        entries: entries(till.entries)?,
        notes: till.diary.into_iter().chain(till.memory).map(note).collect(),
    };
    consistent(&incident)?;
    Ok(incident)
}

fn bounded(till: &Inside) -> Result<(), IncidentError> {
    let notes = NOTES_MAX as usize + NOTES_AT_ONCE_MAX;
    for (count, most) in [
        (till.entries.len(), BUNDLE_ENTRIES_MAX),
        (till.diary.len().saturating_add(till.memory.len()), notes),
        (till.closed.len(), CLOSED_MAX),
        (till.queue.len(), QUEUE_MAX),
    ] {
        if count > most {
            return Err(IncidentError::TooLarge(count as u64));
        }
    }
    Ok(())
}

fn contradiction(what: impl Into<String>) -> IncidentError {
    IncidentError::Contradiction(what.into())
}

fn histories(epoch: Epoch, head: u64, closed: &[Closed]) -> Result<Vec<History>, IncidentError> {
    let of = |closed: &Closed| History {
        epoch: closed.epoch,
        head: closed.head,
        kept: Some(closed.kept),
    };
    let mut histories: Vec<History> = closed.iter().map(of).collect();
    histories.push(History { epoch, head, kept: None });
    if !histories.is_sorted_by(|a, b| a.epoch.number < b.epoch.number) {
        return Err(contradiction("its histories are not counted one after the other"));
    }
    if histories[0].epoch.number == 0 || epoch.number > HISTORIES_MAX {
        return Err(contradiction(format!("its history has the number {}", epoch.number)));
    }
    if histories.iter().any(|history| history.head > SEQ_MAX) {
        return Err(contradiction("no till has so many entries"));
    }
    if histories.iter().any(|history| history.kept.is_some_and(|kept| kept > history.head)) {
        return Err(contradiction("more of a history is kept than there is"));
    }
    Ok(histories)
}

fn denial(text: &str) -> Result<Denial, IncidentError> {
    let all = [Denial::UnknownTerminal, Denial::Revoked, Denial::Expired, Denial::WrongCredential];
    let known = all.into_iter().find(|denial| denial.explain() == text);
    known.ok_or_else(|| IncidentError::Form("nobody is turned away for that reason".to_owned()))
}

fn waits(queued: &Queued) -> (Place, Waits) {
    let Queued { epoch, seq, needs_attention, attempts, code } = *queued;
    (Place { epoch, seq }, Waits { needs_attention, attempts, code })
}

fn entries(forms: Vec<Entry>) -> Result<BTreeMap<Place, Told>, IncidentError> {
    let mut entries = BTreeMap::new();
    for form in forms {
        let place = Place { epoch: form.epoch, seq: form.seq };
        let content = match form.content {
            None => None,
            Some(content) => match content.parse() {
                Ok(event) => Some(Box::new(event)),
                Err(error) => return Err(contradiction(format!("an event: {error}"))),
            },
        };
        let original = form.original.map(|of| EventKey {
            terminal: of.terminal,
            pos: of.register,
            local_id: of.event,
        });
        let state = match form.state {
            StateForm::Open => Stood::Open,
            StateForm::Synced(IgnoredAny) => Stood::Synced,
            StateForm::Replaced(by) => Stood::Replaced(by),
            StateForm::Moved { epoch, seq } => Stood::Moved(Place { epoch, seq }),
        };
        let told = Told {
            pos: form.register,
            local_id: form.event,
            kind: form.kind,
            at: form.at_ms.unwrap_or(Millis::ZERO),
            state,
            original,
            corrects: form.corrects,
            content,
        };
        if entries.insert(place, told).is_some() {
            return Err(contradiction(format!("entry {} is told twice", place.seq)));
        }
    }
    Ok(entries)
}

fn note(Noted { at_ms: at, what }: Noted) -> Note {
    let what = match what {
        What::Started => Happened::Started,
        What::Parted { why, epoch } => Happened::Parted { why, epoch },
        What::Offered { epoch, times, runs } => Happened::Offered { epoch, times, runs },
        What::Carried { from, runs } => {
            let entries = runs.into_iter().map(|run| (run.first, run.count)).collect();
            Happened::Carried { from, entries }
        }
        What::Retried { epoch, seq } => Happened::Retried(Place { epoch, seq }),
        What::SetAside { epoch, seq } => Happened::SetAside(Place { epoch, seq }),
        What::Replaced { epoch, seq } => Happened::Replaced(Place { epoch, seq }),
    };
    Note { at, what }
}

/// Checks that each part of a bundle can be true beside the others.
fn consistent(incident: &Incident) -> Result<(), IncidentError> {
    let current = incident.histories[incident.histories.len() - 1];
    if incident.acked > current.head {
        return Err(contradiction("more is answered than there is"));
    }
    for place in incident.entries.keys().chain(incident.queue.keys()) {
        exists(incident, *place, "an entry")?;
    }
    for (place, told) in &incident.entries {
        if let Stood::Moved(to) = told.state {
            exists(incident, to, "where an entry was carried to")?;
            if to.epoch.number <= place.epoch.number {
                return Err(contradiction("an entry was carried back"));
            }
        }
    }
    incident.notes.iter().try_for_each(|note| sound(incident, note))?;
    let filled = incident.left_out();
    if filled > FILLED_MAX { Err(IncidentError::Cut(filled)) } else { Ok(()) }
}

/// Notes about histories that the till has forgotten may say anything: they are not played.
fn sound(incident: &Incident, note: &Note) -> Result<(), IncidentError> {
    let stretch = |first: u64, count: u64| {
        first > 0 && count > 0 && first <= SEQ_MAX && count <= RUNS_MAX as u64
    };
    let (epoch, stretches): (Epoch, Vec<(u64, u64)>) = match &note.what {
        Happened::Started | Happened::Parted { .. } => return Ok(()),
        Happened::Offered { epoch, times, runs } => {
            if *times == 0 {
                return Err(contradiction("what was offered was offered at least once"));
            }
            (*epoch, runs.iter().map(|run| (run.first, run.count)).collect())
        }
        Happened::Carried { from, entries } => (*from, entries.clone()),
        Happened::Retried(place) | Happened::SetAside(place) | Happened::Replaced(place) => {
            (place.epoch, vec![(place.seq, 1)])
        }
    };
    if stretches.is_empty() || stretches.len() > RUNS_MAX {
        return Err(contradiction("a note is about no entries, or too many"));
    }
    let ordered = stretches.windows(2).all(|two| {
        let [(first, count), (next, _)] = two else { return true };
        first.saturating_add(*count) <= *next
    });
    let total: u64 = stretches.iter().map(|(_, count)| count.min(&SEQ_MAX)).sum();
    let sound = stretches.iter().all(|(first, count)| stretch(*first, *count));
    if !ordered || !sound || total > RUNS_MAX as u64 {
        return Err(contradiction("the entries of a note are not counted one after the other"));
    }
    if let (Some(index), Some((first, count))) = (incident.history(epoch), stretches.last())
        && first + count - 1 > incident.histories[index].head
    {
        return Err(contradiction("a note is about an entry that is not there"));
    }
    Ok(())
}

fn exists(incident: &Incident, place: Place, what: &str) -> Result<(), IncidentError> {
    let history = incident.history(place.epoch).map(|index| incident.histories[index]);
    let known = history.is_some_and(|history| (1..=history.head).contains(&place.seq));
    let said = || contradiction(format!("{what} is in no history: {}", place.seq));
    if known { Ok(()) } else { Err(said()) }
}
