//! Snapshots of the disks of a running VM: new layers on top, layers merged downwards or upwards. QEMU's open files
//! tell the chain, so this works on an adopted VM as well as on one just started.

use super::Machine;
use super::devices::{close_node, fresh_node};
use super::jobs::{self, JobProgress, Until};
use crate::cmdline::{self, block};
use crate::qmp::{self, command};
use crate::spec::ImageFormat;
use crate::{Error, Result, image};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A new layer for one disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// Disk id.
    pub disk: String,
    /// File for everything written from then on; must not exist before it is made.
    pub file: PathBuf,
}

/// A prepared layer that is not in use yet.
struct Prepared {
    node: String,
    below: String,
}

impl Machine {
    /// Puts a new layer on each of several disks in one instant. Together the old files are the snapshot, as consistent as
    /// after a power failure, or better if the guest's file systems are frozen. All or none.
    pub async fn snapshot(&self, layers: &[NewLayer]) -> Result<()> {
        self.make_layers(layers).await?;
        let done = self.switch_to_layers(layers).await;
        if let Err(e) = &done
            && !e.is_undecided()
        {
            remove_layers(layers);
        }
        done
    }

    /// Makes the files of new layers, empty: each shows its disk's contents. If one fails, none is left.
    pub async fn make_layers(&self, layers: &[NewLayer]) -> Result<()> {
        let client = self.monitor();
        for (at, layer) in layers.iter().enumerate() {
            if let Err(e) = self.make_layer(&client, layer).await {
                remove_layers(&layers[..at]);
                return Err(e);
            }
        }
        Ok(())
    }

    /// Switches disks to layers that were made for them, in one instant. All or none. If it fails the files stay: after an
    /// error that [`Error::is_undecided`] they may be in use.
    pub async fn switch_to_layers(&self, layers: &[NewLayer]) -> Result<()> {
        let _one = self.inner.changing.lock().await;
        let client = self.monitor();
        let mut prepared = Vec::new();
        let done = async {
            for layer in layers {
                prepared.push(self.open_layer(&client, layer).await?);
            }
            let action = |p: &Prepared| json!({"type": "blockdev-snapshot", "data": {"node": p.below, "overlay": p.node}});
            let actions: Vec<Value> = prepared.iter().map(action).collect();
            client.run(&command::Transaction { actions }).await.map(drop)
        };
        let done = done.await;
        if let Err(e) = &done
            && !e.is_undecided()
        {
            for layer in &prepared {
                if !close_node(&client, &layer.node).await {
                    tracing::warn!(node = layer.node, "a layer that is not in use stays open");
                }
            }
        }
        done
    }

    async fn make_layer(&self, client: &qmp::Client, layer: &NewLayer) -> Result<()> {
        let drive = self.drive(&layer.disk).await?;
        let below = self.node_at(client, &drive.node_name).await?;
        let format = if below.drv == "raw" { ImageFormat::Raw } else { ImageFormat::Qcow2 };
        let below_file = below.path().ok_or_else(|| Error::NoSuchLayer {
            disk: layer.disk.clone(),
            layer: format!("with a file: node {}", drive.node_name),
        })?;
        image::create_overlay(&layer.file, Path::new(&below_file), format, drive.virtual_bytes).await?;
        let given = super::start::give(&layer.file, self.spec());
        if given.is_err() {
            remove_layers(std::slice::from_ref(layer));
        }
        given
    }

    async fn open_layer(&self, client: &qmp::Client, layer: &NewLayer) -> Result<Prepared> {
        let below = self.drive(&layer.disk).await?.node_name;
        let node = fresh_node(&layer.disk);
        let mut options = block::image(&node, &layer.file, ImageFormat::Qcow2, false)?;
        // The layer below is already open; the snapshot connects the two.
        options["backing"] = Value::Null;
        client.run(&command::BlockdevAdd { options }).await?;
        Ok(Prepared { node, below })
    }

    async fn node_at(&self, client: &qmp::Client, node_name: &str) -> Result<command::BlockNode> {
        let nodes = client.run(&command::QueryNamedBlockNodes { flat: true }).await?;
        let node = nodes.into_iter().find(|node| node.node_name == node_name);
        node.ok_or_else(|| Error::NoSuchDevice(node_name.to_owned()))
    }

    /// Files of a disk's chain as QEMU has them open, the newest first.
    pub async fn chain(&self, disk: &str) -> Result<Vec<PathBuf>> {
        let client = self.monitor();
        Ok(self.chain_nodes(&client, disk).await?.into_iter().map(|(file, _)| file).collect())
    }

    /// File and node name of each layer, the newest first.
    async fn chain_nodes(&self, client: &qmp::Client, disk: &str) -> Result<Vec<(PathBuf, String)>> {
        let nodes = client.run(&command::QueryNamedBlockNodes { flat: true }).await?;
        let mut next = Some(self.drive(disk).await?.file);
        let mut chain: Vec<(PathBuf, String)> = Vec::new();
        while let Some(file) = next {
            let node = nodes
                .iter()
                .find(|node| node.drv != "file" && node.path().as_deref() == Some(&file))
                .ok_or_else(|| Error::NoSuchLayer { disk: disk.to_owned(), layer: file.clone() })?;
            if chain.iter().any(|(_, name)| *name == node.node_name) {
                return Err(Error::Protocol(format!("the chain of {disk} has no end")));
            }
            next = node.backing_path();
            chain.push((PathBuf::from(file), node.node_name.clone()));
        }
        Ok(chain)
    }

    /// Merges the layers of a disk from `top` down into `base` while the VM runs. `base` then holds the contents of `top`,
    /// and the files from `top` to just above `base` are unused. `None` for `top` means the newest.
    ///
    /// Merging the newest layer would make the guest write to `base` from then on. If this returns true, the processors are
    /// stopped instead until [`Machine::resume`]: until then both files have the same contents, whichever one is named.
    pub async fn commit(
        &self,
        disk: &str,
        top: Option<&Path>,
        base: &Path,
        progress: impl FnMut(JobProgress),
    ) -> Result<bool> {
        let one = self.inner.changing.lock().await;
        let client = self.monitor();
        let chain = self.chain_nodes(&client, disk).await?;
        let find = |file: &Path| position(&chain, disk, file);
        let (top, base) = (top.map_or(Ok(0), &find)?, find(base)?);
        if base <= top {
            return Err(Error::NotBelow { disk: disk.to_owned() });
        }
        let job = jobs::id("commit", disk);
        let command = command::BlockCommit {
            job_id: job.clone(),
            device: chain[0].1.clone(),
            top_node: (top > 0).then(|| chain[top].1.clone()),
            base_node: Some(chain[base].1.clone()),
            backing_file: if top > 0 {
                Some(image::backing_name(&chain[top - 1].0, &chain[base].0)?)
            } else {
                None
            },
            speed: None,
            auto_dismiss: false,
        };
        self.dismiss_leftover(&client, &job).await?;
        client.run(&command).await?;
        drop(one);
        match self.follow(&job, if top > 0 { Until::End } else { Until::Ready }, progress).await? {
            true => Ok(false),
            false => self.switch(&job).await,
        }
    }

    /// Copies the layers between a disk's newest layer and `base` into the newest layer; with `None`, all of them, so that
    /// it stands alone. It no longer uses the files in between.
    pub async fn stream(
        &self,
        disk: &str,
        base: Option<&Path>,
        progress: impl FnMut(JobProgress),
    ) -> Result<()> {
        let one = self.inner.changing.lock().await;
        let client = self.monitor();
        let chain = self.chain_nodes(&client, disk).await?;
        let base = base.map(|file| position(&chain, disk, file)).transpose()?;
        let job = jobs::id("stream", disk);
        let command = command::BlockStream {
            job_id: job.clone(),
            device: chain[0].1.clone(),
            base_node: base.map(|base| chain[base].1.clone()),
            backing_file: base.map(|base| image::backing_name(&chain[0].0, &chain[base].0)).transpose()?,
            speed: None,
            auto_dismiss: false,
        };
        self.dismiss_leftover(&client, &job).await?;
        client.run(&command).await?;
        drop(one);
        self.wait_job(&job, progress).await
    }
}

fn remove_layers(layers: &[NewLayer]) {
    for layer in layers {
        drop(std::fs::remove_file(&layer.file));
    }
}

fn position(chain: &[(PathBuf, String)], disk: &str, file: &Path) -> Result<usize> {
    let name = cmdline::text(file)?;
    chain
        .iter()
        .position(|(path, _)| path == file)
        .ok_or_else(|| Error::NoSuchLayer { disk: disk.to_owned(), layer: name })
}
