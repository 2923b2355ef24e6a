//! Durable commits per second of small batches, for 1, 16 and 64 writers, beside appending as many bytes to a file with
//! an fdatasync after each: `cargo run --release -p store --example throughput [directory] [seconds]`; with
//! `ESFERA_FIGURES` set, figures for `cargo xtask bench`. Where PostgreSQL is installed, the same with a store in a server of the
//! example's own, which syncs its log as well.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[path = "../tests/common/server.rs"]
mod server;

use store::{Batch, Options, Store, Target};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let seconds = arguments.next().map_or(Ok(2.0), |text| text.parse::<f64>())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    let figures = std::env::var_os("ESFERA_FIGURES").is_some();
    if !figures {
        println!(
            "{:>10} {:>8} {:>12} {:>14} {:>12}",
            "store", "writers", "commits/s", "mean wait ms", "bare/s"
        );
    }
    let server = server::is_installed()
        .then(|| tempfile::tempdir_in(&directory).map(|at| server::Server::in_directory(at, "fsync = on")))
        .transpose()?;
    let homes = [("SQLite", None), ("PostgreSQL", server.as_ref())];
    for ((home, server), writers) in homes
        .into_iter()
        .filter(|(home, server)| *home == "SQLite" || server.is_some())
        .flat_map(|home| [1, 16, 64].map(|writers| (home, writers)))
    {
        let path = directory.join(format!("store-throughput-{}-{writers}.db", std::process::id()));
        let store = match server {
            None => Store::open(&path)?,
            Some(server) => Store::connect(&Target::parse(&server.name())?, &path, &Options::default())?,
        };
        let (commits, elapsed) = runtime.block_on(run(store, writers, Duration::from_secs_f64(seconds)))?;
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
        let rate = commits as f64 / elapsed.as_secs_f64();
        let bare = bare(&path, Duration::from_secs_f64(seconds))?;
        if figures {
            let peer = "write and fdatasync";
            println!("figure\tdurable commits, {home}, {writers} writers\t{rate}\t1/s\t\t{peer}\t{bare}");
        } else {
            let wait = writers as f64 / rate * 1000.0;
            println!("{home:>10} {writers:>8} {rate:>12.0} {wait:>14.3} {bare:>12.0}");
        }
    }
    Ok(())
}

/// How many times per second that many bytes, as in a value of [`run`], can be appended and synced to the disk.
fn bare(path: &Path, long: Duration) -> std::io::Result<f64> {
    let mut file = File::create(path)?;
    let (start, mut times) = (Instant::now(), 0_u64);
    while start.elapsed() < long {
        file.write_all(&VALUE)?;
        file.sync_data()?;
        times += 1;
    }
    let rate = times as f64 / start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// The value of each commit.
const VALUE: [u8; 100] = [0x42; 100];

async fn run(store: Store, writers: usize, long: Duration) -> store::Result<(u64, Duration)> {
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (store, done, stop) = (store.clone(), done.clone(), stop.clone());
            tokio::spawn(async move {
                let mut n = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    let mut batch = Batch::new();
                    batch.put("vm", format!("{writer}-{}", n % 1000), VALUE);
                    store.commit(batch).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                    n += 1;
                }
                Ok::<(), store::Error>(())
            })
        })
        .collect();
    tokio::time::sleep(long).await;
    let (commits, elapsed) = (done.load(Ordering::Relaxed), start.elapsed());
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("a writer does not panic")?;
    }
    Ok((commits, elapsed))
}
