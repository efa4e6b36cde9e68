//! The witness: written atomically, read strictly, and the reason for a new epoch when it does
//! not fit.

mod support;

use counterfoil_protocol::identity::Witness;
use counterfoil_protocol::terminal::{Output, Parted, Terminal};
use counterfoil_storage::{KeyValue, Memory, Redb};
use counterfoil_terminal::till::Till;
use counterfoil_terminal::witness::{Found, Keeper, WitnessCell, WitnessFile, parse, text};
use support::{TestClock, TestEntropy, closed_till, identity, sale};

const WITNESS: Witness = Witness { install: 0x0123, boot: u64::MAX };

#[test]
fn only_the_canonical_text_is_a_witness() {
    let good = text(WITNESS);
    assert_eq!(good, "counterfoil witness 1\ninstall 0000000000000123\nboot ffffffffffffffff\n");
    let extra = format!("{good}x");
    let cases: &[(&[u8], Option<Witness>)] = &[
        (good.as_bytes(), Some(WITNESS)),
        (&good.as_bytes()[..good.len() - 1], None),
        (extra.as_bytes(), None),
        (b"", None),
        (b"\xff\xfe\x00", None),
        (b"counterfoil witness 2\ninstall 0000000000000123\nboot ffffffffffffffff\n", None),
        (b"counterfoil witness 1\ninstall 123\nboot ffffffffffffffff\n", None),
        (b"counterfoil witness 1\ninstall +000000000000123\nboot ffffffffffffffff\n", None),
        (b"counterfoil witness 1\r\ninstall 0000000000000123\r\nboot ffffffffffffffff\r\n", None),
    ];
    for (bytes, expected) in cases {
        assert_eq!(parse(bytes), *expected, "{:?}", String::from_utf8_lossy(bytes));
    }
    for end in 0..good.len() {
        assert_eq!(parse(&good.as_bytes()[..end]), None, "cut at {end}");
    }
}

#[test]
fn a_witness_file_is_replaced_as_a_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("witness");
    let mut file = WitnessFile::new(&path);
    assert_eq!(file.read().expect("a read"), Found::Absent);
    std::fs::write(path.with_extension("new"), "left by a crash").expect("a write");
    file.write(WITNESS).expect("a write");
    assert_eq!(file.read().expect("a read"), Found::Witness(WITNESS));
    let names: Vec<_> = std::fs::read_dir(&directory).expect("a listing").collect();
    assert_eq!(names.len(), 1, "nothing is left beside it: {names:?}");
    std::fs::write(&path, vec![b'x'; 100_000]).expect("a write");
    assert_eq!(file.read().expect("a read"), Found::Garbage);
}

#[tokio::test]
async fn each_kind_of_exchange_is_noticed() {
    let other = Witness { install: 7, boot: 7 };
    for (what, spoil, expected) in [
        ("the same database", None, None),
        ("a lost witness", Some(None), Some(Parted::Copied)),
        ("another installation", Some(Some(other)), Some(Parted::Copied)),
    ] {
        let (store, mut witness) = used_store(3).await;
        if let Some(spoiled) = spoil {
            witness.0 = spoiled;
        }
        let till = closed_till(store, 99);
        let opened = till.open(&mut witness).await.expect("an open till");
        assert_eq!(opened.parted, expected, "{what}");
        let epoch = till.status().await.expect("a status").epoch.number;
        assert_eq!(epoch, if expected.is_some() { 2 } else { 1 }, "{what}");
    }
}

/// A database that was used: a copy of it, and its witness at that time.
async fn used_store(sales: i64) -> (Memory<Terminal>, WitnessCell) {
    let till = closed_till(Memory::new(), 1);
    let mut witness = WitnessCell::default();
    till.install(identity(), &mut witness).await.expect("a new till");
    till.open(&mut witness).await.expect("an open till");
    for index in 0..sales {
        till.record(sale(&format!("s-{index}"), index)).await.expect("a sale");
    }
    let mut copy = Memory::new();
    copy.restore(till.reading().await.expect("a store").image());
    (copy, witness)
}

#[tokio::test]
async fn a_restored_file_opens_a_new_epoch_and_its_receipts_start_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("till.redb");
    let backup = directory.path().join("backup.redb");
    let mut witness = WitnessFile::new(directory.path().join("witness"));
    let reopen = |seed| {
        let store = KeyValue::<Terminal, _>::new(Redb::open(&database).expect("a database"));
        Till::new(store, std::sync::Arc::new(TestClock::default()), Box::new(TestEntropy(seed)))
    };
    let till = reopen(1);
    till.install(identity(), &mut witness).await.expect("a new till");
    till.open(&mut witness).await.expect("an open till");
    till.record(sale("a", 1)).await.expect("a sale");
    drop(till);
    std::fs::copy(&database, &backup).expect("a backup");
    for seed in [2, 3] {
        let till = reopen(seed);
        let opened = till.open(&mut witness).await.expect("an open till");
        assert_eq!(opened.parted, None, "nothing was exchanged");
        till.record(sale(&format!("b-{seed}"), 1)).await.expect("a sale");
    }
    std::fs::copy(&backup, &database).expect("a restore");
    let till = reopen(4);
    // A second `init` must not hide what happened.
    till.install(identity(), &mut witness).await.expect("a known till");
    let opened = till.open(&mut witness).await.expect("an open till");
    assert_eq!(opened.parted, Some(Parted::Restored));
    let output = till.record(sale("c", 1)).await.expect("a sale");
    let Output::Recorded { place, receipt: Some(receipt), .. } = output else { panic!() };
    assert_eq!((place.epoch.number, place.seq), (2, 1));
    assert_eq!((receipt.series, receipt.number), (place.epoch, 1));
}
