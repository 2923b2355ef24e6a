//! Telling that the lab is up, to people and to programs.

use std::net::SocketAddr;

use anyhow::Result;
use serde_json::json;

use super::net::host_address;
use super::{CENTER_USER, Lab, Running};
use crate::client::terminal;
use crate::daemon::write_ready_file;

impl Lab {
    /// Prints the addresses and passwords, and writes them into the ready file.
    pub(super) async fn announce(&self, running: &Running, hosts: &[SocketAddr]) -> Result<()> {
        let url = self.url(&running.center);
        terminal::lines(self.greeting(&url, hosts))?;
        if let Some(file) = &self.args.ready_file {
            let mut ready_hosts = Vec::new();
            for (at, address) in hosts.iter().enumerate() {
                ready_hosts.push(json!({
                    "url": self.url(address),
                    "user": "root",
                    "password": self.credentials.host,
                    "management_address": host_address(at + 1).to_string(),
                    "namespace": self.net.host(at + 1),
                    "thumbprint": api::tls::thumbprint_of(&address.to_string()).await?.sha1,
                }));
            }
            let ready = json!({
                "center": { "url": url, "user": CENTER_USER, "password": self.credentials.center },
                "hosts": ready_hosts,
                "segment": self.net.segment(),
                "run": self.args.data.join("run"),
                "runtime": self.runtime,
                "datastore": self.args.data.join("datastores/shared"),
            });
            write_ready_file(file, &ready)?;
        }
        Ok(())
    }

    fn greeting(&self, url: &str, hosts: &[SocketAddr]) -> Vec<String> {
        let mut lines = vec![String::new(), "The lab is up.".into(), String::new()];
        lines.push(format!("  center  {url}   user {CENTER_USER}   password {}", self.credentials.center));
        for (at, address) in hosts.iter().enumerate() {
            lines.push(format!(
                "  host    {}   user root   password {}   (in the inventory: {})",
                self.url(address),
                self.credentials.host,
                host_address(at + 1)
            ));
        }
        lines.push(String::new());
        lines.push(format!(
            "Try:  esfera login {url} --insecure --user {CENTER_USER}   and then   esfera vm ls"
        ));
        lines.push("Ctrl-C stops everything; the next start finds it as it was.".into());
        lines.push(String::new());
        lines
    }
}
