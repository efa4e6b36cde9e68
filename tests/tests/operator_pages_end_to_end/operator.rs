//! Somebody who runs a shop's tills, at the pages of its cloud node.

use std::path::Path;
use std::time::Duration;

use counterfoil_tests::browser::Browser;
use serde_json::{Value, json};

/// How long anything may take on a machine that is busy compiling.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A person at the screen.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) screen: Browser,
}

impl Operator {
    pub(crate) async fn at(address: &str, directory: &Path) -> Self {
        let mut screen = Browser::start(directory, 1280, 800).await.expect("a browser");
        screen.open(&format!("http://{address}/")).await.expect("it navigates");
        Self { screen }
    }

    /// Waits until so much is to be seen: a JavaScript expression.
    pub(crate) async fn sees(&mut self, expression: &str) -> Value {
        self.screen.until(expression, LIMIT).await.expect("it is to be seen")
    }

    pub(crate) async fn clicks(&mut self, selector: &str) {
        self.screen.click(selector, LIMIT).await.expect("it can be clicked");
    }

    /// Waits until an element with this text is there.
    pub(crate) async fn reads(&mut self, selector: &str, text: &str) {
        let has = format!(
            "document.querySelector({})?.innerText.includes({})",
            json!(selector),
            json!(text)
        );
        self.sees(&has).await;
    }

    /// Waits until there is no such element.
    pub(crate) async fn misses(&mut self, selector: &str) {
        self.sees(&format!("!document.querySelector({})", json!(selector))).await;
    }

    /// Writes into a field what stands there then.
    pub(crate) async fn writes(&mut self, selector: &str, text: &str) {
        self.sees(&format!("document.querySelector({})", json!(selector))).await;
        self.screen.write(selector, text).await.expect("a field");
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

    /// Keeps a picture, if a directory for pictures is named: so those of the manual are made.
    pub(crate) async fn pictured(&mut self, name: &str) {
        if let Some(directory) = std::env::var_os("COUNTERFOIL_PICTURES") {
            let clear = "document.getElementById('toasts').replaceChildren()";
            self.screen.value(clear).await.expect("notes are put away");
            // Let what fades in be there.
            tokio::time::sleep(Duration::from_millis(400)).await;
            let picture = self.screen.picture().await.expect("a picture");
            let file = Path::new(&directory).join(format!("{name}.png"));
            std::fs::write(file, picture).expect("it is kept");
        }
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
