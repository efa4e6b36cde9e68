//! A node looks once a minute whether its certificate's files have another, and takes only what can
//! be served.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use counterfoil_cloud::metrics::Metrics;
use counterfoil_cloud::tls::Files;
use counterfoil_cloud::tls::renewal::{LOOK_EVERY, Renewal};
use counterfoil_cloud::world::Clock;
use counterfoil_protocol::time::Millis;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio::sync::watch;

/// The year 2030.
struct Now;

impl Clock for Now {
    fn now(&self) -> Millis {
        Millis::from_secs(1_893_456_000)
    }
}

/// Writes a pair that runs out in a year, and returns both texts.
fn write(files: &Files, year: i32) -> [String; 2] {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let texts = [params.self_signed(&key).unwrap().pem(), key.serialize_pem()];
    fs::write(&files.cert, &texts[0]).unwrap();
    fs::write(&files.key, &texts[1]).unwrap();
    texts
}

fn in_directory(directory: &Path) -> Files {
    Files { cert: directory.join("cert.pem"), key: directory.join("key.pem") }
}

fn says(metrics: &Metrics, line: &str) {
    let text = metrics.text();
    assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
}

// The clock of the runtime goes on by itself whenever nobody works.
#[tokio::test(start_paused = true)]
async fn a_changed_file_is_noticed_within_a_minute_and_a_bad_one_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let files = in_directory(directory.path());
    let first = write(&files, 2031);
    let metrics = Arc::new(Metrics::new());
    let identity = files.read().unwrap();
    let (renewal, mut served) =
        Renewal::new(files.clone(), identity, Arc::clone(&metrics), Arc::new(Now));
    says(&metrics, "tls_certificate_not_after_seconds 1924992000");
    let (hang_up, told) = watch::channel(());
    tokio::spawn(renewal.run(told));
    let mut look = async || {
        tokio::time::sleep(LOOK_EVERY + Duration::from_secs(1)).await;
        let changed = served.has_changed().unwrap();
        served.mark_unchanged();
        changed
    };
    assert!(!look().await, "the same files are no news");
    let second = write(&files, 2032);
    let cut = &second[0][..second[0].len() / 2];
    // certificate, key, whether they are served
    for (cert, key, taken) in [
        (cut, second[1].as_str(), false),
        (second[0].as_str(), first[1].as_str(), false),
        ("", "", false),
        (&second[0], &second[1], true),
        (&second[0], &second[1], false),
    ] {
        fs::write(&files.cert, cert).unwrap();
        fs::write(&files.key, key).unwrap();
        assert_eq!(look().await, taken, "{cert}");
    }
    says(&metrics, "tls_renewals_total{outcome=\"taken\"} 1");
    says(&metrics, "tls_certificate_not_after_seconds 1956528000");
    says(&metrics, "tls_renewal_refused_seconds 0");
    write(&files, 2029);
    assert!(!look().await, "nothing is exchanged for what has run out");
    says(&metrics, "tls_renewal_refused_seconds 1893456000");
    fs::remove_file(&files.key).unwrap();
    assert!(!look().await, "a file that is gone changes nothing");
    write(&files, 2033);
    drop(hang_up);
    assert!(look().await, "it looks on though nobody can ask it to");
}
