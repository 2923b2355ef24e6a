//! Common parts of the daemons: the log, sockets, the first password, and an orderly end.

pub mod allocator;
pub mod center;
pub mod database;
pub mod host;
mod inherit;
mod log;
pub mod state;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use api::server::{Site, serve};
use api::tls::{CertificateAuthority, Renewing};
use clap::Args;
use rand::Rng;
use rand::distr::Alphanumeric;
use serde_json::{Value as Json, json};
use store::Store;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use log::start_log;

/// The default address.
const DEFAULT_LISTEN: &str = "0.0.0.0:443";
const INITIAL_PASSWORD_LENGTH: usize = 16;

/// The addresses at which a daemon serves.
#[derive(Args)]
pub struct ListenArgs {
    /// Address and port to serve the API on; may be repeated. Without any, and without --listen-fd: 0.0.0.0:443
    #[arg(long)]
    pub listen: Vec<SocketAddr>,
    /// Number of an open listening socket that was inherited; may be repeated
    #[arg(long)]
    pub listen_fd: Vec<i32>,
    /// Name or address that clients use for this machine, put into its certificate; may be repeated
    #[arg(long)]
    pub name: Vec<String>,
    /// Write URL, user and password into this file when the daemon answers
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
}

/// A token that is cancelled when a signal asks the daemon to stop.
pub fn shutdown_signal() -> Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("a signal asks the daemon to stop");
        stop.cancel();
    });
    Ok(token)
}

/// Opens the sockets that the command line names.
pub fn listeners(args: &ListenArgs) -> Result<Vec<TcpListener>> {
    let mut addresses = args.listen.clone();
    if addresses.is_empty() && args.listen_fd.is_empty() {
        addresses.push(DEFAULT_LISTEN.parse().context("the default address")?);
    }
    let mut listeners = addresses.iter().map(|address| bind(*address)).collect::<Result<Vec<_>>>()?;
    for fd in &args.listen_fd {
        listeners.push(inherit::listener(*fd)?);
    }
    Ok(listeners)
}

/// Opens a listening socket.
///
/// # Errors
/// If that is impossible, with the reason and with what to do about an address that is taken.
pub fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "cannot listen on {address}: another program has this address; end it, or choose another one with --listen"
        ),
        _ => anyhow!("cannot listen on {address}: {error}"),
    })
}

/// The daemon's own authority, made at first start below `data`.
pub fn authority(data: &Path, role: &str) -> Result<CertificateAuthority> {
    Ok(CertificateAuthority::open(&data.join("tls"), &format!("Esfera {role} authority"))?)
}

/// The certificate that the daemon shows, made at first start below `data`.
pub fn certificate(data: &Path, role: &str, names: &[String]) -> Result<Arc<Renewing>> {
    let authority = authority(data, role)?;
    let mut names = names.to_vec();
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for name in [own.as_str(), "localhost", "127.0.0.1"] {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(Renewing::new(authority, "server", names)?)
}

/// Serves on every listener until the end, and writes the ready file when it begins.
pub async fn serve_all(
    site: Site,
    listeners: Vec<TcpListener>,
    certificate: Option<Arc<Renewing>>,
    ready: Ready<'_>,
    shutdown: CancellationToken,
) -> Result<()> {
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let first = listeners.last().context("no address to listen on")?.local_addr()?;
    let url = format!("{scheme}://{}", reachable(first));
    let mut servers = JoinSet::new();
    for listener in listeners {
        tracing::info!(address = %listener.local_addr()?, "serving the API");
        servers.spawn(serve(site.clone(), listener, certificate.clone(), shutdown.clone()));
    }
    if let Some(file) = ready.file {
        write_ready_file(file, &json!({ "url": url, "user": ready.user, "password": ready.password }))?;
    }
    while let Some(ended) = servers.join_next().await {
        ended.context("the server failed")??;
    }
    Ok(())
}

/// Serves as long as the daemon can keep what it acknowledges. With a store that takes no more writes it cannot: it ends with the
/// reason, and the machine's init system starts it again, which replays the store's log.
pub async fn healthy(serving: impl Future<Output = Result<()>>, store: &Store) -> Result<()> {
    tokio::select! {
        served = serving => served,
        reason = store.stopped() => Err(anyhow::Error::new(reason).context("the daemon is not healthy and ends")),
    }
}

/// The content of the ready file, by which a waiting program learns that the daemon answers.
pub struct Ready<'a> {
    pub file: Option<&'a Path>,
    pub user: &'a str,
    /// `None` if the daemon does not know it any longer.
    pub password: Option<&'a str>,
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], v6.port()))
        }
        other => other,
    }
}

/// The administrator's first password: from `file`, or at the first start a new one, which is written to `DATA/initial-password` for
/// the administrator to read and remove. `None` if the daemon has started before and that file is gone. To be called before the
/// daemon's state is made.
pub fn password_for(first_start: bool, data: &Path, file: Option<&Path>) -> Result<Option<String>> {
    let initial = data.join("initial-password");
    let read = |path: &Path| -> Result<Option<String>> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    };
    if let Some(path) = file {
        return read(path);
    }
    if initial.exists() {
        return read(&initial);
    }
    if !first_start {
        return Ok(None);
    }
    let password: String =
        rand::rng().sample_iter(Alphanumeric).take(INITIAL_PASSWORD_LENGTH).map(char::from).collect();
    let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&initial)?;
    writeln!(made, "{password}").with_context(|| format!("cannot write {}", initial.display()))?;
    tracing::info!(file = %initial.display(), "the daemon has made a first password; change it and remove the file");
    Ok(Some(password))
}

/// Writes the ready file. It appears whole, and only its owner can read it, since it holds a password.
pub fn write_ready_file(path: &Path, ready: &Json) -> Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(&new)
        .and_then(|mut file| file.write_all(ready.to_string().as_bytes()))
        .and_then(|()| std::fs::rename(&new, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use store::Batch;

    use super::*;

    #[tokio::test]
    async fn a_daemon_whose_store_takes_no_more_writes_ends_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let write = async |store: &Store, keys: std::ops::Range<u32>| {
            let mut batch = Batch::new();
            for key in keys {
                batch.put("vm", format!("{key:04}"), vec![7; 500]);
            }
            store.commit(batch).await.map(drop)
        };
        let store = Store::open(&path).unwrap();
        write(&store, 0..400).await.unwrap();
        drop(store);
        let mut bytes = std::fs::read(&path).unwrap();
        // All but the first page, without which the store could not be opened.
        bytes[4096..].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        let store = Store::open(&path).unwrap();
        let damage = write(&store, 0..1).await.unwrap_err().to_string();
        let ended = healthy(std::future::pending(), &store).await.unwrap_err();
        let told = crate::client::failure::chain(&ended);
        assert!(told.starts_with("the daemon is not healthy and ends: "), "{told}");
        assert_eq!(told.matches(&damage).count(), 1, "{told}");
    }
}
