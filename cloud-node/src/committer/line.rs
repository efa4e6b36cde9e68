//! Where jobs wait, and whose turn it is to take them.
//!
//! One committer takes whatever is there. A second begins beside it once as many jobs wait as are
//! under way: so two groups are about as large as each other, and what a group costs however small
//! it is, is paid about as often as by one committer alone.
//!
//! Groups that run beside each other write rows of different tills, as a rule. Where they do not (a
//! branch whose tills relay what they sell, one shop's catalog), the store lets one of them decide
//! again, which costs more than to wait: so after a conflict the next groups run one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use tokio::sync::{Mutex, Notify, mpsc};

use super::{BATCH_MAX, Job, fitting, refuse};

/// How many groups run one by one after a conflict.
const APART: u32 = 256;

const _: () = assert!(APART > 0, "a conflict is not met again at once");

#[derive(Debug)]
pub(super) struct Line {
    waiting: Mutex<Waiting>,
    /// How many jobs are in groups that have not ended.
    under_way: AtomicUsize,
    /// How many groups are still to run one by one.
    apart: AtomicU32,
    /// Whether a committer has failed: nothing is taken any more.
    failed: AtomicBool,
    /// Tells who waits at the front that a group has ended.
    ended: Notify,
}

#[derive(Debug)]
struct Waiting {
    jobs: mpsc::Receiver<Job>,
    /// Those that were received already.
    front: Vec<Job>,
}

impl Line {
    pub(super) fn new(jobs: mpsc::Receiver<Job>) -> Self {
        Self {
            waiting: Mutex::new(Waiting { jobs, front: Vec::with_capacity(BATCH_MAX) }),
            under_way: AtomicUsize::new(0),
            apart: AtomicU32::new(0),
            failed: AtomicBool::new(false),
            ended: Notify::new(),
        }
    }

    /// Waits for a group of jobs that may begin now; none once nobody can hand over another.
    pub(super) async fn take(self: &Arc<Self>) -> Option<(Vec<Job>, Turn)> {
        let mut waiting = self.waiting.lock().await;
        let Waiting { jobs, front } = &mut *waiting;
        let mut open = true;
        loop {
            if self.failed.load(Ordering::SeqCst) {
                return None;
            }
            // Whoever has come by now is part of the group.
            while front.len() < BATCH_MAX
                && let Ok(job) = jobs.try_recv()
            {
                front.push(job);
            }
            if !front.is_empty() && self.may_begin(front.len()) {
                break;
            }
            if front.is_empty() && !open {
                return None;
            }
            let room = BATCH_MAX - front.len();
            tokio::select! {
                biased;
                () = self.ended.notified() => {}
                received = jobs.recv_many(front, room), if open && room > 0 => open = received > 0,
            }
        }
        let fit = fitting(front);
        let group: Vec<Job> = front.drain(..fit).collect();
        assert!(!group.is_empty(), "a group has a job");
        self.under_way.fetch_add(group.len(), Ordering::SeqCst);
        let turn = Turn { line: Arc::clone(self), jobs: group.len(), done: false };
        drop(waiting);
        Some((group, turn))
    }

    fn may_begin(&self, waiting: usize) -> bool {
        let under_way = self.under_way.load(Ordering::SeqCst);
        let beside = self.apart.load(Ordering::SeqCst) == 0 && waiting >= under_way;
        assert!(waiting <= BATCH_MAX, "a group is bounded");
        under_way == 0 || beside
    }

    /// Refuses whoever waits, and whoever comes later.
    pub(super) async fn close(&self) {
        assert!(self.failed.load(Ordering::SeqCst), "only a failure closes the line");
        let mut waiting = self.waiting.lock().await;
        waiting.jobs.close();
        refuse(std::mem::take(&mut waiting.front));
        while let Some(job) = waiting.jobs.recv().await {
            refuse(vec![job]);
        }
    }
}

/// A group that is under way. If it is dropped before its end was told, the line has failed.
#[derive(Debug)]
pub(super) struct Turn {
    line: Arc<Line>,
    jobs: usize,
    done: bool,
}

impl Turn {
    /// Tells whether the group was committed, and whether it met a conflict.
    pub(super) fn end(&mut self, done: bool, conflict: bool) {
        self.done = done;
        let apart = &self.line.apart;
        if conflict {
            apart.store(APART, Ordering::SeqCst);
        } else {
            let less = |left: u32| left.checked_sub(1);
            let _none_left = apart.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.done {
            self.line.failed.store(true, Ordering::SeqCst);
        }
        let before = self.line.under_way.fetch_sub(self.jobs, Ordering::SeqCst);
        assert!(before >= self.jobs, "what was under way has begun");
        self.line.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::task::Poll;

    use counterfoil_protocol::cloud::Input;
    use counterfoil_protocol::identity::TerminalId;
    use tokio::sync::oneshot;

    use super::*;

    async fn now<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn line() -> (mpsc::Sender<Job>, Arc<Line>) {
        let (sender, receiver) = mpsc::channel(16);
        (sender, Arc::new(Line::new(receiver)))
    }

    fn send(to: &mpsc::Sender<Job>, jobs: usize) {
        for _ in 0..jobs {
            let terminal = TerminalId::parse("T-1").expect("a name");
            let (answer, _) = oneshot::channel();
            let job = Job { input: Input::Revoke { terminal }, bytes: 0, answer };
            to.try_send(job).expect("there is room");
        }
    }

    #[tokio::test]
    async fn a_second_group_begins_once_as_many_wait_as_are_under_way() {
        let (to, line) = line();
        send(&to, 2);
        let (first, mut turn) = line.take().await.expect("a group");
        assert_eq!(first.len(), 2, "whoever waits is part of it");
        let mut second = pin!(line.take());
        send(&to, 1);
        assert!(now(second.as_mut()).await.is_none(), "one waits, two are under way");
        send(&to, 1);
        let (second, mut beside) = now(second.as_mut()).await.flatten().expect("a group");
        assert_eq!(second.len(), 2);
        let mut third = pin!(line.take());
        send(&to, 3);
        assert!(now(third.as_mut()).await.is_none(), "three wait, four are under way");
        turn.end(true, false);
        drop(turn);
        let (third, mut last) = now(third.as_mut()).await.flatten().expect("a group");
        assert_eq!(third.len(), 3);
        beside.end(true, false);
        last.end(true, false);
    }

    #[tokio::test]
    async fn after_a_conflict_groups_run_one_by_one_for_a_while() {
        let (to, line) = line();
        send(&to, 1);
        let (_, mut turn) = line.take().await.expect("a group");
        turn.end(true, true);
        drop(turn);
        for pair in 0..APART / 2 {
            tokio::task::yield_now().await; // a task that never yields is made to wait
            send(&to, 1);
            let (_, mut turn) = line.take().await.expect("a group");
            send(&to, 1);
            let mut next = pin!(line.take());
            assert!(now(next.as_mut()).await.is_none(), "nothing runs beside pair {pair}");
            turn.end(true, false);
            drop(turn);
            let (_, mut turn) = now(next.as_mut()).await.flatten().expect("its turn has come");
            turn.end(true, false);
        }
        send(&to, 1);
        let (_, mut turn) = line.take().await.expect("a group");
        send(&to, 1);
        let (_, mut beside) = now(pin!(line.take())).await.flatten().expect("it runs beside");
        turn.end(true, false);
        beside.end(true, false);
    }

    #[tokio::test]
    async fn when_a_group_fails_nobody_takes_another_and_who_waits_is_refused() {
        let (to, line) = line();
        send(&to, 1);
        let (_, mut failed) = line.take().await.expect("a group");
        let waits = Arc::clone(&line);
        let other = tokio::spawn(async move { waits.take().await.is_none() });
        tokio::task::yield_now().await;
        failed.end(false, false);
        drop(failed);
        assert!(other.await.expect("it ends"), "the other committer ends as well");
        send(&to, 2);
        line.close().await;
        assert!(to.is_closed(), "whoever comes later hears so at once");
        assert!(line.take().await.is_none());
    }
}
