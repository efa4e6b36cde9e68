//! A new certificate without a restart.
//!
//! Once a minute, and at once on SIGHUP, both files are read again. If they say something else than
//! what is served and fit together, handshakes take it from then on; connections that are there
//! already go on. Whatever else they say, a half of a file, a key that is another's, what has run
//! out, is warned of and changes nothing, and is looked at again a minute later.

use std::sync::Arc;
use std::time::Duration;

use counterfoil_protocol::time::Millis;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::{Files, Identity, TlsError};
use crate::metrics::Metrics;
use crate::timestamp::Written;
use crate::world::Clock;

/// How often the files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The stable code of the warning that what is in the files cannot be served.
pub const REFUSED: &str = "CLOUD_TLS_CERTIFICATE_REFUSED";

/// What is served, and what may take its place.
pub struct Renewal {
    files: Files,
    served: Identity,
    tell: watch::Sender<Arc<ServerConfig>>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// What was warned of, so that it is not said each minute.
    warned: Option<String>,
}

impl Renewal {
    /// Begins with what was read from the files; the receiver always has what is to be served.
    #[must_use]
    pub fn new(
        files: Files,
        served: Identity,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> (Self, watch::Receiver<Arc<ServerConfig>>) {
        let (tell, told) = watch::channel(served.config());
        metrics.certificate(served.not_after());
        (Self { files, served, tell, metrics, clock, warned: None }, told)
    }

    /// Looks at the files for as long as the node runs; `hang_up` tells when to look at once.
    pub async fn run(mut self, mut hang_up: watch::Receiver<()>) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.tick().await;
        let mut asked = true;
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                told = hang_up.changed(), if asked => match told {
                    // Whoever asks is answered, even with what was said before.
                    Ok(()) => self.warned = None,
                    Err(_) => asked = false,
                },
            }
            let files = self.files.clone();
            let read = tokio::task::spawn_blocking(move || files.read()).await;
            if let Ok(read) = read {
                self.take(read);
            }
        }
    }

    /// Serves what was read, if it is something else and can be served.
    fn take(&mut self, read: Result<Identity, TlsError>) {
        let now = self.clock.now();
        match read.and_then(|found| self.no_step_back(found, now)) {
            Err(error) => self.refuse(&error, now),
            Ok(found) => {
                self.metrics.renewal_in_order();
                self.warned = None;
                if found.digest != self.served.digest {
                    self.serve(found);
                }
            }
        }
    }

    /// Refuses what has run out while what is served ends later.
    fn no_step_back(&self, found: Identity, now: Millis) -> Result<Identity, TlsError> {
        let ends = |identity: &Identity| identity.not_after.unwrap_or(Millis(u64::MAX));
        if found.digest != self.served.digest
            && ends(&found) <= now
            && ends(&found) < ends(&self.served)
        {
            return Err(TlsError::RunOut(self.files.cert.clone()));
        }
        Ok(found)
    }

    fn serve(&mut self, found: Identity) {
        let not_after = found.not_after().map(|at| Written(at).to_string());
        tracing::info!(notAfter = not_after, "another certificate is served from now on");
        self.metrics.certificate(found.not_after());
        self.metrics.renewed();
        self.tell.send_replace(found.config());
        self.served = found;
    }

    fn refuse(&mut self, error: &TlsError, now: Millis) {
        self.metrics.renewal_refused(now);
        let why = error.to_string();
        if self.warned.as_ref() != Some(&why) {
            tracing::warn!(
                errorCode = REFUSED,
                error = %why,
                "a certificate cannot be served: the one that is served stays"
            );
        }
        self.warned = Some(why);
    }
}
