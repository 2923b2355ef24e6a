//! Sessions with servers, kept between commands in `$XDG_CONFIG_HOME/esfera/sessions.json` (mode 0600): the server's URL,
//! the thumbprint of the certificate that was trusted at login, the user and the session's key. Never a password.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, IsTerminal, Write, stderr, stdin};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use api::client::{CallError, Client, Options};
use api::tls::{PeerCertificate, Trust, same_thumbprint, thumbprint_of};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde::{Deserialize, Serialize};

use super::args::{LoginArgs, Target};
use super::failure::{Failure, Reason};

#[derive(Default, Serialize, Deserialize)]
struct Saved {
    /// The server of the last login.
    current: Option<String>,
    sessions: BTreeMap<String, SavedSession>,
}

#[derive(Serialize, Deserialize)]
struct SavedSession {
    user: String,
    key: String,
    /// SHA-256 thumbprint of the server's certificate; none for plain HTTP.
    thumbprint: Option<String>,
}

impl Saved {
    fn path() -> Result<PathBuf> {
        let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
        Ok(base.context("neither XDG_CONFIG_HOME nor HOME is set")?.join("esfera/sessions.json"))
    }

    fn load() -> Result<Self> {
        let path = Self::path()?;
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{} is damaged; remove it and log in again", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn store(&self) -> Result<()> {
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
        Failure::new(Reason::Denied, "there is no session")
            .hint("log in first: esfera login https://HOST --user USER")
    };
    let url = url.ok_or_else(not_logged_in)?;
    let session = saved.sessions.get(&url).ok_or_else(not_logged_in)?;
    let trust = session.thumbprint.clone().map_or(Trust::Insecure, Trust::Thumbprint);
    let client = connect(&url, trust).await?;
    client.resume(&session.key);
    Ok(client)
}

async fn connect(url: &str, trust: Trust) -> Result<Client, CallError> {
    let mut options = Options::new(trust);
    options.user_agent = concat!("esfera-cli/", env!("CARGO_PKG_VERSION")).to_owned();
    Client::connect(url, options).await
}

/// `esfera login`
pub async fn login(args: LoginArgs) -> Result<(), Failure> {
    let url = normal(&args.url);
    let thumbprint = trusted_thumbprint(&url, &args).await?;
    let password = password(args.password_file.as_deref(), "ESFERA_PASSWORD", &args.user, &url)?;
    let client = connect(&url, thumbprint.clone().map_or(Trust::Insecure, Trust::Thumbprint)).await?;
    client.login(&args.user, &password).await?;
    let key = client.session_key().map(|key| key.to_string()).unwrap_or_default();
    let mut saved = Saved::load()?;
    saved.sessions.insert(url.clone(), SavedSession { user: args.user.clone(), key, thumbprint });
    saved.current = Some(url.clone());
    saved.store()?;
    if args.json {
        println!("{}", serde_json::json!({ "url": url, "user": args.user }));
    } else {
        println!("Logged in to {url} as {}.", args.user);
    }
    Ok(())
}

/// `esfera logout`
pub async fn logout(target: &Target) -> Result<(), Failure> {
    let client = open(target).await?;
    client.logout().await?;
    let mut saved = Saved::load()?;
    let url = target.url.as_deref().map(normal).or_else(|| saved.current.clone());
    if let Some(url) = url {
        saved.sessions.remove(&url);
        saved.current = saved.sessions.keys().next().cloned();
    }
    Ok(saved.store()?)
}

/// The thumbprint that the connection is pinned to from now on.
async fn trusted_thumbprint(url: &str, args: &LoginArgs) -> Result<Option<String>, Failure> {
    if url.starts_with("http://") {
        return Ok(None);
    }
    let address = address_of(url);
    let shown =
        thumbprint_of(&address).await.map_err(|e| Failure::new(Reason::Unreachable, e.to_string()))?;
    if let Some(path) = &args.ca {
        let pem = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let trust = Trust::from_pem(&pem).map_err(|e| Failure::new(Reason::Usage, e.to_string()))?;
        connect(url, trust).await?;
        return Ok(Some(shown.sha256));
    }
    match &args.thumbprint {
        Some(given) if has_thumbprint(&shown, given) => {}
        Some(_) => {
            let message = format!("{address} shows another certificate, with thumbprint {}", shown.sha256);
            return Err(Failure::new(Reason::Unreachable, message).hint(
                "if the server's certificate was renewed, check the new thumbprint and give that one",
            ));
        }
        None if args.insecure => {}
        None if known_thumbprint(url)?.as_deref() == Some(&shown.sha256) => {}
        None => {
            let question = format!(
                "{address} shows a certificate with SHA-256 thumbprint\n  {}\nTrust it?",
                shown.sha256
            );
            if !confirm(&question) {
                return Err(Failure::new(
                    Reason::Unreachable,
                    format!("the certificate of {address} is not trusted"),
                )
                .hint(format!("if it is the right one, give --thumbprint {}", shown.sha256)));
            }
        }
    }
    Ok(Some(shown.sha256))
}

fn has_thumbprint(shown: &PeerCertificate, text: &str) -> bool {
    shown.chain.first().is_some_and(|own| same_thumbprint(own, text))
}

fn known_thumbprint(url: &str) -> Result<Option<String>> {
    Ok(Saved::load()?.sessions.remove(url).and_then(|session| session.thumbprint))
}

/// `https://host:port` without a path.
fn normal(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let url = url.strip_suffix("/sdk").unwrap_or(url);
    if url.contains("://") { url.to_owned() } else { format!("https://{url}") }
}

fn address_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { rest.to_owned() } else { format!("{rest}:443") }
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
        return Err(Failure::new(Reason::Usage, "there is no terminal to ask for the password")
            .hint(format!("give it with --password-file or in ${variable}")));
    }
    Ok(ask_password(&format!("Password of {user} on {server}: "))?)
}

fn ask_password(question: &str) -> Result<String> {
    let terminal = stdin();
    let before = tcgetattr(&terminal).context("cannot read the terminal's settings")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Now, &silent)?;
    eprint!("{question}");
    let mut line = String::new();
    let read = terminal.lock().read_line(&mut line);
    tcsetattr(&terminal, OptionalActions::Now, &before)?;
    eprintln!();
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks at the terminal; without one the answer is no.
pub fn confirm(question: &str) -> bool {
    if !stdin().is_terminal() {
        return false;
    }
    eprint!("{question} [y/N] ");
    let _ = stderr().flush();
    let mut line = String::new();
    stdin().lock().read_line(&mut line).is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_known_by_one_spelling() {
        for url in ["https://c:8443", "https://c:8443/", "c:8443", "https://c:8443/sdk"] {
            assert_eq!(normal(url), "https://c:8443");
        }
        assert_eq!((address_of("https://c"), address_of("https://c:1")), ("c:443".into(), "c:1".into()));
    }
}
