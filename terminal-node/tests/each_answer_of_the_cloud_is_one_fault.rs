//! The transport: what each status, and each kind of silence, means for the session.

mod support;

use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::Epoch;
use counterfoil_protocol::problem::Denial;
use counterfoil_protocol::session::Fault;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::{Hello, Push, PushItem, WIRE_VERSION};
use counterfoil_terminal::transport::{ANSWER_BYTES_MAX, Endpoint, EndpointError, Transport};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use support::{TOKEN, identity};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn hello() -> Hello {
    Hello {
        terminal_id: identity().terminal,
        versions: vec![WIRE_VERSION],
        app: "test".to_owned(),
        clock_ms: 0,
        lanes: Vec::new(),
    }
}

/// Answers every connection with these bytes, then closes it. Returns what the client sent.
async fn raw_server(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = vec![0; 64 * 1024];
        let read = stream.read(&mut request).await.expect("a request");
        let _reset = stream.write_all(&answer).await;
        let _reset = stream.shutdown().await;
        request.truncate(read);
        request
    });
    (url, task)
}

fn transport(url: &str) -> Transport<HttpConnector> {
    let endpoint = Endpoint::parse(url).expect("an address");
    Transport::new(HttpConnector::new(), endpoint, TOKEN).expect("a token")
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn every_status_has_its_fault() {
    let reason = |word: &str| format!("{{\"type\":\"about:blank\",\"reason\":\"{word}\"}}");
    let denied = |denial| Fault::Denied(denial);
    for (status, headers, body, expected) in [
        ("401 X", "", reason("unknownTerminal"), denied(Denial::UnknownTerminal)),
        ("401 X", "", reason("revoked"), denied(Denial::Revoked)),
        ("401 X", "", reason("expired"), denied(Denial::Expired)),
        ("401 X", "", reason("wrongCredential"), denied(Denial::WrongCredential)),
        ("401 X", "", reason("something new"), denied(Denial::WrongCredential)),
        ("401 X", "", "<html>proxy</html>".to_owned(), denied(Denial::WrongCredential)),
        ("429 X", "retry-after: 7\r\n", String::new(), Fault::RateLimited(Some(Millis(7_000)))),
        ("429 X", "retry-after: soon\r\n", String::new(), Fault::RateLimited(None)),
        ("429 X", "", String::new(), Fault::RateLimited(None)),
        ("413 X", "", String::new(), Fault::TooLarge),
        ("400 X", "", String::new(), Fault::Rejected),
        ("403 X", "", String::new(), Fault::Rejected),
        ("404 X", "", String::new(), Fault::Rejected),
        ("415 X", "", String::new(), Fault::Rejected),
        ("500 X", "", String::new(), Fault::Server),
        ("503 X", "retry-after: 7\r\n", String::new(), Fault::Server),
        ("302 X", "location: http://login/\r\n", String::new(), Fault::Transport),
        ("200 OK", "", "no frame".to_owned(), Fault::Transport),
        ("200 OK", "", String::new(), Fault::Transport),
        ("200 OK", "", "x".repeat(ANSWER_BYTES_MAX + 1), Fault::Transport),
    ] {
        let (url, server) = raw_server(answer(status, headers, &body)).await;
        let got = transport(&url).greet(&hello(), 1, 1).await;
        assert_eq!(got, Err(expected), "{status} {headers:?} {:.40}", body);
        server.abort();
    }
}

#[tokio::test]
async fn silence_and_garbage_are_transport_faults() {
    let cut: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this";
    let endless: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffff\r\nx";
    for bytes in [&b""[..], b"\0\xff\0\xff", b"HTTP/1.1 999999 X\r\n\r\n", cut, endless] {
        let (url, server) = raw_server(bytes.to_vec()).await;
        let got = transport(&url).greet(&hello(), 1, 1).await;
        assert_eq!(got, Err(Fault::Transport), "{:?}", String::from_utf8_lossy(bytes));
        server.abort();
    }
    // Nobody listens.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    assert_eq!(transport(&url).greet(&hello(), 1, 1).await, Err(Fault::Transport));
}

#[tokio::test]
async fn a_request_carries_what_the_cloud_needs() {
    let (url, server) = raw_server(answer("500 X", "", "")).await;
    let base = format!("{url}/behind/a/proxy/");
    let _fault = transport(&base).greet(&hello(), 3, 0xabc).await;
    let request = server.await.expect("a request");
    let request = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let host = url.trim_start_matches("http://");
    for expected in [
        "post /behind/a/proxy/v1/handshake http/1.1\r\n",
        &format!("host: {host}\r\n"),
        "authorization: bearer pos_t-1_secret\r\n",
        "content-type: application/vnd.counterfoil.v1+bincode\r\n",
        "x-sync-attempt: 3\r\n",
        "x-request-id: 0000000000000abc\r\n",
    ] {
        assert!(request.contains(expected), "{expected:?} in {request}");
    }
}

#[test]
fn only_addresses_that_can_be_connected_to_are_taken() {
    let no_url = |text: &str| Err(EndpointError::NoUrl(text.to_owned()));
    for (text, expected) in [
        ("http://127.0.0.1:8700", Ok("http://127.0.0.1:8700")),
        ("http://cloud.example:8700/", Ok("http://cloud.example:8700")),
        ("http://cloud.example:8700/base/", Ok("http://cloud.example:8700/base")),
        ("http://[::1]:8700", Ok("http://[::1]:8700")),
        ("https://cloud.example:8700", Ok("https://cloud.example:8700")),
        ("https://cloud.example/base/", Ok("https://cloud.example/base")),
        ("https://[::1]:8700", Ok("https://[::1]:8700")),
        ("https://cloud_.-:8700", no_url("https://cloud_.-:8700")),
        ("http://cloud.example", Err(EndpointError::NoPort("http://cloud.example".to_owned()))),
        ("cloud.example:8700", no_url("cloud.example:8700")),
        ("ftp://cloud.example:21", no_url("ftp://cloud.example:21")),
        ("http://user@cloud.example:1", no_url("http://user@cloud.example:1")),
        ("http://cloud.example:1/?q=1", no_url("http://cloud.example:1/?q=1")),
        ("", no_url("")),
    ] {
        let parsed = Endpoint::parse(text);
        let parsed = parsed.as_ref().map(Endpoint::as_str).map_err(Clone::clone);
        assert_eq!(parsed, expected, "{text}");
    }
    let endpoint = Endpoint::parse("http://127.0.0.1:8700").expect("an address");
    for token in ["", " \n", "line\nbreak", "caf\u{e9}"] {
        let made = Transport::new(HttpConnector::new(), endpoint.clone(), token);
        assert!(token == "caf\u{e9}" || made.is_err(), "{token:?}");
    }
}

#[tokio::test]
async fn a_large_push_is_compressed_if_the_settings_say_so() {
    let epoch = Epoch { number: 1, nonce: 1 };
    let item = |seq| PushItem { seq, chain_hash: Hash([7; 32]), payload: [7; 200].into() };
    let push = Push { terminal_id: identity().terminal, epoch, items: (1..=9).map(item).collect() };
    for compress in [false, true] {
        let (url, server) = raw_server(answer("500 X", "", "")).await;
        let fault = transport(&url).compressing(compress).push(&push, 1, 1).await;
        assert_eq!(fault, Err(Fault::Server));
        let request = server.await.expect("a request");
        let end = request.windows(4).position(|four| four == b"\r\n\r\n").expect("headers");
        let (headers, body) = (&request[..end], &request[end + 4..]);
        let headers = String::from_utf8_lossy(headers).to_ascii_lowercase();
        assert_eq!(headers.contains("content-encoding: zstd"), compress);
        let plain = if compress { zstd::decode_all(body).expect("zstd") } else { body.to_vec() };
        assert_eq!(Push::decode(&plain).expect("a push"), push);
    }
}

/// Connects to a server in this process, without a socket.
#[tokio::test]
async fn any_connector_will_do() {
    let connector = tower::service_fn(|_: http::Uri| async {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            let mut request = vec![0; 1024];
            let _read = far.read(&mut request).await;
            let _sent = far.write_all(&answer("429 X", "retry-after: 1\r\n", "")).await;
        });
        Ok::<_, std::io::Error>(TokioIo::new(near))
    });
    let endpoint = Endpoint::parse("http://cloud:8700").expect("an address");
    let mut transport = Transport::new(connector, endpoint, TOKEN).expect("a token");
    for _ in 0..3 {
        let got = transport.greet(&hello(), 1, 1).await;
        assert_eq!(got, Err(Fault::RateLimited(Some(Millis(1_000)))), "reused or made anew");
    }
}
