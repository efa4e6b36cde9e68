//! `InboxOnce` under any order, duplication and crash: whatever a till and a cloud go through, each
//! event of the branch moves the till's stock once, and nothing is acknowledged before that.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod inbox_support;
mod support;

use std::collections::BTreeSet;

use counterfoil_protocol::cloud::heads::heads;
use counterfoil_protocol::session::inbox::{Collector, Input as Heard, Output as Does};
use counterfoil_protocol::session::{Config, Fault, Nudge};
use counterfoil_protocol::terminal::heads::at_head;
use counterfoil_protocol::terminal::inbox::Standing;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::heads::Heads;
use counterfoil_protocol::wire::inbox::{Ack, PendingAnswer};
use inbox_support::{Counter, Shop, order};
use proptest::prelude::*;
use support::block_on;

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    /// An order, at some time; the same number again is the same order.
    Place(u8, u16),
    Cancel(u8, u16),
    /// The till asks for so many events; the answer joins those under way.
    Ask(usize),
    /// One of the answers under way arrives, and stays under way: it may come again.
    Deliver(prop::sample::Index),
    /// The same, and the power goes before the commit.
    Crash(prop::sample::Index),
    /// The till says how far it is; it may arrive, and may arrive again later.
    Ack(bool),
    LateAck(prop::sample::Index),
    BackupTill,
    RestoreTill,
    BackupCloud,
    RestoreCloud,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = any::<prop::sample::Index>;
    let step = prop_oneof![
        6 => (0..20_u8, any::<u16>()).prop_map(|(id, at)| Step::Place(id, at)),
        2 => (0..20_u8, any::<u16>()).prop_map(|(id, at)| Step::Cancel(id, at)),
        6 => (1..4_usize).prop_map(Step::Ask),
        8 => at().prop_map(Step::Deliver),
        2 => at().prop_map(Step::Crash),
        3 => any::<bool>().prop_map(Step::Ack),
        1 => at().prop_map(Step::LateAck),
        1 => Just(Step::BackupTill),
        1 => Just(Step::RestoreTill),
        1 => Just(Step::BackupCloud),
        1 => Just(Step::RestoreCloud),
    ];
    prop::collection::vec(step, 1..80)
}

struct World {
    shop: Shop,
    counter: Counter,
    shop_backup: Shop,
    counter_backup: Counter,
    answers: Vec<PendingAnswer>,
    acks: Vec<Ack>,
}

impl World {
    fn new() -> Self {
        let mut shop = Shop::new();
        let counter = shop.till("mitte", "T-1");
        let (shop_backup, counter_backup) = (shop.clone(), counter.clone());
        Self { shop, counter, shop_backup, counter_backup, answers: vec![], acks: vec![] }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Place(id, at) => {
                let lines = [("tea", i64::from(id % 3) + 1), ("milk", 1)];
                let id = id.to_string();
                // Whoever orders names the time of the order: the same number is the same order.
                let at = u64::from(*at) * u64::from(id.len() as u8 % 2) + 1;
                self.shop.place(&order("mitte", &id, at, &lines));
            }
            Step::Cancel(id, at) => {
                self.shop.cancel("mitte", &id.to_string(), u64::from(*at));
            }
            Step::Ask(limit) => {
                let wanted = Some(self.counter.wanted());
                self.answers.push(self.shop.pending(&self.counter.caller, wanted, *limit));
            }
            Step::Deliver(which) if !self.answers.is_empty() => {
                let answer = which.get(&self.answers).clone();
                self.counter.deliver(answer);
            }
            Step::Crash(which) if !self.answers.is_empty() => {
                self.counter.crash_in_commit(which.get(&self.answers).clone());
            }
            Step::Ack(arrives) => {
                let Some(ack) = self.counter.ack() else { return };
                self.acks.push(ack);
                if *arrives {
                    self.shop.ack(&self.counter.caller, &ack);
                }
            }
            Step::LateAck(which) if !self.acks.is_empty() => {
                let ack = *which.get(&self.acks);
                self.shop.ack(&self.counter.caller, &ack);
            }
            Step::Deliver(_) | Step::Crash(_) | Step::LateAck(_) => {}
            Step::BackupTill => self.counter_backup = self.counter.clone(),
            Step::RestoreTill => self.counter = self.counter_backup.clone(),
            Step::BackupCloud => self.shop_backup = self.shop.clone(),
            Step::RestoreCloud => self.shop = self.shop_backup.clone(),
        }
    }

    /// What the cloud says beside a greeting spares a question exactly if that would find nothing.
    fn a_word_is_worth_a_question(&self) {
        let Counter { till, caller } = &self.counter;
        let said = block_on(heads(&self.shop.node.store, caller.site, caller.terminal));
        let said = Heads::from_text(&said.unwrap().unwrap().to_string()).unwrap();
        let spared = block_on(at_head(&till.store, &said)).unwrap().inbox;
        let answer = self.shop.pending(caller, Some(self.counter.wanted()), 1);
        let nothing = match answer {
            PendingAnswer::Page(page) => page.after.seq == page.head && page.acked == page.head,
            PendingAnswer::Restart => false,
        };
        assert_eq!(spared, nothing, "{said}");
    }

    fn check(&self) {
        self.counter.stock_is_sum();
        self.a_word_is_worth_a_question();
        if let Some(ack) = self.counter.ack() {
            // If the place is one of the cloud's inbox as it stands, all before it is applied.
            let told = self.shop.stored("mitte");
            let seq = ack.through.seq as usize;
            if told.get(seq - 1).is_some_and(|event| event.chain == ack.through.chain) {
                let events = self.shop.events("mitte");
                let due: BTreeSet<_> = events[..seq].iter().map(|event| event.id).collect();
                assert!(due.is_subset(&self.counter.applied()), "acknowledged and not applied");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn each_event_moves_the_stock_once(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            world.check();
        }
        let World { mut shop, mut counter, .. } = world;
        shop.collect(&mut counter, 3);
        counter.stock_is_sum();
        let due: BTreeSet<_> = shop.events("mitte").iter().map(|event| event.id).collect();
        prop_assert!(due.is_subset(&counter.applied()), "everything is applied at last");
        if let Some(head) = shop.stored("mitte").last() {
            prop_assert_eq!(counter.wanted().chain, head.chain);
            prop_assert_eq!(shop.acked(&counter.caller), shop.stored("mitte").len() as u64);
        }
    }

    #[test]
    fn a_collector_never_sleeps_for_ever(inputs in prop::collection::vec(inputs(), 1..200)) {
        let config = Config::default();
        // Who was told that nothing is new waits until after the next greeting.
        let longest =
            config.idle_greeting.after(config.request_timeout).after(config.backoff_cap);
        let mut collector = Collector::new(config, 7, Millis(0));
        let mut now = Millis(0);
        let mut asked = 0;
        for (wait, heard) in inputs {
            now = now.after(Millis(wait));
            let heard = match heard {
                Heard::Answered(back, answer) => Heard::Answered(asked - back.min(asked), answer),
                other => other,
            };
            collector.handle_input(now, heard);
            while let Some(does) = collector.poll_output() {
                if let Does::Ask(number) | Does::Ack(number) = does {
                    prop_assert!(number > asked, "each request has a number of its own");
                    asked = number;
                }
            }
            prop_assert!(collector.wake_at().since(now) <= longest, "it wakes");
        }
        // Woken often enough, it asks again, whatever it has heard.
        let before = asked;
        for _ in 0..3 {
            now = collector.wake_at().max(now);
            collector.handle_input(now, Heard::Wake);
            while let Some(does) = collector.poll_output() {
                if let Does::Ask(number) | Does::Ack(number) = does { asked = number; }
            }
        }
        prop_assert!(asked > before, "after at most three wake-ups there is a question");
    }
}

fn inputs() -> impl Strategy<Value = (u64, Heard)> {
    let standing = (0..5_u64, 0..5_u64, 0..5_u64, any::<bool>(), any::<bool>());
    let standing = standing.prop_map(|(cursor, head, acked, unreadable, restarted)| Standing {
        cursor,
        head,
        acked,
        applied: 0,
        unreadable,
        restarted,
    });
    let answer = prop_oneof![
        4 => Just(Ok(())),
        1 => Just(Err(Fault::Transport)),
        1 => Just(Err(Fault::Rejected)),
        1 => (0..1_000_000_u64).prop_map(|ms| Err(Fault::RateLimited(Some(Millis(ms))))),
    ];
    let heard = prop_oneof![
        Just(Heard::Wake),
        Just(Heard::Nudge(Nudge::Manual)),
        Just(Heard::Nudge(Nudge::LinkUp)),
        Just(Heard::Nudge(Nudge::Recorded)),
        any::<bool>().prop_map(Heard::Heads),
        (0..2_u64, answer).prop_map(|(back, answer)| Heard::Answered(back, answer)),
        standing.prop_map(Heard::Committed),
    ];
    (prop_oneof![Just(0), 0..20_000_u64, 0..2_000_000_u64], heard)
}
