//! The catalog's rows against each other: entities, their places in the feed, and what they add up
//! to.

use std::collections::BTreeMap;

use counterfoil_protocol::catalog::{Digest, Entity, entity_hash};
use counterfoil_protocol::cloud::row::Item;
use counterfoil_protocol::cloud::{Cloud, Key, Record};
use counterfoil_protocol::identity::{BranchId, ShopId};
use counterfoil_protocol::machine::Query;

use super::Report;
use crate::pages::{Kind, Pages, all};

const LAW: &str = "CatalogConverges";

type Scope = (ShopId, Option<BranchId>);

/// What is known of one scope's entities: the whole shop's, or one branch's.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    found: Digest,
    told: Digest,
    /// The last commit that an entity names.
    last: u64,
}

/// Checks each entity, each place in the feed, and each sum.
pub(super) async fn check<Q: Query<Cloud>>(reads: &Q, report: &mut Report) -> Result<(), Q::Error> {
    let mut sums: BTreeMap<Scope, Sum> = BTreeMap::new();
    items(reads, report, &mut sums).await?;
    changes(reads, report).await?;
    let mut versions: BTreeMap<ShopId, u64> = BTreeMap::new();
    for kind in [Kind::Feed, Kind::BranchDigest] {
        Pages::new(reads, all(kind))
            .each(|key, record| match (key, record) {
                (Key::Feed(shop), Record::Feed(feed)) => {
                    versions.insert(shop, feed.version);
                    sums.entry((shop, None)).or_default().told = feed.digest;
                }
                (Key::BranchDigest(shop, branch), Record::BranchDigest(digest)) => {
                    sums.entry((shop, Some(branch))).or_default().told = digest;
                }
                (_, _) => {}
            })
            .await?;
    }
    for (scope, sum) in sums {
        if sum.found != sum.told {
            let what = format!("it says {:?}, its entities add up to {:?}", sum.told, sum.found);
            report.problem(LAW, place(scope), what);
        }
        let version = versions.get(&scope.0).copied().unwrap_or_default();
        if sum.last > version {
            let what = format!("an entity is of version {}, the feed is at {version}", sum.last);
            report.problem(LAW, place(scope), what);
        }
    }
    Pages::new(reads, all(Kind::Product)).each(|_, _| report.products += 1).await
}

async fn items<Q: Query<Cloud>>(
    reads: &Q,
    report: &mut Report,
    sums: &mut BTreeMap<Scope, Sum>,
) -> Result<(), Q::Error> {
    let mut pages = Pages::new(reads, all(Kind::Item));
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            return Ok(());
        }
        for row in page {
            let (Key::Item(shop, branch, id), Record::Item(item)) = row else { continue };
            report.entities += u64::from(item.content.is_some());
            let sum = sums.entry((shop, branch)).or_default();
            sum.last = sum.last.max(item.version);
            if let Some(content) = &item.content {
                sum.found = sum.found.with(entity_hash(id, content));
                if let Err(error) = Entity::from_canonical(id, content) {
                    let what = format!("{id} is no entity: {error}");
                    report.problem(LAW, place((shop, branch)), what);
                }
            }
            let change = Key::Change(shop, branch, item.version, item.index);
            if reads.get(&change).await? != Some(Record::Change(id)) {
                let what = format!("{id} is not in the feed where it says");
                report.problem(LAW, place((shop, branch)), what);
            }
        }
    }
}

async fn changes<Q: Query<Cloud>>(reads: &Q, report: &mut Report) -> Result<(), Q::Error> {
    let mut pages = Pages::new(reads, all(Kind::Change));
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            return Ok(());
        }
        for row in page {
            let (Key::Change(shop, branch, version, index), Record::Change(id)) = row else {
                continue;
            };
            let item = reads.get(&Key::Item(shop, branch, id)).await?;
            if !item.is_some_and(|item| stands_at(&item, version, index)) {
                let what = format!("version {version} names {id}, which is not as of then");
                report.problem(LAW, place((shop, branch)), what);
            }
        }
    }
}

fn stands_at(record: &Record, version: u64, index: u32) -> bool {
    let Record::Item(Item { version: at, index: number, .. }) = record else { return false };
    (*at, *number) == (version, index)
}

fn place((shop, branch): Scope) -> String {
    match branch {
        Some(branch) => format!("catalog of shop {shop}, branch {branch}"),
        None => format!("catalog of shop {shop}"),
    }
}
