//! A compaction that commits while a page is being put together.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::sync::Mutex;

use counterfoil_protocol::machine::{Page, Query};

use super::*;

/// A query in whose midst a compaction is committed.
struct Racing {
    node: Mutex<(Node, u32, Option<Compact>)>,
}

impl Racing {
    fn tick(&self) -> std::sync::MutexGuard<'_, (Node, u32, Option<Compact>)> {
        let mut guard = self.node.lock().unwrap();
        if guard.1 == 0
            && let Some(planned) = guard.2.take()
        {
            let output = guard.0.run(Millis(900_000), cloud::Input::Compact(planned));
            assert!(matches!(output, cloud::Output::Compacted { removed: 2, .. }), "{output:?}");
        }
        guard.1 = guard.1.saturating_sub(1);
        guard
    }
}

impl Query<Cloud> for Racing {
    type Error = Infallible;

    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Record>, Infallible>> + Send {
        ready(Ok(self.tick().0.store.rows.get(key).cloned()))
    }

    fn scan(
        &self,
        from: &Key,
        until: &Key,
        limit: usize,
    ) -> impl Future<Output = Result<Page<Cloud>, Infallible>> + Send {
        let guard = self.tick();
        let rows = guard.0.store.rows.range(*from..*until).take(limit);
        ready(Ok(rows.map(|(key, record)| (*key, record.clone())).collect::<Page<Cloud>>()))
    }
}

#[test]
fn a_page_in_whose_midst_a_compaction_commits_is_whole_or_refused() {
    let (mut whole, mut refused) = (0, 0);
    for after in 0..12 {
        let mut world = with_two_deleted();
        world.now = Millis(900_000);
        world.plan();
        let racing =
            Racing { node: Mutex::new((world.shop.node.clone(), after, world.planned.pop())) };
        match block_on(delta(&racing, site().shop, site().branch, 6, 100)).unwrap() {
            DeltaAnswer::Page(page) => {
                let deleted = page.changes.iter().filter(|change| change.content.is_none());
                assert_eq!(deleted.count(), 2, "after {after} reads a deletion is missing");
                whole += 1;
            }
            DeltaAnswer::Resync => refused += 1,
            DeltaAnswer::WithEdits(..) => panic!("no edits were asked for"),
        }
    }
    assert!(whole > 0 && refused > 2, "both happen: {whole} whole, {refused} refused");
}
