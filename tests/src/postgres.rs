//! A PostgreSQL server of one's own: in a directory of its own, durable, gone with its process.
//!
//! The binaries are those that are installed; nothing is downloaded. The server refuses to run as
//! root, so root starts it as the user `postgres`. A shell stands beside it, and ends it and
//! removes its directory when whoever started it ends, however that happens.
//!
//! It uses nothing but the standard library, as the suites of `storage` use it too.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The variable that names the directory of the binaries.
const VARIABLE: &str = "COUNTERFOIL_POSTGRES";
/// How long a server may take to start, on a machine that is busy compiling.
const READY: Duration = Duration::from_secs(60);
/// The superuser of the cluster, and the password for whoever comes over TCP.
const USER: &str = "counterfoil";
/// Shown nowhere: a test sees to it.
pub const PASSWORD: &str = "b3tter-kept-secret";

/// Runs a server until it is told, or until whoever could tell it is gone.
const WATCH: &str = "{ \"$@\"; : >\"$CLUSTER/gone\"; } & read -r word; \
    [ \"$word\" = leave ] && exit 0; \
    kill -QUIT \"$(head -n 1 \"$CLUSTER/data/postmaster.pid\")\"; wait; rm -rf \"$CLUSTER\"";

/// A server with a cluster of its own.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    directory: PathBuf,
    port: u16,
    owner: Option<(u32, u32)>,
    watch: Option<Child>,
    databases: AtomicU32,
}

/// Finds the directory of the server's binaries.
///
/// # Errors
/// With what to install, if there is none. A test that needs it fails then; `cargo xtask test`
/// leaves those out and says so.
pub fn programs() -> io::Result<PathBuf> {
    found(std::env::var_os(VARIABLE).as_deref(), Path::new("/usr/lib/postgresql"))
}

fn found(named: Option<&OsStr>, installed: &Path) -> io::Result<PathBuf> {
    let missing = |what: String| io::Error::new(io::ErrorKind::NotFound, what);
    if let Some(named) = named.map(PathBuf::from) {
        if named.join("initdb").is_file() {
            return Ok(named);
        }
        let what = format!("{VARIABLE} names {}: there is no initdb in it", named.display());
        return Err(missing(what));
    }
    let versions = fs::read_dir(installed).into_iter().flatten().flatten();
    let mut places: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let number = version.file_name().to_str()?.parse().ok()?;
            Some((number, version.path().join("bin")))
        })
        .filter(|(_, place)| place.join("initdb").is_file())
        .collect();
    places.sort();
    places.pop().map(|(_, place)| place).ok_or_else(|| {
        missing(format!(
            "they need a PostgreSQL server and there is none: install the package `postgresql`, \
             or name the directory of its binaries in {VARIABLE}"
        ))
    })
}

impl Cluster {
    /// Returns the server that all tests of this process share.
    ///
    /// # Panics
    /// If there is none, with what to install.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().unwrap_or_else(|error| panic!("{error}")))
    }

    /// Returns the number of the server's first process; the others are its children.
    ///
    /// # Errors
    /// If it does not run.
    pub fn process(&self) -> io::Result<u32> {
        let written = fs::read_to_string(self.directory.join("data/postmaster.pid"))?;
        let number = written.lines().next().and_then(|line| line.trim().parse().ok());
        number.ok_or_else(|| io::Error::other("the server has left no number"))
    }

    /// Makes a cluster and starts its server.
    ///
    /// # Errors
    /// If there are no binaries, or the server does not come up.
    pub fn start() -> io::Result<Self> {
        static CLUSTERS: AtomicU32 = AtomicU32::new(0);
        let programs = programs()?;
        let number = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("counterfoil-pg-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory)?;
        let owner = owner(&directory)?;
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(&directory, Some(user), Some(group))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let databases = AtomicU32::new(0);
        let mut cluster = Self { programs, directory, port, owner, watch: None, databases };
        let secret = cluster.directory.join("secret");
        fs::write(&secret, PASSWORD)?;
        let mut initdb = cluster.command("initdb");
        initdb.arg("-D").arg(cluster.directory.join("data")).args(["-U", USER, "-E", "UTF8"]);
        initdb.args(["--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256"]);
        // Only the making is not synced: the server syncs.
        initdb.args(["--no-sync", "--no-instructions"]).arg("--pwfile").arg(&secret);
        ran(initdb)?;
        cluster.run()?;
        Ok(cluster)
    }

    fn run(&mut self) -> io::Result<()> {
        let end = Instant::now() + READY;
        loop {
            let _absent = fs::remove_file(self.gone());
            let log = File::options().create(true).append(true).open(self.directory.join("log"))?;
            let mut watch = Command::new("sh");
            self.as_owner(&mut watch);
            watch.args(["-c", WATCH, "sh"]).arg(self.programs.join("postgres"));
            watch.arg("-D").arg(self.directory.join("data")).arg("-k").arg(&self.directory);
            watch.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
            watch.args(["-c", "max_connections=100", "-c", "fsync=on"]);
            watch.env("CLUSTER", &self.directory).stdin(Stdio::piped());
            let child = watch.stdout(log.try_clone()?).stderr(log).spawn()?;
            self.watch = Some(child);
            // After a kill the memory of the server before may be in use for a moment.
            if self.ready(end)? {
                return Ok(());
            }
            self.leave()?;
            if Instant::now() > end {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("PostgreSQL does not start: {log}")));
            }
        }
    }

    fn ready(&self, end: Instant) -> io::Result<bool> {
        while Instant::now() < end {
            let mut asks = self.command("pg_isready");
            asks.arg("-q").arg("-h").arg(&self.directory).args(["-p", &self.port.to_string()]);
            if asks.status()?.success() {
                return Ok(true);
            }
            if self.gone().exists() {
                return Ok(false);
            }
            sleep(Duration::from_millis(20));
        }
        Ok(false)
    }

    /// Is there once the server has ended.
    fn gone(&self) -> PathBuf {
        self.directory.join("gone")
    }

    /// Kills the server with SIGKILL, as a power cut would: no goodbye, no checkpoint, and none of
    /// its processes that finishes what it is about.
    ///
    /// # Errors
    /// If there is none to be killed.
    pub fn kill(&mut self) -> io::Result<()> {
        let noted = fs::read_to_string(self.directory.join("data").join("postmaster.pid"))?;
        let id = noted.lines().next().unwrap_or_default().trim().to_owned();
        let own = children(&id);
        let kill = |id: &str| {
            let mut kill = Command::new("kill");
            kill.args(["-KILL", id]);
            ran(kill)
        };
        kill(&id)?;
        for child in own {
            let _gone_already = kill(&child);
            while lives(&child) {
                sleep(Duration::from_millis(5));
            }
        }
        while !self.gone().exists() {
            sleep(Duration::from_millis(5));
        }
        self.leave()
    }

    /// Starts the server again after [`Self::kill`].
    ///
    /// # Errors
    /// If it does not come up.
    pub fn restart(&mut self) -> io::Result<()> {
        assert!(self.watch.is_none(), "it was killed before");
        self.run()
    }

    /// Lets the shell beside the server go, and the directory stay.
    fn leave(&mut self) -> io::Result<()> {
        if let Some(mut watch) = self.watch.take() {
            if let Some(to) = &mut watch.stdin {
                to.write_all(b"leave\n")?;
            }
            watch.wait()?;
        }
        Ok(())
    }

    /// Makes an empty database, and returns its address on the Unix socket.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn database(&self) -> io::Result<String> {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut createdb = self.command("createdb");
        createdb.arg("-h").arg(&self.directory).args(["-p", &self.port.to_string(), "-U", USER]);
        ran({
            createdb.arg(&name);
            createdb
        })?;
        Ok(self.address(&self.directory, &name))
    }

    /// Returns the address of a database by the directory of a socket.
    #[must_use]
    pub fn address(&self, directory: &Path, name: &str) -> String {
        let host = directory.display().to_string().replace('/', "%2F");
        format!("postgres://{USER}@{host}:{}/{name}", self.port)
    }

    /// Returns the address of a database over TCP, with a password.
    #[must_use]
    pub fn over_tcp(&self, name: &str, password: &str) -> String {
        format!("postgres://{USER}:{password}@127.0.0.1:{}/{name}", self.port)
    }

    /// Returns the Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join(format!(".s.PGSQL.{}", self.port))
    }

    /// Runs SQL as a back office would, and returns the rows, columns apart by `|`.
    ///
    /// # Errors
    /// With what the server says.
    pub fn query(&self, address: &str, sql: &str) -> io::Result<String> {
        let mut psql = self.command("psql");
        psql.args([address, "-X", "-At", "-v", "ON_ERROR_STOP=1"]);
        psql.args(["-c", "SET search_path = counterfoil", "-c", sql]);
        let told = ran(psql)?;
        Ok(told.strip_prefix("SET\n").unwrap_or(&told).trim_end().to_owned())
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        self.as_owner(&mut command);
        command.stdin(Stdio::null());
        command
    }

    fn as_owner(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C").current_dir(&self.directory);
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut watch) = self.watch.take() {
            drop(watch.stdin.take());
            let _ended = watch.wait();
        } else {
            let _removed = fs::remove_dir_all(&self.directory);
        }
    }
}

/// Returns as whom the server is to run, if not as whoever runs this.
fn owner(directory: &Path) -> io::Result<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt as _;
    if fs::metadata(directory)?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let found = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    let missing = "root needs the user `postgres` to run a server as: the package makes it";
    found.map(Some).ok_or_else(|| io::Error::other(missing))
}

fn ran(mut command: Command) -> io::Result<String> {
    let told = command.output()?;
    if told.status.success() {
        return Ok(String::from_utf8_lossy(&told.stdout).into_owned());
    }
    let (said, why) =
        (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    let program = command.get_program().to_string_lossy();
    Err(io::Error::other(format!("{program}: {}\n{said}{why}", told.status)))
}

/// Returns the processes that a process has started, as far as the system tells.
fn children(id: &str) -> Vec<String> {
    let told = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    told.split_whitespace().map(str::to_owned).collect()
}

/// Returns whether a process runs: one that nobody has asked after yet does not.
fn lives(id: &str) -> bool {
    let told = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    told.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
