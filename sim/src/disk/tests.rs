//! What a simulated disk does to the real store on it.

use counterfoil_storage::engine::{Batch, Engine as _, Read as _};
use counterfoil_storage::{Redb, StoreError};

use super::*;

fn disk(habits: DiskPlan) -> Disk {
    Disk::new(Stream::new(1, "disk", 0), habits)
}

fn open(disk: &Disk) -> Result<Redb, StoreError> {
    Redb::open_with_backend_and_cache(disk.open(), CACHE_BYTES)
}

fn row(number: u32) -> Batch {
    Batch::from([(number.to_be_bytes().to_vec(), Some(vec![7; 900]))])
}

/// Commits until the disk has no room, and says how many rows there are.
fn fill(disk: &Disk) -> (u32, StoreError) {
    let mut store = open(disk).expect("there is room");
    for number in 0..40 {
        store.commit(&row(number)).expect("there is room");
    }
    disk.begin(0);
    for number in 40..2_000 {
        if let Err(error) = store.commit(&row(number)) {
            return (number, error);
        }
    }
    panic!("a full disk takes no two thousand rows")
}

#[test]
fn a_full_disk_is_an_error_that_says_so_and_loses_nothing() {
    let disk = disk(DiskPlan { full_ppm: 1_000_000, full_ms: 100, ..DiskPlan::default() });
    let (rows, error) = fill(&disk);
    assert!(error.to_string().contains("no storage space"), "{error}");
    assert!(rows >= 40, "what there was room for is there: {rows}");
    assert_eq!(disk.seen(), [Injected::DiskFull]);
    // The program starts again; later there is room, then the power goes.
    for power_cut in [false, true] {
        disk.at(1_000_000);
        if power_cut {
            disk.power_cut();
        }
        let mut store = open(&disk).expect("it can be opened");
        for number in 0..rows {
            let held = store.get(&number.to_be_bytes()).expect("it can be read");
            assert_eq!(held, Some(vec![7; 900]), "row {number}");
        }
        store.commit(&row(rows)).expect("there is room");
    }
}

#[test]
fn a_read_error_ends_the_handle_and_the_next_one_reads_what_was_there() {
    let disk = disk(DiskPlan { read_error_ppm: 1_000_000, ..DiskPlan::default() });
    disk.calm(true);
    let mut store = open(&disk).expect("it is calm");
    (0..300).for_each(|number| store.commit(&row(number)).expect("it is calm"));
    disk.calm(false);
    let error = (0..300).find_map(|number| store.get(&u32::to_be_bytes(number)).err());
    let error = error.expect("the cache does not hold all of it");
    assert!(error.to_string().contains("could not be read"), "{error}");
    assert!(disk.failed() && !disk.works(), "the disk says so");
    assert!(store.commit(&row(300)).is_err(), "nothing is done on a handle that failed");
    drop(store);
    disk.heal();
    let store = open(&disk).expect("it can be read again");
    assert!((0..300).all(|number| store.get(&u32::to_be_bytes(number)).is_ok()));
    assert_eq!(store.get(&300_u32.to_be_bytes()), Ok(None), "what failed did not happen");
}

/// Any part of what was not synced may be lost; what was synced never is, unless the disk lies.
#[test]
fn a_power_cut_takes_what_was_not_synced_and_from_a_liar_what_was() {
    let lost = |lies: bool| {
        let disk = disk(DiskPlan { lies, ..DiskPlan::default() });
        let mut lost = 0;
        let mut committed = 0;
        for _ in 0..40 {
            let Ok(mut store) = open(&disk) else { return lost + 1 };
            let held = |number: u32| matches!(store.get(&number.to_be_bytes()), Ok(Some(_)));
            lost += (0..committed).filter(|number| !held(*number)).count();
            if lost > 0 {
                disk.power_cut();
                return lost;
            }
            for _ in 0..3 {
                store.commit(&row(committed)).expect("the disk works");
                committed += 1;
            }
            disk.plan(u64::from(committed) % 9, Trouble::PowerCut);
            let _unknown = store.commit(&row(committed));
            committed += u32::from(disk.spared());
            disk.power_cut();
            assert!(disk.needs_recovery(), "a program that lost its power closed nothing");
        }
        lost
    };
    assert_eq!(lost(false), 0);
    assert!(lost(true) > 0, "a lie has consequences");
}

#[test]
fn all_that_a_disk_does_is_a_function_of_its_stream() {
    let run = || {
        let disk = disk(DiskPlan { slow_ppm: 300_000, slow_ms: 9, ..DiskPlan::default() });
        let mut store = open(&disk).expect("a new disk");
        let waits: Vec<u64> = (0..20)
            .map(|number| {
                let wait = disk.begin(number);
                store.commit(&row(number as u32)).expect("it is only slow");
                wait
            })
            .collect();
        disk.plan(2, Trouble::PowerCut);
        assert!(store.commit(&row(99)).is_err());
        (waits, disk.image(), disk.seen())
    };
    let (waits, image, seen) = run();
    assert_eq!((waits.clone(), image, seen.clone()), run());
    assert!(waits.iter().any(|wait| *wait > 0), "{waits:?}");
    assert!(seen.contains(&Injected::DiskSlow), "{seen:?}");
}
