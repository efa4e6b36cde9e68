//! Compaction: tombstones that no till needs any more leave the feed.
//!
//! > **`CatalogConverges`**: at catalog version V a till's cloud-owned fields equal the cloud's at
//! > V; versions never go back.
//!
//! * A till's question holds a **lease**: the version from which it will ask on, and when it was
//!   last heard of. No tombstone above the lowest live lease is taken away. A lease that was not
//!   renewed for a stated time lapses, so that a till in a drawer holds nothing for ever.
//! * The **floor** is the newest deletion that was taken away, and is written in the commit that
//!   takes it. Whoever asks from below it is told to compare by snapshot, whatever its lease says:
//!   leases spare tills that way, the floor alone keeps them right.
//! * A plan looks at a bounded stretch of the feed, and is a query; its step looks again at all
//!   that the plan rests on, in the transaction. A plan that is old changes nothing.
//!
//! A snapshot that was pinned below the floor is completed by a delta from below the floor, so it
//! ends in a comparison too: a deletion of what its runs have brought cannot be missed.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::row::Feed;
use super::{Cloud, Key, Output, Record, Site};
use crate::catalog::EntityId;
use crate::identity::{BranchId, ShopId, TerminalId};
use crate::label::Label;
use crate::machine::{Query, ReadSet, Rows};
use crate::time::Millis;

/// How long a lease is live without a question of its till.
pub const LEASE_LIFE: Millis = Millis::from_secs(30 * 24 * 60 * 60);
/// A lease is renewed once its till has come so many versions further.
pub const RENEW_VERSIONS: u64 = 4_096;
/// A lease is renewed once this part of its life has passed.
pub const RENEW_PART: u64 = 30;
/// The most leases of one shop. With more, nothing is compacted.
pub const LEASES_MAX: usize = 4_096;
/// The most branches of one shop. With more, nothing is compacted.
pub const BRANCHES_MAX: usize = 4_096;
/// The most tombstones that one compaction takes away.
pub const TOMBSTONES_MAX: usize = 1_000;
/// The most places of the feed, of the shop or of one branch, that one plan looks at.
const PLACES_MAX: usize = 1_000;

const _: () = assert!(super::catalog::EDITS_MAX < PLACES_MAX, "a plan looks at a whole commit");
const _: () =
    assert!(super::catalog::EDITS_MAX <= TOMBSTONES_MAX, "what one commit deletes is one step");
const _: () = assert!(RENEW_PART > 1, "a lease is renewed long before it lapses");
const _: () = assert!(RENEW_VERSIONS > 0, "a till that stands still renews nothing");
const _: () = assert!(LEASE_LIFE.0 / RENEW_PART > 0, "not each question renews");
const _: () = {
    let (seen, end) = (LEASE_LIFE, Millis(u64::MAX));
    let held = Lease { version: RENEW_VERSIONS, seen };
    let part = Millis(seen.0 + LEASE_LIFE.0.div_ceil(RENEW_PART));
    assert!(held.live(Millis::ZERO, LEASE_LIFE), "a clock that went back ends no lease");
    assert!(held.live(seen.after(LEASE_LIFE), LEASE_LIFE), "a lease lives to the end of its life");
    assert!(!held.live(end, LEASE_LIFE), "and no longer");
    assert!(due(None, 0, seen, LEASE_LIFE), "who has no lease is given one");
    assert!(!due(Some(&held), held.version, seen, LEASE_LIFE), "a lease is not renewed at once");
    assert!(due(Some(&held), held.version, part, LEASE_LIFE), "it is, after its part of a life");
    assert!(due(Some(&held), held.version - 1, seen, LEASE_LIFE), "or if the till went back");
    assert!(due(Some(&held), held.version * 2, seen, LEASE_LIFE), "or came so much further");
};

/// From which version a till will ask on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The till is known to have this version, or to have pinned a snapshot to it.
    pub version: u64,
    /// When it said so.
    pub seen: Millis,
}

/// How far a shop's feed is compacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// The newest deletion that was taken away: a delta from below would have a gap.
    pub version: u64,
    /// No tombstone is left up to here; at or above `version`.
    pub swept: u64,
    /// How many leases were ever begun: a plan that does not know the last one is old.
    pub leases: u64,
}

/// A compaction that was planned: what it found, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compact {
    shop: ShopId,
    /// How long a lease is live.
    life: Millis,
    /// Where the feed's floor stood.
    before: Floor,
    /// Everything up to this version was looked at.
    to: u64,
    /// The shop's leases.
    leases: Vec<(BranchId, TerminalId)>,
    tombstones: Vec<Tombstone>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tombstone {
    scope: Option<BranchId>,
    id: EntityId,
    version: u64,
}

impl Compact {
    /// Returns how many tombstones were found.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.tombstones.len()
    }

    /// Returns whether no tombstone was found; carried out, such a plan spares later ones a look.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tombstones.is_empty()
    }

    /// Returns the version up to which the feed was looked at.
    #[must_use]
    pub const fn to(&self) -> u64 {
        self.to
    }
}

impl Lease {
    /// Returns whether it holds tombstones back at `now`.
    #[must_use]
    pub const fn live(&self, now: Millis, life: Millis) -> bool {
        // A clock that went back ends no lease.
        now.0.saturating_sub(self.seen.0) <= life.0
    }
}

/// Returns whether a till's question is worth a commit: its lease is missing, half forgotten, far
/// behind, or ahead of what the till now asks for.
#[must_use]
pub const fn due(held: Option<&Lease>, version: u64, now: Millis, life: Millis) -> bool {
    assert!(life.0 > 0, "a lease lives for some time");
    let Some(held) = held else { return true };
    let old = now.0.saturating_sub(held.seen.0) >= life.0.div_ceil(RENEW_PART);
    old || version < held.version || version - held.version >= RENEW_VERSIONS
}

/// Returns whether a question of a till, which will ask on from `version`, is to be noted by an
/// [`super::Input::Lease`]. Where the answer is no, another commit would change nothing of worth.
///
/// # Errors
/// The query's.
pub async fn worth_noting<Q: Query<Cloud>>(
    query: &Q,
    site: Site,
    terminal: TerminalId,
    version: u64,
    now: Millis,
    life: Millis,
) -> Result<bool, Q::Error> {
    let held = match query.get(&Key::Lease(site.shop, site.branch, terminal)).await? {
        Some(Record::Lease(lease)) => Some(lease),
        Some(_) | None => None,
    };
    if !due(held.as_ref(), version, now, life) {
        return Ok(false);
    }
    Ok(version >= floor(query, site.shop).await?.version)
}

/// Returns the floor of a shop's feed: a delta from below it would have gaps.
///
/// # Errors
/// The query's.
pub async fn floor<Q: Query<Cloud>>(query: &Q, shop: ShopId) -> Result<Floor, Q::Error> {
    Ok(match query.get(&Key::Floor(shop)).await? {
        Some(Record::Floor(floor)) => floor,
        Some(_) | None => Floor::default(),
    })
}

/// Returns the next compaction of a shop's feed, if there is anything that no live lease holds and
/// that was not looked at before. Leases live for `life`.
///
/// # Errors
/// The query's; nothing was changed.
pub async fn plan<Q: Query<Cloud>>(
    query: &Q,
    shop: ShopId,
    now: Millis,
    life: Millis,
) -> Result<Option<Compact>, Q::Error> {
    let before = floor(query, shop).await?;
    let feed = match query.get(&Key::Feed(shop)).await? {
        Some(Record::Feed(feed)) => feed,
        Some(_) | None => Feed::default(),
    };
    let Some(leases) = leases(query, shop).await? else { return Ok(None) };
    let live = leases.iter().filter(|(_, lease)| lease.live(now, life));
    let lowest = live.map(|(_, lease)| lease.version).min();
    let head = lowest.map_or(feed.version, |lowest| lowest.min(feed.version));
    if head <= before.swept {
        return Ok(None);
    }
    assert!(head <= feed.version, "nothing beyond the last commit is looked at");
    let Some(scopes) = scopes(query, shop).await? else { return Ok(None) };
    let (tombstones, to) = deleted(query, shop, &scopes, before.swept, head).await?;
    assert!(to > before.swept && to <= head, "a plan goes on, and stops at the lowest lease");
    assert!(tombstones.len() <= TOMBSTONES_MAX, "a plan is bounded");
    let leases = leases.into_iter().map(|(till, _)| till).collect();
    Ok(Some(Compact { shop, life, before, to, leases, tombstones }))
}

type Leased = ((BranchId, TerminalId), Lease);

/// Returns every lease of a shop, or none if there are more than a transaction should read.
async fn leases<Q: Query<Cloud>>(query: &Q, shop: ShopId) -> Result<Option<Vec<Leased>>, Q::Error> {
    let [from, until] =
        [Label::FIRST, Label::LAST].map(|end| Key::Lease(shop, BranchId(end), TerminalId(end)));
    let page = query.scan(&from, &until, LEASES_MAX + 1).await?;
    if page.len() > LEASES_MAX {
        return Ok(None);
    }
    let mut leases = Vec::with_capacity(page.len());
    for (key, record) in page {
        let (Key::Lease(_, branch, terminal), Record::Lease(lease)) = (key, record) else {
            unreachable!("a store gives each key a record of its kind")
        };
        leases.push(((branch, terminal), lease));
    }
    assert!(leases.len() <= LEASES_MAX, "the leases of a plan are bounded");
    debug_assert!(leases.is_sorted_by(|(a, _), (b, _)| a < b), "each till has one lease");
    Ok(Some(leases))
}

/// Returns the shop, and each branch that ever had entities of its own.
async fn scopes<Q: Query<Cloud>>(
    query: &Q,
    shop: ShopId,
) -> Result<Option<Vec<Option<BranchId>>>, Q::Error> {
    let [from, until] =
        [Label::FIRST, Label::LAST].map(|end| Key::BranchDigest(shop, BranchId(end)));
    let page = query.scan(&from, &until, BRANCHES_MAX + 1).await?;
    if page.len() > BRANCHES_MAX {
        return Ok(None);
    }
    let branches = page.into_iter().filter_map(|(key, _)| {
        if let Key::BranchDigest(_, branch) = key { Some(Some(branch)) } else { None }
    });
    let scopes: Vec<_> = core::iter::once(None).chain(branches).collect();
    assert!(scopes.first() == Some(&None), "the shop's own entities come first");
    assert!(scopes.len() <= BRANCHES_MAX + 1, "the branches of a plan are bounded");
    debug_assert!(scopes.is_sorted_by(|a, b| a < b), "each branch is looked at once");
    Ok(Some(scopes))
}

/// Returns the tombstones after `from`, and up to which version, at most `head`, that is all.
async fn deleted<Q: Query<Cloud>>(
    query: &Q,
    shop: ShopId,
    scopes: &[Option<BranchId>],
    from: u64,
    head: u64,
) -> Result<(Vec<Tombstone>, u64), Q::Error> {
    assert!(from < head, "there is something to look at");
    let mut to = head;
    let mut found = Vec::new();
    for scope in scopes {
        let first = Key::Change(shop, *scope, from + 1, 0);
        let end = Key::Change(shop, *scope, to.saturating_add(1), 0);
        let page = query.scan(&first, &end, PLACES_MAX).await?;
        assert!(page.len() <= PLACES_MAX, "a scan keeps its limit");
        if page.len() == PLACES_MAX
            && let Some((Key::Change(_, _, cut, _), _)) = page.last()
        {
            // The last commit may be cut; the one before it is whole.
            to = to.min(cut - 1);
        }
        for (key, record) in page {
            let (Key::Change(_, _, version, _), Record::Change(id)) = (key, record) else {
                continue;
            };
            match query.get(&Key::Item(shop, *scope, id)).await? {
                Some(Record::Item(item)) if item.content.is_none() && item.version == version => {
                    found.push(Tombstone { scope: *scope, id, version });
                }
                Some(_) | None => {}
            }
        }
    }
    found.sort_unstable_by_key(|found| (found.version, found.scope, found.id));
    if let Some(beyond) = found.get(TOMBSTONES_MAX) {
        to = to.min(beyond.version - 1);
    }
    found.retain(|found| found.version <= to);
    assert!(to > from, "a commit is smaller than what a plan looks at");
    assert!(to <= head, "no plan looks beyond its end");
    assert!(found.iter().all(|found| from < found.version), "what was swept is not found again");
    assert!(found.len() <= TOMBSTONES_MAX, "a plan is bounded");
    Ok((found, to))
}

pub(super) fn reads(plan: &Compact, keys: &mut ReadSet<Key>) {
    assert!(plan.tombstones.len() <= TOMBSTONES_MAX, "a plan is bounded");
    assert!(plan.leases.len() <= LEASES_MAX, "a plan is bounded");
    let shop = plan.shop;
    keys.insert(Key::Feed(shop));
    keys.insert(Key::Floor(shop));
    keys.extend(plan.leases.iter().map(|(branch, till)| Key::Lease(shop, *branch, *till)));
    keys.extend(plan.tombstones.iter().map(|found| Key::Item(shop, found.scope, found.id)));
}

pub(super) fn step(rows: &mut Rows<'_, Cloud>, now: Millis, plan: &Compact) -> Output {
    let shop = plan.shop;
    let before = rows.floor(shop).copied().unwrap_or_default();
    let head = rows.feed(shop).copied().unwrap_or_default().version;
    // Another compaction was faster, a till has come that the plan does not know, or the cloud was
    // restored meanwhile.
    if before != plan.before || plan.to > head || held(rows, now, plan) {
        return Output::Compacted { floor: before.version, removed: 0 };
    }
    let mut floor = Floor { swept: plan.to, ..before };
    let mut removed = 0;
    for Tombstone { scope, id, version } in &plan.tombstones {
        // It may have come back to life since; then it stands further on in the feed.
        let Some(item) = rows.item(shop, *scope, *id) else { continue };
        if item.content.is_some() || item.version != *version {
            continue;
        }
        let index = item.index;
        rows.retract(Key::Change(shop, *scope, *version, index));
        rows.remove(Key::Item(shop, *scope, *id));
        floor.version = floor.version.max(*version);
        removed += 1;
    }
    for (branch, terminal) in &plan.leases {
        let lease = rows.lease(shop, *branch, *terminal);
        if lease.is_some_and(|lease| !lease.live(now, plan.life)) {
            rows.remove(Key::Lease(shop, *branch, *terminal));
        }
    }
    assert!(floor.version >= before.version, "the floor never sinks");
    assert!(floor.version <= floor.swept, "what was taken away was looked at");
    assert!(floor.swept > before.swept, "a compaction gets on");
    assert!(removed > 0 || floor.version == before.version, "only a deletion raises the floor");
    assert_eq!(floor.leases, before.leases, "a compaction begins no lease");
    assert!(removed as usize <= plan.tombstones.len(), "each tombstone is taken away once");
    rows.put(Key::Floor(shop), Record::Floor(floor));
    Output::Compacted { floor: floor.version, removed }
}

/// Returns whether a live lease needs what the plan would take away.
fn held(rows: &Rows<'_, Cloud>, now: Millis, plan: &Compact) -> bool {
    assert!(plan.to > plan.before.swept, "a plan goes on");
    plan.leases.iter().any(|(branch, terminal)| {
        let lease = rows.lease(plan.shop, *branch, *terminal);
        lease.is_some_and(|lease| lease.live(now, plan.life) && lease.version < plan.to)
    })
}

pub(super) fn reads_lease(site: Site, terminal: TerminalId, keys: &mut ReadSet<Key>) {
    keys.insert(Key::Terminal(terminal));
    keys.insert(Key::Feed(site.shop));
    keys.insert(Key::Floor(site.shop));
    keys.insert(Key::Lease(site.shop, site.branch, terminal));
}

/// Notes that a till will ask on from `version`.
pub(super) fn lease(
    rows: &mut Rows<'_, Cloud>,
    now: Millis,
    site: Site,
    terminal: TerminalId,
    version: u64,
) -> Output {
    let Site { shop, branch } = site;
    let known = rows.terminal(terminal);
    let speaks = known.is_some_and(|known| known.site == site && !known.revoked);
    let head = rows.feed(shop).copied().unwrap_or_default().version;
    let mut floor = rows.floor(shop).copied().unwrap_or_default();
    // Ahead of the head, or below the floor: the till compares by snapshot, and asks from there.
    if !speaks || version > head || version < floor.version {
        return Output::Leased(false);
    }
    assert!(floor.version <= version && version <= head, "what is leased can be told");
    if rows.lease(shop, branch, terminal).is_none() {
        // A plan that does not know this till rests on too little from now on.
        floor.leases = floor.leases.saturating_add(1);
        rows.put(Key::Floor(shop), Record::Floor(floor));
    }
    let lease = Lease { version, seen: now };
    assert!(lease.live(now, Millis(0)), "a lease begins to live");
    rows.put(Key::Lease(shop, branch, terminal), Record::Lease(lease));
    assert!(rows.lease(shop, branch, terminal) == Some(&lease), "what is noted is there");
    Output::Leased(true)
}
