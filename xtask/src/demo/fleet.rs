//! The processes of a demonstration, and the ways to use them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use counterfoil_terminal::import::Document;
use counterfoil_tests::binaries::Binaries;
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::figures::Figures;
use counterfoil_tests::proxy::{Mode, Proxy};
use counterfoil_tests::till::{Door, Place, Refused, Till};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::show::Progress;

/// How long a death waits for its till to be busy.
const BUSY: Duration = Duration::from_millis(400);

/// One cloud and its tills.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) cloud: Mutex<Cloud>,
    pub(super) posts: Vec<Post>,
}

/// A till and its link.
#[derive(Debug)]
pub(super) struct Post {
    till: Mutex<Till>,
    /// How to ask the till; `None` while it is dead.
    door: watch::Sender<Option<Door>>,
    /// Whether the till is being asked to sell right now.
    busy: watch::Sender<bool>,
    pub(super) link: Proxy,
}

impl Fleet {
    /// Enrols, installs and starts everything.
    pub(super) async fn open(
        programs: &Binaries,
        directory: &Path,
        tills: u16,
        branches: u16,
    ) -> anyhow::Result<Self> {
        let logs = directory.join("logs");
        fs::create_dir_all(&logs)?;
        let store = format!("sled:{}", directory.join("cloud").display());
        let mut cloud = Cloud::new(&programs.cloud, store, logs.join("cloud.log"));
        let mut enrolled = Vec::new();
        for till in 0..tills {
            let branch = format!("B-{}", till % branches + 1);
            let terminal = format!("T-{}", till + 1);
            let token = cloud.enrol("demo", &branch, &terminal).await?;
            enrolled.push((branch, terminal, token));
        }
        let address: SocketAddr = cloud.start("127.0.0.1:0").await?.parse()?;
        let mut posts = Vec::new();
        for (branch, terminal, token) in enrolled {
            let link = Proxy::open(address).await?;
            let log = logs.join(format!("{terminal}.log"));
            let mut till = Till::new(&programs.terminal, directory.join(&terminal), log);
            let place = Place { shop: "demo", branch: &branch, terminal: &terminal };
            till.init(place, &format!("http://{}", link.address()), &token).await?;
            let door = watch::Sender::new(Some(till.start().await?));
            let busy = watch::Sender::new(false);
            posts.push(Post { till: Mutex::new(till), door, busy, link });
        }
        Ok(Self { cloud: Mutex::new(cloud), posts })
    }

    /// Sells `share` at a till, spread over `span`; returns how often it was interrupted.
    ///
    /// Whoever gets no answer asks again with the same names, as a point of sale would.
    pub(super) async fn sell(
        self: Arc<Self>,
        till: usize,
        share: &[Document],
        span: Duration,
        progress: &Progress,
    ) -> anyhow::Result<u64> {
        let start = Instant::now();
        let pace = span / u32::try_from(share.len().max(1))?;
        let mut interrupted = 0;
        for (number, document) in (0..).zip(share) {
            tokio::time::sleep_until(start + pace * number).await;
            loop {
                let post = &self.posts[till];
                let door = post.door().await?;
                post.busy.send_replace(true);
                let sold = door.sell(&document.drafts).await;
                post.busy.send_replace(false);
                match sold {
                    Ok(_) => break,
                    Err(error) if error.is::<Refused>() => return Err(error),
                    Err(_) => {
                        interrupted += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
            progress.sold();
        }
        Ok(interrupted)
    }

    /// Sells `share` once more; returns how many of its events the till did not know.
    pub(super) async fn sell_again(&self, till: usize, share: &[Document]) -> anyhow::Result<u64> {
        let door = self.posts[till].door().await?;
        let mut unknown = 0;
        for document in share {
            unknown += door.sell(&document.drafts).await?.recorded;
        }
        Ok(unknown)
    }

    /// Kills the cloud, and starts it again `down` later.
    pub(super) async fn kill_cloud(&self, down: Duration) -> anyhow::Result<()> {
        let mut cloud = self.cloud.lock().await;
        cloud.kill().await?;
        tokio::time::sleep(down).await;
        let address = cloud.start("127.0.0.1:0").await?.parse()?;
        self.posts.iter().for_each(|post| post.link.lead_to(address));
        Ok(())
    }

    /// Kills a till `late` after it began to sell something, and starts it again `down` later.
    pub(super) async fn kill_till(
        &self,
        till: usize,
        late: Duration,
        down: Duration,
    ) -> anyhow::Result<()> {
        let post = &self.posts[till];
        let mut till = post.till.lock().await;
        // An idle till is worth little as a victim; but none may be left to sell.
        let mut busy = post.busy.subscribe();
        let _idle = tokio::time::timeout(BUSY, busy.wait_for(|busy| *busy)).await.is_err();
        tokio::time::sleep(late).await;
        till.kill().await?;
        post.door.send_replace(None);
        tokio::time::sleep(down).await;
        post.door.send_replace(Some(till.start().await?));
        Ok(())
    }

    /// Lets every link pass everything.
    pub(super) fn heal(&self) {
        self.posts.iter().for_each(|post| post.link.set(Mode::Pass));
    }

    /// Returns how many connections the links have broken.
    pub(super) fn broken(&self) -> u64 {
        self.posts.iter().map(|post| post.link.broken()).sum()
    }

    /// Waits until nothing is left to send, and returns what the tills have sold together.
    pub(super) async fn drain(&self, limit: Duration) -> anyhow::Result<Figures> {
        let mut sum = Figures::default();
        for post in &self.posts {
            let door = post.door().await?;
            door.drain(limit).await?;
            sum = sum.plus(door.figures().await?);
        }
        Ok(sum)
    }

    /// Ends every process in peace.
    pub(super) async fn stop(&self) -> anyhow::Result<()> {
        for post in &self.posts {
            post.till.lock().await.stop().await?;
        }
        self.cloud.lock().await.stop().await
    }
}

impl Post {
    /// Waits until the till lives, and returns its door.
    async fn door(&self) -> anyhow::Result<Door> {
        let mut doors = self.door.subscribe();
        let door = doors.wait_for(Option::is_some).await.context("the till is gone")?;
        door.clone().context("a till that lives has a door")
    }
}
