//! What the cloud does in the world: through its real role.

use counterfoil_protocol::cloud::{
    Caller, Cloud, Input, Key, Offer, Output, UnknownProducts, rollup,
};
use counterfoil_protocol::hash::{Hash, secret_hash};
use counterfoil_protocol::identity::TerminalId;
use counterfoil_protocol::wire::message::{Hello, Push};
use counterfoil_storage::Memory;
use counterfoil_storage::memory::{Failure, Image};

use crate::bind::nodes::{at_once, opened, run};

use super::world::{Asked, Reply, Request, Sabotage, Said, World, product, site, till};

const ROLE: Cloud = Cloud { unknown_products: UnknownProducts::Park };

pub(crate) fn secret(till: TerminalId) -> Hash {
    secret_hash(till.as_str().as_bytes())
}

impl World {
    /// Enrols the tills, and defines the products that are known.
    pub(crate) fn open_cloud(&mut self) {
        let tills = (1..=self.constants.tills).map(till);
        let enrolled = tills.map(|terminal| Input::Enrol {
            terminal,
            site: site(),
            secret: secret(terminal),
            expires_at: None,
        });
        let known =
            (1..=self.constants.sales).filter(|sale| !self.constants.unknown.contains(sale));
        let inputs: Vec<Input> = enrolled.chain(known.map(defined)).collect();
        self.at_cloud(&inputs, None).expect("a new store works");
    }

    /// Runs inputs in one transaction. None if the power failed.
    pub(crate) fn at_cloud(
        &mut self,
        inputs: &[Input],
        fails: Option<Failure>,
    ) -> Option<Vec<Output>> {
        let mut memory = opened(&self.cloud);
        if let Some(failure) = fails {
            memory.fail_next(failure);
        }
        let outputs = run(&ROLE, &mut memory, self.now, inputs);
        self.cloud = memory.image();
        outputs
    }

    /// A request joins what the next commit will hold; it may come once more.
    pub(crate) fn stage(&mut self, request: &Request, twice: bool) {
        assert!(self.requests.remove(request), "only what is under way arrives");
        if twice {
            self.left.dups -= 1;
            self.requests.insert(Request { live: false, ..request.clone() });
        }
        self.batch.push(request.clone());
        if self.sabotage == Sabotage::AnswerBeforeCommit {
            let before = self.cloud.clone();
            let replies = self.served(None);
            self.replies.extend(replies);
            self.cloud = before;
        }
    }

    /// One transaction for all that was taken in; only then the answers exist. If the power fails
    /// after it, nobody hears of it.
    pub(crate) fn commit(&mut self, fails: Option<Failure>) {
        let replies = self.served(fails);
        self.replies.extend(replies);
        self.batch.clear();
        if self.sabotage == Sabotage::LedgerForgets {
            let mut memory = opened(&self.cloud);
            let rows = self.cloud.rows();
            let lost = rows.keys().find(|key| matches!(key, Key::Ledger(_))).copied();
            if let Some(key) = lost {
                memory.plant(key, None);
            }
            self.cloud = memory.image();
        }
    }

    fn served(&mut self, fails: Option<Failure>) -> Vec<Reply> {
        let inputs: Vec<Input> = self.batch.iter().map(input).collect();
        let outputs = self.at_cloud(&inputs, fails).unwrap_or_default();
        self.batch
            .iter()
            .zip(outputs)
            .filter_map(|(request, output)| reply(request, output))
            .collect()
    }

    /// The products of the unknown sales are defined.
    pub(crate) fn define(&mut self) {
        let inputs: Vec<Input> = self.constants.unknown.iter().copied().map(defined).collect();
        self.at_cloud(&inputs, None).expect("an open store works");
    }

    /// What was moved is added to the stock; returns whether there was anything.
    pub(crate) fn roll_up(&mut self) -> bool {
        let memory: Memory<Cloud> = opened(&self.cloud);
        let planned = at_once(rollup::plan(&memory, site())).expect("an open store answers");
        let Some(planned) = planned else { return false };
        self.at_cloud(&[Input::RollUp(planned)], None).expect("an open store works");
        true
    }

    pub(crate) fn restore_cloud(&mut self, image: Image<Cloud>) {
        self.cloud = image;
        self.batch.clear();
    }
}

fn defined(sale: u64) -> Input {
    Input::DefineProduct { shop: site().shop, product: product(sale) }
}

/// Reads a request as the service does: frames are decoded, callers are who their secret says.
fn input(request: &Request) -> Input {
    let terminal = request.till;
    let caller = Caller { terminal, secret: secret(terminal), site: site() };
    match &request.asks {
        Asked::Hello(frame) => {
            Input::Hello { caller, hello: Hello::decode(frame).expect("a till's own frame") }
        }
        Asked::Push(frame) => {
            let push = Push::decode(frame).expect("a till's own frame");
            Input::Push { caller, offer: Offer::read(push, site().shop) }
        }
    }
}

/// Returns what is sent to the machine that waits, if one does.
fn reply(request: &Request, output: Output) -> Option<Reply> {
    let says = match (output, &request.asks) {
        (Output::Welcome(welcome), Asked::Hello(_)) => Said::Welcome(welcome.encode()),
        (Output::Pushed(answer), Asked::Push(frame)) => {
            let push = Push::decode(frame).expect("a till's own frame");
            Said::Pushed(push.epoch, answer.encode())
        }
        (other, _) => unreachable!("an enrolled till is served: {other:?}"),
    };
    request.live.then_some(Reply { to: request.from, says })
}
