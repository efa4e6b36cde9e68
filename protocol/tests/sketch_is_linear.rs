//! > **`Linear`**: the sketch of two disjoint sets together is the sum of theirs; an insertion and
//! > a removal of the same item cancel; the first `m` cells do not depend on how many follow.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod sketch_support;

use counterfoil_protocol::sketch::{Estimator, Item, Sketch};
use proptest::prelude::*;
use sketch_support::item;

fn items() -> impl Strategy<Value = Vec<Item>> {
    prop::collection::btree_map(any::<u64>(), any::<u64>(), 0..80)
        .prop_map(|rows| rows.into_iter().map(|(id, content)| item(id, content)).collect())
}

/// Changes of rows: which row, and its content from then on.
fn feed() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0..20_u64, 0..3_u64), 0..120)
}

proptest! {
    #[test]
    fn the_order_of_items_leaves_no_trace(
        (first, second) in
            items().prop_flat_map(|items| (Just(items.clone()), Just(items).prop_shuffle())),
        cells in 0_usize..200,
    ) {
        prop_assert_eq!(
            Sketch::of(cells, first.iter().copied()),
            Sketch::of(cells, second.iter().copied())
        );
        prop_assert_eq!(Estimator::of(first), Estimator::of(second));
    }

    #[test]
    fn a_difference_of_sketches_is_the_sketch_of_the_difference(
        common in items(), more in items(), cells in 0_usize..200,
    ) {
        let both = Sketch::of(cells, common.iter().chain(&more).copied());
        let less = both.minus(&Sketch::of(cells, common));
        prop_assert_eq!(&less, &Sketch::of(cells, more.iter().copied()));
        let nothing = less.minus(&Sketch::of(cells, more));
        prop_assert_eq!(nothing, Sketch::new(cells));
    }

    #[test]
    fn a_sketch_that_follows_a_feed_is_that_of_the_rows(feed in feed(), cells in 0_usize..200) {
        let mut rows = std::collections::BTreeMap::new();
        let mut sketch = Sketch::new(cells);
        let mut estimator = Estimator::default();
        for (id, content) in feed {
            // Content 0 stands for a deletion.
            let new = (content > 0).then(|| item(id, content));
            let old = match new {
                Some(new) => rows.insert(id, new),
                None => rows.remove(&id),
            };
            if let Some(old) = old {
                sketch.remove(old);
                estimator.remove(old);
            }
            if let Some(new) = new {
                sketch.insert(new);
                estimator.insert(new);
            }
        }
        prop_assert_eq!(sketch, Sketch::of(cells, rows.values().copied()));
        prop_assert_eq!(estimator, Estimator::of(rows.into_values()));
    }

    #[test]
    fn a_prefix_does_not_depend_on_what_follows(
        items in items(), mut sizes in prop::collection::vec(0_usize..200, 1..6),
    ) {
        sizes.sort_unstable();
        let mut grown = Sketch::new(0);
        let mut joined = Sketch::new(0);
        let whole = Sketch::of(200, items.iter().copied());
        for size in sizes {
            grown.grow(size, items.iter().copied());
            joined.append(&whole.page(joined.len(), size)).unwrap();
            prop_assert_eq!(&grown, &Sketch::of(size, items.iter().copied()));
            prop_assert_eq!(&grown, &joined);
            prop_assert_eq!(grown.cells(), &whole.cells()[..size]);
        }
    }
}
