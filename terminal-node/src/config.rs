//! A till's directory: what stands where, and the settings that outlive the program.
//!
//! | file | content |
//! |---|---|
//! | `config.json` | [`Config`] |
//! | `cloud-token` | the credential for the cloud; readable by its owner only |
//! | `till.redb` | the database |
//! | `archive.redb` | entries that have left it, if any have |
//! | `witness` | the file that watches over it, unless the settings name another place |
//! | `parcels` | which parcels are outstanding ([`crate::parcel`]), if any were ever written |
//! | `api-address`, `api-token` | where the running daemon listens, and who may ask it |
//! | `api-port` | where it listened last, to listen there again |

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use counterfoil_protocol::session;
use counterfoil_protocol::terminal::Identity;
use counterfoil_protocol::time::Millis;
use serde::{Deserialize, Serialize};

use crate::transport::{Endpoint, EndpointError};
use crate::witness::{Found, Keeper as _, WitnessFile, write_atomically};

/// The most bytes of a settings file that are read.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The settings of a till.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Whose till this is.
    pub identity: Identity,
    /// The address of the cloud.
    pub cloud: String,
    /// Whether pushes are compressed.
    #[serde(default)]
    pub compress: bool,
    /// Where the witness stands; beside the database if it is not given.
    ///
    /// It tells a database that was restored from the one that was closed, so whoever restores both
    /// at once has none. It belongs where backups of the directory do not reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<PathBuf>,
    /// A file with authorities, in PEM, that are believed beside those of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// How often an idle till asks the cloud, in seconds, 1 at least: 900 if not given (S1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_every_secs: Option<u32>,
    /// Whether it listens for news meanwhile.
    #[serde(default = "by_default", skip_serializing_if = "is_default")]
    pub stream: bool,
    /// How many days an entry stays in the database, at least, before it leaves for the archive:
    /// 30 if not given, 36,500 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive_after_days: Option<u32>,
    /// Whether entries leave for the archive. What has left is read all the same.
    #[serde(default = "by_default", skip_serializing_if = "is_default")]
    pub archive: bool,
}

const fn by_default() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
const fn is_default(on: &bool) -> bool {
    *on
}

/// Settings that cannot be read or used. The caller shows it, and stops.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There are none.
    #[error("there is no till in {}: run `terminal-node init`", .0.display())]
    Absent(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// They cannot be understood.
    #[error("{}: {error}", path.display())]
    Form {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        error: serde_json::Error,
    },
    /// The cloud's address cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

/// A till's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// Names a directory; nothing is read yet.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// Returns the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the database's file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.0.join("till.redb")
    }

    /// Returns the archive's file.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.0.join("archive.redb")
    }

    /// Returns the witness, where the settings want it.
    #[must_use]
    pub fn witness(&self, config: &Config) -> WitnessFile {
        WitnessFile::new(config.witness.clone().unwrap_or_else(|| self.0.join("witness")))
    }

    /// Lets the witness of an installed till stand where new settings want it, unless one is there.
    /// Without it the till would open a new epoch: no harm, but no reason either.
    ///
    /// # Errors
    /// The file system's.
    pub fn carry_witness(&self, from: &Config, to: &Config) -> io::Result<()> {
        if let (Found::Witness(witness), Found::Absent) =
            (self.witness(from).read()?, self.witness(to).read()?)
        {
            self.witness(to).write(witness)?;
        }
        Ok(())
    }

    /// Reads the settings.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn config(&self) -> Result<Config, ConfigError> {
        let path = self.0.join("config.json");
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ConfigError::Absent(self.0.clone()));
            }
            Err(error) => return Err(ConfigError::File { path, error }),
        };
        serde_json::from_str(&text).map_err(|error| ConfigError::Form { path, error })
    }

    /// Writes the settings.
    ///
    /// # Errors
    /// [`ConfigError::File`].
    pub fn write_config(&self, config: &Config) -> Result<(), ConfigError> {
        let path = self.0.join("config.json");
        let mut text = serde_json::to_string_pretty(config).map_err(|error| {
            let path = path.clone();
            ConfigError::Form { path, error }
        })?;
        text.push('\n');
        self.write(path, &text, 0o644)
    }

    /// Reads the credential for the cloud.
    ///
    /// # Errors
    /// [`ConfigError::File`].
    pub fn cloud_token(&self) -> Result<String, ConfigError> {
        self.read("cloud-token")
    }

    /// Writes the credential for the cloud.
    ///
    /// # Errors
    /// [`ConfigError::File`].
    pub fn write_cloud_token(&self, token: &str) -> Result<(), ConfigError> {
        self.write(self.0.join("cloud-token"), &format!("{}\n", token.trim()), 0o600)
    }

    /// Returns where the daemon listens and the token to ask it with, if one has left them.
    #[must_use]
    pub fn api(&self) -> Option<(String, String)> {
        Some((self.read("api-address").ok()?, self.read("api-token").ok()?))
    }

    /// Returns the token of the daemon before, if it is one. Whoever takes the file away gets
    /// another token at the next start.
    #[must_use]
    pub fn api_token(&self) -> Option<String> {
        let token = self.read("api-token").ok()?;
        let drawn = token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
        drawn.then_some(token)
    }

    /// Returns where the daemon before has listened.
    #[must_use]
    pub fn api_port(&self) -> Option<u16> {
        self.read("api-port").ok()?.parse().ok()
    }

    /// Leaves word where the daemon listens.
    ///
    /// # Errors
    /// [`ConfigError::File`].
    pub fn write_api(&self, address: SocketAddr, token: &str) -> Result<(), ConfigError> {
        self.write(self.0.join("api-token"), &format!("{token}\n"), 0o600)?;
        self.write(self.0.join("api-port"), &format!("{}\n", address.port()), 0o644)?;
        self.write(self.0.join("api-address"), &format!("{address}\n"), 0o644)
    }

    /// Takes that word back.
    pub fn forget_api(&self) {
        let _already_gone = std::fs::remove_file(self.0.join("api-address"));
    }

    fn read(&self, name: &str) -> Result<String, ConfigError> {
        let path = self.0.join(name);
        let text = read(&path).map_err(|error| ConfigError::File { path, error })?;
        Ok(text.trim().to_owned())
    }

    #[expect(clippy::unused_self, reason = "a file of this directory")]
    fn write(&self, path: PathBuf, text: &str, mode: u32) -> Result<(), ConfigError> {
        write_atomically(&path, text.as_bytes(), mode)
            .map_err(|error| ConfigError::File { path, error })
    }
}

impl Config {
    /// Returns the cloud's address, parsed.
    ///
    /// # Errors
    /// [`ConfigError::Endpoint`].
    pub fn endpoint(&self) -> Result<Endpoint, ConfigError> {
        Ok(Endpoint::parse(&self.cloud)?)
    }

    /// Returns how long an entry stays in the database; none if it stays for ever.
    #[must_use]
    pub fn archive_after(&self) -> Option<Millis> {
        self.archive.then(|| crate::archive::keep(self.archive_after_days))
    }

    /// Returns the spans by which the loops live that speak to the cloud.
    #[must_use]
    pub fn spans(&self) -> session::Config {
        let usual = session::Config::default();
        let asked = self.ask_every_secs.map(|secs| Millis::from_secs(u64::from(secs.max(1))));
        session::Config { idle_greeting: asked.unwrap_or(usual.idle_greeting), ..usual }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}
