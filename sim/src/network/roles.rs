//! What is watched in the commits of each role.

use std::collections::BTreeSet;
use std::sync::Arc;

use counterfoil_protocol::cloud::{self, Cloud, Site};
use counterfoil_protocol::machine::Loaded;
use counterfoil_protocol::terminal::row::{CatalogState, Entry, Meta, State};
use counterfoil_protocol::terminal::{self, Terminal};

use super::observe::{Commit, Role};
use super::scene::{Node, Scene, TillSlot, lock};
use crate::checker::{CloudRows, TillRows};
use crate::coverage::{Injected, Transition};
use crate::law::Law;

impl Role for Cloud {
    /// Where the tills stand that are answered, and the branches that are rolled up.
    type Context = BTreeSet<Site>;

    const DURABLE: Law = Law::AckedIsDurable;
    const CRASHES: [Injected; 2] = [Injected::CloudCrashBefore, Injected::CloudCrashAfter];

    fn context(loaded: &Loaded<Self>) -> BTreeSet<Site> {
        loaded
            .iter()
            .filter_map(|(key, record)| match (*key, record.as_deref()) {
                (_, Some(cloud::Record::Terminal(terminal))) => Some(terminal.site),
                (
                    cloud::Key::Movements(shop, branch, _)
                    | cloud::Key::Inbox(cloud::InboxKey::Head(shop, branch)),
                    _,
                ) => Some(Site { shop, branch }),
                (_, _) => None,
            })
            .collect()
    }

    fn committed(scene: &Scene, _: Node, commit: &Commit<'_, Self>) {
        if commit.written.iter().any(|(key, _)| matches!(key, cloud::Key::Stock(..))) {
            scene.saw(Transition::CloudRollUp);
        }
        for (key, record) in commit.written {
            match (key, record) {
                (cloud::Key::Lease(..), Some(_)) => scene.saw(Transition::CatalogLease),
                (cloud::Key::SketchSecret(_), _) => scene.saw(Transition::CloudSketchSecret),
                _ => {}
            }
        }
        scene.judge(|checker, at| checker.cloud_committed(at, commit.context, commit.written));
    }

    fn opened(scene: &Scene, _: Node, rows: &CloudRows) {
        scene.judge(|checker, at| checker.cloud_whole(at, rows));
    }
}

/// What a till was asked, as the rows that it loaded tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// So many drafts.
    Record(u64),
    Adopt,
    Answered,
    Retry,
    /// Inventory events.
    Inbox,
    /// A greeting was answered, and the cloud has something of this till.
    Welcomed,
    /// Only the till's books: an installation, an opening, a denial or a first welcome.
    Books,
    /// A page of the catalog.
    Catalog,
    /// A plan for the catalog. It may be refused, and writes nothing then.
    Plan,
    /// Something that happens to a drawer.
    Session,
    /// The cloud's word on a session.
    Verdict,
}

impl Role for Terminal {
    type Context = Kind;

    const DURABLE: Law = Law::NeverForgotten;
    const CRASHES: [Injected; 2] = [Injected::TillCrashBefore, Injected::TillCrashAfter];

    fn context(loaded: &Loaded<Self>) -> Kind {
        use terminal::Key;
        let count = |is: fn(&Key) -> bool| loaded.iter().filter(|(key, _)| is(key)).count() as u64;
        let locals = count(|key| matches!(key, Key::Local(..)));
        let series = count(|key| matches!(key, Key::Series(_)));
        let entries = count(|key| matches!(key, Key::Entry(..)));
        let queue = count(|key| matches!(key, Key::Queue(..)));
        if let Some((_, held)) = loaded.iter().find(|(key, _)| matches!(key, Key::Catalog)) {
            let edits = count(|key| matches!(key, Key::LocalEdits));
            return if edits == 0 && stands(held.as_deref()) { Kind::Plan } else { Kind::Catalog };
        }
        if count(|key| matches!(key, Key::Register(_))) > 0 && series == 0 {
            return if locals > 0 { Kind::Session } else { Kind::Verdict };
        }
        if loaded.iter().any(|(key, _)| matches!(key, Key::Inbox)) {
            return Kind::Inbox;
        }
        match (locals, series, entries, queue) {
            (drafts, 1.., _, _) => Kind::Record(drafts),
            (1.., 0, _, _) => Kind::Adopt,
            (0, 0, 1.., 1..) => Kind::Answered,
            (0, 0, 0, 1..) => Kind::Retry,
            (0, 0, 1.., 0) => Kind::Welcomed,
            (0, 0, 0, 0) => Kind::Books,
        }
    }

    fn committed(scene: &Scene, node: Node, commit: &Commit<'_, Self>) {
        let Node::Till(number) = node else { unreachable!("a till's store is a till's") };
        cover(scene, &scene.till(number), commit);
        scene.judge(|checker, at| {
            checker.till_committed(at, number, commit.written)?;
            if *commit.context == Kind::Plan {
                checker.plan_committed(at, number, commit.rows, commit.written)?;
            }
            checker.till_entries(at, number, commit.rows, commit.written)
        });
    }

    fn opened(scene: &Scene, node: Node, rows: &TillRows) {
        let Node::Till(number) = node else { unreachable!("a till's store is a till's") };
        scene.judge(|checker, at| checker.till_whole(at, number, rows));
    }
}

/// Returns whether a catalog is at a version, and no snapshot of it is under way. Then a run of one
/// changes nothing, and whoever loads the catalog without the edits that lie over it, and writes
/// it, carries out a plan.
const fn stands(held: Option<&terminal::Record>) -> bool {
    matches!(
        held,
        Some(terminal::Record::Catalog(CatalogState { version: Some(_), progress: None, .. }))
    )
}

/// The till's books before and after a commit that changed them.
fn books<'a>(commit: &'a Commit<'_, Terminal>) -> (Option<&'a Meta>, Option<&'a Meta>) {
    let is_meta = |record: Option<&'a terminal::Record>| match record {
        Some(terminal::Record::Meta(meta)) => Some(meta),
        Some(_) | None => None,
    };
    let now = is_meta(commit.rows.get(&terminal::Key::Meta).map(Arc::as_ref));
    let before = match commit.before.get(&terminal::Key::Meta) {
        Some(before) => is_meta(before.as_deref()),
        None => now,
    };
    (before, now)
}

fn cover(scene: &Scene, slot: &TillSlot, commit: &Commit<'_, Terminal>) {
    let welcome_in = {
        let mut state = lock(&slot.state);
        let about = matches!(commit.context, Kind::Welcomed | Kind::Books);
        let welcome = about && std::mem::take(&mut state.welcome_in);
        state.greeted_since_heal |= welcome && state.hello_since_heal;
        welcome
    };
    let (before, now) = books(commit);
    match commit.context {
        Kind::Record(drafts) => {
            for _ in 0..*drafts {
                scene.saw(Transition::TillRecord);
            }
        }
        Kind::Adopt => scene.saw(Transition::TillAdopt),
        Kind::Answered => {
            scene.saw(Transition::TillAnswered);
            cover_answers(scene, commit);
        }
        Kind::Retry => scene.saw(Transition::TillRetry),
        Kind::Catalog => {
            scene.saw(cover_page(commit));
            cover_overlays(scene, commit);
        }
        Kind::Inbox => {
            scene.saw(Transition::TillInbox);
            cover_inbox(scene, commit);
        }
        // One that is refused is counted where that is heard.
        Kind::Plan if commit.written.is_empty() => {}
        Kind::Plan => {
            scene.saw(Transition::TillPlan);
            scene.saw(Transition::PlanApplied);
        }
        Kind::Session => scene.saw(Transition::TillSession),
        Kind::Verdict => {
            scene.saw(Transition::TillVerdict);
            cover_verdict(scene, commit);
        }
        Kind::Welcomed | Kind::Books if welcome_in => {
            scene.saw(Transition::TillWelcomed);
            cover_welcome(scene, before, now);
        }
        Kind::Welcomed | Kind::Books => scene.saw(match (before, now) {
            (None, _) => Transition::TillInstall,
            (Some(before), Some(now)) if before.boot != now.boot => Transition::TillOpen,
            (Some(_), _) => Transition::TillDenied,
        }),
    }
}

/// A till that was at a version has taken in a delta, any other a run of a snapshot.
fn cover_page(commit: &Commit<'_, Terminal>) -> Transition {
    let key = terminal::Key::Catalog;
    let state = match commit.before.get(&key) {
        Some(before) => before.as_deref(),
        None => commit.rows.get(&key).map(Arc::as_ref),
    };
    match state {
        Some(terminal::Record::Catalog(state)) if state.progress.is_none() => Transition::TillDelta,
        _ => Transition::TillRun,
    }
}

/// Counts what no longer lies over a till's catalog.
fn cover_overlays(scene: &Scene, commit: &Commit<'_, Terminal>) {
    let Some(before) = commit.before.get(&terminal::Key::LocalEdits) else { return };
    let count = |record: Option<&terminal::Record>| match record {
        Some(terminal::Record::LocalEdits(edits)) => edits.waiting.len(),
        Some(_) | None => 0,
    };
    let now = commit.rows.get(&terminal::Key::LocalEdits).map(Arc::as_ref);
    for _ in count(now)..count(before.as_deref()) {
        scene.saw(Transition::OverlayDropped);
    }
}

/// Whoever comes so many places further and has applied fewer events has had the others before, or
/// from itself.
fn cover_inbox(scene: &Scene, commit: &Commit<'_, Terminal>) {
    let place = |record: Option<&terminal::Record>| match record {
        Some(terminal::Record::Inbox(state)) => (state.cursor.seq, state.movements),
        Some(_) | None => (0, 0),
    };
    let now = place(commit.rows.get(&terminal::Key::Inbox).map(Arc::as_ref));
    let before = commit.before.get(&terminal::Key::Inbox).map_or(now, |row| place(row.as_deref()));
    if now.0.saturating_sub(before.0) > now.1.saturating_sub(before.1) {
        scene.saw(Transition::TillInboxAgain);
    }
    if commit.written.iter().any(|(key, _)| matches!(key, terminal::Key::Review(_))) {
        scene.saw(Transition::TillReview);
    }
}

fn cover_verdict(scene: &Scene, commit: &Commit<'_, Terminal>) {
    let told = commit.written.iter().filter_map(|(_, record)| match record.as_deref() {
        Some(terminal::Record::Closing(row)) => row.told.as_ref(),
        Some(_) | None => None,
    });
    for told in told {
        scene.saw(match told.report.difference {
            None => Transition::SessionConfirmed,
            Some(_) => Transition::SessionDifference,
        });
        if told.late_events > 0 {
            scene.saw(Transition::SessionLate);
        }
    }
}

fn cover_answers(scene: &Scene, commit: &Commit<'_, Terminal>) {
    use terminal::{Key, Record};
    for (key, record) in commit.written {
        match (key, record.as_deref()) {
            (Key::Entry(..), Some(Record::Entry(Entry { state: State::Synced(_), .. }))) => {
                scene.saw(Transition::TillSynced);
            }
            (Key::Queue(..), Some(Record::Queue(_))) => scene.saw(Transition::TillWaits),
            (Key::Attention(..), Some(Record::Attention(_))) => {
                scene.saw(Transition::TillAttention);
            }
            _ => {}
        }
    }
}

fn cover_welcome(scene: &Scene, before: Option<&Meta>, now: Option<&Meta>) {
    let (Some(before), Some(now)) = (before, now) else { return };
    if before.epoch == now.epoch {
        if now.acked < before.acked {
            scene.saw(Transition::TillWelcomedTookBack);
        }
        return;
    }
    // The cloud holds all of a history that lost its tail, and a part of one that forked.
    let closed = now.closed.iter().find(|closed| closed.epoch == before.epoch);
    scene.saw(match closed {
        Some(closed) if closed.kept < closed.head => Transition::TillWelcomedForked,
        Some(_) | None => Transition::TillWelcomedLostTail,
    });
}
