//! What is known of one download: the pages that were asked for, and those that are finished.
//!
//! A page is named by the entity after which it begins. A till asks for the one after it only when
//! it is finished: so whatever was asked for says that everything before is on the till's disk.

use std::fmt;
use std::time::{Duration, Instant};

use counterfoil_protocol::catalog::{EntityId, Kind};
use counterfoil_protocol::label::Label;
use counterfoil_tests::proxy::Seen;

/// What a page takes, as long as none was seen.
const PAGE_USUAL: Duration = Duration::from_millis(300);
/// A till that was killed so soon after it has asked for a page has just committed another.
const JUST: Duration = Duration::from_millis(30);

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// For a page of the snapshot.
    Page,
    /// For what comes after all of them.
    End,
}

/// One request for a page.
#[derive(Clone, Copy, Debug)]
struct Ask {
    connection: u64,
    /// None: the first page.
    page: Option<EntityId>,
    at: Instant,
    /// So many bytes of the answer have passed the link.
    passed: usize,
    /// How many kills there were before.
    kills: u64,
}

/// One download.
#[derive(Debug, Default)]
pub(crate) struct Book {
    asks: Vec<Ask>,
    /// The version to which the snapshot is pinned.
    pinned: Option<u64>,
    /// Every page that begins before this entity is finished.
    finished: Option<EntityId>,
    /// Kills of the till, and of the cloud.
    till: u64,
    cloud: u64,
    /// Kills of the till by what they have met.
    before_a_byte: u64,
    in_a_page: u64,
    after_a_commit: u64,
}

impl Book {
    /// Takes in what has passed the link, and holds it against what is known.
    pub(crate) fn note(&mut self, seen: Seen) -> Option<Heard> {
        match seen {
            Seen::Passed { connection, bytes } => {
                let last = self.asks.last_mut().filter(|ask| ask.connection == connection);
                last.into_iter().for_each(|ask| ask.passed += bytes);
                None
            }
            Seen::Asked { connection, target, at, .. } => match target.split_once('?') {
                Some(("/v1/catalog/snapshot", query)) => {
                    self.asked(connection, query, at);
                    Some(Heard::Page)
                }
                Some(("/v1/catalog/delta", _)) => Some(Heard::End),
                Some(_) | None => None,
            },
        }
    }

    fn asked(&mut self, connection: u64, query: &str, at: Instant) {
        let (pinned, page) = parsed(query);
        assert!(
            page >= self.finished,
            "{page:?} is asked for, but all before {:?} was on the till's disk",
            self.finished
        );
        if page.is_some() {
            let pinned = pinned.expect("a snapshot goes on at its version");
            let first = *self.pinned.get_or_insert(pinned);
            assert_eq!(pinned, first, "a snapshot is of one version");
        }
        // Nobody asks for a page who has not finished those before it.
        self.finished = self.finished.max(page);
        let kills = self.kills();
        self.asks.push(Ask { connection, page, at, passed: 0, kills });
    }

    /// The till was killed, and has on its disk every page that begins before `durable`.
    pub(crate) fn till_killed(&mut self, at: Instant, durable: Option<EntityId>) {
        let last = *self.asks.last().expect("it is killed when it has asked");
        assert!(durable >= last.page, "it asked for {:?} and has {durable:?}", last.page);
        assert!(durable >= self.finished, "what was finished stays so");
        self.finished = durable;
        self.till += 1;
        let mut before = self.asks.iter().rev().skip(1);
        let follows = before.next().is_some_and(|ask| ask.kills == last.kills);
        let just = follows && at.duration_since(last.at) < JUST;
        if durable > last.page || just {
            self.after_a_commit += 1;
        } else if last.passed > 0 {
            self.in_a_page += 1;
        } else {
            self.before_a_byte += 1;
        }
    }

    /// The cloud was killed.
    pub(crate) fn cloud_killed(&mut self) {
        self.cloud += 1;
    }

    /// How often one of both was killed in the middle of this download.
    pub(crate) fn kills(&self) -> u64 {
        self.till + self.cloud
    }

    /// Every page that begins before this entity is finished.
    pub(crate) fn finished(&self) -> Option<EntityId> {
        self.finished
    }

    /// How long a page usually takes: from its request to that of the next.
    pub(crate) fn usual_page(&self) -> Duration {
        let mut spans: Vec<Duration> = self
            .asks
            .windows(2)
            .filter(|pair| pair[0].kills == pair[1].kills)
            .map(|pair| pair[1].at.duration_since(pair[0].at))
            .collect();
        spans.sort_unstable();
        spans.get(spans.len() / 2).copied().unwrap_or(PAGE_USUAL)
    }

    /// How many pages there were.
    fn pages(&self) -> u64 {
        let pages = self.asks.chunk_by(|a, b| a.page == b.page).count();
        u64::try_from(pages).expect("there are few pages")
    }
}

/// What several downloads come to.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    downloads: u64,
    till: u64,
    cloud: u64,
    before_a_byte: u64,
    in_a_page: u64,
    after_a_commit: u64,
    pages: u64,
    asks: u64,
}

impl Figures {
    pub(crate) fn add(&mut self, book: &Book) {
        self.downloads += 1;
        self.till += book.till;
        self.cloud += book.cloud;
        self.before_a_byte += book.before_a_byte;
        self.in_a_page += book.in_a_page;
        self.after_a_commit += book.after_a_commit;
        self.pages += book.pages();
        self.asks += u64::try_from(book.asks.len()).expect("there are few pages");
    }

    pub(crate) fn kills(&self) -> u64 {
        self.till + self.cloud
    }

    /// The kills have met what they should.
    pub(crate) fn assert_interesting(&self) {
        let kills = self.kills();
        assert!(self.pages > kills / 4, "a snapshot has many pages");
        assert!(self.cloud >= kills / 10, "the cloud is killed too");
        assert!(self.in_a_page + self.before_a_byte >= kills / 10, "pages are cut");
        assert!(self.after_a_commit >= kills / 20, "some kills come right after a commit");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { downloads, till, cloud, before_a_byte, in_a_page, after_a_commit, .. } = self;
        let Self { pages, asks, .. } = self;
        writeln!(
            f,
            "{} kills in the middle of {downloads} download(s): {cloud} of the cloud, {till} of \
             the till ({before_a_byte} before a byte of a page came, {in_a_page} while it came or \
             was committed, {after_a_commit} right after a commit)",
            self.kills(),
        )?;
        write!(
            f,
            "{pages} pages, asked for {asks} times; the {} repeated had not been finished, no \
             finished page was asked for again",
            asks - pages,
        )
    }
}

/// Reads which page a till asks for.
fn parsed(query: &str) -> (Option<u64>, Option<EntityId>) {
    let (mut pinned, mut kind, mut id) = (None, None, None);
    for (name, value) in query.split('&').filter_map(|part| part.split_once('=')) {
        match name {
            "pinned" => pinned = Some(value.parse().expect("a version")),
            "kind" => kind = Kind::ALL.into_iter().find(|kind| kind.word() == value),
            "id" => id = Some(Label::parse(value).expect("a name without a character to escape")),
            _ => panic!("an unknown question: {query}"),
        }
    }
    assert_eq!(kind.is_some(), id.is_some(), "a page begins after an entity: {query}");
    (pinned, kind.zip(id).map(|(kind, id)| EntityId { kind, id }))
}
