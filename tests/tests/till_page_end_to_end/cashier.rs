//! Somebody who sells at the till page, with a mouse, a scanner and patience.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;

use counterfoil_tests::browser::Browser;

/// How long anything may take on a machine that is busy compiling.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A person at the screen.
#[derive(Debug)]
pub(crate) struct Cashier {
    pub(crate) screen: Browser,
    /// The numbers of the receipts that were handed out, in their order.
    pub(crate) receipts: Vec<u64>,
}

impl Deref for Cashier {
    type Target = Browser;

    fn deref(&self) -> &Browser {
        &self.screen
    }
}

impl DerefMut for Cashier {
    fn deref_mut(&mut self) -> &mut Browser {
        &mut self.screen
    }
}

impl Cashier {
    pub(crate) async fn at(page: &str, directory: &Path) -> Self {
        let mut screen = Browser::start(directory, 1280, 800).await.expect("a browser");
        screen.open(page).await.expect("it navigates");
        Self { screen, receipts: Vec::new() }
    }

    /// Puts one of a product into the basket by its tile.
    pub(crate) async fn takes(&mut self, sku: &str) {
        self.clicks(&format!("[data-sku=\"{sku}\"]")).await;
    }

    /// Scans a code: as fast as keys can be pressed, wherever the cursor stands.
    pub(crate) async fn scans(&mut self, code: &str) {
        self.screen.value("document.activeElement?.blur() ?? true").await.expect("it is left");
        self.screen.keys(code).await.expect("keys");
        self.screen.press("Enter").await.expect("a key");
    }

    /// Waits until so many lines are in the basket.
    pub(crate) async fn has_lines(&mut self, lines: usize) {
        self.sees(&format!("document.querySelectorAll('#lines li').length === {lines}")).await;
    }

    /// Takes the money and waits for the receipt, whose number it keeps.
    pub(crate) async fn is_paid(&mut self) {
        self.clicks("#pay").await;
        self.clicks("#complete").await;
        self.gets_receipt().await;
        self.clicks("#next").await;
        self.sees("!document.querySelector('dialog[open]')").await;
    }

    pub(crate) async fn gets_receipt(&mut self) {
        let shown = self.sees("document.querySelector('dialog .paper')?.dataset.receipt").await;
        let number = shown.as_str().and_then(|text| text.rsplit_once('/')).expect("a number").1;
        self.receipts.push(number.parse().expect("a number"));
    }

    /// Sells one of each.
    pub(crate) async fn sells(&mut self, skus: &[&str]) {
        for sku in skus {
            self.takes(sku).await;
        }
        self.is_paid().await;
    }

    /// Waits until the page says that so many events wait.
    pub(crate) async fn sees_pending(&mut self, pending: u64) {
        let says = format!("document.querySelector('#pending')?.dataset.pending === '{pending}'");
        self.sees(&says).await;
    }

    pub(crate) async fn is_safe(&mut self) {
        self.sees("document.querySelector('#lamp')?.dataset.safe === 'true'").await;
    }

    /// Empties the basket.
    pub(crate) async fn empties(&mut self) {
        self.clicks(".basket > header button").await;
        self.has_lines(0).await;
    }

    /// The page has failed nowhere, and receipts have no gap.
    pub(crate) async fn goes_home(self) {
        assert!(self.screen.complaints().is_empty(), "{:?}", self.screen.complaints());
        let expected: Vec<u64> = (1..=self.receipts.len() as u64).collect();
        assert_eq!(self.receipts, expected, "receipts are gapless");
        self.screen.end().await.expect("it ends");
    }
}
