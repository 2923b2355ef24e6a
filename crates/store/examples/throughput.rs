//! Durable commits per second of small batches, for 1, 16 and 64 writers:
//! `cargo run --release -p store --example throughput [directory] [seconds]`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use store::{Batch, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let seconds = arguments.next().map_or(Ok(2.0), |text| text.parse::<f64>())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    println!("{:>8} {:>12} {:>14}", "writers", "commits/s", "mean wait ms");
    for writers in [1, 16, 64] {
        let path = directory.join(format!("store-throughput-{}-{writers}.db", std::process::id()));
        let (commits, elapsed) = runtime.block_on(run(&path, writers, Duration::from_secs_f64(seconds)))?;
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
        let rate = commits as f64 / elapsed.as_secs_f64();
        println!("{writers:>8} {rate:>12.0} {:>14.3}", writers as f64 / rate * 1000.0);
    }
    Ok(())
}

async fn run(path: &std::path::Path, writers: usize, long: Duration) -> store::Result<(u64, Duration)> {
    let store = Store::open(path)?;
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (store, done, stop) = (store.clone(), done.clone(), stop.clone());
            tokio::spawn(async move {
                let mut n = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    let mut batch = Batch::new();
                    batch.put("vm", format!("{writer}-{}", n % 1000), [0x42; 100]);
                    store.commit(batch).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                    n += 1;
                }
                store::Result::Ok(())
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
