//! A protocol that is not ours under the simulator: seats, reserved in two phases.
//!
//! A till asks the cloud to hold a seat, takes the money, and asks it to confirm. A hold that
//! nobody confirms ends by itself. `docs/simulate-your-own.md` walks through this file.
//!
//! ```sh
//! cargo run --release -p counterfoil-sim --example reservation
//! cargo run --release -p counterfoil-sim --example reservation -- hold-twice
//! ```

use std::process::ExitCode;

use counterfoil_protocol::machine::{Machine, ReadSet, Rows};
use counterfoil_protocol::time::Millis;
use counterfoil_sim::own::{Act, Broken, Hunt, Laws, Node, System, View, hunt};
use counterfoil_sim::plan::{Fault, Shape};
use counterfoil_sim::rng::Stream;
use counterfoil_sim::story::{html, mermaid};

/// How many seats there are.
const SEATS: u32 = 40;
/// How long a hold lasts that nobody confirms.
const HOLD: Millis = Millis::from_secs(20);
/// How long a till waits for an answer before it asks again.
const PATIENCE: Millis = Millis::from_secs(2);
/// How often a till asks for a seat until the customer walks away.
const ASKS_MAX: u8 = 5;

/// What the nodes tell each other, and themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// To a till: somebody wants a seat.
    Wish(u64),
    /// To a till, by itself: has the cloud answered?
    Again(u64),
    /// To a till: what the cloud says.
    Answer(u64, Booking),
    /// To the cloud: hold a seat for this.
    Hold(u64, u32),
    /// To the cloud: it is paid.
    Confirm(u64, u32),
    /// To the cloud, by itself: the hold ends.
    Expire(u64),
}

/// The names of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// At the cloud: how many seats are free.
    Free,
    /// At the cloud: what became of a request.
    Booking(u64),
    /// At a till: how far a request has come.
    Trip(u64),
}

/// What stands in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// Under [`Key::Free`].
    Free(u32),
    /// Under [`Key::Booking`].
    Booking(Booking),
    /// Under [`Key::Trip`].
    Trip(Trip),
}

/// What the cloud has made of a request. Once decided it stays: whoever asks again hears the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Booking {
    /// A seat waits for the money.
    Held,
    /// It is sold.
    Sold,
    /// Nothing was free.
    Full,
    /// The hold has ended.
    Gone,
}

/// How far a request has come at its till.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trip {
    /// The cloud is asked for a seat, so many times.
    Asking(u8),
    /// It is paid, and the cloud is told.
    Paying,
    /// The customer has a ticket.
    Done,
    /// The customer has the money back, or never gave any.
    Failed,
}

/// Mistakes that somebody could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// None.
    Nothing,
    /// A request that arrives twice takes two seats.
    HoldTwice,
    /// Whoever starts again does not look for holds that have to end.
    HoldsForgotten,
    /// A ticket is printed before the cloud has confirmed.
    TicketTooEarly,
}

/// One role for both: which rows there are says who is who.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reservation(pub(crate) Mistake);

impl Machine for Reservation {
    type Input = Input;
    type Output = Option<Booking>;
    type Key = Key;
    type Record = Record;

    fn reads(&self, input: &Input, keys: &mut ReadSet<Key>) {
        match *input {
            Input::Wish(id) | Input::Again(id) | Input::Answer(id, _) => {
                keys.insert(Key::Trip(id));
            }
            Input::Hold(id, _) | Input::Confirm(id, _) | Input::Expire(id) => {
                keys.extend([Key::Free, Key::Booking(id)]);
            }
        }
    }

    fn step(&self, _: Millis, input: &Input, rows: &mut Rows<'_, Self>) -> Option<Booking> {
        match *input {
            Input::Wish(id) => rows.put(Key::Trip(id), Record::Trip(Trip::Asking(1))),
            Input::Again(id) => again(rows, id),
            Input::Answer(id, booking) => self.answered(rows, id, booking),
            Input::Hold(id, _) => return Some(self.hold(rows, id)),
            Input::Confirm(id, _) => return Some(confirm(rows, id)),
            Input::Expire(id) => expire(rows, id),
        }
        None
    }
}

impl Reservation {
    fn answered(&self, rows: &mut Rows<'_, Self>, id: u64, booking: Booking) {
        let Some(Record::Trip(trip)) = rows.get(&Key::Trip(id)) else { return };
        let next = match (*trip, booking) {
            (Trip::Asking(_), Booking::Held) if self.0 == Mistake::TicketTooEarly => Trip::Done,
            (Trip::Asking(_), Booking::Held) => Trip::Paying,
            (Trip::Asking(_) | Trip::Paying, Booking::Sold) => Trip::Done,
            (Trip::Asking(_) | Trip::Paying, Booking::Full | Booking::Gone) => Trip::Failed,
            // An answer that was long on its way says nothing new.
            (trip, _) => trip,
        };
        rows.put(Key::Trip(id), Record::Trip(next));
    }

    fn hold(&self, rows: &mut Rows<'_, Self>, id: u64) -> Booking {
        if let Some(Record::Booking(booking)) = rows.get(&Key::Booking(id))
            && self.0 != Mistake::HoldTwice
        {
            return *booking;
        }
        let free = free(rows.get(&Key::Free));
        let booking = if free > 0 { Booking::Held } else { Booking::Full };
        rows.put(Key::Free, Record::Free(free.saturating_sub(1)));
        rows.put(Key::Booking(id), Record::Booking(booking));
        booking
    }
}

/// Nobody waits for a seat for ever. Whoever has paid does.
fn again(rows: &mut Rows<'_, Reservation>, id: u64) {
    if let Some(Record::Trip(Trip::Asking(asks))) = rows.get(&Key::Trip(id)) {
        let next = if *asks < ASKS_MAX { Trip::Asking(asks + 1) } else { Trip::Failed };
        rows.put(Key::Trip(id), Record::Trip(next));
    }
}

fn confirm(rows: &mut Rows<'_, Reservation>, id: u64) -> Booking {
    let booking = match rows.get(&Key::Booking(id)) {
        Some(Record::Booking(Booking::Held)) => Booking::Sold,
        Some(Record::Booking(booking)) => *booking,
        Some(_) | None => Booking::Gone,
    };
    rows.put(Key::Booking(id), Record::Booking(booking));
    booking
}

fn expire(rows: &mut Rows<'_, Reservation>, id: u64) {
    if rows.get(&Key::Booking(id)) == Some(&Record::Booking(Booking::Held)) {
        let free = free(rows.get(&Key::Free));
        rows.put(Key::Free, Record::Free(free + 1));
        rows.put(Key::Booking(id), Record::Booking(Booking::Gone));
    }
}

fn free(row: Option<&Record>) -> u32 {
    if let Some(Record::Free(free)) = row { *free } else { SEATS }
}

impl System for Reservation {
    type Machine = Self;

    fn machine(&self, _: Node) -> Self {
        *self
    }

    fn work(&self, _: u32, draws: &mut Stream) -> Option<Input> {
        Some(Input::Wish(draws.draw()))
    }

    fn survives(&self, fault: Fault) -> bool {
        // It has no answer to a disk that was replaced by its backup: see what happens without.
        !matches!(fault, Fault::RestoreCloud | Fault::RestoreTill { .. })
    }

    fn started(&self, node: Node, view: &View<'_, Self>) -> Vec<Act<Input>> {
        let soon = |input| Act::After { span: Millis(1), input };
        let rows = view.rows(node);
        let acts = rows.filter_map(|(key, record)| match (key, record) {
            (Key::Trip(id), Record::Trip(Trip::Asking(_) | Trip::Paying)) => {
                Some(soon(Input::Again(*id)))
            }
            (Key::Booking(id), Record::Booking(Booking::Held)) => {
                let input = Input::Expire(*id);
                (self.0 != Mistake::HoldsForgotten).then_some(Act::After { span: HOLD, input })
            }
            _ => None,
        });
        acts.collect()
    }

    fn follow(
        &self,
        node: Node,
        input: &Input,
        output: Option<Booking>,
        view: &View<'_, Self>,
    ) -> Vec<Act<Input>> {
        match (node, input) {
            (Node::Cloud, Input::Hold(id, till) | Input::Confirm(id, till)) => {
                let Some(booking) = output else { return Vec::new() };
                let answer =
                    Act::Send { to: Node::Till(*till), input: Input::Answer(*id, booking) };
                let end = Act::After { span: HOLD, input: Input::Expire(*id) };
                if booking == Booking::Held { vec![answer, end] } else { vec![answer] }
            }
            (Node::Till(till), Input::Wish(id) | Input::Again(id) | Input::Answer(id, _)) => {
                let ask = match view.get(node, &Key::Trip(*id)) {
                    Some(Record::Trip(Trip::Asking(_))) => Input::Hold(*id, till),
                    Some(Record::Trip(Trip::Paying)) => Input::Confirm(*id, till),
                    _ => return Vec::new(),
                };
                let again = Act::After { span: PATIENCE, input: Input::Again(*id) };
                vec![Act::Send { to: Node::Cloud, input: ask }, again]
            }
            _ => Vec::new(),
        }
    }

    fn always(&self, view: &View<'_, Self>, laws: &mut Laws) -> Result<(), Broken> {
        let bookings = |wanted: &[Booking]| {
            let rows = view.rows(Node::Cloud);
            rows.filter(|(_, record)| {
                matches!(record, Record::Booking(booking) if wanted.contains(booking))
            })
            .count() as u32
        };
        let taken = bookings(&[Booking::Held, Booking::Sold]);
        let free = free(view.get(Node::Cloud, &Key::Free));
        laws.check("EverySeatOnce", taken + free == SEATS, || {
            format!("{SEATS} seats, but {taken} are taken and {free} are free")
        })?;
        for till in (0..view.tills()).map(Node::Till) {
            for (key, record) in view.rows(till) {
                let (Key::Trip(id), Record::Trip(Trip::Done)) = (key, record) else { continue };
                let sold = Some(&Record::Booking(Booking::Sold));
                let booked = view.get(Node::Cloud, &Key::Booking(*id));
                laws.check("TicketIsSold", booked == sold, || {
                    format!("{till} has printed ticket {id:x}, the cloud says {booked:?}")
                })?;
            }
        }
        if bookings(&[Booking::Gone]) > 0 {
            laws.saw("a hold has ended");
        }
        if free == 0 {
            laws.saw("nothing is free");
        }
        Ok(())
    }

    fn at_rest(&self, view: &View<'_, Self>, laws: &mut Laws) -> Result<(), Broken> {
        for node in view.nodes() {
            for (key, record) in view.rows(node) {
                let waits = matches!(record, Record::Trip(Trip::Asking(_) | Trip::Paying));
                laws.check("NobodyWaits", !waits, || {
                    format!("{node} still has {key:?} {record:?}")
                })?;
                let held = matches!(record, Record::Booking(Booking::Held));
                laws.check("HoldsEnd", !held, || format!("{key:?} is held for ever"))?;
            }
        }
        Ok(())
    }

    fn sometimes(&self) -> &'static [&'static str] {
        &["a hold has ended", "nothing is free"]
    }
}

/// Returns the mistake of that name.
#[must_use]
pub(crate) fn mistake(name: &str) -> Option<Mistake> {
    match name {
        "none" => Some(Mistake::Nothing),
        "hold-twice" => Some(Mistake::HoldTwice),
        "holds-forgotten" => Some(Mistake::HoldsForgotten),
        "ticket-too-early" => Some(Mistake::TicketTooEarly),
        _ => None,
    }
}

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_else(|| "none".to_owned());
    let Some(mistake) = mistake(&name) else {
        eprintln!("mistakes: none, hold-twice, holds-forgotten, ticket-too-early");
        return ExitCode::from(2);
    };
    let hunt = hunt(&Reservation(mistake), 0, 1_000, Shape::default(), |ran| {
        if ran % 100 == 0 {
            eprintln!("{ran} seeds");
        }
    });
    report(&hunt)
}

fn report(hunt: &Hunt) -> ExitCode {
    println!("{} seeds, {} transitions", hunt.seeds, hunt.commits);
    for (law, checked) in hunt.laws.checked() {
        println!("{law:<16} checked {checked} times");
    }
    for (fault, count) in &hunt.faults {
        println!("{fault:<18} came {count} times");
    }
    for name in &hunt.never {
        println!("never seen: {name}");
    }
    let Some(finding) = &hunt.finding else {
        return if hunt.never.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) };
    };
    println!("\nseed {}: {}\n", finding.seed, finding.broken);
    println!("{}\n", mermaid::end(&finding.story, 20));
    let plan = serde_json::to_string(&finding.plan).expect("a plan is plain data");
    println!("made small in {} runs: {plan}", finding.runs);
    let page = html::page(&finding.story, finding.broken.law, "see the plan above");
    match std::fs::write("reservation.html", page) {
        Ok(()) => println!("drawn in reservation.html"),
        Err(error) => eprintln!("reservation.html cannot be written: {error}"),
    }
    ExitCode::FAILURE
}
