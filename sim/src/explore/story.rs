//! A way through the states, told to a person.

use super::cloud::Commit;
use super::memo::Memo;
use super::part::{Body, Device, Message};
use super::search::walk;
use super::world::{Action, State};
use counterfoil_protocol::wire::message::PushAnswer;

/// Returns what happens on a way, one line for each step.
pub(super) fn tell(memo: &Memo, way: &[u16]) -> Vec<String> {
    let mut lines = Vec::new();
    walk(memo, way, |before, action, after| lines.push(line(before, action, after)));
    lines
}

fn line(before: &State, action: Action, after: Option<&State>) -> String {
    let name = |device: usize| name(&before.devices[device].device);
    let books = |device: usize| {
        let after = after.and_then(|after| after.devices.get(device));
        after.map_or_else(String::new, |slot| format!(": {}", books(&slot.device)))
    };
    let message = |index: usize| message(&before.net[index]);
    let witness = |with: bool| if with { "with its witness" } else { "without its witness" };
    match action {
        Action::Sell(device) => format!("{} sells{}", name(device), books(device)),
        Action::Greet(device) => format!("{} greets", name(device)),
        Action::Push(device) => format!("{} pushes", name(device)),
        Action::Adopt(device) => format!("{} carries entries over{}", name(device), books(device)),
        Action::Restart { device, torn: false } => {
            format!("{} crashes and starts again{}", name(device), books(device))
        }
        Action::Restart { device, torn: true } => format!(
            "{} starts again, the power fails before its witness is written, it starts again{}",
            name(device),
            books(device)
        ),
        Action::Backup(device) => format!("a backup of {} is taken", name(device)),
        Action::Restore { device, with_witness } => format!(
            "{} is restored from its backup, {}{}",
            name(device),
            witness(with_witness),
            books(device)
        ),
        Action::Copy { device, with_witness } => format!(
            "{} is copied, {}{}",
            name(device),
            witness(with_witness),
            books(before.devices.len())
        ),
        Action::Serve(index, commit) => {
            format!("the cloud takes the {}{}", message(index), end(commit))
        }
        Action::ServeKeep(index) => {
            format!("the cloud takes a duplicate of the {}", message(index))
        }
        Action::Group(first, second, commit) => format!(
            "the cloud takes the {} and the {} in one commit{}",
            message(first),
            message(second),
            end(commit)
        ),
        Action::Take(index) | Action::TakeKeep(index) => {
            let held = &before.net[index];
            let twice = matches!(action, Action::TakeKeep(_));
            let device =
                before.devices.iter().position(|slot| Some(slot.device.number) == held.device);
            let again = if twice { " a duplicate of" } else { "" };
            let (who, then) = device.map_or_else(Default::default, |d| (name(d), books(d)));
            format!("{who} takes{again} the {}{then}", message(index))
        }
        Action::Lose(index) => format!("the {} is lost", message(index)),
        Action::GiveUp(index) => format!("nobody waits any more for the {}", message(index)),
        Action::BackupCloud => "a backup of the cloud is taken".to_owned(),
        Action::RestoreCloud => "the cloud is restored from its backup".to_owned(),
        Action::PlanRollUp => "the cloud plans a roll-up".to_owned(),
    }
}

const fn end(commit: Commit) -> &'static str {
    match commit {
        Commit::Done => "",
        Commit::DiesBefore => ", and the power fails before the commit",
        Commit::DiesAfter => ", commits, and the power fails before the answer leaves",
    }
}

fn name(device: &Device) -> String {
    format!("machine {} ({})", device.number, device.identity.terminal)
}

/// Where a till's books stand.
fn books(device: &Device) -> String {
    let Some(meta) = super::law::meta(&device.image) else { return "no books".to_owned() };
    let adopting = if device.backlog.adopting { ", has entries to carry over" } else { "" };
    let (epoch, head, acked) = (meta.epoch, meta.head, meta.acked);
    format!("epoch {epoch}, head {head}, answered up to {acked}{adopting}")
}

fn message(message: &Message) -> String {
    let told = frame(message);
    let Body::Pushed(_, bytes) = &message.body else { return told };
    let Ok(answer) = PushAnswer::decode(bytes) else { return told };
    let verdicts = answer.results.iter().map(|result| {
        let verdict = format!("{:?}", result.verdict);
        let verdict = verdict.split('(').next().unwrap_or_default().to_lowercase();
        format!("{} {verdict}", result.seq)
    });
    let stopped = answer.stopped.map(|stopped| format!("stopped: {stopped:?}").to_lowercase());
    let all: Vec<String> = verdicts.chain(stopped).collect();
    format!("{told} [{}]", all.join(", "))
}

/// Returns a message in words.
fn frame(message: &Message) -> String {
    let who = message.terminal.map_or_else(|| "the cloud".to_owned(), |till| till.to_string());
    let whose = match message.device {
        Some(number) => format!("{who} (machine {number})"),
        None => format!("{who} (nobody waits)"),
    };
    match &message.body {
        Body::Hello(_) => format!("greeting of {whose}"),
        Body::Push(epoch, _) => format!("push of epoch {epoch} by {whose}"),
        Body::Welcome(_) => format!("welcome for {whose}"),
        Body::Pushed(epoch, _) => format!("answer to a push of epoch {epoch} for {whose}"),
        Body::Denied(denial) => format!("denial ({denial:?}) for {whose}"),
        Body::RollUp(_) => "planned roll-up of stock".to_owned(),
    }
}
