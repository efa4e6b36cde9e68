//! A connection that ends in the midst of a commit: the old state is there or the new one, whoever
//! was told of success has the new one, and who was told nothing reopens.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use counterfoil_storage::engine::AFTER_LAST_KEY;
use counterfoil_storage::{Batch, Engine as _, Postgres, Read, StoreError, Url};
use support::postgres::Cluster;

/// How many bytes may still pass, each way; below zero, as many as like.
#[derive(Debug)]
struct Budget([AtomicI64; 2]);

const UP: usize = 0;
const DOWN: usize = 1;

/// Stands in front of the server's socket.
fn proxy(server: PathBuf, socket: &Path) -> Arc<Budget> {
    let budget = Arc::new(Budget([AtomicI64::new(-1), AtomicI64::new(-1)]));
    let listener = UnixListener::bind(socket).unwrap();
    let shared = Arc::clone(&budget);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), UnixStream::connect(&server).unwrap());
            for way in [UP, DOWN] {
                let (client, server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let budget = Arc::clone(&shared);
                let (from, to) = if way == UP { (client, server) } else { (server, client) };
                std::thread::spawn(move || pass(from, to, &budget, way));
            }
        }
    });
    budget
}

fn pass(mut from: UnixStream, mut to: UnixStream, budget: &Budget, way: usize) {
    let mut bytes = [0; 65_536];
    while let Ok(read) = from.read(&mut bytes) {
        let left = budget.0[way].load(Ordering::SeqCst);
        let passes = if left < 0 { read } else { read.min(usize::try_from(left).unwrap()) };
        if read == 0 || to.write_all(&bytes[..passes]).is_err() {
            break;
        }
        if left >= 0 {
            budget.0[way].fetch_sub(i64::try_from(passes).unwrap(), Ordering::SeqCst);
        }
        if passes < read {
            break;
        }
    }
    let _ended = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

fn state(of: u8, rows: u8) -> Batch {
    (0..rows).map(|n| (vec![n], Some(vec![of; 40]))).collect()
}

fn all(engine: &impl Read) -> Vec<(Vec<u8>, Vec<u8>)> {
    engine.scan(&[], &AFTER_LAST_KEY, usize::MAX).unwrap()
}

#[test]
fn on_postgres_a_lost_connection_leaves_the_old_or_the_new_state() {
    let cluster = Cluster::shared();
    let directly = cluster.database().unwrap();
    let name = directly.rsplit_once('/').unwrap().1;
    let directory = tempfile::tempdir().unwrap();
    let socket = cluster.socket();
    let budget = proxy(socket.clone(), &directory.path().join(socket.file_name().unwrap()));
    let through = Url::parse(&cluster.address(directory.path(), name)).unwrap();
    let directly = Url::parse(&directly).unwrap();
    let (mut old, mut new, mut certain) = (0, 0, 0);
    // The commit sends some three hundred bytes and more, and hears about as many.
    for (round, way) in (0..60).map(|round| (round, if round % 2 == 0 { UP } else { DOWN })) {
        let mut engine = Postgres::open_plain(&through).unwrap();
        engine.commit(&state(1, 20)).unwrap();
        let before = all(&engine);
        let reader = engine.reader();
        let bytes = if way == UP { round * 60 } else { round * 5 };
        budget.0[way].store(bytes, Ordering::SeqCst);
        let outcome = engine.commit(&state(2, 21));
        budget.0[way].store(-1, Ordering::SeqCst);
        match &outcome {
            Ok(()) => {}
            Err(StoreError::Unknown { .. }) => {
                let refused = engine.commit(&state(3, 3)).unwrap_err();
                assert!(matches!(refused, StoreError::Unknown { .. }), "{refused}");
                reader.get(b"a").unwrap_err();
            }
            Err(StoreError::Unavailable { .. }) => certain += 1,
            Err(error) => panic!("{error}"),
        }
        drop(engine);
        let mut engine = Postgres::open_plain(&directly).unwrap();
        let found = all(&engine);
        let is_new = found.len() == 21 && found.iter().all(|(_, value)| value[0] == 2);
        assert!(is_new || found == before, "round {round}: a mixture of {} rows", found.len());
        match outcome {
            Ok(()) => assert!(is_new, "round {round}: said to be durable"),
            Err(StoreError::Unknown { .. }) if is_new => new += 1,
            Err(StoreError::Unknown { .. }) => old += 1,
            Err(_) => assert!(!is_new, "round {round}: said not to be written"),
        }
        engine.commit(&Batch::from([(vec![20], None)])).unwrap();
    }
    println!("unknown: {old} old, {new} new; {certain} certain");
    assert!(old > 0 && new > 0, "both outcomes of an unknown commit were met");
}

#[test]
fn on_postgres_a_password_is_in_no_error() {
    let cluster = Cluster::shared();
    let name = cluster.database().unwrap().rsplit_once('/').unwrap().1.to_owned();
    let right = support::postgres::PASSWORD;
    let url = Url::parse(&cluster.over_tcp(&name, right)).unwrap();
    drop(Postgres::open_plain(&url).unwrap());
    for (address, told) in [
        (cluster.over_tcp(&name, "wr0ng-secret"), "password authentication failed"),
        (cluster.over_tcp("nowhere", right), "does not exist"),
        (format!("postgres://u:{right}@127.0.0.1:1/d"), "refused"),
        (format!("postgres://u:{right}@127.0.0.1:port/d"), "port"),
    ] {
        let error = Postgres::open_plain(&Url::parse(&address).unwrap()).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(said.contains(told), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn on_postgres_a_store_that_is_not_there_is_not_made() {
    let url = Url::parse(&Cluster::shared().database().unwrap()).unwrap();
    let absent = Postgres::open_existing(&url).unwrap_err();
    assert!(matches!(absent, StoreError::Absent { .. }), "{absent}");
    drop(Postgres::open(&url).unwrap());
    let mut found = Postgres::open_existing(&url).unwrap();
    found.check().unwrap();
}

#[test]
fn on_postgres_a_server_that_may_forget_is_refused() {
    let cluster = Cluster::shared();
    let address = cluster.database().unwrap();
    let name = address.rsplit_once('/').unwrap().1;
    cluster
        .query(&address, &format!("ALTER DATABASE {name} SET synchronous_commit = off"))
        .unwrap();
    let refused = Postgres::open_plain(&Url::parse(&address).unwrap()).unwrap_err();
    assert!(matches!(refused, StoreError::Unsupported { .. }), "{refused}");
    assert!(refused.to_string().contains("synchronous_commit is off"), "{refused}");
}
