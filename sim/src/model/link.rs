//! The links of the model: what they do to a message is drawn from the till's own stream.

use std::rc::Rc;

use counterfoil_protocol::session::Fault;
use counterfoil_protocol::time::Millis;

use super::log::{asked, lane};
use super::{Answer, Happening, Kind, Reply, Request, World};
use crate::coverage::Injected;
use crate::plan::{LinkPlan, SLOW};
use crate::story::Lane;

impl World {
    /// A till sends a request.
    pub(super) fn send(&mut self, till: usize, number: u64, kind: Kind, bytes: Vec<u8>) {
        if !self.till_may_speak(till) {
            return;
        }
        let life = self.tills[till].life;
        let message =
            self.leaves(lane(till), || format!("{} {number}, {} bytes", asked(kind), bytes.len()));
        let request = Request { till, life, number, kind, bytes: Rc::new(bytes), message };
        if let Some(reply) = self.intercept(&request) {
            if let Some(fault) = reply {
                let us = self.way(till);
                let reply = Reply::Fault(fault);
                let answer = Answer { till, life, request: number, reply, message: 0 };
                self.after(us, Happening::Answer(Box::new(answer)));
            }
            return;
        }
        let us = self.way(till) + self.tills[till].busy_until_us.saturating_sub(self.now_us);
        self.note_order(till, us);
        let link = self.link_plan();
        if self.tills[till].link.happens(link.duplicate_ppm) {
            self.coverage.injected(Injected::Duplicate);
            let later = us + self.tills[till].link.below(3_000_000);
            self.after(later, Happening::Request(Box::new(request.clone())));
        }
        self.after(us, Happening::Request(Box::new(request)));
    }

    /// Decides whether a request arrives. `Some(None)` is silence, `Some(Some(_))` an answer that
    /// does not come from the cloud's program.
    fn intercept(&mut self, request: &Request) -> Option<Option<Fault>> {
        let link = self.link_plan();
        let throttled = self.now_us < self.cloud.throttled_until_us;
        let cut = self.now_us < self.tills[request.till].cut_to_us;
        let rng = &mut self.tills[request.till].link;
        let (fault, reply) = if cut {
            // A cut link is silent, or the network says so.
            let refused = rng.happens(500_000);
            return Some(refused.then_some(Fault::Transport));
        } else if rng.happens(link.loss_ppm) {
            (Injected::Loss, None)
        } else if rng.happens(link.reset_ppm) {
            (Injected::Reset, Some(Fault::Transport))
        } else if link.proxy_bytes_max > 0 && request.bytes.len() > link.proxy_bytes_max as usize {
            // It lets a single item through however large: it cannot be made smaller.
            if rng.happens(300_000) {
                return None;
            }
            (Injected::ProxyLimit, Some(Fault::TooLarge))
        } else if throttled || rng.happens(link.rate_limit_ppm) {
            let after = rng.happens(500_000).then(|| Millis(rng.between(100, 5_000)));
            (Injected::RateLimited, Some(Fault::RateLimited(after)))
        } else if rng.happens(link.server_error_ppm) {
            (Injected::ServerError, Some(Fault::Server))
        } else {
            return None;
        };
        self.coverage.injected(fault);
        Some(reply)
    }

    /// The cloud, or the way to it, answers a request.
    pub(super) fn reply(&mut self, request: &Request, reply: Reply) {
        let reply = self.may_answer(reply);
        let till = request.till;
        let (kind, number) = (request.kind, request.number);
        let message = self.leaves(Lane::Cloud, || format!("answer to {} {number}", asked(kind)));
        let link = self.link_plan();
        if self.now_us < self.tills[till].cut_from_us {
            return;
        }
        if self.tills[till].link.happens(link.answer_loss_ppm) {
            self.coverage.injected(Injected::AnswerLost);
            return;
        }
        let us = self.way(till) + self.cloud.busy_until_us.saturating_sub(self.now_us);
        let answer = Answer { till, life: request.life, request: number, reply, message };
        self.after(us, Happening::Answer(Box::new(answer)));
    }

    /// Draws how long a message is on its way, in microseconds.
    fn way(&mut self, till: usize) -> u64 {
        let link = self.link_plan();
        let rng = &mut self.tills[till].link;
        let mut us = link.latency_us + rng.below(link.jitter_us + 1);
        if rng.happens(link.slow_ppm) {
            us *= SLOW;
            self.coverage.injected(Injected::Slow);
        }
        self.coverage.injected(Injected::Latency);
        us.max(1)
    }

    fn note_order(&mut self, till: usize, us: u64) {
        let arrival = self.now_us + us;
        let host = &mut self.tills[till];
        if arrival < host.last_arrival_us {
            self.coverage.injected(Injected::Reorder);
        }
        host.last_arrival_us = arrival.max(host.last_arrival_us);
    }

    fn link_plan(&self) -> LinkPlan {
        if self.healed {
            LinkPlan { latency_us: 300, jitter_us: 2_000, ..LinkPlan::default() }
        } else {
            self.plan.link
        }
    }
}
