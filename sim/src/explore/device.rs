//! What can happen at a till's machine: each through the till's real role.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use counterfoil_protocol::cloud::Site;
use counterfoil_protocol::event::{Body as EventBody, Line, Receipt, Tender, Trade};
use counterfoil_protocol::identity::{
    BranchId, EventKey, LocalEventId, PosId, ProductId, ShopId, TerminalId, Witness,
};
use counterfoil_protocol::machine;
use counterfoil_protocol::money::{Currency, Milli, Minor};
use counterfoil_protocol::terminal::pull::{self, Batch, Limits};
use counterfoil_protocol::terminal::{Draft, Identity, Input, Output, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::{PushAnswer, Welcome};
use counterfoil_storage::Memory;

use super::law::{self, Broken, demand};
use super::part::{Body, Device, Fact, Message, Owed, Sale};
use super::sight;
use super::{Numbers, Sabotage};
use crate::law::Law;
use crate::observed::{answered, at_once};

/// The time. It stands still: an item that is to wait is due at once, which is more than a till
/// may do, and covers it.
pub(super) const NOW: Millis = Millis(crate::model::START);

/// Draws are numbers that never come again: first the machine, then what it has drawn so far.
const MACHINE: u64 = 1_000_000;
const INSTALLS: u64 = 500_000;

/// What a sale has brought: the machine after it, and what was printed.
pub(super) struct Sold {
    pub(super) device: Device,
    pub(super) fact: Fact,
    pub(super) receipt: Receipt,
}

pub(super) fn site() -> Site {
    let shop = ShopId::parse("shop").expect("a short name");
    Site { shop, branch: BranchId::parse("branch").expect("a short name") }
}

fn till(number: u8) -> TerminalId {
    TerminalId::parse(&format!("till-{number}")).expect("a short name")
}

fn register() -> PosId {
    PosId::parse("pos").expect("a short name")
}

impl Device {
    /// Installs a till and opens it.
    pub(super) fn install(number: u8) -> Result<Self, Broken> {
        let (Site { shop, branch }, terminal) = (site(), till(number));
        let mut device = Self {
            number,
            identity: Identity { shop, branch, terminal },
            image: Memory::<Terminal>::new().image(),
            witness: None,
            opens: 0,
            epochs: 0,
            sold: 0,
            owed: Owed::default(),
            backlog: counterfoil_protocol::terminal::Backlog::default(),
            synced: Vec::new(),
            sights: 0,
            digest: 0,
        };
        let witness = device.draw_witness();
        let (identity, nonce) = (device.identity, device.nonce());
        device.witness = Some(witness);
        device.step(&Input::Install { identity, witness, nonce })?;
        device.open(false)?;
        device.finish()
    }

    fn draw(&self, drawn: u64) -> u64 {
        (u64::from(self.number) + 1) * MACHINE + drawn + 1
    }

    fn draw_witness(&mut self) -> Witness {
        self.opens += 1;
        Witness { install: self.draw(INSTALLS + self.opens), boot: self.draw(self.opens) }
    }

    /// The random number that tells the next history apart. It is the same until one was opened,
    /// so that a draw that nobody used makes no new state.
    fn nonce(&self) -> u64 {
        self.draw(self.epochs)
    }

    /// Runs one input on the till's role.
    fn step(&mut self, input: &Input) -> Result<Output, Broken> {
        let mut memory = Memory::<Terminal>::new();
        memory.restore(self.image.clone());
        let epoch = law::meta(&self.image).map(|meta| meta.epoch);
        let inputs = std::slice::from_ref(input);
        let done =
            guarded("a till", || at_once(machine::run(&Terminal, &mut memory, NOW, inputs)))?;
        let output = answered(done).pop().expect("one output for each input");
        self.image = memory.image();
        if law::meta(&self.image).map(|meta| meta.epoch) != epoch {
            self.epochs += 1;
        }
        Ok(output)
    }

    /// Checks the disk and computes what is said of it.
    fn finish(mut self) -> Result<Self, Broken> {
        law::of_device(&self)?;
        self.backlog = law::meta(&self.image).map(|meta| meta.backlog()).unwrap_or_default();
        self.synced = law::synced(&self);
        self.sights = sight::of_device(&self);
        self.seal();
        Ok(self)
    }

    fn memory(&self) -> Memory<Terminal> {
        let mut memory = Memory::new();
        memory.restore(self.image.clone());
        memory
    }

    /// Opens the database. `torn`: the power fails between the commit and the writing of the
    /// witness, and the machine starts once more.
    fn open(&mut self, torn: bool) -> Result<(), Broken> {
        for attempt in 0..=u8::from(torn) {
            let fresh = self.draw_witness();
            let input = Input::Open { witness: self.witness, fresh, nonce: self.nonce() };
            let Output::Opened { witness, .. } = self.step(&input)? else {
                return demand(Law::NoPanic, false, "an installed till opens", || {
                    "it says that it is not installed".to_owned()
                });
            };
            if attempt == u8::from(torn) {
                self.witness = Some(witness);
            }
        }
        Ok(())
    }

    /// Ends the program and starts it again. Whatever it was about to do is forgotten, and a
    /// cashier who does not know whether the last sale was recorded records it again.
    pub(super) fn restart(&self, torn: bool, numbers: Numbers) -> Result<Self, Broken> {
        let mut next = self.clone();
        next.open(torn)?;
        next.ask_again(numbers)?;
        next.finish()
    }

    /// Replaces the disk by an earlier one, with or without the file outside it.
    pub(super) fn restored(&self, backup: &Self, with_witness: bool) -> Result<Self, Broken> {
        let mut next = self.clone();
        next.image = backup.image.clone();
        next.owed = backup.owed.clone();
        if with_witness {
            next.witness = backup.witness;
        }
        next.open(false)?;
        next.finish()
    }

    /// A second machine starts with a copy of the disk, with or without the file outside it.
    pub(super) fn copied(&self, number: u8, with_witness: bool) -> Result<Self, Broken> {
        let mut next = self.clone();
        next.number = number;
        (next.opens, next.epochs, next.sold) = (0, 0, 0);
        if !with_witness {
            next.witness = None;
        }
        next.open(false)?;
        next.finish()
    }

    /// Sells something, and asks for the same again: that must be harmless.
    pub(super) fn sell(&self, numbers: Numbers) -> Result<Sold, Broken> {
        let mut next = self.clone();
        next.sold += 1;
        let draft = next.draft(numbers, next.owed.sales.len() as u64 + 1);
        let key = next.key(&draft);
        let Output::Recorded { place, receipt: Some(receipt), again: false } =
            next.step(&Input::Record(draft))?
        else {
            return Err(refused(&key));
        };
        let Some(entry) = law::entry(&next.image, place) else { return Err(refused(&key)) };
        let payload = entry.payload_hash;
        let fact = Fact::new(&key, payload);
        next.owed.sales.insert(fact, Sale { key, payload, moved: -1_000 });
        let last = next.owed.series.entry(receipt.series).or_default();
        let before = std::mem::replace(last, receipt.number);
        demand(
            Law::ReceiptsGapless,
            receipt.number == before + 1 && receipt.series == place.epoch,
            format_args!("the receipt after {before} of series {}", place.epoch),
            || format!("{} of series {}", receipt.number, receipt.series),
        )?;
        next.ask_again(numbers)?;
        Ok(Sold { device: next.finish()?, fact, receipt })
    }

    /// Records the last sale of this machine once more, if its disk has it.
    fn ask_again(&mut self, numbers: Numbers) -> Result<(), Broken> {
        let draft = self.draft(numbers, self.owed.sales.len() as u64);
        let key = self.key(&draft);
        if !self.owed.sales.values().any(|sale| sale.key == key) || self.sold == 0 {
            return Ok(());
        }
        let before = self.image.clone();
        let output = self.step(&Input::Record(draft))?;
        // A copy sells under the names of its original (B.2): the till says so.
        let taken = numbers == Numbers::Own && matches!(output, Output::Taken(_));
        let again = taken || matches!(output, Output::Recorded { again: true, .. });
        demand(
            Law::NoDuplicate,
            again && before.rows() == self.image.rows(),
            format_args!("{key} is recorded once, however often a cashier asks"),
            || format!("{output:?}, or the rows are others"),
        )
    }

    /// The next sale, or the last one again.
    fn draft(&self, numbers: Numbers, count: u64) -> Draft {
        let reference = format!("{}-{}", self.number, self.sold);
        let text = match numbers {
            Numbers::Random => format!("sale-{reference}"),
            Numbers::Own => format!("sale-{count}"),
        };
        let line = Line {
            product: ProductId::parse("sku").expect("a short name"),
            name: String::new(),
            quantity: Milli(1_000),
            unit_price: Minor(149),
            discount: Minor(0),
            tax_ppm: 200_000,
        };
        let trade = Trade::paid(Currency::GBP, vec![line], Tender::Cash);
        let local_id = LocalEventId::parse(&text).expect("a short name");
        Draft { pos: register(), local_id, at: NOW, reference, body: EventBody::Sale(trade) }
    }

    fn key(&self, draft: &Draft) -> EventKey {
        let terminal = self.identity.terminal;
        EventKey { terminal, pos: draft.pos, local_id: draft.local_id }
    }

    /// Greets the cloud.
    pub(super) fn greet(&self) -> Option<Arc<Message>> {
        let meta = law::meta(&self.image)?;
        let hello = answered(at_once(pull::hello(&self.memory(), meta, NOW, "")));
        let (device, terminal) = (Some(self.number), Some(self.identity.terminal));
        Some(Message::new(device, terminal, Body::Hello(hello.encode())))
    }

    /// Offers what its rows have to offer, if they have anything.
    pub(super) fn push(&self, items: usize) -> Option<Arc<Message>> {
        let meta = law::meta(&self.image)?;
        // Whatever waits for another try is due.
        let late = NOW.after(counterfoil_protocol::terminal::RETRY_CAP);
        let limits = Limits { items, ..Limits::default() };
        match answered(at_once(pull::batch(&self.memory(), meta, late, limits))) {
            Batch::Push(push) => {
                let (device, terminal) = (Some(self.number), Some(self.identity.terminal));
                let body = Body::Push(push.epoch, push.encode());
                Some(Message::new(device, terminal, body))
            }
            Batch::Wait(_) | Batch::Empty => None,
        }
    }

    /// Takes an answer, and commits what it says.
    pub(super) fn take(&self, answer: &Message, sabotage: Sabotage) -> Result<Self, Broken> {
        let input = match &answer.body {
            Body::Welcome(bytes) => match Welcome::decode(bytes) {
                Ok(welcome) => Input::Welcomed { welcome, nonce: self.nonce() },
                Err(_) => return Err(unreadable("a welcome")),
            },
            Body::Pushed(epoch, bytes) => match PushAnswer::decode(bytes) {
                Ok(answer) => {
                    let current = law::meta(&self.image).map(|meta| meta.epoch);
                    let epoch = match (sabotage, current) {
                        (Sabotage::AnswerOfAnyEpoch, Some(current)) => current,
                        _ => *epoch,
                    };
                    Input::Answered { epoch, answer }
                }
                Err(_) => return Err(unreadable("an answer to a push")),
            },
            Body::Denied(denial) => Input::Denied(*denial),
            Body::Hello(_) | Body::Push(..) | Body::RollUp(_) => {
                unreachable!("a request is no answer")
            }
        };
        let mut next = self.clone();
        next.step(&input)?;
        next.finish()
    }

    /// Carries a part of a closed history over, if there is one.
    pub(super) fn adopt(&self) -> Result<Option<Self>, Broken> {
        let Some(meta) = law::meta(&self.image) else { return Ok(None) };
        let Some(part) = answered(at_once(pull::adoption(&self.memory(), meta))) else {
            return Ok(None);
        };
        let mut next = self.clone();
        next.step(&Input::Adopt(part))?;
        next.finish().map(Some)
    }

    /// Forgets what waits, as a till would that takes sent for received.
    pub(super) fn forget_queue(&self) -> Self {
        let mut memory = self.memory();
        let Some(meta) = law::meta(&self.image) else { return self.clone() };
        let mut meta = meta.clone();
        let waiting = memory.rows().keys().copied();
        let waiting: Vec<_> = waiting
            .filter(|key| matches!(key, counterfoil_protocol::terminal::Key::Queue(..)))
            .collect();
        for key in waiting {
            memory.plant(key, None);
        }
        meta.acked = meta.head;
        let record = counterfoil_protocol::terminal::Record::Meta(meta);
        memory.plant(counterfoil_protocol::terminal::Key::Meta, Some(Arc::new(record)));
        let mut next = self.clone();
        next.image = memory.image();
        next.seal();
        next
    }
}

fn refused(key: &EventKey) -> Broken {
    Broken {
        law: Law::ZeroLoss,
        expected: format!("a till sells from the first second: {key} is recorded"),
        found: "the till has refused it".to_owned(),
    }
}

fn unreadable(what: &str) -> Broken {
    let expected = format!("{what} of one's own program can be read");
    Broken { law: Law::NoPanic, expected, found: "it cannot".to_owned() }
}

/// Runs a role. Its own assertions speak as a panic.
pub(super) fn guarded<T>(who: &str, role: impl FnOnce() -> T) -> Result<T, Broken> {
    catch_unwind(AssertUnwindSafe(role)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Broken {
            law: Law::NoPanic,
            expected: format!("{who} goes on, whatever happens to it"),
            found: text.unwrap_or_else(|| "a panic".to_owned()),
        }
    })
}
