//! Somebody who runs a shop's tills, at the pages of its cloud node.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;

use counterfoil_tests::browser::Browser;
use serde_json::json;

/// How long anything may take on a machine that is busy compiling.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A person at the screen.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) screen: Browser,
}

impl Deref for Operator {
    type Target = Browser;

    fn deref(&self) -> &Browser {
        &self.screen
    }
}

impl DerefMut for Operator {
    fn deref_mut(&mut self) -> &mut Browser {
        &mut self.screen
    }
}

impl Operator {
    pub(crate) async fn at(address: &str, directory: &Path) -> Self {
        let mut screen = Browser::start(directory, 1280, 800).await.expect("a browser");
        screen.open(&format!("http://{address}/")).await.expect("it navigates");
        Self { screen }
    }

    /// Waits until there is no such element.
    pub(crate) async fn misses(&mut self, selector: &str) {
        self.sees(&format!("!document.querySelector({})", json!(selector))).await;
    }

    /// Chooses a branch in the bar.
    pub(crate) async fn chooses(&mut self, branch: &str) {
        let choose = format!(
            "(() => {{ const b = document.getElementById('branch'); b.value = {}; \
             b.dispatchEvent(new Event('change')); return b.value === {}; }})()",
            json!(branch),
            json!(branch)
        );
        self.sees(&choose).await;
    }

    pub(crate) async fn logs_in(&mut self, token: &str) {
        self.writes("#token", token).await;
        self.clicks("#login").await;
    }

    /// Goes to a place by the navigation, and waits until it is drawn.
    pub(crate) async fn goes(&mut self, place: &str) {
        self.clicks(&format!("nav [data-view={place}]")).await;
        let drawn = format!(
            "document.querySelector('nav [data-view={place}]').ariaCurrent === 'page' \
             && document.querySelectorAll('main h1').length === 1"
        );
        self.sees(&drawn).await;
    }

    /// Everything can be used without seeing it: whatever takes input has a name.
    pub(crate) async fn finds_its_way(&mut self) {
        let nameless = "[...document.querySelectorAll('input, select, button, a')].filter((e) => \
            !(e.ariaLabel || e.innerText?.trim() || e.labels?.[0]?.innerText.trim() \
              || e.getAttribute('aria-label'))).map((e) => e.outerHTML)";
        let nameless = self.screen.value(nameless).await.expect("it is looked at");
        assert_eq!(nameless, json!([]), "each has a name");
        let marks = "[document.querySelectorAll('main').length, \
            document.querySelectorAll('nav[aria-label]').length, \
            document.querySelectorAll('header.bar').length, \
            document.documentElement.lang.length > 0 ? 1 : 0]";
        assert_eq!(self.screen.value(marks).await.expect("landmarks"), json!([1, 1, 1, 1]));
    }

    /// Nothing has to be moved sideways to be read.
    pub(crate) async fn scrolls_down_only(&mut self, place: &str) {
        let wide = "[document.documentElement, document.querySelector('.page')] \
            .filter((e) => e.scrollWidth > e.clientWidth) \
            .map((e) => `${e.tagName} ${e.scrollWidth} > ${e.clientWidth}`)";
        let wide = self.screen.value(wide).await.expect("it is measured");
        assert_eq!(wide, json!([]), "{place} fits");
    }

    /// Returns the session's cookie as the browser sends it: no script of a page can read it.
    pub(crate) async fn cookie(&mut self, address: &str) -> String {
        let hidden = self.screen.value("document.cookie").await.expect("what scripts see");
        assert_eq!(hidden, json!(""), "no script sees it");
        let wish = json!({ "urls": [format!("http://{address}/")] });
        let told = self.screen.call("Network.getCookies", wish).await.expect("cookies");
        let cookie = &told["cookies"][0];
        assert_eq!((&cookie["httpOnly"], &cookie["sameSite"]), (&json!(true), &json!("Strict")));
        let text = |name: &str| cookie[name].as_str().expect("text").to_owned();
        format!("{}={}", text("name"), text("value"))
    }

    /// Gives a file to a field of a form.
    pub(crate) async fn hands_over(&mut self, selector: &str, file: &Path) {
        self.sees(&format!("document.querySelector({})", json!(selector))).await;
        let find = json!({ "expression": format!("document.querySelector({})", json!(selector)) });
        let found = self.screen.call("Runtime.evaluate", find).await.expect("a field");
        let give = json!({ "objectId": found["result"]["objectId"], "files": [file] });
        self.screen.call("DOM.setFileInputFiles", give).await.expect("a file");
    }

    /// The page has failed nowhere.
    pub(crate) async fn goes_home(self) {
        assert!(self.screen.complaints().is_empty(), "{:?}", self.screen.complaints());
        self.screen.end().await.expect("it ends");
    }
}
