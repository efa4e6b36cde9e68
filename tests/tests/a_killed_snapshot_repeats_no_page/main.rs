//! A till that downloads its first catalog is killed at a random page, again and again, and so is
//! its cloud: it goes on where it was, and never asks again for a page that it had finished.
//!
//! Three are held against each other: the link between both tells which pages are asked for, the
//! till's database after each kill which of them are finished, and the catalog as it was put in
//! what must be there in the end. `COUNTERFOIL_PAGE_KILLS` says how often it is killed.
#![allow(missing_docs, reason = "a test's name is its documentation")]

mod book;
mod goods;

use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil_protocol::catalog::{Digest, entity_hash};
use counterfoil_protocol::terminal::row::CatalogItem;
use counterfoil_tests::disk;
use counterfoil_tests::proxy::{Mode, Proxy, Seen};
use counterfoil_tests::random::Random;
use counterfoil_tests::shop::Shop;
use counterfoil_tests::till::{Door, Till};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use book::{Book, Figures, Heard};
use goods::Goods;

const KILLS_USUAL: u64 = 20;
const SEED: u64 = 0x5e1f;
const LIMIT: Duration = Duration::from_secs(120);
/// How long a till is left alone before a person presses its button.
const PATIENCE: Duration = Duration::from_millis(500);
/// More pages are not put in: a new till begins a new download instead.
const PAGES_MAX: usize = 96;

/// When one of both is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// While a page is put together, under way, or being committed.
    InAPage,
    /// As soon as the next page is asked for: the one before has just been committed.
    AfterACommit,
    /// Whenever.
    Whenever,
}

/// Everything that takes part.
struct Stage {
    shop: Shop,
    link: Proxy,
    seen: UnboundedReceiver<Seen>,
    till: Till,
    /// How to ask the till; none while it is dead.
    door: Option<Door>,
    goods: Goods,
    draw: Random,
    book: Book,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_killed_at_random_pages_repeats_no_finished_page() {
    let kills = std::env::var("COUNTERFOIL_PAGE_KILLS");
    let kills = kills.map_or(KILLS_USUAL, |kills| kills.parse().expect("a number"));
    let directory = tempfile::tempdir().expect("a directory");
    let mut stage = Stage::open(directory.path(), kills).await;
    let mut figures = Figures::default();
    while figures.kills() < kills {
        stage.book = Book::default();
        stage.download(kills, &mut figures).await;
        stage.is_whole().await;
        figures.add(&stage.book);
        if figures.kills() < kills {
            // A new disk at the same place.
            std::fs::remove_dir_all(stage.till.home()).expect("nobody has it");
            stage.till = stage.shop.install("T-1", Some(stage.link.address())).await.expect("anew");
        }
    }
    println!("{figures}");
    figures.assert_interesting();
    stage.shop.cloud.stop().await.expect("stopped");
    assert_eq!(stage.shop.cloud.check().await.expect("checked").problems_found, 0);
}

impl Stage {
    async fn open(directory: &Path, kills: u64) -> Self {
        let shop = Shop::open(directory, "sled", &[("T-1", "north")]).await.expect("a shop");
        let mut goods = Goods::new(SEED);
        let pages = usize::try_from(8 + kills * 4 / 5).map_or(PAGES_MAX, |n| n.min(PAGES_MAX));
        let begun = Instant::now();
        goods.fill(&shop, pages).await;
        println!("{} entities in about {pages} pages, {:?}", goods.len(), begun.elapsed());
        let cloud = shop.address().parse().expect("an address");
        let (link, seen) = Proxy::watched(cloud).await.expect("a port");
        let till = shop.install("T-1", Some(link.address())).await.expect("installed");
        let (draw, book) = (Random::new(SEED), Book::default());
        Self { shop, link, seen, till, door: None, goods, draw, book }
    }

    /// Brings a whole catalog to the till, which is killed meanwhile until `kills` are reached.
    async fn download(&mut self, kills: u64, figures: &mut Figures) {
        loop {
            if self.door.is_none() {
                self.door = Some(self.till.start().await.expect("the till opens"));
            }
            if figures.kills() + self.book.kills() == kills {
                while self.hear().await == Heard::Page {}
                return;
            }
            let slow = [Mode::Pass, Mode::Delay(Duration::from_millis(2))];
            self.link.set(slow[self.draw.index(2)]);
            if self.draw.between(1, 8) == 1 {
                self.goods.change(&self.shop, self.book.finished(), &mut self.draw).await;
            }
            if !self.wait().await {
                return;
            }
            if self.draw.between(1, 4) == 1 {
                self.kill_cloud().await;
            } else if !self.kill_till().await {
                return;
            }
        }
    }

    /// Waits for a random moment; false if all pages came before.
    async fn wait(&mut self) -> bool {
        let moment = match self.draw.between(1, 6) {
            1..=3 => Moment::InAPage,
            4..=5 => Moment::AfterACommit,
            _ => Moment::Whenever,
        };
        let asks = match moment {
            Moment::InAPage => self.draw.between(1, 5).div_ceil(4),
            Moment::AfterACommit => 2,
            Moment::Whenever => 1,
        };
        for _ in 0..asks {
            if self.hear().await == Heard::End {
                return false;
            }
        }
        let page = u64::try_from(self.book.usual_page().as_micros()).expect("a page takes minutes");
        let late = match moment {
            Moment::InAPage => self.draw.between(0, page),
            Moment::AfterACommit => self.draw.between(0, 3_000),
            Moment::Whenever => self.draw.between(0, 2 * page),
        };
        tokio::time::sleep(Duration::from_micros(late)).await;
        true
    }

    /// Waits until a page is asked for, or what comes after all of them.
    async fn hear(&mut self) -> Heard {
        let until = Instant::now() + LIMIT;
        loop {
            match tokio::time::timeout(PATIENCE, self.seen.recv()).await {
                Ok(seen) => {
                    if let Some(heard) = self.book.note(seen.expect("the link is there")) {
                        return heard;
                    }
                }
                Err(_) => {
                    let door = self.door.as_ref().expect("the till is open");
                    door.sync().await.expect("it asks");
                }
            }
            assert!(Instant::now() < until, "the till asks for nothing");
        }
    }

    /// Takes in what has passed; true if a page was asked for after all of them.
    fn catch_up(&mut self) -> bool {
        let mut end = false;
        while let Ok(seen) = self.seen.try_recv() {
            end |= self.book.note(seen) == Some(Heard::End);
        }
        end
    }

    /// Kills the till, and looks what it has on its disk; false if it had all pages.
    async fn kill_till(&mut self) -> bool {
        let killed = Instant::now();
        self.till.kill().await.expect("killed");
        self.door = None;
        self.catch_up();
        let state = disk::catalog(self.till.home()).expect("nobody has it");
        self.catch_up();
        if state.version.is_some() {
            return false;
        }
        self.book.till_killed(killed, state.progress.and_then(|progress| progress.after));
        true
    }

    /// Kills the cloud, and starts it again.
    async fn kill_cloud(&mut self) {
        self.shop.cloud.kill().await.expect("killed");
        if !self.catch_up() {
            self.book.cloud_killed();
        }
        self.shop.restart().await.expect("it serves again");
    }

    /// The till ends with what was put in, and with the cloud's proof of it.
    async fn is_whole(&mut self) {
        let until = Instant::now() + LIMIT;
        let state = loop {
            if self.door.is_none() {
                self.door = Some(self.till.start().await.expect("the till opens"));
            }
            tokio::time::sleep(PATIENCE).await;
            self.till.stop().await.expect("stopped");
            self.door = None;
            let state = disk::catalog(self.till.home()).expect("nobody has it");
            if state.proven {
                break state;
            }
            assert!(Instant::now() < until, "it is not proven: {state:?}");
        };
        self.catch_up();
        let mut held = Digest::default();
        let add = |id, item: CatalogItem| held = held.with(entity_hash(id, &item.content));
        disk::entities(self.till.home(), add).expect("nobody has it");
        assert_eq!(held, self.goods.digest(), "the till's rows are what was put in");
        assert_eq!(held, state.digest, "and it knows what they add up to");
        let path = format!("/v1/catalog/delta?from={}", state.version.expect("a version"));
        let answer = self.shop.as_till("T-1", &path).await.expect("an answer");
        let told: Value = answer.json().expect("JSON");
        let digest: Digest = serde_json::from_value(told["head"]["digest"].clone()).expect("a sum");
        assert_eq!(digest, held, "and so does the cloud: {told}");
    }
}
