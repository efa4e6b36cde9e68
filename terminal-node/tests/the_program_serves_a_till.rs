//! The daemon and the command line, as real processes, against a fake cloud.

mod support;

use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use support::process::{ask, daemon, init, json_of, program, run};
use support::{FakeCloud, TOKEN};

fn sale(id: &str, pence: i64) -> String {
    let line = json!({ "productId": "A", "quantityMilli": 2000, "unitPriceMinor": pence });
    json!({ "posId": "1", "localEventId": id, "currency": "GBP", "lines": [line] }).to_string()
}

#[tokio::test]
async fn a_point_of_sale_sells_through_the_local_api() {
    let directory = tempfile::tempdir().expect("a directory");
    init(directory.path(), "http://127.0.0.1:9");
    let daemon = daemon(directory.path());
    let token = std::fs::read_to_string(directory.path().join("api-token")).expect("a token");
    let token = token.trim();
    let sales = format!("{}/sales", daemon.1);
    let (status, first) = ask(Method::POST, &sales, token, sale("a", 150)).await;
    assert_eq!(status, StatusCode::CREATED, "{first}");
    assert_eq!((&first["receiptNumber"], &first["again"]), (&json!(1), &json!(false)));
    let (status, second) = ask(Method::POST, &sales, token, sale("a", 150)).await;
    assert_eq!(status, StatusCode::OK, "no time was given, and yet it is the same: {second}");
    assert_eq!(second["again"], json!(true));
    let line = json!({ "productId": "B", "name": "", "deltaMilli": 1000 });
    let body = json!({ "posId": "1", "localEventId": "batch", "lines": [line] });
    let batch = json!([{ "adjustment": body }]);
    for (recorded, again) in [(1, 0), (0, 1)] {
        let url = format!("{}/events", daemon.1);
        let (_, told) = ask(Method::POST, &url, token, batch.to_string()).await;
        assert_eq!((&told["recorded"], &told["again"]), (&json!(recorded), &json!(again)));
    }
    for (what, method, path, token, body, expected, code) in [
        ("taken", Method::POST, "/sales", token, sale("a", 151), 409, "POS_SYNC_EVENT_INVALID"),
        ("no token", Method::POST, "/sales", "", sale("b", 1), 401, "POS_SYNC_UNAUTHORIZED"),
        ("rule", Method::POST, "/sales", token, sale("b", -1), 422, "POS_SYNC_EVENT_INVALID"),
        ("no JSON", Method::POST, "/sales", token, "{".into(), 400, "POS_SYNC_EVENT_INVALID"),
        ("shape", Method::POST, "/sales", token, "{}".into(), 422, "POS_SYNC_EVENT_INVALID"),
        ("nowhere", Method::GET, "/nowhere", token, String::new(), 404, "POS_SYNC_NOT_FOUND"),
        ("method", Method::GET, "/sales", token, String::new(), 405, "POS_SYNC_NOT_FOUND"),
    ] {
        let url = format!("{}{path}", daemon.1);
        let (status, problem) = ask(method, &url, token, body).await;
        assert_eq!((status.as_u16(), &problem["code"]), (expected, &json!(code)), "{what}");
        assert_eq!(problem["status"], json!(expected), "{what}: {problem}");
    }
    let line = json!({ "productId": "A", "name": "", "deltaMilli": -5000 });
    let adjustment = json!({ "posId": "1", "localEventId": "adj", "lines": [line] }).to_string();
    let url = format!("{}/adjustments", daemon.1);
    let (status, body) = ask(Method::POST, &url, token, adjustment).await;
    assert_eq!((status, &body["receiptNumber"]), (StatusCode::CREATED, &Value::Null));
    let url = format!("{}/refunds", daemon.1);
    let (status, _) = ask(Method::POST, &url, token, sale("back", 150)).await;
    assert_eq!(status, StatusCode::CREATED);
    let url = format!("{}/figures", daemon.1);
    let (_, figures) = ask(Method::GET, &url, token, String::new()).await;
    assert_eq!((&figures["events"], &figures["money"]), (&json!(4), &json!(0)), "{figures}");
}

#[tokio::test]
async fn a_file_can_be_sent_to_the_local_api() {
    let directory = tempfile::tempdir().expect("a directory");
    init(directory.path(), "http://127.0.0.1:9");
    let daemon = daemon(directory.path());
    let token = std::fs::read_to_string(directory.path().join("api-token")).expect("a token");
    let get = async |path: &str| {
        ask(Method::GET, &format!("{}{path}", daemon.1), token.trim(), String::new()).await
    };
    let post = async |path: &str, body: &str| {
        let url = format!("{}{path}", daemon.1);
        ask(Method::POST, &url, token.trim(), body.to_owned()).await
    };
    let file = "1,A,x,2,12/1/2010 8:26,1.50,7,UK\n2,A,x,1,12/1/2010 8:26,1,7,UK\nbroken\n";
    let (status, body) = post("/import?posId=1&tillIndex=0&tills=2", file).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!((&body["documents"], &body["events"]["recorded"]), (&json!(1), &json!(1)));
    assert_eq!(body["report"]["notUnderstood"][0]["line"], json!(3), "{body}");
    let (status, _) = post("/import?posId=1&tillIndex=2&tills=2", file).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (_, queue) = get("/queue?limit=5").await;
    assert_eq!(queue[0]["localEventId"], json!("inv-1"));
    let (_, exported) = get("/export").await;
    assert_eq!(exported["state"], json!("pending"), "one line is one document");
    assert_eq!(post("/sync", "").await.0, StatusCode::ACCEPTED);
    let retry = json!({ "posId": "1", "localEventId": "inv-1" }).to_string();
    assert_eq!(post("/retry", &retry).await.0, StatusCode::NOT_FOUND);
    let (_, status) = get("/status").await;
    assert_eq!((&status["pending"], &status["identity"]["terminal"]), (&json!(1), &json!("T-1")));
    assert_eq!(ask(Method::GET, &format!("{}/healthz", daemon.1), "", String::new()).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_daemon_loses_nothing_and_the_cloud_gets_each_event_once() {
    let cloud = FakeCloud::start().await;
    cloud.faults.lose_answers.store(1, Ordering::SeqCst);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    init(path, &cloud.url());
    let sample = counterfoil_terminal::sample::online_retail(5, 60);
    let file = path.join("sales.csv");
    std::fs::write(&file, &sample.bytes).expect("a write");
    let file = file.display().to_string();
    let first = daemon(path);
    let second = run(path, &["run"]);
    assert_eq!(second.status.code(), Some(3), "{second:?}");
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(told.contains("another process has the till"), "{told}");
    let imported = run(path, &["--json", "import", &file]);
    assert_eq!(imported.status.code(), Some(1), "a cut-off line needs attention: {imported:?}");
    drop(first);
    // Without a daemon, though its address still stands there.
    let figures = json_of(path, &["figures"]);
    assert_eq!(figures["documents"], json!(sample.invoices));
    assert_eq!(figures["lines"], json!(sample.lines - sample.broken));
    assert_eq!(figures["money"], json!(sample.money_minor));
    let sold = json_of(path, &["sell", "--pos", "1", "--item", "85123A:6:2.55", "--id", "x"]);
    assert_eq!(sold["again"], json!(false), "{sold}");
    let daemon = daemon(path);
    let again = json_of(path, &["import", &file]);
    assert_eq!(again["events"]["recorded"], json!(0), "importing twice changes nothing");
    let mut synced = run(path, &["sync"]);
    for _ in 0..50 {
        if synced.status.success() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        synced = run(path, &["sync"]);
    }
    assert!(synced.status.success(), "{synced:?}");
    let status = json_of(path, &["status"]);
    assert_eq!((&status["pending"], &status["needsAttention"]), (&json!(0), &json!(0)));
    assert_eq!(status["epoch"]["number"], json!(1), "a crash is no exchange of databases");
    let events = status["synced"].as_u64().expect("a number");
    assert_eq!(cloud.ledger().await as u64, events);
    let exported = run(path, &["export"]).stdout;
    assert_eq!(exported.split(|byte| *byte == b'\n').count() as u64 - 1, events);
    assert_eq!(json_of(path, &["queue"]), json!([]));
    drop(daemon);
    assert_eq!(run(path, &["export"]).stdout, exported, "the same without the daemon");
}

#[cfg(unix)]
#[test]
fn a_daemon_stops_when_it_is_told_to() {
    let directory = tempfile::tempdir().expect("a directory");
    init(directory.path(), "http://127.0.0.1:9");
    let mut daemon = daemon(directory.path());
    let pid = daemon.0.id().to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status().expect("a process");
    assert!(told.success());
    assert!(daemon.0.wait().expect("an end").success());
    assert!(!directory.path().join("api-address").exists());
}

/// After a timeout the cashier sends the same command again, with a daemon and without.
#[test]
fn the_same_command_again_is_the_same_sale() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    init(path, "http://127.0.0.1:9");
    for (running, id) in [(false, "x"), (true, "y")] {
        let _daemon = running.then(|| daemon(path));
        let sell = ["sell", "--pos", "1", "--item", "A:2:1.50", "--id", id];
        let first = json_of(path, &sell);
        std::thread::sleep(std::time::Duration::from_millis(5));
        let again = json_of(path, &sell);
        assert_eq!((&first["again"], &again["again"]), (&json!(false), &json!(true)), "{again}");
        assert_eq!(first["receipt"], again["receipt"], "{running}");
    }
    assert_eq!(json_of(path, &["figures"])["events"], json!(2));
}

/// The whole directory is put aside and brought back: a witness elsewhere tells, one beside it not.
#[test]
fn a_backup_of_the_whole_directory_is_told_by_a_witness_elsewhere() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path();
    let (elsewhere, token) = (root.join("elsewhere").join("witness"), root.join("token"));
    std::fs::write(&token, TOKEN).expect("a write");
    let (elsewhere, token) = (elsewhere.display().to_string(), token.display().to_string());
    let named = ["init", "--shop", "S-1", "--branch", "B-1", "--terminal", "T-1"];
    let named = [&named[..], &["--cloud", "http://127.0.0.1:9", "--token-file", &token]].concat();
    let moved = [&named[..], &["--witness", &elsewhere]].concat();
    // how it is installed, one after the other    the epoch after the restore
    for (installs, epoch) in
        [(vec![&named], 1), (vec![&moved], 2), (vec![&named, &moved], 2), (vec![&moved, &named], 2)]
    {
        let (home, aside) = (root.join("till"), root.join("aside"));
        for install in &installs {
            let done = run(&home, install);
            assert!(done.status.success(), "{done:?}");
        }
        let sell = ["sell", "--pos", "1", "--item", "A:1:1.00"];
        assert_eq!(json_of(&home, &sell)["epoch"]["number"], json!(1), "a move is no restore");
        std::fs::create_dir(&aside).expect("a place");
        for file in std::fs::read_dir(&home).expect("files") {
            let file = file.expect("a file");
            std::fs::copy(file.path(), aside.join(file.file_name())).expect("a copy");
        }
        run(&home, &sell);
        std::fs::remove_dir_all(&home).expect("lost");
        std::fs::rename(&aside, &home).expect("restored");
        run(&home, &sell);
        let status = json_of(&home, &["status"]);
        assert_eq!(status["epoch"]["number"], json!(epoch), "{installs:?}: {status}");
        std::fs::remove_dir_all(&home).expect("done");
        let _not_there = std::fs::remove_dir_all(root.join("elsewhere"));
    }
}

/// A disk that is full is no wrong usage, and who stops reading has seen enough.
#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_has_its_exit_code() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("not").join("made").join("yet");
    std::fs::write(directory.path().join("token"), TOKEN).expect("a write");
    let token = directory.path().join("token").display().to_string();
    let args = ["init", "--shop", "S-1", "--branch", "B-1", "--terminal", "T-1"];
    let cloud = ["--cloud", "http://127.0.0.1:9", "--token-file", &token];
    let made = run(&path, &[&args[..], &cloud].concat());
    assert!(made.status.success(), "{made:?}");
    assert!(run(&path, &["sell", "--pos", "1", "--item", "A:1:1.00"]).status.success());
    for command in ["status", "queue", "export"] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("a device");
        let output = program(&path, &[command]).stdout(full).output().expect("a process");
        assert_eq!(output.status.code(), Some(3), "{command}: {output:?}");
        let mut child =
            program(&path, &[command]).stdout(Stdio::piped()).spawn().expect("a process");
        drop(child.stdout.take());
        assert_eq!(child.wait().expect("an end").code(), Some(0), "{command}");
    }
}

#[test]
fn what_goes_wrong_has_its_exit_code() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    for (args, code) in [
        (&["status"][..], 2),
        (&["no-such-command"], 2),
        (&["sell", "--pos", "1", "--item", "nonsense"], 2),
        (&["--help"], 0),
    ] {
        assert_eq!(run(path, args).status.code(), Some(code), "{args:?}");
    }
    init(path, "http://127.0.0.1:9");
    init(path, "http://127.0.0.1:9");
    for (args, code) in [
        (&["status"][..], 0),
        (&["sell", "--pos", "1", "--item", "A:1:1.00", "--id", "x"], 0),
        (&["sell", "--pos", "1", "--item", "A:1:2.00", "--id", "x"], 1),
        (&["sell", "--pos", "1", "--item", "A:1:-1"], 1),
        (&["retry", "--pos", "1", "--id", "x"], 1),
        (&["sync", "--timeout", "5"], 4),
        (&["queue"], 0),
        (&["queue", "--limit", "0"], 2),
        (&["queue", "--limit", "10001"], 2),
        (&["import", "no-such-file.csv"], 2),
        (&["run", "--listen", "0.0.0.0:0"], 2),
    ] {
        let output = run(path, args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    }
    std::fs::write(path.join("till.redb"), b"not a database").expect("a write");
    assert_eq!(run(path, &["status"]).status.code(), Some(3));
    let other = ["init", "--shop", "S-1", "--branch", "B-1", "--terminal", "T-2"];
    let https = ["--cloud", "https://cloud.example:1", "--token-file", "given-token"];
    let output = run(path, &[&other[..], &https].concat());
    assert_eq!(output.status.code(), Some(2));
}
