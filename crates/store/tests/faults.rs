//! Real faults: the writing process is killed, the disk is full. The tests mount a small tmpfs as the disk, so they run as
//! root.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

mod common;

use common::{Home, target};
use store::{Batch, Error, Options, Store, Target};

/// The file of the child's store, or of its copy.
const CHILD_STORE: &str = "STORE_TEST_CHILD";
/// The child's database, if its store is in one.
const CHILD_DATABASE: &str = "STORE_TEST_DATABASE";

/// The writing process: eight writers that print each number once its batch is acknowledged.
#[test]
#[ignore = "started by nothing_is_lost"]
fn child_that_writes_until_it_is_killed() {
    let path = std::env::var_os(CHILD_STORE).expect("the parent names the store");
    let store = match std::env::var(CHILD_DATABASE) {
        Ok(name) => Store::connect(&Target::parse(&name).expect("a name"), path, &Options::default()),
        Err(_) => Store::open(path),
    };
    let store = store.expect("open");
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || {
                loop {
                    let mut take = Batch::new();
                    take.reserve("number", 1);
                    let number = store.commit_blocking(take).expect("commit").reserved[0].start;
                    let mut batch = Batch::new();
                    batch.put("left", format!("{number}"), vec![1; 300]);
                    batch.append("log", 0, number.to_le_bytes());
                    batch.put("right", format!("{number}"), "x");
                    store.commit_blocking(batch).expect("commit");
                    // One write, so that a line is whole or missing.
                    std::io::stdout().lock().write_all(format!("ack {number}\n").as_bytes()).expect("parent");
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().expect("writer"));
}

#[test]
fn nothing_acknowledged_is_lost_when_the_writer_is_killed() {
    nothing_is_lost(&Home::file(), 12);
}

#[test]
fn nothing_acknowledged_is_lost_when_the_writer_to_a_database_is_killed() {
    nothing_is_lost(&Home::database(), 6);
}

fn nothing_is_lost(home: &Home, rounds: usize) {
    let (path, database) = match home {
        Home::File(directory) => (directory.path().join("state.db"), None),
        Home::Database(server, directory) => (directory.path().join("copy.db"), Some(target(server))),
        Home::Memory => unreachable!("it dies with its process"),
    };
    let mut acknowledged = HashSet::new();
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_until_it_is_killed", "--ignored", "--nocapture"])
            .env(CHILD_STORE, &path)
            .envs(database.as_ref().map(|database| (CHILD_DATABASE, database.to_string())))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let enough = 20 + 37 * round;
        let mut seen = 0;
        for line in lines.by_ref() {
            seen += usize::from(note(&line.unwrap(), &mut acknowledged));
            if seen == enough {
                child.kill().unwrap();
                break;
            }
        }
        assert_eq!(seen, enough, "the child ended by itself");
        // Lines that the child wrote before its end and that are still unread count as well.
        lines.map_while(Result::ok).for_each(|line| _ = note(&line, &mut acknowledged));
        child.wait().unwrap();

        let store = home.open();
        store.verify().unwrap();
        let keys = |collection| -> HashSet<u64> {
            let records = store.scan(collection, None, 100_000).unwrap();
            records.into_iter().map(|r| r.key.parse().unwrap()).collect()
        };
        let (left, right) = (keys("left"), keys("right"));
        let log: Vec<u64> = store
            .range("log", 0, 100_000)
            .unwrap()
            .into_iter()
            .map(|e| u64::from_le_bytes(e.value.try_into().unwrap()))
            .collect();
        assert_eq!(left, right, "a batch is there in half");
        assert_eq!(log.len(), left.len(), "a number was given twice or an entry is missing");
        assert_eq!(log.into_iter().collect::<HashSet<_>>(), left);
        let lost: Vec<_> = acknowledged.difference(&left).collect();
        assert!(lost.is_empty(), "round {round} lost {lost:?}");
    }
}

fn note(line: &str, acknowledged: &mut HashSet<u64>) -> bool {
    let Some(number) = line.strip_prefix("ack ") else { return false };
    assert!(acknowledged.insert(number.parse().expect("a number")), "number {number} was given twice");
    true
}

/// A small file system, unmounted when dropped.
struct SmallDisk {
    at: PathBuf,
    _directory: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("disk");
        std::fs::create_dir(&at).unwrap();
        let options = format!("size={size}");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).status();
        assert!(status.unwrap().success(), "mounting a tmpfs needs root");
        Self { at, _directory: directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.at.join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

fn put(store: &Store, key: &str, bytes: usize) -> store::Result<store::Committed> {
    let mut batch = Batch::new();
    batch.put("vm", key, vec![0x42; bytes]);
    store.commit_blocking(batch)
}

fn fill(path: &Path, store: &Store) -> Vec<String> {
    let mut written = Vec::new();
    loop {
        let key = format!("{:06}", written.len());
        match put(store, &key, 20_000) {
            Ok(_) => written.push(key),
            Err(Error::Full) => return written,
            Err(other) => panic!("{}: {other}", path.display()),
        }
    }
}

#[test]
fn a_full_disk_is_said_and_the_store_goes_on_when_there_is_room() {
    let disk = SmallDisk::mount("6m");
    let ballast = disk.path("ballast");
    std::fs::write(&ballast, vec![1; 3 << 20]).unwrap();
    let path = disk.path("state.db");
    let store = Store::open(&path).unwrap();

    let mut written = fill(&path, &store);
    assert!(!written.is_empty());
    assert!(matches!(put(&store, "again", 20_000), Err(Error::Full)));
    assert_eq!(store.read(|v| v.count("vm")).unwrap(), written.len() as u64);

    std::fs::remove_file(&ballast).unwrap();
    put(&store, "more", 20_000).unwrap();
    written.push("more".into());
    written.sort();
    drop(store);

    let store = Store::open(&path).unwrap();
    store.verify().unwrap();
    let keys: Vec<String> = store.scan("vm", None, 10_000).unwrap().into_iter().map(|r| r.key).collect();
    assert_eq!(keys, written);
}

#[test]
fn a_disk_that_is_full_at_the_start_is_said() {
    let disk = SmallDisk::mount("64k");
    let mut ballast = std::fs::File::create(disk.path("ballast")).unwrap();
    while ballast.write(&[1; 4096]).is_ok_and(|n| n > 0) {}
    assert!(matches!(Store::open(disk.path("state.db")), Err(Error::Full)));
}
