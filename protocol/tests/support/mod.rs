//! What the tests share: a typed store, drafts, and a till and a cloud wired together by hand.
#![allow(dead_code, reason = "each test file uses its own part of the kit")]
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]
#![allow(unreachable_pub, reason = "one module, compiled into each test file")]

pub mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use counterfoil_protocol::cloud::{self, Caller, Cloud, Offer, Site, rollup};
use counterfoil_protocol::event::{Adjustment, AdjustmentLine, Body, Line, Tender, Trade};
use counterfoil_protocol::hash::{Hash, secret_hash};
use counterfoil_protocol::identity::{
    BranchId, EventKey, LocalEventId, PosId, ProductId, ShopId, TerminalId, Witness,
};
use counterfoil_protocol::machine::{Loaded, Machine, Page, Query, Store, Writes, run};
use counterfoil_protocol::money::{Currency, Milli, Minor};
use counterfoil_protocol::terminal::pull::{self, Batch, Limits};
use counterfoil_protocol::terminal::{self, Backlog, Draft, Identity, Meta, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::{Hello, Push, PushAnswer, Standing, Welcome};
use counterfoil_protocol::wire::parcel::{Answers, Offered, Offers, Outstanding};

/// Polls a future that never waits.
pub fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the test stores never wait"),
    }
}

/// A database in memory that counts its commits and remembers what the last one wrote.
pub struct Mem<M: Machine> {
    pub rows: BTreeMap<M::Key, M::Record>,
    pub commits: u64,
    pub wrote: BTreeSet<M::Key>,
}

impl<M: Machine> Default for Mem<M> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), commits: 0, wrote: BTreeSet::new() }
    }
}

impl<M: Machine> Clone for Mem<M> {
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone(), commits: self.commits, wrote: self.wrote.clone() }
    }
}

impl<M: Machine> Store<M> for Mem<M> {
    type Error = Infallible;

    fn transact(
        &mut self,
        keys: Vec<M::Key>,
        mut decide: impl FnMut(&Loaded<M>) -> Writes<M> + Send,
    ) -> impl Future<Output = Result<(), Infallible>> + Send {
        let load = |key| {
            let row = self.rows.get(&key).cloned().map(Arc::new);
            (key, row)
        };
        let loaded = keys.into_iter().map(load).collect();
        let writes = decide(&loaded);
        self.commits += 1;
        self.wrote = writes.iter().map(|(key, _)| key.clone()).collect();
        for (key, record) in writes {
            match record {
                Some(record) => self.rows.insert(key, M::Record::clone(&record)),
                None => self.rows.remove(&key),
            };
        }
        ready(Ok(()))
    }
}

impl<M: Machine<Record: Send, Key: Send>> Query<M> for Mem<M> {
    type Error = Infallible;

    fn get(
        &self,
        key: &M::Key,
    ) -> impl Future<Output = Result<Option<M::Record>, Infallible>> + Send {
        ready(Ok(self.rows.get(key).cloned()))
    }

    fn scan(
        &self,
        from: &M::Key,
        until: &M::Key,
        limit: usize,
    ) -> impl Future<Output = Result<Page<M>, Infallible>> + Send {
        let rows = self.rows.range(from.clone()..until.clone()).take(limit);
        ready(Ok(rows.map(|(key, record)| (key.clone(), record.clone())).collect::<Page<M>>()))
    }
}

pub fn pos(text: &str) -> PosId {
    PosId::parse(text).unwrap()
}

pub fn local(text: &str) -> LocalEventId {
    LocalEventId::parse(text).unwrap()
}

pub fn product(text: &str) -> ProductId {
    ProductId::parse(text).unwrap()
}

pub fn terminal_id() -> TerminalId {
    TerminalId::parse("T-1").unwrap()
}

pub fn site() -> Site {
    Site { shop: ShopId::parse("shop").unwrap(), branch: BranchId::parse("mitte").unwrap() }
}

pub fn key_of(pos_id: &str, id: &str) -> EventKey {
    EventKey { terminal: terminal_id(), pos: pos(pos_id), local_id: local(id) }
}

pub fn line(sku: &str, milli: i64, price: i64) -> Line {
    Line {
        product: product(sku),
        name: "Tea".into(),
        quantity: Milli(milli),
        unit_price: Minor(price),
        discount: Minor(0),
        tax_ppm: 190_000,
    }
}

pub fn trade(lines: Vec<Line>) -> Trade {
    Trade::paid(Currency::GBP, lines, Tender::Cash)
}

pub fn draft(pos_id: &str, id: &str, body: Body) -> Draft {
    Draft {
        pos: pos(pos_id),
        local_id: local(id),
        at: Millis(1_700_000_000_000),
        reference: String::new(),
        body,
    }
}

pub fn sale(id: &str, sku: &str) -> Draft {
    draft("1", id, Body::Sale(trade(vec![line(sku, 2_000, 255)])))
}

pub fn refund(id: &str, sku: &str, original: Option<EventKey>) -> Draft {
    draft("1", id, Body::Refund { original, trade: trade(vec![line(sku, 1_000, 255)]) })
}

pub fn adjustment(id: &str, sku: &str, milli: i64) -> Draft {
    let line = AdjustmentLine { product: product(sku), name: String::new(), delta: Milli(milli) };
    let adjustment = Adjustment { reason: "counted".into(), lines: vec![line] };
    draft("1", id, Body::Adjustment(adjustment))
}

/// A till: its database, and the witness that lies outside of it.
#[derive(Clone)]
pub struct Till {
    pub store: Mem<Terminal>,
    pub witness: Option<Witness>,
    /// Outside of the database too.
    pub outstanding: Outstanding,
}

impl Till {
    /// Installs a till. `nonce` tells its first epoch apart.
    pub fn install(nonce: u64) -> Self {
        let witness = Witness { install: 1, boot: 1 };
        let (store, outstanding) = (Mem::default(), Outstanding::default());
        let mut till = Self { store, witness: Some(witness), outstanding };
        let identity =
            Identity { shop: site().shop, branch: site().branch, terminal: terminal_id() };
        till.run(Millis(0), terminal::Input::Install { identity, witness, nonce });
        till
    }

    pub fn run(&mut self, now: Millis, input: terminal::Input) -> terminal::Output {
        block_on(run(&Terminal, &mut self.store, now, &[input])).unwrap().remove(0)
    }

    pub fn meta(&self) -> Meta {
        block_on(pull::meta(&self.store)).unwrap().unwrap()
    }

    pub fn record(&mut self, now: Millis, draft: Draft) -> terminal::Output {
        self.run(now, terminal::Input::Record(draft))
    }

    /// Records a draft that must be new.
    pub fn sell(&mut self, now: Millis, draft: Draft) -> terminal::Place {
        match self.record(now, draft) {
            terminal::Output::Recorded { place, again: false, .. } => place,
            other => panic!("not recorded: {other:?}"),
        }
    }

    /// Starts the program again with whatever witness lies outside.
    pub fn open(&mut self, now: Millis, fresh: u64) -> Option<terminal::Parted> {
        let fresh_witness = Witness { install: fresh, boot: fresh };
        let input =
            terminal::Input::Open { witness: self.witness, fresh: fresh_witness, nonce: fresh };
        match self.run(now, input) {
            terminal::Output::Opened { witness, parted } => {
                self.witness = Some(witness);
                parted
            }
            other => panic!("not opened: {other:?}"),
        }
    }

    pub fn hello(&self, now: Millis) -> Hello {
        block_on(pull::hello(&self.store, &self.meta(), now, "test")).unwrap()
    }

    pub fn batch(&self, now: Millis) -> Batch {
        block_on(pull::batch(&self.store, &self.meta(), now, Limits::default())).unwrap()
    }
}

/// A cloud: its policy and its database.
#[derive(Clone)]
pub struct Node {
    pub machine: Cloud,
    pub store: Mem<Cloud>,
}

impl Node {
    pub fn new(machine: Cloud) -> Self {
        let mut node = Self { machine, store: Mem::default() };
        node.enrol(None);
        node
    }

    pub fn run(&mut self, now: Millis, input: cloud::Input) -> cloud::Output {
        block_on(run(&self.machine, &mut self.store, now, &[input])).unwrap().remove(0)
    }

    pub fn enrol(&mut self, expires_at: Option<Millis>) -> cloud::Output {
        let (terminal, site, secret) = (terminal_id(), site(), secret());
        self.run(Millis(0), cloud::Input::Enrol { terminal, site, secret, expires_at })
    }

    pub fn define(&mut self, sku: &str) {
        let input = cloud::Input::DefineProduct { shop: site().shop, product: product(sku) };
        assert_eq!(self.run(Millis(0), input), cloud::Output::Defined);
    }

    /// Rolls up what there is, and returns how many pushes that were.
    pub fn roll_up(&mut self) -> u64 {
        let Some(planned) = block_on(rollup::plan(&self.store, site())).unwrap() else { return 0 };
        match self.run(Millis(0), cloud::Input::RollUp(planned)) {
            cloud::Output::RolledUp(pushes) => pushes,
            other => panic!("not rolled up: {other:?}"),
        }
    }

    pub fn greet(&mut self, now: Millis, hello: &Hello) -> cloud::Output {
        let hello = Hello::decode(&hello.encode()).unwrap();
        self.run(now, cloud::Input::Hello { caller: caller(), hello })
    }

    pub fn push(&mut self, now: Millis, push: &Push) -> cloud::Output {
        let offer = Offer::read(Push::decode(&push.encode()).unwrap(), site().shop);
        self.run(now, cloud::Input::Push { caller: caller(), offer })
    }
}

pub fn secret() -> Hash {
    secret_hash(b"secret")
}

pub fn caller() -> Caller {
    Caller { terminal: terminal_id(), secret: secret(), site: site() }
}

/// Carries one greeting there and back. Returns the standings, and the till's backlog.
pub fn greet(till: &mut Till, node: &mut Node, now: Millis) -> (Vec<Standing>, Backlog) {
    let welcome = match node.greet(now, &till.hello(now)) {
        cloud::Output::Welcome(welcome) => Welcome::decode(&welcome.encode()).unwrap(),
        other => panic!("not welcomed: {other:?}"),
    };
    let standings = welcome.lanes.iter().map(|lane| lane.standing).collect();
    till.outstanding.overtaken();
    // Two copies of one database must not draw the same number.
    let nonce = node.store.commits << 8 | 1;
    match till.run(now, terminal::Input::Welcomed { welcome, nonce }) {
        terminal::Output::Settled(backlog) => (standings, backlog),
        other => panic!("not settled: {other:?}"),
    }
}

/// Offers what is due. Returns the cloud's answer, which the till has taken in if `heard`.
pub fn offer(till: &mut Till, node: &mut Node, now: Millis, heard: bool) -> Option<PushAnswer> {
    let Batch::Push(push) = till.batch(now) else { return None };
    let answer = match node.push(now, &push) {
        cloud::Output::Pushed(answer) => PushAnswer::decode(&answer.encode()).unwrap(),
        other => panic!("not answered: {other:?}"),
    };
    if heard {
        let input = terminal::Input::Answered { epoch: push.epoch, answer: answer.clone() };
        till.run(now, input);
    }
    Some(answer)
}

/// Carries over whatever is left of closed histories.
pub fn adopt(till: &mut Till, now: Millis) {
    for _ in 0..1_000 {
        match block_on(pull::adoption(&till.store, &till.meta())).unwrap() {
            Some(adoption) => till.run(now, terminal::Input::Adopt(adoption)),
            None => return,
        };
    }
    panic!("an adoption comes to its end");
}

/// One round of the session: greet, adopt, push until there is nothing more to say now.
/// Returns whether anything changed.
pub fn sync(till: &mut Till, node: &mut Node, now: Millis) -> bool {
    let before = till.meta();
    let (_, mut backlog) = greet(till, node, now);
    while backlog.parted.is_some() || backlog.adopting {
        adopt(till, now);
        backlog = greet(till, node, now).1;
    }
    for _ in 0..1_000 {
        match offer(till, node, now, true) {
            Some(PushAnswer { stopped: None, .. }) => {}
            Some(PushAnswer { stopped: Some(_), .. }) => return true,
            None => return till.meta() != before,
        }
    }
    panic!("a queue is emptied");
}

/// Writes a parcel, as a till without a link does.
pub fn write_parcel(till: &mut Till, now: Millis, number: u64) -> Vec<u8> {
    adopt(till, now);
    till.outstanding.written(number);
    let (meta, limits) = (till.meta(), Limits::default());
    let mut pushes = Vec::new();
    let mut next = match till.batch(now) {
        Batch::Push(push) => Some(push),
        _ => None,
    };
    while let Some(push) = next {
        let last = push.items.last().unwrap().seq.max(meta.acked);
        pushes.push(push);
        next = block_on(pull::fresh_push(&till.store, &meta, last + 1, limits)).unwrap();
    }
    Offers { number, hello: till.hello(now), pushes }.seal(secret()).0
}

/// Takes a parcel in at the cloud, and returns the one with its answers.
pub fn give_parcel(node: &mut Node, now: Millis, parcel: &[u8]) -> Vec<u8> {
    let Offers { number, hello, pushes } = Offers::open(parcel, secret()).unwrap();
    let cloud::Output::Welcome(welcome) = node.greet(now, &hello) else { panic!("not welcomed") };
    let mut answers = Answers { number, terminal: terminal_id(), welcome, answers: Vec::new() };
    for push in pushes {
        let cloud::Output::Pushed(answer) = node.push(now, &push) else { panic!("not answered") };
        answers.answers.push((Offered::of(&push), answer));
        if answers.answers.last().unwrap().1.stopped.is_some() {
            break;
        }
    }
    answers.seal(secret())
}

/// Takes the cloud's answers at a till. Returns whether they were not too late.
pub fn take_parcel(till: &mut Till, now: Millis, nonce: u64, parcel: &[u8]) -> bool {
    let Answers { number, welcome, answers, .. } = Answers::open(parcel, secret()).unwrap();
    if !till.outstanding.takes(number) {
        return false;
    }
    till.run(now, terminal::Input::Welcomed { welcome, nonce });
    for (Offered { epoch, last }, answer) in answers {
        if block_on(pull::has(&till.store, epoch, last)).unwrap() {
            till.run(now, terminal::Input::Answered { epoch, answer });
        }
    }
    adopt(till, now);
    true
}

/// Syncs until nothing changes any more, waiting out every retry.
pub fn quiesce(till: &mut Till, node: &mut Node, now: &mut Millis) {
    for _ in 0..100 {
        *now = now.after(Millis::from_secs(600));
        let changed = sync(till, node, *now);
        if !changed && till.batch(*now) == Batch::Empty {
            return;
        }
    }
    panic!("a till and a cloud come to rest");
}

/// A till and its cloud.
#[derive(Clone)]
pub struct Pair {
    pub till: Till,
    pub node: Node,
    pub now: Millis,
}

impl Pair {
    pub fn new(machine: Cloud) -> Self {
        Self { till: Till::install(1), node: Node::new(machine), now: Millis(1_000) }
    }

    pub fn sell(&mut self, draft: Draft) -> terminal::Place {
        self.till.sell(self.now, draft)
    }

    /// Sells `ids`, each a different product.
    pub fn sell_all(&mut self, ids: &[&str]) {
        for id in ids {
            self.sell(sale(id, id));
        }
    }

    pub fn greet(&mut self) -> (Standing, Backlog) {
        let (standings, backlog) = greet(&mut self.till, &mut self.node, self.now);
        (standings[0], backlog)
    }

    pub fn offer(&mut self) -> Option<PushAnswer> {
        offer(&mut self.till, &mut self.node, self.now, true)
    }

    pub fn sync(&mut self) {
        sync(&mut self.till, &mut self.node, self.now);
    }

    pub fn quiesce(&mut self) {
        quiesce(&mut self.till, &mut self.node, &mut self.now);
    }
}
