//! A PostgreSQL server of a test's own, in a directory of its own, with the system's programs and as an unprivileged user.
#![allow(dead_code, clippy::unwrap_used)]

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where Debian has the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The owner of servers, where the test runs as root: PostgreSQL refuses that.
const OWNER: &str = "postgres";

pub struct Server {
    directory: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    data: PathBuf,
}

impl Server {
    pub fn start() -> Self {
        Self::with_settings("")
    }

    /// A server with further lines in its configuration.
    pub fn with_settings(settings: &str) -> Self {
        // The tests end processes, not computers.
        Self::in_directory(tempfile::tempdir().unwrap(), &format!("fsync = off\n{settings}"))
    }

    /// A server with everything in this directory, and with further lines in its configuration.
    pub fn in_directory(directory: tempfile::TempDir, settings: &str) -> Self {
        let data = directory.path().join("data");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { programs: programs(), port, data, directory };
        server.give(server.directory.path());
        let made = server
            .program("initdb")
            .arg("-D")
            .arg(&server.data)
            .args(["--no-sync", "--auth=trust", "--encoding=SQL_ASCII", "--locale=C", "-U", "esfera"])
            .output()
            .unwrap();
        said(&made, "initdb");
        let socket = server.directory.path().display();
        server.configure(&format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{socket}'\nmax_connections = 40\n\
             shared_buffers = 16MB\nmax_wal_size = 256MB\n{settings}\n"
        ));
        server.run();
        said(
            &Command::new(server.programs.join("createdb"))
                .args(["-h", "127.0.0.1", "-U", "esfera", "-p", &port.to_string(), "center"])
                .output()
                .unwrap(),
            "createdb",
        );
        server
    }

    /// Makes the server's user the owner of a file.
    pub fn give(&self, path: &Path) {
        if let Some((user, group)) = owner() {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }

    /// Adds lines to the configuration, for the next start or reload.
    pub fn configure(&self, lines: &str) {
        let path = self.data.join("postgresql.conf");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, before + "\n" + lines).unwrap();
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The name of its database.
    pub fn name(&self) -> String {
        format!("postgres://esfera@127.0.0.1:{}/center", self.port)
    }

    /// Whether it takes connections.
    pub fn is_running(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// Its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default()
    }

    /// Starts it, also if it was killed and nobody has removed its marks.
    pub fn run(&self) {
        let _ = std::fs::remove_file(self.data.join("postmaster.pid"));
        let _ = std::fs::remove_file(self.directory.path().join(format!(".s.PGSQL.{}.lock", self.port)));
        let log = self.data.with_extension("log");
        let mut start = self.program("pg_ctl");
        start.arg("-D").arg(&self.data).arg("-l").arg(&log).args(["-w", "-t", "60", "start"]);
        let started =
            start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(started.success(), "{}", self.log());
    }

    /// Ends it: `fast` or `immediate`, which is as if it crashed.
    pub fn stop(&self, mode: &str) {
        let _ = self.program("pg_ctl").arg("-D").arg(&self.data).args(["-w", "-m", mode, "stop"]).output();
    }

    /// The processes of the server, the first of them the parent of the others.
    pub fn processes(&self) -> Vec<i32> {
        let text = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        let Some(parent) = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok()) else {
            return Vec::new();
        };
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let children = children.unwrap_or_default();
        std::iter::once(parent)
            .chain(children.split_whitespace().filter_map(|pid| pid.parse().ok()))
            .collect()
    }

    /// Sends a signal to the processes.
    pub fn signal(&self, processes: &[i32], signal: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}")).args(processes.iter().map(ToString::to_string));
        let _ = kill.stderr(Stdio::null()).status();
    }

    /// Runs SQL as the owner and returns what it prints.
    pub fn sql(&self, words: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-h", "127.0.0.1", "-U", "esfera", "-p", &self.port.to_string(), "-d", "center"]);
        let output = psql.args(["-v", "ON_ERROR_STOP=1", "-XAtqc", words]).output().unwrap();
        said(&output, words);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if owner().is_some() {
            let mut command = Command::new("setpriv");
            let owner = format!("--reuid={OWNER}");
            command.args([owner.as_str(), "--regid=postgres", "--clear-groups", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/").env("LC_ALL", "C");
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let processes = self.processes();
        self.signal(&processes, "CONT");
        self.stop("immediate");
        self.signal(&processes, "KILL");
    }
}

fn said(output: &Output, what: &str) {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Whether there is a server to start.
pub fn is_installed() -> bool {
    !versions().is_empty()
}

fn programs() -> PathBuf {
    versions().pop().expect("PostgreSQL is not installed: run `cargo xtask setup`").1
}

/// The programs of each version, the newest last.
fn versions() -> Vec<(u32, PathBuf)> {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, programs)| programs.join("initdb").exists())
        .collect();
    found.sort();
    found
}

/// User and group for the server; none if the test's own serve.
fn owner() -> Option<(u32, u32)> {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.split(':').next() == Some(OWNER)).expect("a user postgres");
    let mut numbers = line.split(':').skip(2).map(|number| number.parse().unwrap());
    Some((numbers.next().unwrap(), numbers.next().unwrap()))
}
