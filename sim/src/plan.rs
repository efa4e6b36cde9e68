//! The fault plan: everything that a run does to the nodes, as data. One type for all levels.

use counterfoil_protocol::identity::BranchId;
use serde::{Deserialize, Serialize};

use crate::rng::Stream;

/// The version of a plan's form in a file. Fields may be added with a default; whatever changes the
/// meaning of those that are there makes a new version.
pub const VERSION: u32 = 1;
/// How many times as long a slow message takes.
pub const SLOW: u64 = 100;

const fn version() -> u32 {
    VERSION
}

fn known_version<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(from)?;
    if version == VERSION {
        return Ok(version);
    }
    let text = format!("the plan has version {version}, this program reads {VERSION}");
    Err(serde::de::Error::custom(text))
}

/// A run as data. The same plan gives the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The version of this form: [`VERSION`], or nothing.
    #[serde(default = "version", deserialize_with = "known_version")]
    pub version: u32,
    /// Names the streams of draws.
    pub seed: u64,
    /// How many tills.
    pub tills: u32,
    /// Over how many branches they are spread.
    pub branches: u32,
    /// How long faults happen, in milliseconds; then everything is healed and must drain.
    pub chaos_ms: u64,
    /// The mean time between two sales of a till, in milliseconds.
    pub sale_every_ms: u64,
    /// Whether products must be defined before they can be posted; they are, bit by bit.
    pub park_unknown: bool,
    /// The mean time between two commits of the catalog, in milliseconds; 0 if nobody edits it.
    #[serde(default)]
    pub catalog_edit_every_ms: u64,
    /// The mean time between two acts on a till's register sessions, in milliseconds; 0 if none
    /// is ever opened.
    #[serde(default)]
    pub session_every_ms: u64,
    /// The mean time between two edits of the catalog at a till, in milliseconds; 0 for none.
    #[serde(default)]
    pub till_edit_every_ms: u64,
    /// The mean time between two online orders, in milliseconds; 0 if there are none.
    #[serde(default)]
    pub order_every_ms: u64,
    /// Whether the tills of a branch hear of each other's movements.
    #[serde(default)]
    pub relay: bool,
    /// The mean time between two verifications of a till's catalog, in milliseconds; 0 if nobody
    /// verifies it, and then no row drifts.
    #[serde(default)]
    pub verify_every_ms: u64,
    /// The mean time between two compactions of the catalog, in milliseconds; 0 for none.
    #[serde(default)]
    pub compact_every_ms: u64,
    /// The mean time between two looks of a till's cashier at what failed, in milliseconds: it is
    /// corrected, set aside, or gives way; 0 if nobody looks.
    #[serde(default)]
    pub correct_every_ms: u64,
    /// The mean time between two steps in which settled entries of a till leave for its archive, in
    /// milliseconds; 0 if none ever does.
    #[serde(default)]
    pub archive_every_ms: u64,
    /// What every link does.
    pub link: LinkPlan,
    /// What every disk does, where there are disks.
    #[serde(default)]
    pub disk: DiskPlan,
    /// How often a commit ends in a crash, in millionths: half before, half after it is durable.
    pub crash_ppm: u32,
    /// How often a commit fails with an unknown outcome and the node reopens its store.
    pub storage_error_ppm: u32,
    /// What happens when.
    pub faults: Vec<Timed>,
}

/// What a link does to each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkPlan {
    /// The shortest way, in microseconds.
    pub latency_us: u64,
    /// What is added at most, evenly: messages overtake each other.
    pub jitter_us: u64,
    /// Requests that vanish, in millionths.
    pub loss_ppm: u32,
    /// Answers that vanish after the cloud has committed.
    pub answer_loss_ppm: u32,
    /// Connections that are reset.
    pub reset_ppm: u32,
    /// Requests that arrive twice.
    pub duplicate_ppm: u32,
    /// Requests answered 429.
    pub rate_limit_ppm: u32,
    /// Requests answered 503.
    pub server_error_ppm: u32,
    /// Messages that take a hundred times as long.
    pub slow_ppm: u32,
    /// The most bytes that something on the way lets through; 0 for no bound.
    pub proxy_bytes_max: u32,
}

/// What a disk does beside losing what was not synced when the power goes. It happens at the levels
/// that have disks; stores in memory have none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskPlan {
    /// Reads that the disk cannot carry out, in millionths.
    pub read_error_ppm: u32,
    /// Commits at which something else has just filled the disk.
    pub full_ppm: u32,
    /// For how long it stays full at most, in milliseconds.
    pub full_ms: u64,
    /// Commits whose syncs take long.
    pub slow_ppm: u32,
    /// How long at most, in milliseconds.
    pub slow_ms: u64,
    /// Whether it says that it has synced, and has not: a power cut then loses what was
    /// acknowledged. Nothing holds on such a disk, and no profile of the normal runs has one.
    #[serde(default)]
    pub lies: bool,
}

/// Something that happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timed {
    /// When, in milliseconds from the start.
    pub at_ms: u64,
    /// What.
    pub fault: Fault,
}

/// A fault. Tills are named by number; one that does not exist is till `number % tills`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The link of a till is cut.
    Partition {
        /// Whose.
        till: u32,
        /// For how long.
        ms: u64,
        /// Which way.
        way: Way,
    },
    /// A till loses its power.
    CrashTill {
        /// Which.
        till: u32,
        /// For how long it is down.
        ms: u64,
    },
    /// The cloud loses its power.
    CrashCloud {
        /// For how long it is down.
        ms: u64,
    },
    /// A copy of a till's database is put aside.
    BackupTill {
        /// Which.
        till: u32,
    },
    /// A till's database is replaced by the copy, if there is one.
    RestoreTill {
        /// Which.
        till: u32,
        /// Whether the file outside the database was restored with it.
        with_witness: bool,
    },
    /// A second device starts with a copy of a till, credential included.
    CloneTill {
        /// Which.
        till: u32,
        /// Whether the file outside the database was copied too.
        with_witness: bool,
    },
    /// A device is moved to another branch: it sells there under a new terminal's name, and its old
    /// database sells no more. Once the cloud has all of that, its credential is revoked.
    MoveTill {
        /// Which.
        till: u32,
        /// How many branches further.
        by: u32,
    },
    /// A copy of the cloud's database is put aside.
    BackupCloud,
    /// The cloud's database is replaced by the copy, if there is one.
    RestoreCloud,
    /// A till's clock jumps.
    ClockJump {
        /// Which.
        till: u32,
        /// By how much.
        by_ms: i64,
    },
    /// A terminal is revoked, and enrolled again later.
    Revoke {
        /// Which.
        till: u32,
        /// After how long it is enrolled again.
        ms: u64,
    },
    /// A till's credential runs out, and is renewed later.
    Expire {
        /// Which.
        till: u32,
        /// After how long it is renewed.
        ms: u64,
    },
    /// The cloud answers everything with 429 for a while.
    Throttle {
        /// For how long.
        ms: u64,
    },
    /// A row of a till's catalog changes on its disk, and nobody says so.
    Drift {
        /// Whose.
        till: u32,
        /// How.
        kind: DriftKind,
    },
}

/// What a disk makes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// It is gone.
    Missing,
    /// There is one that nobody wrote.
    Extra,
    /// It has other content.
    Changed,
    /// It has content that cannot be read.
    Corrupt,
}

/// Which way a partition cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Nothing passes.
    Both,
    /// Requests do not pass.
    ToCloud,
    /// Answers do not pass.
    FromCloud,
}

/// How large plans are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The most tills; 0 lets each seed choose 1 to 6.
    pub tills: u32,
    /// How long faults happen.
    pub chaos_ms: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self { tills: 0, chaos_ms: 60_000 }
    }
}

impl Plan {
    /// Returns the branch of a till.
    pub(crate) fn branch(&self, till: u64) -> BranchId {
        branch_of(till % u64::from(self.branches.max(1)))
    }

    /// Returns the branch that is `by` further on.
    pub(crate) fn branch_after(&self, branch: BranchId, by: u32) -> BranchId {
        let mut branches = 0..u64::from(self.branches.max(1));
        let here = branches.find(|number| branch_of(*number) == branch).unwrap_or(0);
        self.branch(here + u64::from(by))
    }

    /// Draws a plan. Each class of faults is left out in half of the seeds (swarm testing: Groce
    /// et al., ISSTA 2012), so that every mixture occurs, and calm ones too.
    #[must_use]
    pub fn draw(seed: u64, shape: Shape) -> Self {
        let mut on = Stream::new(seed, "plan/swarm", 0);
        let mut rates = Stream::new(seed, "plan/rates", 0);
        let tills = if shape.tills > 0 { shape.tills } else { rates.between(1, 6) as u32 };
        let mut rate = |most: u64| {
            let drawn = rates.between(most / 20, most) as u32;
            if on.happens(500_000) { drawn } else { 0 }
        };
        let link = LinkPlan {
            latency_us: u64::from(rate(40_000)) + 300,
            jitter_us: u64::from(rate(200_000)),
            loss_ppm: rate(150_000),
            answer_loss_ppm: rate(200_000),
            reset_ppm: rate(100_000),
            duplicate_ppm: rate(200_000),
            rate_limit_ppm: rate(60_000),
            server_error_ppm: rate(60_000),
            slow_ppm: rate(40_000),
            proxy_bytes_max: if rate(2) > 0 { 1_500 } else { 0 },
        };
        let crash_ppm = rate(15_000);
        let storage_error_ppm = rate(10_000);
        let park_unknown = rate(2) > 0;
        let sale_every_ms = 400 + u64::from(rate(4_000));
        let branches = 1 + tills / 3;
        let mut catalog = Stream::new(seed, "plan/catalog", 0);
        let edited = catalog.happens(500_000);
        let catalog_edit_every_ms = if edited { catalog.between(200, 8_000) } else { 0 };
        let mut sessions = Stream::new(seed, "plan/sessions", 0);
        let counted = sessions.happens(500_000);
        let session_every_ms = if counted { sessions.between(500, 8_000) } else { 0 };
        let mut edits = Stream::new(seed, "plan/edits", 0);
        let at_tills = edits.happens(600_000) && edited;
        let till_edit_every_ms = if at_tills { edits.between(400, 6_000) } else { 0 };
        let mut inbox = Stream::new(seed, "plan/inbox", 0);
        let ordered = inbox.happens(500_000);
        let order_every_ms = if ordered { inbox.between(200, 6_000) } else { 0 };
        let relay = inbox.happens(250_000);
        let mut compaction = Stream::new(seed, "plan/compaction", 0);
        let compacted = edited && compaction.happens(600_000);
        let compact_every_ms = if compacted { compaction.between(500, 10_000) } else { 0 };
        let corrected = draw_every(seed, "plan/corrections", 600_000, (300, 5_000));
        let correct_every_ms = if park_unknown { corrected } else { 0 };
        let mut faults = draw_faults(seed, shape.chaos_ms, tills);
        let verify_every_ms = draw_drift(seed, edited, shape.chaos_ms, tills, &mut faults);
        let chaos_ms = shape.chaos_ms;
        Self {
            version: VERSION,
            seed,
            tills,
            branches,
            chaos_ms,
            sale_every_ms,
            park_unknown,
            catalog_edit_every_ms,
            session_every_ms,
            till_edit_every_ms,
            order_every_ms,
            relay,
            verify_every_ms,
            compact_every_ms,
            correct_every_ms,
            archive_every_ms: draw_every(seed, "plan/archive", 500_000, (200, 6_000)),
            link,
            disk: draw_disk(seed),
            crash_ppm,
            storage_error_ppm,
            faults,
        }
    }
}

/// Draws how often something is done, if it is: that happens in so many of a million plans.
fn draw_every(seed: u64, stream: &'static str, ppm: u32, (least, most): (u64, u64)) -> u64 {
    let mut rng = Stream::new(seed, stream, 0);
    if rng.happens(ppm) { rng.between(least, most) } else { 0 }
}

/// Draws what disks do. It has a stream of its own, as drift has.
fn draw_disk(seed: u64) -> DiskPlan {
    let mut rng = Stream::new(seed, "plan/disk", 0);
    let mut rate = |most: u64| {
        let drawn = rng.between(most / 20, most);
        if rng.happens(500_000) { drawn } else { 0 }
    };
    DiskPlan {
        read_error_ppm: rate(2_000) as u32,
        full_ppm: rate(3_000) as u32,
        full_ms: 3_000,
        slow_ppm: rate(20_000) as u32,
        slow_ms: 3_000,
        lies: false,
    }
}

fn draw_faults(seed: u64, chaos_ms: u64, tills: u32) -> Vec<Timed> {
    let mut on = Stream::new(seed, "plan/faults", 0);
    let mut faults = Vec::new();
    for class in 0..CLASSES {
        let mut rng = Stream::new(seed, "plan/fault", class);
        if on.happens(500_000) {
            continue;
        }
        // A backup without its restore is no fault: both are one class.
        for _ in 0..rng.between(1, 1 + u64::from(tills).min(4)) {
            let at_ms = rng.below(chaos_ms);
            let till = rng.below(u64::from(tills)) as u32;
            draw_class(class, &mut rng, &mut faults, at_ms, till, chaos_ms);
        }
    }
    faults.sort_by_key(|timed| timed.at_ms);
    faults
}

/// Draws what drifts, and how often somebody looks. It has a stream of its own: whatever else is
/// drawn stays as it was.
fn draw_drift(seed: u64, edited: bool, chaos_ms: u64, tills: u32, faults: &mut Vec<Timed>) -> u64 {
    let mut rng = Stream::new(seed, "plan/drift", 0);
    if !edited || rng.happens(400_000) {
        return 0;
    }
    let kinds = [DriftKind::Missing, DriftKind::Extra, DriftKind::Changed, DriftKind::Corrupt];
    for _ in 0..rng.between(1, 8) {
        let kind = *rng.pick(&kinds);
        let till = rng.below(u64::from(tills)) as u32;
        // Sometimes many rows at once, so that a plan cannot tell them.
        let rows = if rng.happens(100_000) { 70 } else { rng.between(1, 3) };
        let at_ms = rng.below(chaos_ms);
        let row = Timed { at_ms, fault: Fault::Drift { till, kind } };
        faults.extend((0..rows).map(|_| row));
    }
    faults.sort_by_key(|timed| timed.at_ms);
    rng.between(1_000, 20_000)
}

const CLASSES: u64 = 11;

/// Draws a fault of a class: the profiles dwell on some of them.
pub(crate) fn draw_class(
    class: u64,
    rng: &mut Stream,
    faults: &mut Vec<Timed>,
    at_ms: u64,
    till: u32,
    chaos_ms: u64,
) {
    let ms = rng.between(200, chaos_ms / 3 + 200);
    let with_witness = rng.happens(500_000);
    let earlier = rng.below(at_ms + 1);
    let mut at = |at_ms: u64, fault: Fault| faults.push(Timed { at_ms, fault });
    match class {
        0 => {
            let way = *rng.pick(&[Way::Both, Way::ToCloud, Way::FromCloud]);
            at(at_ms, Fault::Partition { till, ms, way });
        }
        1 => at(at_ms, Fault::CrashTill { till, ms: ms / 4 }),
        2 => at(at_ms, Fault::CrashCloud { ms: ms / 4 }),
        3 => {
            at(earlier, Fault::BackupTill { till });
            at(at_ms, Fault::RestoreTill { till, with_witness });
        }
        4 => at(at_ms, Fault::CloneTill { till, with_witness }),
        5 => {
            at(earlier, Fault::BackupCloud);
            at(at_ms, Fault::RestoreCloud);
        }
        6 => {
            let day = 86_400_000;
            let by_ms = rng.between(0, 800 * day) as i64 - 400 * day as i64;
            at(at_ms, Fault::ClockJump { till, by_ms });
        }
        7 => at(at_ms, Fault::Revoke { till, ms }),
        8 => at(at_ms, Fault::Expire { till, ms }),
        9 => at(at_ms, Fault::Throttle { ms: ms / 2 }),
        10 => at(at_ms, Fault::MoveTill { till, by: 1 + (ms % 3) as u32 }),
        _ => unreachable!("there are {CLASSES} classes"),
    }
}

pub(crate) fn branch_of(number: u64) -> BranchId {
    BranchId::parse(&format!("branch-{number}")).expect("a short name")
}
