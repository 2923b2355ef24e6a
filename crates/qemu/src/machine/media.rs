//! Changes and ejects the discs in CD-ROM drives, as a person would, by way of the tray.

use super::Machine;
use super::devices::{close_node, fresh_node};
use crate::cmdline::block;
use crate::qmp::{self, command};
use crate::{Error, Result};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time for a guest to open its tray when asked.
const GUEST_EJECT: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

impl Machine {
    /// Puts a disc into a drive, or with `None` takes it out. A guest that has locked the tray is asked first; after five
    /// seconds the call fails with [`Error::TrayLocked`]. `force` does not ask.
    pub async fn change_medium(&self, drive: &str, iso: Option<&Path>, force: bool) -> Result<()> {
        let _one = self.inner.changing.lock().await;
        let before = self.drive(drive).await?;
        if before.tray_open.is_none() {
            return Err(Error::NoSuchDevice(format!("{drive} with a tray")));
        }
        let client = self.monitor();
        // Opened before the old disc leaves: an unreadable image changes nothing.
        let fresh = match iso {
            Some(iso) => {
                let node = fresh_node(drive);
                client.run(&command::BlockdevAdd { options: block::iso(&node, iso)? }).await?;
                Some(node)
            }
            None => None,
        };
        let changed = self.swap(&client, drive, fresh.as_deref(), force).await;
        match (&changed, fresh) {
            (Ok(()), _) if !before.node_name.is_empty() => drop(close_node(&client, &before.node_name).await),
            (Err(_), Some(fresh)) => drop(close_node(&client, &fresh).await),
            _ => {}
        }
        changed
    }

    async fn swap(&self, client: &qmp::Client, drive: &str, fresh: Option<&str>, force: bool) -> Result<()> {
        let id = || drive.to_owned();
        self.open_tray(client, drive, force).await?;
        client.run(&command::RemoveMedium { id: id() }).await?;
        if let Some(node) = fresh {
            client.run(&command::InsertMedium { id: id(), node_name: node.to_owned() }).await?;
        }
        client.run(&command::CloseTray { id: id() }).await.map(drop)
    }

    async fn open_tray(&self, client: &qmp::Client, drive: &str, force: bool) -> Result<()> {
        client.run(&command::OpenTray { id: drive.to_owned(), force }).await?;
        let deadline = Instant::now() + GUEST_EJECT;
        loop {
            if self.drive(drive).await?.tray_open == Some(true) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::TrayLocked { device: drive.to_owned() });
            }
            sleep(LOOK).await;
        }
    }
}
