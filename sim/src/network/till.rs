//! A till's host: the real till, sync loop and transport, and a cashier.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use counterfoil_protocol::event::{Body, Receipt};
use counterfoil_protocol::identity::{EventKey, LocalEventId, PosId, Witness};
use counterfoil_protocol::session::Nudge;
use counterfoil_protocol::terminal::{Draft, Key, Output, Parted, Record, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_terminal::ports::{Clock, Entropy};
use counterfoil_terminal::sync::SyncLoop;
use counterfoil_terminal::till::{Till, TillError};
use counterfoil_terminal::transport::{Endpoint, Transport};
use counterfoil_terminal::witness::{Found, Keeper};

use super::observe::{self, SUPERVISED_MS, Watched};
use super::scene::{Node, Scene, TillSlot, lock};
use super::wire::{Dial, Who};
use super::{catalog, cloud, config, drawer, edits, inbox, verify};
use crate::coverage::Transition;
use crate::law::Law;
use crate::model::work;
use crate::rng::Stream;
use crate::story::What;

/// When a healed world's staff looks at what needs attention.
const STAFF: Duration = Duration::from_secs(5);

pub(super) type SimTill = Till<Watched<Terminal>>;

struct TillClock {
    scene: Arc<Scene>,
    slot: Arc<TillSlot>,
}

impl Clock for TillClock {
    fn now(&self) -> Millis {
        self.slot.wall(self.scene.now_ms())
    }
}

struct Draws(Arc<Mutex<Stream>>);

impl Entropy for Draws {
    fn draw(&mut self) -> u64 {
        lock(&self.0).draw()
    }
}

/// The file outside the disk: a cell that survives crashes.
struct Cell(Arc<Mutex<Option<Witness>>>);

impl Keeper for Cell {
    fn read(&mut self) -> std::io::Result<Found> {
        Ok(lock(&self.0).map_or(Found::Absent, Found::Witness))
    }

    fn write(&mut self, witness: Witness) -> std::io::Result<()> {
        *lock(&self.0) = Some(witness);
        Ok(())
    }
}

/// Runs a till until its host is crashed.
pub(super) async fn live(scene: Arc<Scene>, slot: Arc<TillSlot>) -> turmoil::Result {
    let node = Node::Till(slot.number);
    let _life = slot.goodbyes.live();
    let Some(store) = observe::open::<Terminal>(&scene, node, &slot.disk, &slot.mirror) else {
        return std::future::pending().await;
    };
    slot.planted.opened(&store);
    let clock = TillClock { scene: Arc::clone(&scene), slot: Arc::clone(&slot) };
    let draws = Draws(Arc::clone(&slot.entropy));
    let till = Till::new(store, Arc::new(clock), Box::new(draws));
    if let Err(error) = open(&scene, &slot, &till).await {
        return hurt(&scene, &slot, &error).await;
    }
    tokio::task::spawn_local(speak(Arc::clone(&scene), Arc::clone(&slot), till.clone()));
    if scene.plan.catalog_edit_every_ms > 0 {
        let (scene, slot, till) = (Arc::clone(&scene), Arc::clone(&slot), till.clone());
        let verifies = scene.plan.verify_every_ms > 0;
        let verifier = verify::verify(Arc::clone(&scene), Arc::clone(&slot), till.clone());
        tokio::task::spawn_local(catalog::follow(scene, slot, till));
        if verifies {
            tokio::task::spawn_local(verifier);
        }
    }
    let unsure = lock(&slot.state).unsure.clone();
    if let Some(draft) = unsure
        && let Err(error) = record(&scene, &slot, &till, draft).await
    {
        return hurt(&scene, &slot, &error).await;
    }
    let shop = async {
        sell(&scene, &slot, &till).await?;
        close_shop(&scene, &slot, &till).await
    };
    let people = async {
        let (drawers, edits) =
            (drawer::tend(&scene, &slot, &till), edits::edit(&scene, &slot, &till));
        tokio::try_join!(shop, drawers, edits).map(|(never, (), ())| never)
    };
    let ended = tokio::select! {
        biased;
        // As the daemon does: a commit that was abandoned half way ends the program too, and a
        // slow disk leaves time for it.
        why = till.failed() => Err(TillError::StorageFailed(why)),
        ended = people => ended,
    };
    match ended {
        Ok(never) => match never {},
        Err(error) => {
            scene.crash_soon(node, SUPERVISED_MS);
            hurt(&scene, &slot, &error).await
        }
    }
}

/// A store that fails has its host crashed by its watcher; any other error breaks a law.
async fn hurt(scene: &Scene, slot: &TillSlot, error: &TillError) -> turmoil::Result {
    let expected = matches!(error, TillError::StorageFailed(_));
    let number = slot.number;
    scene.judge(|checker, at| {
        let what = || format!("till {number} does not work: {error}");
        checker.tally.check(Law::NeverForgotten, at, expected, what)
    });
    std::future::pending().await
}

async fn open(scene: &Scene, slot: &TillSlot, till: &SimTill) -> Result<(), TillError> {
    let mut keeper = Cell(Arc::clone(&slot.witness));
    till.install(slot.identity, &mut keeper).await?;
    let opened = till.open(&mut keeper).await?;
    match opened.parted {
        Some(Parted::Copied) => scene.saw(Transition::TillOpenCopied),
        Some(Parted::Restored) => scene.saw(Transition::TillOpenRestored),
        Some(Parted::LostTail | Parted::Forked) | None => {}
    }
    Ok(())
}

/// Drives the session, anew with each new credential.
async fn speak(scene: Arc<Scene>, slot: Arc<TillSlot>, till: SimTill) {
    let mut token = slot.token.subscribe();
    let mut healed = scene.healed.subscribe();
    loop {
        let text = token.borrow_and_update().clone();
        let other = transport(&scene, &slot, &text, Who::Collector);
        let transport = transport(&scene, &slot, &text, Who::Session);
        let sync = SyncLoop::new(till.clone(), transport, config(scene.sabotage));
        let driving = async {
            let mut sync = std::pin::pin!(sync.run());
            let mut collect = std::pin::pin!(inbox::collect(&scene, till.clone(), other));
            tokio::select! {
                biased;
                _ = &mut sync => return,
                _ = &mut collect => return,
                changed = healed.changed() => {
                    changed.expect("the scene outlives its hosts");
                    till.nudge(Nudge::LinkUp);
                }
            }
            tokio::select! {
                biased;
                _ = sync => {}
                _ = collect => {}
            }
        };
        tokio::select! {
            biased;
            changed = token.changed() => changed.expect("the slot outlives its host"),
            // The store has failed: the host is about to end.
            () = driving => return,
        }
    }
}

/// Makes a till's end of a connection, for one of its parts.
pub(super) fn transport(
    scene: &Arc<Scene>,
    slot: &Arc<TillSlot>,
    token: &str,
    who: Who,
) -> Transport<Dial> {
    let dial = Dial { scene: Arc::clone(scene), slot: Arc::clone(slot), who };
    let address = format!("http://{}:{}", cloud::NAME, cloud::PORT);
    let endpoint = Endpoint::parse(&address).expect("it has a port");
    Transport::new(dial, endpoint, token).expect("it is plain text")
}

/// A cashier does something, and will do something again, until the faults end.
async fn sell(scene: &Scene, slot: &TillSlot, till: &SimTill) -> Result<(), TillError> {
    let own = scene.sales.as_ref().map(|_| drafts(scene, slot).count() as u64);
    let every_ms = match own {
        Some(own) => scene.plan.chaos_ms / (own + 1),
        None => scene.plan.sale_every_ms,
    };
    loop {
        let us = lock(&slot.work).below(every_ms * 2_000) + 1;
        if !at_work(scene, slot, us).await {
            return Ok(());
        }
        if let Some(draft) = next_draft(scene, slot) {
            record(scene, slot, till, draft).await?;
        }
    }
}

/// Waits for so many microseconds; `false` if nobody works with this till any more.
pub(super) async fn at_work(scene: &Scene, slot: &TillSlot, us: u64) -> bool {
    paused(scene, Duration::from_micros(us)).await && !lock(&slot.state).moved
}

/// Waits; `false` at once if the faults end meanwhile, or have.
pub(super) async fn paused(scene: &Scene, span: Duration) -> bool {
    let mut healed = scene.healed.subscribe();
    tokio::select! {
        biased;
        healed = healed.wait_for(|healed| *healed) => {
            healed.expect("the scene outlives its hosts");
            false
        }
        () = tokio::time::sleep(span) => true,
    }
}

/// The real sales of a till: with fewer tills than shares, some have several.
fn drafts<'a>(scene: &'a Scene, slot: &TillSlot) -> impl Iterator<Item = &'a Draft> {
    let (number, tills) = (slot.number, scene.plan.tills as usize);
    let shares = scene.sales.as_ref().map_or(&[][..], |sales| &sales.tills);
    let own = shares.iter().enumerate().filter(move |(index, _)| index % tills == number);
    own.flat_map(|(_, share)| share)
}

/// Returns the next real sale of a till, or draws one.
fn next_draft(scene: &Scene, slot: &TillSlot) -> Option<Draft> {
    if scene.sales.is_none() {
        return Some(draw(scene, slot));
    }
    let mut state = lock(&slot.state);
    let draft = drafts(scene, slot).nth(state.sold)?.clone();
    state.sold += 1;
    // From here on the till owes it, whatever happens.
    state.unsure = Some(draft.clone());
    Some(draft)
}

/// Records a draft. If the till dies of it, the cashier does not know, and will try again.
async fn record(
    scene: &Scene,
    slot: &TillSlot,
    till: &SimTill,
    draft: Draft,
) -> Result<(), TillError> {
    lock(&slot.state).unsure = Some(draft.clone());
    let output = till.record(draft.clone()).await?;
    let mut state = lock(&slot.state);
    state.unsure = None;
    if let Some(seen) = Transition::of_record(&output) {
        scene.saw(seen);
    }
    if let Output::Recorded { receipt, place, .. } = output {
        scene.tell(slot.lane(), What::Commit, || {
            let number = receipt.map(|Receipt { number, .. }| number);
            let (pos, id) = (draft.pos, draft.local_id);
            format!("{pos}/{id} is entry {}, receipt {number:?}", place.seq)
        });
        state.last_draft = Some(draft);
    }
    Ok(())
}

/// Sells what is left of the real sales, then has what needs attention tried again.
async fn close_shop(
    scene: &Scene,
    slot: &TillSlot,
    till: &SimTill,
) -> Result<std::convert::Infallible, TillError> {
    if scene.sales.is_some() {
        let sold = lock(&slot.state).sold;
        let rest: Vec<Draft> = drafts(scene, slot).skip(sold).cloned().collect();
        let count = rest.len();
        till.record_all(rest).await?;
        lock(&slot.state).sold += count;
    }
    // Once: what the cloud still cannot take then stays in the list, where a person decides.
    tokio::time::sleep(STAFF).await;
    for (pos, local_id) in attention(slot) {
        till.retry(pos, local_id).await?;
    }
    std::future::pending().await
}

/// Returns the events of a till that need attention.
fn attention(slot: &TillSlot) -> Vec<(PosId, LocalEventId)> {
    let mirror = lock(&slot.mirror);
    let entries = mirror.rows.keys().filter_map(|key| match *key {
        Key::Attention(epoch, seq) => mirror.rows.get(&Key::Entry(epoch, seq)).map(Arc::as_ref),
        _ => None,
    });
    let names = entries.filter_map(|record| match record {
        Record::Entry(entry) => Some((entry.pos, entry.local_id)),
        _ => None,
    });
    names.collect()
}

fn draw(scene: &Scene, slot: &TillSlot) -> Draft {
    let at = slot.wall(scene.now_ms());
    let original = some_sale(scene, slot);
    let mut rng = lock(&slot.work);
    if rng.happens(30_000)
        && let Some(last) = &lock(&slot.state).last_draft
    {
        return last.clone();
    }
    let pos = *rng.pick(&slot.registers);
    // Callers that number their events themselves give a copy of a till the same numbers.
    let text = if rng.happens(20_000) {
        format!("own-{}", rng.below(12))
    } else {
        format!("{:016x}{:016x}", rng.draw(), rng.draw())
    };
    let local_id = LocalEventId::parse(&text).expect("a short name");
    let body = match rng.below(20) {
        0 => Body::Adjustment(work::adjustment(&mut rng)),
        1 | 2 => Body::Refund { original, trade: work::trade(&mut rng) },
        _ => Body::Sale(work::trade(&mut rng)),
    };
    let reference = format!("r{}", rng.below(1_000_000));
    Draft { pos, local_id, at, reference, body }
}

/// Returns the key of a sale that some till made last.
fn some_sale(scene: &Scene, slot: &TillSlot) -> Option<EventKey> {
    let count = scene.count();
    let other = lock(&slot.work).below(count as u64 * 2) as usize;
    let other = scene.till(if other < count { other } else { slot.number });
    let state = lock(&other.state);
    let draft = state.last_draft.as_ref()?;
    matches!(draft.body, Body::Sale(_)).then_some(EventKey {
        terminal: other.identity.terminal,
        pos: draft.pos,
        local_id: draft.local_id,
    })
}
