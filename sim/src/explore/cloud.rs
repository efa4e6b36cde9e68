//! What can happen at the cloud: each through its real role.

use std::sync::Arc;

use counterfoil_protocol::cloud::row::{self, Moved, Stock};
use counterfoil_protocol::cloud::{
    Caller, Cloud, Input, Key, Offer, Output, Record, RollUp, rollup,
};
use counterfoil_protocol::hash::{Hash, secret_hash};
use counterfoil_protocol::identity::{EventKey, LocalEventId, TerminalId};
use counterfoil_protocol::machine;
use counterfoil_protocol::money::Milli;
use counterfoil_protocol::wire::message::{Hello, Push, ServerId, Verdict};
use counterfoil_storage::Memory;
use counterfoil_storage::memory::Failure;

use super::Sabotage;
use super::device::{NOW, guarded, site};
use super::law::{self, Broken, demand};
use super::part::{Body, CloudDisk, Message};
use crate::law::Law;
use crate::observed::{answered, at_once};

/// What becomes of a transaction of the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Commit {
    /// It is durable, and its answers leave.
    Done,
    /// The power fails before it.
    DiesBefore,
    /// The power fails after it: the answers are lost.
    DiesAfter,
}

fn secret(terminal: TerminalId) -> Hash {
    secret_hash(terminal.as_str().as_bytes())
}

impl CloudDisk {
    /// Returns a cloud at which these tills are enrolled.
    pub(super) fn new(tills: impl Iterator<Item = TerminalId>) -> Result<Self, Broken> {
        let mut memory = Memory::<Cloud>::new();
        for terminal in tills {
            let secret = secret(terminal);
            let input = Input::Enrol { terminal, site: site(), secret, expires_at: None };
            let done = guarded("the cloud", || {
                at_once(machine::run(&Cloud::default(), &mut memory, NOW, &[input]))
            })?;
            answered(done);
        }
        law::seal_cloud(memory.image())
    }

    fn memory(&self) -> Memory<Cloud> {
        let mut memory = Memory::new();
        memory.restore(self.image.clone());
        memory
    }

    /// Takes requests into one transaction. Returns the disk after it, and the answers that leave.
    pub(super) fn serve(
        &self,
        requests: &[&Message],
        commit: Commit,
        sabotage: Sabotage,
    ) -> Result<(Self, Vec<Arc<Message>>), Broken> {
        let inputs: Vec<Input> = requests.iter().map(|request| input(request)).collect();
        let mut memory = self.memory();
        let mut outputs = Vec::new();
        match commit {
            Commit::Done => {}
            Commit::DiesBefore => {
                if sabotage == Sabotage::AnswerBeforeCommit {
                    outputs = self.run(&mut self.memory(), &inputs)?.unwrap_or_default();
                }
                memory.fail_next(Failure::Before);
            }
            Commit::DiesAfter => memory.fail_next(Failure::After),
        }
        if let Some(released) = self.run(&mut memory, &inputs)? {
            outputs = released;
        }
        memory.reopen();
        let mut answers = Vec::new();
        for ((request, input), output) in requests.iter().zip(&inputs).zip(outputs) {
            spoil(&mut memory, input, &output, sabotage);
            check_release(&memory, input, &output)?;
            answers.extend(answer(request, output));
        }
        Ok((law::seal_cloud(memory.image())?, answers))
    }

    /// Returns the outputs, unless the power failed.
    fn run(
        &self,
        memory: &mut Memory<Cloud>,
        inputs: &[Input],
    ) -> Result<Option<Vec<Output>>, Broken> {
        let machine = Cloud::default();
        let done = guarded("the cloud", || at_once(machine::run(&machine, memory, NOW, inputs)))?;
        Ok(done.ok())
    }

    /// Plans to add what was moved to the stock.
    pub(super) fn plan_roll_up(&self) -> Option<Arc<Message>> {
        let planned: RollUp = answered(at_once(rollup::plan(&self.memory(), site())))?;
        Some(Message::new(None, None, Body::RollUp(Box::new(planned))))
    }
}

/// Reads a request as the service does: frames are decoded, callers are who their secret says.
fn input(request: &Message) -> Input {
    let caller = |terminal: TerminalId| Caller { terminal, secret: secret(terminal), site: site() };
    match (&request.body, request.terminal) {
        (Body::Hello(bytes), Some(terminal)) => {
            let hello = Hello::decode(bytes).expect("a till's own frame");
            Input::Hello { caller: caller(terminal), hello }
        }
        (Body::Push(_, bytes), Some(terminal)) => {
            let push = Push::decode(bytes).expect("a till's own frame");
            Input::Push { caller: caller(terminal), offer: Offer::read(push, site().shop) }
        }
        (Body::RollUp(plan), _) => Input::RollUp(RollUp::clone(plan)),
        (Body::Hello(_) | Body::Push(..), None) => unreachable!("a request has a sender"),
        (Body::Welcome(_) | Body::Pushed(..) | Body::Denied(_), _) => {
            unreachable!("an answer is no request")
        }
    }
}

/// Returns what is sent to the machine that waits, if one does.
fn answer(request: &Message, output: Output) -> Option<Arc<Message>> {
    request.device?;
    let body = match (output, &request.body) {
        (Output::Welcome(welcome), _) => Body::Welcome(welcome.encode()),
        (Output::Pushed(answer), Body::Push(epoch, _)) => Body::Pushed(*epoch, answer.encode()),
        (Output::Denied(denial), _) => Body::Denied(denial),
        _ => return None,
    };
    Some(Message::new(request.device, request.terminal, body))
}

/// What an answer calls posted must be durable when it leaves.
fn check_release(memory: &Memory<Cloud>, input: &Input, output: &Output) -> Result<(), Broken> {
    let (Input::Push { offer, .. }, Output::Pushed(answer)) = (input, output) else {
        return Ok(());
    };
    for (result, (seq, key, hash)) in answer.results.iter().zip(offer.entries()) {
        let (Verdict::Created(_) | Verdict::Existing(_) | Verdict::Edited(_), Some(key)) =
            (result.verdict, key)
        else {
            continue;
        };
        let held = match memory.rows().get(&Key::Ledger(key)).map(Arc::as_ref) {
            Some(Record::Ledger(row)) => row.payload_hash == hash && row.fate == row::Fate::Posted,
            _ => false,
        };
        demand(
            Law::OutputAfterCommit,
            held && result.seq == seq,
            format_args!("{key} is durably posted when the answer leaves that says so"),
            || "the cloud's disk does not hold it".to_owned(),
        )?;
    }
    Ok(())
}

/// Breaks the cloud on purpose: what was known already gets an effect again.
fn spoil(memory: &mut Memory<Cloud>, input: &Input, output: &Output, sabotage: Sabotage) {
    let (Input::Push { offer, .. }, Output::Pushed(answer)) = (input, output) else { return };
    for (result, (_, key, _)) in answer.results.iter().zip(offer.entries()) {
        let (Verdict::Existing(_), Some(key)) = (result.verdict, key) else { continue };
        match sabotage {
            Sabotage::DuplicateUnderAnotherKey => {
                let Some(row) = memory.rows().get(&Key::Ledger(key)).cloned() else { continue };
                let local_id = LocalEventId::parse("again").expect("a short name");
                let again = EventKey { local_id, ..key };
                memory.plant(Key::Ledger(again), Some(row));
            }
            Sabotage::DuplicateMovesStock => {
                let by = Stock { quantity: Milli(-1_000), movements: 1 };
                let product = counterfoil_protocol::identity::ProductId::parse("sku");
                let moved = Moved { product: product.expect("a short name"), by };
                let name = Key::Movements(site().shop, site().branch, ServerId(Hash([7; 32])));
                memory.plant(name, Some(Arc::new(Record::Movements(vec![moved]))));
            }
            Sabotage::None
            | Sabotage::AnswerBeforeCommit
            | Sabotage::AnswerOfAnyEpoch
            | Sabotage::SentIsReceived
            | Sabotage::AnswersOutliveRestarts => {}
        }
    }
}
