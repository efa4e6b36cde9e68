//! From every state all faults may end, and then everything must come to rest.
//!
//! > **`ZeroLoss`**: every sale committed on a till whose disk survives is in the cloud once the
//! > link has been up long enough.
//!
//! What is under way is lost, each till starts its session anew, and the real session machines
//! speak in turn until none has anything left to do. That is the worst that may be known about the
//! link, and the least that may be asked of it. The outcome depends on the disks alone, so it is
//! computed once for all states that share them.

use std::sync::Arc;

use counterfoil_protocol::session::{
    Answer, Commit as Wish, Config, Input, Output, Reason, Session,
};
use counterfoil_protocol::terminal::Key;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::{PushAnswer, Welcome};

use super::cloud::Commit;
use super::law::{Broken, demand};
use super::memo::Memo;
use super::part::{Body, CloudDisk, Device, Digester, Message};
use super::world::State;
use crate::law::Law;

/// How often each till may have its turn.
const TURNS_MAX: usize = 8;
/// How many steps a session may take in one turn.
const STEPS_MAX: usize = 64;

/// Checks that everything drains from here, and that nothing is missing then.
pub(super) fn drains(memo: &Memo, state: &State) -> Result<(), Broken> {
    let mut digester = Digester::new(b'P');
    for slot in &state.devices {
        digester.digest(slot.device.digest);
    }
    memo.drained.get((state.cloud.digest, digester.end(), 0), || drain(memo, state))
}

fn drain(memo: &Memo, state: &State) -> Result<(), Broken> {
    let mut cloud = Arc::clone(&state.cloud);
    let mut devices: Vec<_> = state.devices.iter().map(|slot| Arc::clone(&slot.device)).collect();
    for _ in 0..TURNS_MAX {
        let before = (cloud.digest, devices.iter().map(|device| device.digest).collect::<Vec<_>>());
        for device in &mut devices {
            speak(memo, device, &mut cloud)?;
        }
        let after = devices.iter().map(|device| device.digest).collect::<Vec<_>>();
        if before == (cloud.digest, after) {
            return nothing_is_missing(&cloud, &devices);
        }
    }
    demand(
        Law::QueueDrains,
        false,
        format_args!("after {TURNS_MAX} turns of each till nothing is left to do"),
        || "there is always something left".to_owned(),
    )
}

/// Lets a till's session run from its start until it rests.
fn speak(memo: &Memo, till: &mut Arc<Device>, cloud: &mut Arc<CloudDisk>) -> Result<(), Broken> {
    let mut now = Millis(0);
    let mut session = Session::new(Config::default(), 1, now);
    session.handle_input(now, Input::Wake);
    for _ in 0..STEPS_MAX {
        let heard = match session.poll_output() {
            Some(Output::Hello(number)) => {
                let hello = memo.greet(till)?.expect("an open till greets");
                answer(memo, cloud, &hello, number)?
            }
            Some(Output::Push(number, items)) => match memo.push(till, items)? {
                Some(push) => answer(memo, cloud, &push, number)?,
                None => Input::NothingToPush(None),
            },
            Some(Output::Commit(wish)) => {
                if let Some(next) = commit(memo, till, wish)? {
                    *till = next;
                }
                Input::Committed(till.backlog)
            }
            None if session.wake_at().reason == Reason::Idle => return Ok(()),
            None => {
                now = session.wake_at().at;
                Input::Wake
            }
        };
        session.handle_input(now, heard);
    }
    demand(
        Law::QueueDrains,
        false,
        format_args!("the session of machine {} rests after {STEPS_MAX} steps", till.number),
        || format!("it goes on, with {:?} left", till.backlog),
    )
}

/// The cloud answers at once.
fn answer(
    memo: &Memo,
    cloud: &mut Arc<CloudDisk>,
    request: &Message,
    number: u64,
) -> Result<Input, Broken> {
    let (next, answers) = memo.serve(cloud, &[request], Commit::Done)?;
    *cloud = next;
    let answer = answers.first().map(|answer| match &answer.body {
        Body::Welcome(bytes) => Welcome::decode(bytes).ok().map(Answer::Welcome),
        Body::Pushed(epoch, bytes) => {
            PushAnswer::decode(bytes).ok().map(|answer| Answer::Pushed(*epoch, answer))
        }
        Body::Denied(_) | Body::Hello(_) | Body::Push(..) | Body::RollUp(_) => None,
    });
    let answer = answer.flatten().ok_or(counterfoil_protocol::session::Fault::Server);
    Ok(Input::Answered(number, answer))
}

/// Commits what the session has heard. The session has read the very frame that is committed here.
fn commit(memo: &Memo, till: &Device, wish: Wish) -> Result<Option<Arc<Device>>, Broken> {
    let (number, terminal) = (Some(till.number), Some(till.identity.terminal));
    let body = match wish {
        Wish::Welcomed(welcome) => Body::Welcome(welcome.encode()),
        Wish::Answered(epoch, answer) => Body::Pushed(epoch, answer.encode()),
        Wish::Denied(denial) => Body::Denied(denial),
        Wish::Adopt => return memo.adopt(till),
    };
    memo.take(till, &Message::new(number, terminal, body)).map(Some)
}

fn nothing_is_missing(cloud: &CloudDisk, devices: &[Arc<Device>]) -> Result<(), Broken> {
    for device in devices {
        for (fact, sale) in &device.owed.sales {
            demand(
                Law::ZeroLoss,
                cloud.held.binary_search(fact).is_ok(),
                format_args!(
                    "{}, sold on machine {} whose disk survives, is in the cloud when all \
                     faults have ended and all queues are empty",
                    sale.key, device.number
                ),
                || "the cloud does not hold it".to_owned(),
            )?;
        }
        let waiting = device.image.rows().keys().any(|key| matches!(key, Key::Queue(..)));
        let backlog = device.backlog;
        demand(
            Law::QueueDrains,
            !waiting && backlog.fresh == 0 && !backlog.adopting && backlog.quarantined.is_none(),
            format_args!(
                "the queue of machine {} is empty when all has come to rest",
                device.number
            ),
            || format!("{backlog:?}, rows in the queue: {waiting}"),
        )?;
    }
    Ok(())
}
