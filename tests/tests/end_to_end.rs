//! The real programs as real processes: sold, killed in the middle, drained, equal.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use counterfoil_protocol::problem::Denial;
use counterfoil_terminal::import::Document;
use counterfoil_tests::binaries::{self, Binaries, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::sales::{self, Sales};
use counterfoil_tests::till::{Door, Place, Till};

const LIMIT: Duration = Duration::from_secs(60);

fn programs() -> &'static Binaries {
    static PROGRAMS: OnceLock<Binaries> = OnceLock::new();
    PROGRAMS.get_or_init(|| binaries::build(Profile::Test).expect("the programs are built"))
}

fn cloud(directory: &Path, engine: &str) -> Cloud {
    let store = format!("{engine}:{}", directory.join("cloud").display());
    Cloud::new(&programs().cloud, store, directory.join("cloud.log"))
}

fn till(directory: &Path, name: &str) -> Till {
    let log = directory.join(format!("{name}.log"));
    Till::new(&programs().terminal, directory.join(name), log)
}

const fn place<'a>(branch: &'a str, terminal: &'a str) -> Place<'a> {
    Place { shop: "shop", branch, terminal }
}

/// Sells what nobody may have answered for yet: asks again until there is an answer.
async fn sell(door: &Door, documents: &[Document]) -> u64 {
    let mut recorded = 0;
    for document in documents {
        recorded += door.sell(&document.drafts).await.expect("sold").recorded;
    }
    recorded
}

fn share(sales: &Sales, index: usize, tills: usize) -> Vec<Document> {
    sales.documents.iter().skip(index).step_by(tills).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_tills_sell_is_in_the_cloud_once_though_every_process_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let sales = sales::load(None).expect("sales");
    let mut cloud = cloud(directory, "sled");
    let tokens = [
        cloud.enrol("shop", "north", "T-1").await.expect("enrolled"),
        cloud.enrol("shop", "south", "T-2").await.expect("enrolled"),
    ];
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    let endpoint = format!("http://{address}");
    let mut tills = [till(directory, "T-1"), till(directory, "T-2")];
    tills[0].init(place("north", "T-1"), &endpoint, &tokens[0]).await.expect("installed");
    tills[1].init(place("south", "T-2"), &endpoint, &tokens[1]).await.expect("installed");

    // Each till sells a half, is killed, and comes back; the cloud is killed between the two.
    for (index, till) in tills.iter_mut().enumerate() {
        let share = share(&sales, index, 2);
        let (first, second) = share.split_at(share.len() / 2);
        let door = till.start().await.expect("the till is open");
        sell(&door, first).await;
        till.kill().await.expect("killed");
        let door = till.start().await.expect("the till is open again");
        assert_eq!(sell(&door, first).await, 0, "what was confirmed is there");
        if index == 0 {
            cloud.kill().await.expect("killed");
        }
        sell(&door, second).await;
        if index == 0 {
            assert_eq!(cloud.start(&address).await.expect("it serves again"), address);
        }
    }
    for till in &mut tills {
        till.kill().await.expect("killed");
    }
    let mut sold = counterfoil_tests::figures::Figures::default();
    for till in &mut tills {
        let door = till.start().await.expect("the till is open");
        door.drain(LIMIT).await.expect("drained");
        sold = sold.plus(door.figures().await.expect("figures"));
        till.stop().await.expect("a till ends when it is asked");
    }
    cloud.stop().await.expect("the cloud ends when it is asked");
    let (held, parked) = cloud.figures().await.expect("figures");
    assert_eq!((sold, held, parked), (sales.figures, sales.figures, 0));
    let check = cloud.check().await.expect("the database keeps its laws");
    assert_eq!((check.problems_found, check.conflicts), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_till_sells_on_and_loses_nothing_once_it_is_enrolled_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let sales = sales::load(None).expect("sales");
    let documents = &sales.documents[..20];
    let mut cloud = cloud(directory, "redb");
    let token = cloud.enrol("shop", "north", "T-1").await.expect("enrolled");
    cloud.revoke("T-1").await.expect("revoked");
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    let endpoint = format!("http://{address}");
    let mut till = till(directory, "T-1");
    till.init(place("north", "T-1"), &endpoint, &token).await.expect("installed");
    let door = till.start().await.expect("the till is open");
    sell(&door, documents).await;
    door.sync().await.expect("it tries");
    let quarantined = door
        .until(LIMIT, |status| status.quarantined == Some(Denial::Revoked))
        .await
        .expect("it hears of its revocation");
    assert_eq!(quarantined.needs_attention, 0, "a revocation costs no attempt");
    let before = door.figures().await.expect("figures");
    assert!(quarantined.pending > 0 && quarantined.synced == 0, "{quarantined:?}");
    sell(&door, &sales.documents[20..30]).await;
    till.stop().await.expect("stopped");
    cloud.stop().await.expect("stopped");

    let token = cloud.enrol("shop", "north", "T-1").await.expect("enrolled again");
    assert_eq!(cloud.start(&address).await.expect("it serves again"), address);
    till.init(place("north", "T-1"), &endpoint, &token).await.expect("a new credential");
    let door = till.start().await.expect("the till is open");
    let status = door.drain(LIMIT).await.expect("drained");
    assert_eq!(status.quarantined, None);
    let sold = door.figures().await.expect("figures");
    assert_eq!(sold.invoices, before.invoices + 10);
    till.stop().await.expect("stopped");
    cloud.stop().await.expect("stopped");
    assert_eq!(cloud.figures().await.expect("figures"), (sold, 0));
    assert_eq!(cloud.check().await.expect("checked").problems_found, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_credential_brings_nothing_in_and_loses_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let sales = sales::load(None).expect("sales");
    let mut cloud = cloud(directory, "redb");
    let token = cloud.enrol("shop", "north", "T-1").await.expect("enrolled");
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    let endpoint = format!("http://{address}");
    let wrong = format!("cf_T-1_{}", "0".repeat(64));
    let mut till = till(directory, "T-1");
    till.init(place("north", "T-1"), &endpoint, &wrong).await.expect("installed");
    let door = till.start().await.expect("a till opens without the cloud");
    let sold = sell(&door, &sales.documents[..10]).await;
    door.sync().await.expect("it tries");
    // A wrong credential is mended by another one, so it is no quarantine: the till asks on.
    let told = Denial::WrongCredential.explain();
    let until = Instant::now() + LIMIT;
    while door.fault().await.expect("a status").as_deref() != Some(told) {
        assert!(Instant::now() < until, "it is told why");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let status = door.status().await.expect("a status");
    assert_eq!((status.pending, status.needs_attention, status.quarantined), (sold, 0, None));
    till.stop().await.expect("stopped");
    cloud.stop().await.expect("stopped");
    assert_eq!(cloud.figures().await.expect("figures").0.invoices, 0);

    assert_eq!(cloud.start(&address).await.expect("it serves again"), address);
    till.init(place("north", "T-1"), &endpoint, &token).await.expect("the right credential");
    let door = till.start().await.expect("the till is open");
    assert_eq!(door.drain(LIMIT).await.expect("drained").synced, sold);
    till.stop().await.expect("stopped");
    cloud.stop().await.expect("stopped");
    assert_eq!(cloud.figures().await.expect("figures").0.invoices, 10);
}
