//! A real browser without a window: Chromium, driven over a pipe.
//!
//! Chromium speaks its DevTools protocol over two inherited descriptors, JSON between zero bytes,
//! if it is started with `--remote-debugging-pipe`. A shell makes the descriptors out of the
//! standard input and output of the child. So there is no WebSocket, no port, no driver program
//! and no crate: what is needed of the protocol is a handful of calls.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How often a page is asked whether something has come true.
const PACE: Duration = Duration::from_millis(50);
/// The names under which the browser is installed, and the variable that names another.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
const VARIABLE: &str = "COUNTERFOIL_CHROMIUM";

/// A browser with one page. It ends when it is dropped.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    calls: u64,
    session: Option<String>,
    /// What the page complained about.
    complaints: Vec<String>,
}

/// Finds the browser.
///
/// # Errors
/// With what to install, if there is none. A test that needs it fails then; `cargo xtask test`
/// leaves those out and says so.
pub fn program() -> anyhow::Result<PathBuf> {
    found(std::env::var_os(VARIABLE), &std::env::var_os("PATH").unwrap_or_default())
}

fn found(named: Option<OsString>, paths: &OsStr) -> anyhow::Result<PathBuf> {
    if let Some(named) = named.map(PathBuf::from) {
        ensure!(named.is_file(), "{VARIABLE} names {}: there is no such file", named.display());
        return Ok(named);
    }
    let mut places = std::env::split_paths(paths).flat_map(|path| NAMES.map(|n| path.join(n)));
    places.find(|place| place.is_file()).with_context(|| {
        format!(
            "they need Chromium and there is none: install the package `chromium`, or name the \
             program in {VARIABLE}"
        )
    })
}

impl Browser {
    /// Starts the browser with its profile in `directory`, and opens an empty page of this size.
    ///
    /// # Errors
    /// If there is no browser, or it does not answer.
    pub async fn start(directory: &Path, width: u32, height: u32) -> anyhow::Result<Self> {
        let program = program()?;
        let log = std::fs::File::create(directory.join("browser.log"))?;
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"])
            .arg(&program)
            .args(["--headless=new", "--no-first-run", "--disable-gpu", "--no-sandbox"])
            // A container's shared memory is small.
            .args(["--disable-dev-shm-usage", "--disable-extensions", "--mute-audio"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", directory.join("profile").display()))
            .arg(format!("--window-size={width},{height}"))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let to = child.stdin.take().context("a piped input")?;
        let from = BufReader::new(child.stdout.take().context("a piped output")?);
        let complaints = Vec::new();
        let mut browser = Self { child, to, from, calls: 0, session: None, complaints };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let target = target.with_context(|| {
            let said = std::fs::read_to_string(directory.join("browser.log")).unwrap_or_default();
            format!("{} does not answer; it said: {said}", program.display())
        })?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        ensure!(browser.session.is_some(), "the browser names no session: {attached}");
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({})).await?;
        }
        browser.size(width, height).await?;
        Ok(browser)
    }

    /// Ends the browser.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub async fn end(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Closes the browser as a person does, and waits until it has kept what it keeps.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn close(mut self) -> anyhow::Result<()> {
        self.session = None;
        // It may be gone before it has answered.
        let _gone = self.call("Browser.close", json!({})).await;
        timeout(LIMIT, self.child.wait()).await.context("the browser does not end")??;
        Ok(())
    }

    /// Calls a method of the protocol, and returns its result.
    ///
    /// # Errors
    /// If the browser is gone, does not answer in time, or refuses.
    pub async fn call(&mut self, method: &str, parameters: Value) -> anyhow::Result<Value> {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).await.context("the browser is gone")?;
        let answer = timeout(LIMIT, self.answer(id)).await;
        answer.with_context(|| format!("{method}: no answer in time"))?.context(method.to_owned())
    }

    async fn answer(&mut self, id: u64) -> anyhow::Result<Value> {
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).await?;
            ensure!(bytes.pop() == Some(0), "the browser is gone");
            let mut message: Value = serde_json::from_slice(&bytes)?;
            if message["id"].as_u64() == Some(id) {
                ensure!(message["error"].is_null(), "{}", message["error"]);
                return Ok(message["result"].take());
            }
            if message["method"] == "Runtime.exceptionThrown" {
                self.complaints.push(message["params"]["exceptionDetails"].to_string());
            }
        }
    }

    /// Returns what scripts of the page have failed with so far.
    #[must_use]
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Makes the page so large.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn size(&mut self, width: u32, height: u32) -> anyhow::Result<()> {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", size).await.map(drop)
    }

    /// Makes the page dark or light.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn dark(&mut self, dark: bool) -> anyhow::Result<()> {
        let value = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await.map(drop)
    }

    /// Opens an address.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn open(&mut self, url: &str) -> anyhow::Result<()> {
        self.call("Page.navigate", json!({ "url": url })).await.map(drop)
    }

    /// Loads the page again.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn reload(&mut self) -> anyhow::Result<()> {
        self.call("Page.reload", json!({})).await.map(drop)
    }

    /// Returns what an expression comes to on the page.
    ///
    /// # Errors
    /// If it fails there.
    pub async fn value(&mut self, expression: &str) -> anyhow::Result<Value> {
        let evaluate = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true,
            "userGesture": true,
        });
        let mut told = self.call("Runtime.evaluate", evaluate).await?;
        let failed = &told["exceptionDetails"];
        ensure!(failed.is_null(), "{expression}: {failed}");
        Ok(told["result"]["value"].take())
    }

    /// Waits until an expression is true on the page, and returns what it came to.
    ///
    /// # Errors
    /// With what the page shows, if that does not come.
    pub async fn until(&mut self, expression: &str, limit: Duration) -> anyhow::Result<Value> {
        let end = Instant::now() + limit;
        loop {
            // While a page is being loaded nothing can be asked of it.
            let value = self.value(expression).await.unwrap_or(Value::Null);
            if !matches!(value, Value::Null | Value::Bool(false)) && value != "" && value != 0 {
                return Ok(value);
            }
            if Instant::now() > end {
                let text = self.value("document.body.innerText").await.unwrap_or(Value::Null);
                bail!("{expression} does not come true; {:?}; {text}", self.complaints);
            }
            sleep(PACE).await;
        }
    }

    /// Waits for an element, and clicks into its middle as a finger would: what covers it gets the
    /// click.
    ///
    /// # Errors
    /// If there is no such element, or it cannot be clicked.
    pub async fn click(&mut self, selector: &str, limit: Duration) -> anyhow::Result<()> {
        let middle = format!(
            "(() => {{ const e = document.querySelector({selector}); \
             if (!e || e.disabled || !e.checkVisibility()) return null; \
             e.scrollIntoView({{ block: 'nearest' }}); const r = e.getBoundingClientRect(); \
             return [r.x + r.width / 2, r.y + r.height / 2]; }})()",
            selector = json!(selector),
        );
        let at = self.until(&middle, limit).await?;
        for (kind, buttons) in [("mousePressed", 1), ("mouseReleased", 0)] {
            let event = json!({
                "type": kind, "x": at[0], "y": at[1], "button": "left", "buttons": buttons,
                "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", event).await?;
        }
        Ok(())
    }

    /// Types a text, key by key, as fast as a scanner does.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn keys(&mut self, text: &str) -> anyhow::Result<()> {
        for letter in text.chars() {
            let key = json!({ "type": "keyDown", "key": letter.to_string(), "text": letter });
            self.call("Input.dispatchKeyEvent", key).await?;
            let key = json!({ "type": "keyUp", "key": letter.to_string() });
            self.call("Input.dispatchKeyEvent", key).await?;
        }
        Ok(())
    }

    /// Presses a key that writes nothing, such as `F8`; `Enter` ends a line.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn press(&mut self, key: &str) -> anyhow::Result<()> {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "F2" => 113,
            "F4" => 115,
            "F8" => 119,
            other => bail!("nobody has said which key {other} is"),
        };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({
                "type": kind, "key": key, "code": key, "text": text,
                "windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code,
            });
            self.call("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// Puts a text in place of what stands in a field.
    ///
    /// # Errors
    /// If there is no such field.
    pub async fn write(&mut self, selector: &str, text: &str) -> anyhow::Result<()> {
        let select = format!("document.querySelector({}).select() ?? true", json!(selector));
        self.value(&select).await?;
        self.call("Input.insertText", json!({ "text": text })).await.map(drop)
    }

    /// Takes a picture of what is to be seen, as PNG.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn picture(&mut self) -> anyhow::Result<Vec<u8>> {
        let told = self.call("Page.captureScreenshot", json!({ "format": "png" })).await?;
        decoded(told["data"].as_str().context("a picture")?)
    }

    /// Prints the page as it asks to be printed, as PDF.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn printed(&mut self) -> anyhow::Result<Vec<u8>> {
        let told = self.call("Page.printToPDF", json!({ "preferCSSPageSize": true })).await?;
        decoded(told["data"].as_str().context("a document")?)
    }

    /// Waits until so much is to be seen: a JavaScript expression.
    ///
    /// # Panics
    /// If it is not to be seen within a minute, as the next ones: this is for whoever tests.
    pub async fn sees(&mut self, expression: &str) -> Value {
        self.until(expression, LIMIT).await.expect("it is to be seen")
    }

    /// Waits for an element and clicks it.
    ///
    /// # Panics
    /// If it cannot be clicked within a minute.
    pub async fn clicks(&mut self, selector: &str) {
        self.click(selector, LIMIT).await.expect("it can be clicked");
    }

    /// Waits until an element with this text is there.
    ///
    /// # Panics
    /// If it is not within a minute.
    pub async fn reads(&mut self, selector: &str, text: &str) {
        let has = format!(
            "document.querySelector({})?.innerText.includes({})",
            json!(selector),
            json!(text)
        );
        self.sees(&has).await;
    }

    /// Writes into a field what stands there then.
    ///
    /// # Panics
    /// If there is no such field within a minute.
    pub async fn writes(&mut self, selector: &str, text: &str) {
        self.sees(&format!("document.querySelector({})", json!(selector))).await;
        self.write(selector, text).await.expect("a field");
    }

    /// Keeps a picture, if a directory for pictures is named: so those of the manual are made.
    ///
    /// # Panics
    /// If it cannot be taken or kept.
    pub async fn pictured(&mut self, name: &str) {
        if let Some(directory) = std::env::var_os("COUNTERFOIL_PICTURES") {
            let clear = "document.getElementById('toasts').replaceChildren()";
            self.value(clear).await.expect("notes are put away");
            // Let what fades in be there.
            sleep(Duration::from_millis(400)).await;
            let picture = self.picture().await.expect("a picture");
            let file = Path::new(&directory).join(format!("{name}.png"));
            std::fs::write(file, picture).expect("it is kept");
        }
    }
}

/// Decodes base64.
fn decoded(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            other => bail!("{other} is no letter of base64"),
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
            held &= (1 << bits) - 1;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_browser_it_is_said_what_to_install() {
        let nowhere = tempfile::tempdir().expect("a directory");
        let none = found(None, nowhere.path().as_os_str()).expect_err("there is none");
        assert!(none.to_string().contains("install the package `chromium`"), "{none}");
        let none = found(Some(nowhere.path().join("x").into()), OsStr::new(""));
        assert!(none.expect_err("there is none").to_string().contains(VARIABLE));
        let here = nowhere.path().join("chromium");
        std::fs::write(&here, "").expect("a file");
        let paths = std::env::join_paths(["/nonexistent".as_ref(), nowhere.path()]);
        let there = found(None, &paths.expect("paths")).expect("it is there");
        assert_eq!(there, here);
    }

    #[test]
    fn base64_becomes_bytes() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYmFy", b"foobar"),
            ("//79+A==", b"\xff\xfe\xfd\xf8"),
        ] {
            assert_eq!(decoded(text).expect("base64"), bytes, "{text}");
        }
        assert!(decoded("Zm9v!").is_err());
    }
}
