//! `esfera datastore cp`

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use api::client::{Client, FilePath};
use bytes::BytesMut;
use clap::Args;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vim::{call, field};

use super::place::Place;
use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::progress::Progress;
use crate::client::session;
use crate::client::target::Target;

/// Size of a download's buffer, bytes.
const CHUNK_BYTES: usize = 256 * 1024;

#[derive(Args)]
pub struct Cp {
    from: String,
    to: String,
    #[command(flatten)]
    target: Target,
}

pub async fn run(Cp { from, to, target }: Cp) -> Result<(), Failure> {
    let client = session::open(&target).await?;
    let inventory = Inventory::of(&client).await?;
    let (from, to) = (&*from, &*to);
    let progress = Arc::new(Progress::new("copy"));
    match (is_remote(from), is_remote(to)) {
        (true, true) => {
            let (source, target) = (Place::find(&inventory, from).await?, Place::find(&inventory, to).await?);
            let call = call!(CopyDatastoreFile_Task {
                sourceName: from,
                sourceDatacenter: source.datacenter,
                destinationName: to,
                destinationDatacenter: target.datacenter,
                force: false,
            });
            inventory.task(&inventory.manager(field!(ServiceContent.fileManager))?, call).await?;
        }
        (true, false) => {
            let place = Place::find(&inventory, from).await?;
            download(&client, &place.file(), Path::new(to), &progress).await?;
        }
        (false, true) => {
            let place = Place::find(&inventory, to).await?;
            upload(&client, Path::new(from), &place.file(), &progress).await?;
        }
        (false, false) => {
            return Err(Failure::new(Reason::Usage, "neither path is on a datastore")
                .hint("write a path of a datastore as \"[datastore] path\""));
        }
    }
    progress.end();
    Ok(())
}

/// Downloads into a file that appears under its name when it is whole.
async fn download(client: &Client, from: &FilePath, to: &Path, progress: &Progress) -> Result<(), Failure> {
    let mut source = client.download(from, None).await?;
    let target =
        if to.is_dir() { to.join(from.path.rsplit('/').next().unwrap_or_default()) } else { to.to_owned() };
    let mut half = target.clone().into_os_string();
    half.push(".part");
    let mut file = File::create(&half).await.with_context(|| format!("cannot make {}", half.display()))?;
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    let mut done = 0;
    while source.read_buf(&mut chunk).await.context("the download was cut off")? > 0 {
        done += chunk.len() as u64;
        file.write_all(&chunk).await.with_context(|| format!("cannot write {}", half.display()))?;
        chunk.clear();
        progress.show(percent(done, source.size));
    }
    file.sync_all().await.with_context(|| format!("cannot write {}", half.display()))?;
    Ok(std::fs::rename(&half, &target).with_context(|| format!("cannot make {}", target.display()))?)
}

async fn upload(
    client: &Client,
    from: &Path,
    to: &FilePath,
    progress: &Arc<Progress>,
) -> Result<(), Failure> {
    let file = File::open(from).await.with_context(|| format!("cannot read {}", from.display()))?;
    let size = file.metadata().await.with_context(|| format!("cannot read {}", from.display()))?.len();
    let progress = progress.clone();
    client.upload(to, Some(size), file, move |done| progress.show(percent(done, Some(size)))).await?;
    Ok(())
}

fn percent(done: u64, size: Option<u64>) -> u8 {
    let percent = size.filter(|size| *size > 0).map_or(0, |size| done.saturating_mul(100) / size);
    u8::try_from(percent).unwrap_or(100)
}

fn is_remote(path: &str) -> bool {
    path.starts_with('[')
}
