//! Plans for property tests: proptest draws them, and shrinks one that breaks a law.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::plan::{DiskPlan, DriftKind, Fault, LinkPlan, Plan, Timed, Way};

/// Returns plans of up to `tills` tills and `chaos_ms` of faults.
pub fn plans(tills: u32, chaos_ms: u64) -> impl Strategy<Value = Plan> {
    assert!(tills > 0 && chaos_ms > 0, "a plan has a till and a length");
    let size = (any::<u64>(), 1..=tills, 1..=3_u32, 300..4_000_u64, any::<bool>());
    let edits = (prop_oneof![Just(0), 200..8_000_u64], prop_oneof![Just(0), 500..20_000_u64]);
    let commits = (0..15_000_u32, 0..10_000_u32, edits, prop_oneof![Just(0), 300..8_000_u64]);
    let inbox = (prop_oneof![Just(0), 200..8_000_u64], any::<bool>());
    (size, links(), commits, vec(timed(chaos_ms), 0..10), inbox, disks()).prop_map(
        move |(size, link, commits, faults, (order_every_ms, relay), disk)| {
            let (crash_ppm, storage_error_ppm, edits, session_every_ms) = commits;
            let (seed, tills, branches, sale_every_ms, park_unknown) = size;
            let (catalog_edit_every_ms, verify_every_ms) = edits;
            Plan {
                version: crate::plan::VERSION,
                seed,
                tills,
                branches,
                chaos_ms,
                sale_every_ms,
                park_unknown,
                catalog_edit_every_ms,
                session_every_ms,
                // Beside operators, and in half of the plans: drawn from the plan's own seed.
                till_edit_every_ms: if seed % 2 == 0 { catalog_edit_every_ms } else { 0 },
                order_every_ms,
                relay,
                verify_every_ms,
                correct_every_ms: if seed % 3 == 0 { 1_000 } else { 0 },
                archive_every_ms: if seed % 2 == 1 { 700 } else { 0 },
                // Every other edited catalog is compacted, about as often as it is edited.
                compact_every_ms: if seed % 2 == 0 { catalog_edit_every_ms } else { 0 },
                link,
                disk,
                crash_ppm,
                storage_error_ppm,
                faults,
            }
        },
    )
}

fn links() -> impl Strategy<Value = LinkPlan> {
    let spans = (300..40_000_u64, 0..200_000_u64);
    let rates = (0..150_000_u32, 0..200_000_u32, 0..100_000_u32, 0..200_000_u32);
    let more = (0..60_000_u32, 0..60_000_u32, 0..40_000_u32, prop_oneof![Just(0), Just(1_500)]);
    (spans, rates, more).prop_map(|((latency_us, jitter_us), rates, more)| LinkPlan {
        latency_us,
        jitter_us,
        loss_ppm: rates.0,
        answer_loss_ppm: rates.1,
        reset_ppm: rates.2,
        duplicate_ppm: rates.3,
        rate_limit_ppm: more.0,
        server_error_ppm: more.1,
        slow_ppm: more.2,
        proxy_bytes_max: more.3,
    })
}

/// Disks that do not lie.
fn disks() -> impl Strategy<Value = DiskPlan> {
    let rates = (0..1_000_u32, 0..10_000_u32, 0..20_000_u32);
    let spans = (1..5_000_u64, 1..3_000_u64);
    (rates, spans).prop_map(|((read_error_ppm, full_ppm, slow_ppm), (full_ms, slow_ms))| DiskPlan {
        read_error_ppm,
        full_ppm,
        full_ms,
        slow_ppm,
        slow_ms,
        lies: false,
    })
}

fn timed(chaos_ms: u64) -> impl Strategy<Value = Timed> {
    (0..chaos_ms, faults(chaos_ms)).prop_map(|(at_ms, fault)| Timed { at_ms, fault })
}

fn faults(chaos_ms: u64) -> impl Strategy<Value = Fault> {
    let till = 0..8_u32;
    let ms = 1..chaos_ms;
    let way = prop_oneof![Just(Way::Both), Just(Way::ToCloud), Just(Way::FromCloud)];
    prop_oneof![
        (till.clone(), ms.clone(), way).prop_map(|(till, ms, way)| Fault::Partition {
            till,
            ms,
            way
        }),
        (till.clone(), ms.clone()).prop_map(|(till, ms)| Fault::CrashTill { till, ms }),
        ms.clone().prop_map(|ms| Fault::CrashCloud { ms }),
        till.clone().prop_map(|till| Fault::BackupTill { till }),
        (till.clone(), any::<bool>())
            .prop_map(|(till, with_witness)| Fault::RestoreTill { till, with_witness }),
        (till.clone(), any::<bool>())
            .prop_map(|(till, with_witness)| Fault::CloneTill { till, with_witness }),
        (till.clone(), 1..4_u32).prop_map(|(till, by)| Fault::MoveTill { till, by }),
        Just(Fault::BackupCloud),
        Just(Fault::RestoreCloud),
        (till.clone(), -40_000_000_000..40_000_000_000_i64)
            .prop_map(|(till, by_ms)| Fault::ClockJump { till, by_ms }),
        (till.clone(), ms.clone()).prop_map(|(till, ms)| Fault::Revoke { till, ms }),
        (till.clone(), ms.clone()).prop_map(|(till, ms)| Fault::Expire { till, ms }),
        (till, drifts()).prop_map(|(till, kind)| Fault::Drift { till, kind }),
        ms.prop_map(|ms| Fault::Throttle { ms }),
    ]
}

fn drifts() -> impl Strategy<Value = DriftKind> {
    prop_oneof![
        Just(DriftKind::Missing),
        Just(DriftKind::Extra),
        Just(DriftKind::Changed),
        Just(DriftKind::Corrupt),
    ]
}
