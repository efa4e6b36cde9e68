//! Somebody who sells in a browser that is the till.

use std::fs;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use counterfoil_tests::browser::Browser;

/// A person at the screen.
#[derive(Debug)]
pub(crate) struct Clerk {
    pub(crate) screen: Browser,
    home: PathBuf,
    cloud: SocketAddr,
}

impl Deref for Clerk {
    type Target = Browser;

    fn deref(&self) -> &Browser {
        &self.screen
    }
}

impl DerefMut for Clerk {
    fn deref_mut(&mut self) -> &mut Browser {
        &mut self.screen
    }
}

/// All rows, as they are or were.
const ROWS: &str = "new Promise((done, fail) => { const o = indexedDB.open('counterfoil'); \
     o.onerror = fail; o.onsuccess = () => { \
     const t = o.result.transaction('rows', 'readwrite'); const s = t.objectStore('rows'); \
     t.oncomplete = () => { o.result.close(); done(true); }; DO } })";

impl Clerk {
    /// Opens the till in a new browser.
    pub(crate) async fn at(home: &Path, cloud: SocketAddr) -> Self {
        fs::create_dir_all(home).expect("a directory");
        let mut screen = Browser::start(home, 1000, 800).await.expect("a browser");
        screen.open(&format!("http://{cloud}/till/")).await.expect("it navigates");
        Self { screen, home: home.to_owned(), cloud }
    }

    /// Opens the till in a browser that is one.
    pub(crate) async fn back(home: &Path, cloud: SocketAddr) -> Self {
        let mut clerk = Self::at(home, cloud).await;
        clerk.is_open().await;
        clerk
    }

    /// Makes the browser the till `till-1`.
    pub(crate) async fn enrols(&mut self, credential: &str) {
        self.sees("document.body.dataset.stage === 'enrol'").await;
        // From here on the page needs no network.
        self.sees("document.body.dataset.offline === 'ready'").await;
        for (field, text) in
            [("#shop", "shop"), ("#branch", "north"), ("#terminal", "till-1"), ("#currency", "GBP")]
        {
            self.writes(field, text).await;
        }
        self.writes("#credential", credential).await;
        self.clicks("#install").await;
        self.is_open().await;
    }

    pub(crate) async fn is_open(&mut self) {
        self.sees("document.body.dataset.stage === 'open'").await;
    }

    /// Sells, and returns the number of the receipt.
    pub(crate) async fn sells(&mut self, product: &str, price: &str, quantity: u32) -> u64 {
        self.sees("!document.querySelector('#complete').disabled").await;
        self.screen
            .value("document.querySelector('#receipt').textContent = ''; true")
            .await
            .expect("the last one is forgotten");
        for (field, text) in [("#product", product), ("#label", product), ("#price", price)] {
            self.writes(field, text).await;
        }
        self.writes("#quantity", &quantity.to_string()).await;
        self.clicks("#complete").await;
        let shown = "/^Receipt (\\d+)$/.exec(document.querySelector('#receipt').textContent)?.[1]";
        let number = self.sees(shown).await;
        number.as_str().and_then(|text| text.parse().ok()).expect("a receipt has a number")
    }

    pub(crate) async fn sees_pending(&mut self, sales: usize) {
        self.sees(&format!("document.body.dataset.pending === '{sales}'")).await;
    }

    /// Returns how many sales are shown in this state.
    pub(crate) async fn shown(&mut self, state: &str) -> u64 {
        let count = format!("document.querySelectorAll('tr[data-state={state}]').length");
        self.screen.value(&count).await.expect("a list").as_u64().expect("a number")
    }

    pub(crate) async fn epoch(&mut self) -> u64 {
        let told = self.screen.value("Number(document.body.dataset.epoch)").await;
        told.expect("an epoch").as_u64().expect("a number")
    }

    /// Kills the browser without warning, and starts it again on the same profile.
    pub(crate) async fn killed_and_back(self) -> Self {
        let Self { screen, home, cloud } = self;
        screen.end().await.expect("killed");
        Self::back(&home, cloud).await
    }

    /// Lays a copy of all rows aside.
    pub(crate) async fn keeps_its_rows(&mut self) {
        let keep = "const k = s.getAllKeys(), v = s.getAll(); v.onsuccess = () => { \
             const b = a => Array.from(new Uint8Array(a)); sessionStorage.setItem('rows', \
             JSON.stringify(k.result.map((key, i) => [b(key), b(v.result[i])]))); };";
        self.screen.value(&ROWS.replace("DO", keep)).await.expect("a copy");
    }

    /// Puts the copy in the place of all rows.
    pub(crate) async fn gets_its_rows_back(&mut self) {
        let restore = "s.clear(); for (const [k, v] of JSON.parse(sessionStorage.getItem('rows'))) \
             s.put(new Uint8Array(v), new Uint8Array(k));";
        self.screen.value(&ROWS.replace("DO", restore)).await.expect("restored");
    }

    /// Closes the browser as a person does, so that it keeps what it keeps lazily; nothing may
    /// have failed on the page.
    pub(crate) async fn goes_home(self) {
        assert_eq!(self.screen.complaints(), &[] as &[String]);
        self.screen.close().await.expect("it has ended");
    }
}

/// Copies a profile, as somebody does who sets up a second machine from the first one.
pub(crate) fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a profile") {
        let entry = entry.expect("an entry");
        let (kind, name) = (entry.file_type().expect("a kind"), entry.file_name());
        if kind.is_dir() {
            copied(&entry.path(), &to.join(name));
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(name)).expect("copied");
        }
    }
}
