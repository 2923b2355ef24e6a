//! The agent's commands in use, with plain types. Fields that an older agent lacks are left out; they are not errors.

use super::Agent;
use crate::{Error, Result, limits};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time for the agent to refuse a shutdown; it consents by silence.
const REFUSAL: Duration = Duration::from_secs(2);
/// Interval between checks of a command that runs in the guest.
const LOOK: Duration = Duration::from_millis(100);

/// The agent's abilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its version.
    pub version: String,
    /// Commands that are enabled.
    pub commands: Vec<String>,
}

/// The guest's operating system, as its `os-release` describes it. All fields may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct OsInfo {
    /// Short id, such as `debian`.
    pub id: String,
    /// Name.
    pub name: String,
    /// Name and version for people.
    pub pretty_name: String,
    /// Version id.
    pub version_id: String,
    /// Kernel release.
    pub kernel_release: String,
    /// Architecture of the processor.
    pub machine: String,
}

/// A network interface of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestInterface {
    /// Its name in the guest.
    pub name: String,
    /// MAC address, if it has one.
    pub mac: Option<String>,
    /// Its addresses.
    pub addresses: Vec<GuestAddress>,
}

/// An address with the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestAddress {
    /// Address.
    pub ip: IpAddr,
    /// Prefix length in bits.
    pub prefix: u8,
}

/// How to shut a guest down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownMode {
    /// Off.
    PowerDown,
    /// Off, then on again.
    Reboot,
    /// Stopped without switching off.
    Halt,
}

/// How a command in the guest ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecOutput {
    /// Exit code, if it exited.
    pub exit_code: Option<i64>,
    /// Signal, if one ended it.
    pub signal: Option<i64>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Whether the agent cut one of them short.
    pub truncated: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawInterface {
    name: String,
    #[serde(default)]
    hardware_address: Option<String>,
    #[serde(default)]
    ip_addresses: Vec<RawAddress>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawAddress {
    ip_address: String,
    #[serde(default)]
    prefix: u8,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawExec {
    exited: bool,
    #[serde(default, rename = "exitcode")]
    exit_code: Option<i64>,
    #[serde(default)]
    signal: Option<i64>,
    #[serde(default)]
    out_data: String,
    #[serde(default)]
    err_data: String,
    #[serde(default)]
    out_truncated: bool,
    #[serde(default)]
    err_truncated: bool,
}

impl Agent {
    async fn ask<T: DeserializeOwned>(&self, command: &str, arguments: Value, within: Duration) -> Result<T> {
        let answer = self.call(command, arguments, within).await?;
        serde_json::from_value(answer).map_err(|e| Error::Protocol(format!("answer to {command}: {e}")))
    }

    /// Whether the agent answers: the guest's heartbeat.
    pub async fn ping(&self) -> Result<()> {
        self.call("guest-ping", Value::Null, limits::AGENT_CALL).await.map(drop)
    }

    /// Version and commands.
    pub async fn info(&self) -> Result<Info> {
        #[derive(Deserialize)]
        struct Raw {
            version: String,
            supported_commands: Vec<RawCommand>,
        }
        #[derive(Deserialize)]
        struct RawCommand {
            name: String,
            enabled: bool,
        }
        let raw: Raw = self.ask("guest-info", Value::Null, limits::AGENT_CALL).await?;
        let commands = raw.supported_commands.into_iter().filter(|c| c.enabled).map(|c| c.name).collect();
        Ok(Info { version: raw.version, commands })
    }

    /// Host name of the guest.
    pub async fn host_name(&self) -> Result<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Raw {
            host_name: String,
        }
        let raw: Raw = self.ask("guest-get-host-name", Value::Null, limits::AGENT_CALL).await?;
        Ok(raw.host_name)
    }

    /// Operating system of the guest.
    pub async fn os_info(&self) -> Result<OsInfo> {
        self.ask("guest-get-osinfo", Value::Null, limits::AGENT_CALL).await
    }

    /// Network interfaces with their addresses. Unreadable addresses are left out.
    pub async fn interfaces(&self) -> Result<Vec<GuestInterface>> {
        let raw: Vec<RawInterface> =
            self.ask("guest-network-get-interfaces", Value::Null, limits::AGENT_CALL).await?;
        let address = |raw: RawAddress| {
            // A scope ("%eth0") means nothing outside the guest.
            let text = raw.ip_address.split('%').next().unwrap_or_default();
            Some(GuestAddress { ip: text.parse().ok()?, prefix: raw.prefix })
        };
        let interface = |raw: RawInterface| GuestInterface {
            name: raw.name,
            mac: raw.hardware_address,
            addresses: raw.ip_addresses.into_iter().filter_map(address).collect(),
        };
        Ok(raw.into_iter().map(interface).collect())
    }

    /// Asks the guest's system to shut down or reboot. Returns once that is under way, not once it is done.
    pub async fn shutdown(&self, mode: ShutdownMode) -> Result<()> {
        // Check first that the agent is there, because consent looks like silence.
        self.ping().await?;
        let mode = match mode {
            ShutdownMode::PowerDown => "powerdown",
            ShutdownMode::Reboot => "reboot",
            ShutdownMode::Halt => "halt",
        };
        match self.call("guest-shutdown", json!({ "mode": mode }), REFUSAL).await {
            Ok(_) | Err(Error::AgentSilent { .. }) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Runs a program in the guest to its end. After `within` it returns [`Error::AgentSilent`] and leaves the program running.
    pub async fn exec(&self, program: &str, arguments: &[&str], within: Duration) -> Result<ExecOutput> {
        #[derive(Deserialize)]
        struct Started {
            pid: i64,
        }
        let deadline = Instant::now() + within;
        let command = json!({"path": program, "arg": arguments, "capture-output": true});
        let started: Started = self.ask("guest-exec", command, limits::AGENT_CALL.min(within)).await?;
        loop {
            let asked = json!({ "pid": started.pid });
            let raw: RawExec = self.ask("guest-exec-status", asked, limits::AGENT_CALL).await?;
            if raw.exited {
                let decode = |text: String| {
                    BASE64.decode(text).map_err(|e| Error::Protocol(format!("output of {program}: {e}")))
                };
                return Ok(ExecOutput {
                    exit_code: raw.exit_code,
                    signal: raw.signal,
                    stdout: decode(raw.out_data)?,
                    stderr: decode(raw.err_data)?,
                    truncated: raw.out_truncated || raw.err_truncated,
                });
            }
            if Instant::now() >= deadline {
                return Err(Error::AgentSilent { command: format!("guest-exec of {program}") });
            }
            sleep(LOOK).await;
        }
    }

    /// Flushes and freezes the guest's file systems, which may take `within`; returns their number. Always thaw them again,
    /// whatever happens.
    pub async fn freeze(&self, within: Duration) -> Result<u64> {
        self.ask("guest-fsfreeze-freeze", Value::Null, within).await
    }

    /// Thaws the file systems; returns how many were frozen.
    pub async fn thaw(&self) -> Result<u64> {
        self.ask("guest-fsfreeze-thaw", Value::Null, limits::AGENT_FREEZE).await
    }

    /// Whether the file systems are frozen.
    pub async fn is_frozen(&self) -> Result<bool> {
        let status: String = self.ask("guest-fsfreeze-status", Value::Null, limits::AGENT_CALL).await?;
        Ok(status == "frozen")
    }
}
