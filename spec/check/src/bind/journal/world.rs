//! A small world of real nodes: their disks, what is under way between them, and what may happen.
//!
//! What a till and the cloud do is done by their real roles, over stores in memory, with real
//! frames between them. The rest is the world's: it delivers, loses, duplicates, restores, copies.

use std::collections::BTreeSet;

use counterfoil_protocol::cloud::{Cloud, Site};
use counterfoil_protocol::event::Receipt;
use counterfoil_protocol::identity::{
    BranchId, Epoch, LocalEventId, PosId, ProductId, ShopId, TerminalId, Witness,
};
use counterfoil_protocol::terminal::{Identity, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_storage::Memory;
use counterfoil_storage::memory::Image;

use crate::bind::nodes::START;

use super::constants::{Constants, Left};
use super::session::Speaker;

/// Everything there is.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) constants: Constants,
    /// Tills first, then the machines that may start with a copy of the first till's disk.
    pub(crate) machines: Vec<Option<Machine>>,
    pub(crate) backups: Vec<Option<Kept>>,
    pub(crate) cloud: Image<Cloud>,
    pub(crate) archive: Option<Image<Cloud>>,
    /// On their way to the cloud; the same twice is [`Act::Stage`] with a duplicate.
    pub(crate) requests: BTreeSet<Request>,
    /// Taken in by the cloud, and not committed.
    pub(crate) batch: Vec<Request>,
    /// On their way to a till.
    pub(crate) replies: BTreeSet<Reply>,
    pub(crate) left: Left,
    /// What tills have confirmed to their cashiers.
    pub(crate) told: Vec<Told>,
    pub(crate) now: Millis,
    /// Draws are numbers that never come again.
    pub(super) drawn: u64,
    /// Closed histories are carried over entry by entry, as the specification does.
    pub(crate) by_entry: bool,
    /// What is broken on purpose, to show that it is noticed.
    pub(crate) sabotage: Sabotage,
}

/// A till's machine.
#[derive(Clone)]
pub(crate) struct Machine {
    /// From 1, as in the specification.
    pub(crate) number: usize,
    pub(crate) identity: Identity,
    pub(crate) image: Image<Terminal>,
    /// The file outside the database.
    pub(crate) witness: Option<Witness>,
    /// Who says when it speaks; none if it may at any time.
    pub(super) speaker: Option<Speaker>,
}

/// A backup of a till.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) image: Image<Terminal>,
    pub(crate) witness: Option<Witness>,
}

/// A request under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Request {
    pub(crate) from: usize,
    pub(crate) till: TerminalId,
    /// Whether the till still waits for its answer.
    pub(crate) live: bool,
    pub(crate) asks: Asked,
}

/// The bytes of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asked {
    Hello(Vec<u8>),
    Push(Vec<u8>),
}

/// An answer under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reply {
    pub(crate) to: usize,
    pub(crate) says: Said,
}

/// The bytes of an answer; the till knows which history it has asked about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    Welcome(Vec<u8>),
    Pushed(Epoch, Vec<u8>),
}

/// What a till has confirmed: it is durable, and its receipt is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) till: usize,
    pub(crate) name: u64,
    pub(crate) sale: u64,
    pub(crate) receipt: Receipt,
}

/// What becomes of the file outside the database when the database is exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outside {
    /// It stays what it is.
    Stays,
    /// It is exchanged, too.
    GoesAlong,
    IsLost,
}

/// Something that is broken on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sabotage {
    #[default]
    None,
    /// The cloud's answers leave when it has taken a request in.
    AnswerBeforeCommit,
    /// The cloud's ledger loses a row with each commit.
    LedgerForgets,
    /// A till's program takes answers to the program before it.
    AnswersOutliveRestarts,
}

pub(crate) fn site() -> Site {
    let shop = ShopId::parse("shop").expect("a short name");
    Site { shop, branch: BranchId::parse("branch").expect("a short name") }
}

pub(crate) fn register() -> PosId {
    PosId::parse("pos").expect("a short name")
}

/// Each sale moves a product of its own.
pub(crate) fn product(sale: u64) -> ProductId {
    ProductId::parse(&format!("p{sale}")).expect("a short name")
}

/// A name that is a number, as the cashiers of these runs give them.
pub(crate) fn name(number: u64) -> LocalEventId {
    LocalEventId::parse(&number.to_string()).expect("a number is a short name")
}

pub(crate) fn till(number: usize) -> TerminalId {
    TerminalId::parse(&format!("till-{number}")).expect("a short name")
}

impl World {
    /// Returns tills that were installed, and a cloud at which they are enrolled.
    pub(crate) fn new(constants: &Constants) -> Self {
        let machines = constants.tills + constants.copies;
        let mut world = Self {
            constants: constants.clone(),
            machines: vec![None; machines],
            backups: vec![None; machines],
            cloud: Memory::new().image(),
            archive: None,
            requests: BTreeSet::new(),
            batch: Vec::new(),
            replies: BTreeSet::new(),
            left: constants.faults,
            told: Vec::new(),
            now: START,
            drawn: 0,
            by_entry: false,
            sabotage: Sabotage::None,
        };
        world.open_cloud();
        for number in 1..=constants.tills {
            world.install(number);
        }
        world
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    pub(crate) fn machine(&mut self, number: usize) -> &mut Machine {
        self.machines[number - 1].as_mut().expect("only machines that are here do something")
    }

    /// Returns the till as which a machine speaks.
    pub(crate) fn owner(&self, number: usize) -> usize {
        if number <= self.constants.tills { number } else { 1 }
    }

    /// Returns whether a machine waits for an answer.
    pub(crate) fn awaits(&self, number: usize) -> bool {
        let asked = self.requests.iter().chain(&self.batch);
        asked.into_iter().any(|request| request.from == number && request.live)
            || self.replies.iter().any(|reply| reply.to == number)
    }

    /// The program of a machine ends, or waits no longer: what it asked may still arrive, its
    /// answer reaches nobody.
    pub(crate) fn forget(&mut self, number: usize) {
        let orphaned = |mut request: Request| {
            request.live &= request.from != number;
            request
        };
        self.requests = std::mem::take(&mut self.requests).into_iter().map(orphaned).collect();
        self.batch = std::mem::take(&mut self.batch).into_iter().map(orphaned).collect();
        if self.sabotage != Sabotage::AnswersOutliveRestarts {
            self.replies.retain(|reply| reply.to != number);
        }
    }
}
