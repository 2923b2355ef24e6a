//! Sessions with servers, kept between commands in `$XDG_CONFIG_HOME/esfera/sessions.json` (mode 0600): the server's URL,
//! the thumbprint of the certificate that was trusted at login, the user and the session's key. Never a password.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, IsTerminal, Write, stdin};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use api::client::{CallError, Client, Options};
use api::tls::Trust;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde::{Deserialize, Serialize};

use super::failure::{Failure, Reason};
use super::target::Target;
use super::terminal;

/// The kept sessions.
#[derive(Default, Serialize, Deserialize)]
pub struct Saved {
    /// The server of the last login.
    pub current: Option<String>,
    /// Sessions by the server's URL.
    pub sessions: BTreeMap<String, SavedSession>,
}

/// The kept session of one server.
#[derive(Serialize, Deserialize)]
pub struct SavedSession {
    pub user: String,
    pub key: String,
    /// SHA-256 thumbprint of the server's certificate; `None` for plain HTTP.
    pub thumbprint: Option<String>,
}

impl Saved {
    fn path() -> Result<PathBuf> {
        let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
        Ok(base.context("neither XDG_CONFIG_HOME nor HOME is set")?.join("esfera/sessions.json"))
    }

    /// Reads the sessions; none are kept before the first login.
    pub fn load() -> Result<Self> {
        let path = Self::path()?;
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{} is damaged; remove it and log in again", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes the sessions.
    pub fn store(&self) -> Result<()> {
        let path = Self::path()?;
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let new = path.with_extension("new");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        fs::rename(&new, &path).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A client with the session of the server that the command names, or of the last login.
pub async fn open(target: &Target) -> Result<Client, Failure> {
    let saved = Saved::load()?;
    let url = target.url.as_deref().map(normal).or(saved.current);
    let not_logged_in = || {
        Failure::new(Reason::Denied, "not logged in")
            .hint("log in first: esfera login https://HOST --user USER")
    };
    let url = url.ok_or_else(not_logged_in)?;
    let session = saved.sessions.get(&url).ok_or_else(not_logged_in)?;
    let trust = session.thumbprint.clone().map_or(Trust::Insecure, Trust::Thumbprint);
    let client = connect(&url, trust).await?;
    client.resume(&session.key);
    Ok(client)
}

/// Connects without logging in.
pub async fn connect(url: &str, trust: Trust) -> Result<Client, CallError> {
    let mut options = Options::new(trust);
    options.user_agent = concat!("esfera-cli/", env!("CARGO_PKG_VERSION")).to_owned();
    Client::connect(url, options).await
}

/// `https://host:port` without a path.
pub fn normal(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let url = url.strip_suffix("/sdk").unwrap_or(url);
    if url.contains("://") { url.to_owned() } else { format!("https://{url}") }
}

/// The password from a file, an environment variable or the terminal.
pub fn password(file: Option<&Path>, variable: &str, user: &str, server: &str) -> Result<String, Failure> {
    if let Some(path) = file {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    if let Ok(password) = std::env::var(variable) {
        return Ok(password);
    }
    if !stdin().is_terminal() {
        return Err(Failure::new(Reason::Usage, "the password cannot be asked for without a terminal")
            .hint(format!("give it with --password-file or in ${variable}")));
    }
    Ok(ask_password(&format!("Password of {user} on {server}:"))?)
}

/// A new password for a user: from a file, `$ESFERA_NEW_PASSWORD` or the terminal.
pub fn new_password(file: Option<&Path>, user: &str) -> Result<String, Failure> {
    const VARIABLE: &str = "ESFERA_NEW_PASSWORD";
    if file.is_some() || std::env::var_os(VARIABLE).is_some() {
        return password(file, VARIABLE, user, "the server");
    }
    ask_new_password(user)
}

/// Asks twice at the terminal for a new password.
pub fn ask_new_password(user: &str) -> Result<String, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::new(Reason::Usage, "the new password cannot be asked for without a terminal"));
    }
    let first = ask_password(&format!("New password of {user}:"))?;
    if first != ask_password("Once more:")? {
        return Err(Failure::new(Reason::Usage, "the two passwords differ"));
    }
    Ok(first)
}

/// Asks at the terminal, which shows nothing of the answer.
pub fn ask_password(question: &str) -> Result<String> {
    let terminal = stdin();
    let before = tcgetattr(&terminal).context("cannot read the terminal's settings")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Now, &silent)?;
    terminal::prompt(question);
    let mut line = String::new();
    let read = terminal.lock().read_line(&mut line);
    tcsetattr(&terminal, OptionalActions::Now, &before)?;
    terminal::complain("");
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks at the terminal; without a terminal the answer is no.
pub fn confirm(question: &str) -> bool {
    terminal::ask(&format!("{question} [y/N]")).is_some_and(|answer| matches!(&*answer, "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_known_by_one_spelling() {
        for url in ["https://c:8443", "https://c:8443/", "c:8443", "https://c:8443/sdk"] {
            assert_eq!(normal(url), "https://c:8443");
        }
    }
}
