//! `GET /till/`: the till in a browser, from a directory that `cargo xtask web` has made.
//!
//! It is served from here so that the page and the cloud have one origin: no route has to listen to
//! pages of others. The page is the same for everybody, and has no credential in it.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path as Named, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use counterfoil_protocol::problem::ErrorCode;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::problem::Problem;

/// The most bytes of one file.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// As the operator's pages, and the till may be compiled: it is wasm.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

const JS: &str = "text/javascript; charset=utf-8";

/// Every file, and what it is.
const FILES: [(&str, &str); 10] = [
    ("index.html", "text/html; charset=utf-8"),
    ("style.css", "text/css; charset=utf-8"),
    ("main.js", JS),
    ("engine.js", JS),
    ("link.js", JS),
    ("rows.js", JS),
    ("sums.js", JS),
    ("sw.js", JS),
    ("till.js", JS),
    ("till_bg.wasm", "application/wasm"),
];

/// The files, read when the node starts: a directory that is made anew is served after a restart,
/// whole.
#[derive(Clone, Debug)]
pub struct TillPage(Arc<Vec<File>>);

#[derive(Debug)]
struct File {
    name: &'static str,
    kind: &'static str,
    tag: HeaderValue,
    content: Bytes,
}

impl TillPage {
    /// Reads the directory.
    ///
    /// # Errors
    /// With the file that is missing, or larger than 8 MiB.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let mut files = Vec::with_capacity(FILES.len());
        for (name, kind) in FILES {
            let path = directory.join(name);
            let named = |error: io::Error| {
                let help = "make the directory with `cargo xtask web`";
                io::Error::new(error.kind(), format!("{}: {error}: {help}", path.display()))
            };
            let mut content = Vec::new();
            let file = fs::File::open(&path).map_err(named)?;
            file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(named)?;
            if content.len() as u64 > FILE_BYTES_MAX {
                return Err(named(io::Error::other("the file is too large")));
            }
            let tag = tag_of(&content);
            files.push(File { name, kind, tag, content: content.into() });
        }
        Ok(Self(Arc::new(files)))
    }

    /// Returns the routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/till", get(|| async { Redirect::permanent("/till/") }))
            .route("/till/", get(index))
            .route("/till/{name}", get(file))
            .with_state(self)
    }

    fn answer(&self, name: &str, asked: &HeaderMap) -> Response {
        let Some(file) = self.0.iter().find(|file| file.name == name) else {
            let detail = "the till has no such file: open `/till/`";
            return Problem::new(ErrorCode::NotFound, detail).into_response();
        };
        let known = asked.get(header::IF_NONE_MATCH) == Some(&file.tag);
        let mut response = if known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, file.kind)], file.content.clone()).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, file.tag.clone());
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_FRAME_OPTIONS, "DENY"),
            // The service worker keeps the files; whoever has none asks each time.
            (header::CACHE_CONTROL, "no-cache"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn tag_of(content: &[u8]) -> HeaderValue {
    let tag = format!("\"{}\"", blake3::hash(content).to_hex());
    HeaderValue::try_from(tag).expect("digits are plain text")
}

async fn index(State(page): State<TillPage>, headers: HeaderMap) -> Response {
    page.answer("index.html", &headers)
}

async fn file(
    State(page): State<TillPage>,
    name: Result<Named<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let name = name.map(|Named(name)| name).unwrap_or_default();
    page.answer(&name, &headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sources, without the two files that are compiled.
    fn sources() -> Vec<(String, String)> {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terminal-web/page");
        let entries = fs::read_dir(page).expect("the page is there");
        let read = |entry: io::Result<fs::DirEntry>| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("a text"))
        };
        entries.map(read).collect()
    }

    #[test]
    fn every_file_of_the_page_is_served_kept_and_asks_nobody_else() {
        let sources = sources();
        assert_eq!(sources.len(), FILES.len() - 2, "each source is served");
        let (_, worker) = sources.iter().find(|(name, _)| name == "sw.js").expect("a worker");
        for (name, _) in FILES.iter().filter(|(name, _)| !["sw.js", "index.html"].contains(name)) {
            assert!(worker.contains(&format!("'{name}'")), "{name} is kept for days offline");
        }
        for (name, text) in &sources {
            assert!(FILES.iter().any(|(known, _)| known == name), "{name} is served");
            for elsewhere in ["http://", "https://", "//cdn", "eval(", "innerHTML", "style="] {
                assert!(!text.contains(elsewhere), "{name} names {elsewhere}");
            }
            assert!(text.lines().count() <= 500, "{name} is too long");
            for (number, line) in (1..).zip(text.lines()) {
                assert!(line.chars().count() <= 120, "{name}:{number} is too wide");
            }
        }
    }

    #[test]
    fn a_directory_that_is_not_whole_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = TillPage::read(directory.path()).expect_err("nothing is there");
        assert!(missing.to_string().contains("index.html"), "{missing}");
        assert!(missing.to_string().contains("cargo xtask web"), "{missing}");
        for (name, _) in FILES {
            fs::write(directory.path().join(name), name).expect("a file");
        }
        let page = TillPage::read(directory.path()).expect("all is there");
        let answer = page.answer("till_bg.wasm", &HeaderMap::new());
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/wasm");
        let mut asked = HeaderMap::new();
        asked.insert(header::IF_NONE_MATCH, answer.headers()[header::ETAG].clone());
        assert_eq!(page.answer("till_bg.wasm", &asked).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(page.answer("../operator", &asked).status(), StatusCode::NOT_FOUND);
    }
}
