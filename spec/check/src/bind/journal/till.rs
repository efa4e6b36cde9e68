//! What a till does in the world: through its real role.

use counterfoil_protocol::event::{Body, Event, Line, Tender, Trade};
use counterfoil_protocol::identity::{Epoch, EventKey, Witness};
use counterfoil_protocol::money::{Currency, Milli, Minor};
use counterfoil_protocol::terminal::pull::{self, Batch, Limits};
use counterfoil_protocol::terminal::row::{Closed, Place};
use counterfoil_protocol::terminal::{
    Adoption, Backlog, Draft, Identity, Input, Key, Meta, Output, RETRY_CAP, Record, Terminal,
};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::{PushAnswer, Welcome};
use counterfoil_storage::Memory;
use counterfoil_storage::memory::Failure;

use crate::bind::nodes::{START, at_once, opened, run};

use super::session::Speaker;
use super::world::{
    Asked, Kept, Machine, Outside, Reply, Request, Said, Told, World, name, product, register,
    site, till,
};

impl Machine {
    pub(crate) fn greeted(&self) -> bool {
        self.speaker.as_ref().is_some_and(Speaker::greeted)
    }

    pub(crate) fn rows(&self) -> Memory<Terminal> {
        opened(&self.image)
    }

    pub(crate) fn meta(&self) -> Meta {
        let meta = at_once(pull::meta(&self.rows())).expect("an open store answers");
        meta.expect("an installed till has books")
    }

    /// Runs one input on the till's role. None if the power failed.
    pub(crate) fn step(
        &mut self,
        now: Millis,
        input: Input,
        fails: Option<Failure>,
    ) -> Option<Output> {
        let mut memory = self.rows();
        if let Some(failure) = fails {
            memory.fail_next(failure);
        }
        let outputs = run(&Terminal, &mut memory, now, &[input]);
        self.image = memory.image();
        outputs.and_then(|mut outputs| outputs.pop())
    }

    /// Returns the histories, the current one as 0.
    fn histories(&self) -> Vec<Epoch> {
        let meta = self.meta();
        [meta.epoch].into_iter().chain(meta.closed.iter().map(|closed| closed.epoch)).collect()
    }

    /// Returns the entries that a person must look at.
    pub(crate) fn in_need(&self) -> Vec<(usize, u64)> {
        let histories = self.histories();
        let keys = self.image.rows().keys();
        keys.filter_map(|key| {
            let Key::Attention(epoch, seq) = key else { return None };
            histories.iter().position(|of| of == epoch).map(|history| (history, *seq))
        })
        .collect()
    }

    /// Returns the times at which another set of the waiting entries is due: at the time of each,
    /// and, as a clock may be set back, when that is farther away than any wait may be.
    pub(crate) fn due_times(&self, now: Millis) -> Vec<Millis> {
        let meta = self.meta();
        let mut times = vec![START, now.after(RETRY_CAP)];
        for (key, record) in self.image.rows().iter() {
            if let (Key::Queue(epoch, seq), Record::Queue(queued)) = (key, &**record)
                && *epoch == meta.epoch
                && *seq <= meta.acked
            {
                times.extend([queued.due, Millis(queued.due.0 - 1 - RETRY_CAP.0)]);
                times.push(Millis(queued.due.0 - 1));
            }
        }
        times.sort_unstable();
        times.dedup();
        times
    }
}

impl World {
    pub(crate) fn install(&mut self, number: usize) {
        let identity =
            Identity { shop: site().shop, branch: site().branch, terminal: till(number) };
        let (witness, nonce) = (self.witness(), self.draw());
        let image = Memory::<Terminal>::new().image();
        let mut machine =
            Machine { number, identity, image, witness: Some(witness), speaker: None };
        let installed = machine.step(self.now, Input::Install { identity, witness, nonce }, None);
        assert!(matches!(installed, Some(Output::Opened { parted: None, .. })), "a new till");
        self.machines[number - 1] = Some(machine);
        self.open(number, false);
    }

    fn witness(&mut self) -> Witness {
        Witness { install: self.draw(), boot: self.draw() }
    }

    /// Starts the program. `torn`: the power fails between the commit and the writing of the
    /// witness, and it starts once more.
    pub(crate) fn open(&mut self, number: usize, torn: bool) {
        for attempt in 0..=u8::from(torn) {
            let (fresh, nonce, now) = (self.witness(), self.draw(), self.now);
            let (general, items) = (self.constants.general, self.constants.items);
            let machine = self.machine(number);
            let input = Input::Open { witness: machine.witness, fresh, nonce };
            let Some(Output::Opened { witness, .. }) = machine.step(now, input, None) else {
                unreachable!("an installed till opens");
            };
            if attempt == u8::from(torn) {
                machine.witness = Some(witness);
            }
            machine.speaker = (!general).then(|| Speaker::new(items, now));
        }
    }

    /// Sells; `dies`: the power fails when the sale is durable, and the cashier asks again.
    pub(crate) fn sell(&mut self, number: usize, dies: bool) {
        let sale = self.told.len() as u64 + 1;
        let held = self.machine(number).names();
        let named = if self.constants.same_names { held as u64 + 1 } else { sale };
        self.sell_this(number, (named, sale), self.now, dies);
    }

    /// Sells something that has a name and a time.
    pub(crate) fn sell_this(
        &mut self,
        number: usize,
        (named, sale): (u64, u64),
        at: Millis,
        dies: bool,
    ) {
        let owner = self.owner(number);
        let (draft, now) = (Draft { at, ..self.draft(named, sale) }, self.now);
        let machine = self.machine(number);
        if dies {
            let output = machine.step(now, Input::Record(draft.clone()), Some(Failure::After));
            assert_eq!(output, None, "nobody hears of it");
            self.restart(number, false);
        }
        let machine = self.machine(number);
        let Some(Output::Recorded { receipt: Some(receipt), again, .. }) =
            machine.step(now, Input::Record(draft), None)
        else {
            unreachable!("a till sells from the first second");
        };
        assert_eq!(again, dies, "it is recorded once");
        if let Some(speaker) = &mut machine.speaker {
            speaker.nudge(now);
        }
        self.told.push(Told { till: owner, name: named, sale, receipt });
    }

    /// The cashier asks for the last sale again, of which the disk may know or not.
    pub(crate) fn sell_again(&mut self, number: usize) -> bool {
        let owner = self.owner(number);
        let Some(last) = self.told.iter().rev().find(|told| told.till == owner).copied() else {
            return false;
        };
        let (mut draft, now) = (self.draft(last.name, last.sale), self.now);
        let machine = self.machine(number);
        let key = Key::Local(register(), name(last.name));
        let Some(Record::Local(known)) = machine.image.rows().get(&key).map(|row| &**row) else {
            return false;
        };
        let entry = Key::Entry(known.place.epoch, known.place.seq);
        let Some(Record::Entry(entry)) = machine.image.rows().get(&entry).map(|row| &**row) else {
            unreachable!("a name stands for an entry");
        };
        draft.at = Event::from_canonical(&entry.payload).expect("a till's own event").at();
        let output = machine.step(now, Input::Record(draft), None);
        assert!(
            matches!(output, Some(Output::Recorded { again: true, .. } | Output::Taken(_))),
            "{output:?}"
        );
        true
    }

    fn draft(&self, named: u64, sale: u64) -> Draft {
        let line = Line {
            product: product(sale),
            name: String::new(),
            quantity: Milli(1_000),
            unit_price: Minor(149),
            discount: Minor(0),
            tax_ppm: 200_000,
        };
        let trade = Trade::paid(Currency::GBP, vec![line], Tender::Cash);
        let body = if self.constants.refunds.contains(&sale) {
            let of = self.told.iter().find(|told| told.sale + 1 == sale);
            let original = of.map(|told| EventKey {
                terminal: till(told.till),
                pos: register(),
                local_id: name(told.name),
            });
            Body::Refund { original, trade }
        } else {
            Body::Sale(trade)
        };
        let reference = sale.to_string();
        Draft { pos: register(), local_id: name(named), at: self.now, reference, body }
    }

    /// Greets the cloud. The clock of the frame stands still: no part of the protocol reads it.
    pub(crate) fn hello(&mut self, number: usize) {
        let machine = self.machine(number);
        let meta = machine.meta();
        let hello = at_once(pull::hello(&machine.rows(), &meta, START, ""));
        let hello = hello.expect("an open store answers");
        self.ask(number, Asked::Hello(hello.encode()));
    }

    fn ask(&mut self, number: usize, asks: Asked) {
        let till = self.machine(number).identity.terminal;
        self.requests.insert(Request { from: number, till, live: true, asks });
    }

    /// Offers what its rows have to offer at this time; returns whether they have anything.
    pub(crate) fn push(&mut self, number: usize, items: usize, at: Millis) -> bool {
        let machine = self.machine(number);
        let meta = machine.meta();
        let limits = Limits { items, ..Limits::default() };
        let batch = at_once(pull::batch(&machine.rows(), &meta, at, limits));
        match batch.expect("an open store answers") {
            Batch::Push(push) => {
                self.ask(number, Asked::Push(push.encode()));
                true
            }
            Batch::Wait(_) | Batch::Empty => false,
        }
    }

    /// Greets and carries over until nothing is left of that, and offers what waits, one by one.
    pub(crate) fn settle(&mut self, number: usize) {
        self.agree(number);
        while self.push_one(number) {
            self.receive(number, None);
        }
    }

    /// Greets, and carries over what there is to be.
    pub(crate) fn agree(&mut self, number: usize) {
        loop {
            self.hello(number);
            self.serve();
            self.receive(number, None);
            if !self.machine(number).meta().backlog().adopting {
                return;
            }
            self.carry_over(number);
        }
    }

    pub(crate) fn carry_over(&mut self, number: usize) {
        while self.machine(number).meta().backlog().adopting {
            self.adopt(number, true);
        }
    }

    /// Offers one of those that wait, whenever they are due; returns whether any did.
    pub(crate) fn push_one(&mut self, number: usize) -> bool {
        let waits = self.push(number, 1, self.now.after(RETRY_CAP));
        if waits {
            self.serve();
        }
        waits
    }

    /// The cloud answers the only request that there is.
    pub(crate) fn serve(&mut self) {
        let request = self.requests.first().cloned().expect("something was asked");
        self.stage(&request, false);
        self.commit(None);
    }

    /// Takes the answer that is on its way, and commits what it says. If the power fails, the
    /// program starts anew.
    pub(crate) fn receive(&mut self, number: usize, fails: Option<Failure>) {
        let reply = self.replies.iter().find(|reply| reply.to == number).cloned();
        let reply = reply.expect("only an answer that is there is taken");
        self.replies.remove(&reply);
        let (now, nonce) = (self.now, self.draw());
        let input = heard(&reply, nonce);
        let machine = self.machine(number);
        let wanted = machine.speaker.as_mut().is_none_or(|speaker| speaker.heard(now, &reply.says));
        if wanted {
            match machine.step(now, input, fails) {
                Some(Output::Settled(backlog)) => {
                    if let Some(speaker) = &mut machine.speaker {
                        speaker.committed(now, backlog);
                    }
                }
                Some(other) => unreachable!("an answer is settled: {other:?}"),
                None => {}
            }
        }
        if fails.is_some() {
            self.restart(number, false);
        }
    }

    /// Carries the next part of a closed history over: as the till does, or one entry of it.
    /// Returns how many entries were looked at: with none left, that is noted, which is one.
    pub(crate) fn adopt(&mut self, number: usize, whole: bool) -> (usize, Backlog) {
        let now = self.now;
        let machine = self.machine(number);
        let meta = machine.meta();
        let part = at_once(pull::adoption(&machine.rows(), &meta)).expect("an open store answers");
        let mut part = part.expect("only what is unsettled is carried over");
        if !whole {
            let closed = meta.closed.iter().find(|closed| closed.epoch == part.from);
            first_of(&mut part, closed.expect("what is carried over was closed"));
        }
        let looked_at = part.entries.len().max(1);
        match machine.step(now, Input::Adopt(part), None) {
            Some(Output::Settled(backlog)) => (looked_at, backlog),
            other => unreachable!("an adoption is settled: {other:?}"),
        }
    }

    /// A person wants an entry tried again.
    pub(crate) fn retry(&mut self, number: usize, history: usize, seq: u64) {
        let now = self.now;
        let machine = self.machine(number);
        let place = Place { epoch: machine.histories()[history], seq };
        let key = Key::Entry(place.epoch, seq);
        let Some(Record::Entry(entry)) = machine.image.rows().get(&key).map(|row| &**row) else {
            unreachable!("who needs attention is an entry");
        };
        let (pos, local_id) = (entry.pos, entry.local_id);
        let retried = machine.step(now, Input::Retry { pos, local_id, place }, None);
        assert!(matches!(retried, Some(Output::Settled(_))), "it is tried again: {retried:?}");
        if let Some(speaker) = &mut machine.speaker {
            speaker.nudge(now);
        }
    }

    /// Ends the program and starts it again.
    pub(crate) fn restart(&mut self, number: usize, torn: bool) {
        self.forget(number);
        self.open(number, torn);
    }

    pub(crate) fn back_up(&mut self, number: usize) {
        let machine = self.machine(number);
        let kept = Kept { image: machine.image.clone(), witness: machine.witness };
        self.backups[number - 1] = Some(kept);
    }

    /// Replaces the disk by its backup.
    pub(crate) fn restore_till(&mut self, number: usize, outside: Outside) {
        let kept = self.backups[number - 1].take().expect("only a backup is restored");
        let machine = self.machine(number);
        machine.image = kept.image;
        match outside {
            Outside::Stays => {}
            Outside::GoesAlong => machine.witness = kept.witness,
            Outside::IsLost => machine.witness = None,
        }
        self.restart(number, false);
    }

    /// A second machine starts with a copy of the first till's disk.
    pub(crate) fn copy(&mut self, number: usize, outside: Outside) {
        let mut machine = self.machine(1).clone();
        machine.number = number;
        if outside != Outside::GoesAlong {
            machine.witness = None;
        }
        self.machines[number - 1] = Some(machine);
        self.open(number, false);
    }
}

impl Machine {
    /// Returns how many names stand on the disk.
    fn names(&self) -> usize {
        self.image.rows().keys().filter(|key| matches!(key, Key::Local(..))).count()
    }
}

/// Reads an answer as the till does.
fn heard(reply: &Reply, nonce: u64) -> Input {
    match &reply.says {
        Said::Welcome(frame) => {
            let welcome = Welcome::decode(frame).expect("the cloud's own frame");
            Input::Welcomed { welcome, nonce }
        }
        Said::Pushed(epoch, frame) => {
            let answer = PushAnswer::decode(frame).expect("the cloud's own frame");
            Input::Answered { epoch: *epoch, answer }
        }
    }
}

/// Leaves the first entry of a part: as if a part had one at most.
fn first_of(part: &mut Adoption, closed: &Closed) {
    part.entries.truncate(1);
    if closed.next <= closed.head
        && let Some((seq, ..)) = part.entries.first()
    {
        part.through = *seq;
    }
}
