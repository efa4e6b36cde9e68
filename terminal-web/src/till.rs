//! The till between two jobs, and its opening.

use counterfoil_protocol::identity::Witness;
use counterfoil_protocol::machine::run;
use counterfoil_protocol::session::{Config, Fault, Session};
use counterfoil_protocol::terminal::row::Meta;
use counterfoil_protocol::terminal::{Identity, Input, Output, Terminal, pull};
use counterfoil_protocol::time::Millis;

use crate::store::IndexedDb;
use crate::sync::Asked;
use crate::{StoreError, TillError, Told, witness};

/// Everything that is lost with the page: nothing durable.
pub(crate) struct Till {
    pub(crate) store: IndexedDb,
    pub(crate) session: Session,
    pub(crate) config: Config,
    pub(crate) limits: pull::Limits,
    /// What was sent, and waits for an answer.
    pub(crate) asked: Option<Asked>,
    /// What went wrong at the last request.
    pub(crate) fault: Option<Fault>,
    pub(crate) now: Millis,
    pub(crate) at: Millis,
    random: Vec<u64>,
    open: bool,
    broken: Option<StoreError>,
}

impl Till {
    pub(crate) fn new(store: IndexedDb, seed: u64, at: Millis) -> Self {
        let config = Config::default();
        Self {
            store,
            session: Session::new(config, seed, at),
            config,
            limits: pull::Limits::default(),
            asked: None,
            fault: None,
            now: Millis::ZERO,
            at,
            random: Vec::new(),
            open: false,
            broken: None,
        }
    }

    /// Takes in the time and the randomness of a job.
    pub(crate) fn begin(
        &mut self,
        now: Millis,
        at: Millis,
        random: &[String],
    ) -> Result<(), TillError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone().into());
        }
        self.now = now;
        self.at = self.at.max(at); // a session's time never goes back
        self.random.clear();
        for hex in random {
            let number = u64::from_str_radix(hex, 16);
            self.random.push(number.map_err(|error| TillError::Unreadable(error.to_string()))?);
        }
        Ok(())
    }

    /// After a store error nobody knows what was written: every further job is refused.
    pub(crate) fn failed(&mut self, error: &TillError) {
        if let TillError::Store(error) = error {
            self.broken = Some(error.clone());
        }
    }

    /// Returns a random number that the page has drawn for this job.
    pub(crate) fn draw(&mut self) -> Result<u64, TillError> {
        let drawn = self.random.pop();
        drawn.ok_or_else(|| TillError::Unreadable("it drew too few random numbers".to_owned()))
    }

    fn fresh(&mut self) -> Result<Witness, TillError> {
        Ok(Witness { install: self.draw()?, boot: self.draw()? })
    }

    /// The one way into the database.
    pub(crate) async fn apply(&mut self, input: Input) -> Result<Output, TillError> {
        if !self.open && !matches!(input, Input::Install { .. } | Input::Open { .. }) {
            return Err(TillError::NotOpen);
        }
        let outputs = run(&Terminal, &mut self.store, self.now, &[input]).await?;
        Ok(outputs.into_iter().next().expect("one output for each input"))
    }

    pub(crate) async fn meta(&self) -> Result<Meta, TillError> {
        pull::meta(&self.store).await?.ok_or(TillError::NotInstalled(None))
    }

    pub(crate) async fn install(&mut self, identity: Identity) -> Result<Told, TillError> {
        if let Some(meta) = pull::meta(&self.store).await? {
            let same = meta.identity == identity;
            let known = Err(TillError::NotInstalled(Some(meta.identity)));
            return if same { Ok(Told::Installed { witness: None }) } else { known };
        }
        let (witness, nonce) = (self.fresh()?, self.draw()?);
        match self.apply(Input::Install { identity, witness, nonce }).await? {
            Output::Opened { witness, .. } => {
                Ok(Told::Installed { witness: Some(witness::text(witness)) })
            }
            Output::NotInstalled(other) => Err(TillError::NotInstalled(other)),
            other => Err(strange(&other)),
        }
    }

    pub(crate) async fn open(&mut self, found: Option<&str>) -> Result<Told, TillError> {
        let witness = found.and_then(witness::parse);
        let (fresh, nonce) = (self.fresh()?, self.draw()?);
        let output = self.apply(Input::Open { witness, fresh, nonce }).await?;
        match output {
            Output::Opened { witness, parted } => {
                self.open = true;
                let Meta { epoch, identity, .. } = self.meta().await?;
                Ok(Told::Opened { witness: witness::text(witness), parted, epoch, identity })
            }
            Output::NotInstalled(other) => Err(TillError::NotInstalled(other)),
            other => Err(strange(&other)),
        }
    }
}

/// An output that cannot belong to the input.
pub(crate) fn strange(output: &Output) -> TillError {
    TillError::Unreadable(format!("the till answered {output:?}"))
}
