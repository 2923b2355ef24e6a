//! A store in PostgreSQL whose server crashes, hangs, is cut off, fills its disk, or is taken by another center: with real
//! servers, and with a proxy that cuts lines.
#![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]

mod common;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::server::Server;
use common::{commit, impatient, target};
use store::{Batch, Error, Options, Store, Target};

/// Generous: computers are slow at times.
const LIMIT: Duration = Duration::from_secs(60);

fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn put(store: &Store, key: &str) -> store::Result<store::Committed> {
    let mut batch = Batch::new();
    batch.put("vm", key, "x");
    store.commit_blocking(batch)
}

fn stopped(store: &Store) -> Error {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, store.stopped()).await.expect("it stops") })
}

/// Writers that note the numbers that were acknowledged.
struct Writers {
    acknowledged: Arc<Mutex<HashSet<u64>>>,
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Writers {
    fn start(store: &Store) -> Self {
        let (acknowledged, count) = (Arc::new(Mutex::new(HashSet::new())), Arc::new(AtomicU64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..8)
            .map(|_| {
                let (store, acknowledged) = (store.clone(), acknowledged.clone());
                let (count, stop) = (count.clone(), stop.clone());
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let mut take = Batch::new();
                        take.reserve("number", 1);
                        let number = store.commit_blocking(take).expect("commit").reserved[0].start;
                        let mut batch = Batch::new();
                        batch.put("left", format!("{number}"), vec![1; 300]);
                        batch.append("log", 0, number.to_le_bytes());
                        batch.put("right", format!("{number}"), "x");
                        let committed = store.commit_blocking(batch).expect("commit");
                        assert_eq!(committed.appended.len(), 1);
                        assert!(acknowledged.lock().unwrap().insert(number), "{number} was given twice");
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Self { acknowledged, count, stop, threads }
    }

    /// Waits for that many further acknowledgements.
    fn go_on(&self, further: u64) {
        let goal = self.count.load(Ordering::Relaxed) + further;
        wait_until("the writers go on", || self.count.load(Ordering::Relaxed) >= goal);
    }

    fn end(self) -> HashSet<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("a writer"));
        Arc::try_unwrap(self.acknowledged).unwrap().into_inner().unwrap()
    }
}

/// The store has exactly what was acknowledged, each batch whole and once.
fn has_exactly(store: &Store, acknowledged: &HashSet<u64>) {
    let keys = |collection| -> HashSet<u64> {
        let records = store.scan(collection, None, 100_000).unwrap();
        records.into_iter().map(|record| record.key.parse().unwrap()).collect()
    };
    let log = store.range("log", 0, 100_000).unwrap();
    assert_eq!(log.len(), acknowledged.len(), "an entry was written twice or is missing");
    assert_eq!(&keys("left"), acknowledged);
    assert_eq!(&keys("right"), acknowledged);
}

#[test]
fn a_server_that_crashes_in_the_middle_of_commits_loses_nothing_and_repeats_nothing() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let open =
        || Store::connect(&target(&server), directory.path().join("copy"), &Options::default()).unwrap();
    let store = open();
    let writers = Writers::start(&store);
    for round in 0..6 {
        writers.go_on(10 + 17 * round);
        match round % 3 {
            0 => server.stop("immediate"),
            1 => server.stop("fast"),
            _ => {
                let processes = server.processes();
                server.signal(&processes, "KILL");
                wait_until("the server ends", || !server.is_running());
            }
        }
        wait_until("the loss is told", || store.outage().is_some());
        server.run();
    }
    writers.go_on(20);
    assert_eq!(store.outage(), None);
    let acknowledged = writers.end();
    has_exactly(&store, &acknowledged);
    drop(store);
    has_exactly(&open(), &acknowledged);
}

#[test]
fn while_the_server_hangs_changes_are_refused_and_reads_go_on_and_nothing_refused_appears_later() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let store = impatient(&target(&server), directory.path().join("copy"));
    put(&store, "before").unwrap();
    // The process that serves the store takes the batch when it goes on: long after its caller was refused.
    let all = server.processes();
    server.signal(&all, "STOP");
    let refused = put(&store, "during").unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused}");
    assert!(store.outage().is_some());
    assert!(matches!(put(&store, "later").unwrap_err(), Error::Unavailable(_)));
    assert!(store.get("vm", "before").unwrap().is_some());
    assert_eq!(store.get("vm", "during").unwrap(), None);

    server.signal(&all, "CONT");
    wait_until("the database is back", || put(&store, "after").is_ok());
    assert_eq!(store.outage(), None);
    drop(store);
    let keys =
        server.sql("SELECT string_agg(convert_from(key, 'UTF8'), ' ' ORDER BY key) FROM esfera.record");
    assert_eq!(keys, "after before");
    let positions =
        server.sql("SELECT position || ' ' || (SELECT max(position) FROM esfera.batch) FROM esfera.store");
    assert_eq!(positions, "2 2");
}

/// A line to a server that a test can cut.
struct Proxy {
    port: u16,
    /// Whether new connections are taken.
    open: Arc<AtomicBool>,
    /// Whether answers are held back: what the server did is not heard of.
    deaf: Arc<AtomicBool>,
    lines: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            open: Arc::new(AtomicBool::new(true)),
            deaf: Arc::default(),
            lines: Arc::default(),
        };
        let (open, deaf, lines) = (proxy.open.clone(), proxy.deaf.clone(), proxy.lines.clone());
        let behind = server.port();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if !open.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", behind)) else { continue };
                lines.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let never = Arc::new(AtomicBool::new(false));
                carry(client.try_clone().unwrap(), server.try_clone().unwrap(), never);
                carry(server, client, deaf.clone());
            }
        });
        proxy
    }

    fn target(&self) -> Target {
        Target::parse(&format!("postgres://esfera@127.0.0.1:{}/center", self.port)).unwrap()
    }

    fn cut(&self) {
        for line in self.lines.lock().unwrap().drain(..) {
            let _ = line.shutdown(Shutdown::Both);
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, swallow: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(n) = from.read(&mut buffer) {
            if n == 0 || (!swallow.load(Ordering::SeqCst) && to.write_all(&buffer[..n]).is_err()) {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

#[test]
fn lines_that_are_cut_lose_nothing_and_repeat_nothing() {
    let server = Server::start();
    let proxy = Proxy::to(&server);
    let directory = tempfile::tempdir().unwrap();
    let store = Store::connect(&proxy.target(), directory.path().join("copy"), &Options::default()).unwrap();
    let writers = Writers::start(&store);
    for round in 0..20 {
        writers.go_on(3 + round);
        proxy.cut();
    }
    writers.go_on(20);
    let acknowledged = writers.end();
    has_exactly(&store, &acknowledged);
    drop(store);
    let again = Store::connect(&target(&server), directory.path().join("copy"), &Options::default()).unwrap();
    has_exactly(&again, &acknowledged);
}

#[test]
fn a_batch_whose_answer_was_lost_is_in_the_database_once() {
    let server = Server::start();
    let proxy = Proxy::to(&server);
    let directory = tempfile::tempdir().unwrap();
    let store = Store::connect(&proxy.target(), directory.path().join("copy"), &Options::default()).unwrap();
    put(&store, "before").unwrap();
    proxy.deaf.store(true, Ordering::SeqCst);
    let writer = {
        let store = store.clone();
        std::thread::spawn(move || {
            let mut batch = Batch::new();
            batch.append("event", 1, "once").reserve("key", 1);
            store.commit_blocking(batch)
        })
    };
    wait_until("the database has it", || server.sql("SELECT count(*) FROM esfera.entry") == "1");
    assert!(!writer.is_finished());
    proxy.cut();
    proxy.deaf.store(false, Ordering::SeqCst);
    let committed = writer.join().unwrap().unwrap();
    assert_eq!((committed.position, committed.appended, committed.replayed), (2, vec![1], false));
    assert_eq!(commit(&store, |b| _ = b.append("event", 2, "next").reserve("key", 1)).reserved, [2..3]);
    assert_eq!(server.sql("SELECT count(*) FROM esfera.entry"), "2");
}

#[test]
fn a_batch_whose_caller_was_refused_is_taken_out_of_the_database_again() {
    let server = Server::start();
    let proxy = Proxy::to(&server);
    let directory = tempfile::tempdir().unwrap();
    let store = impatient(&proxy.target(), directory.path().join("copy"));
    commit(&store, |b| {
        _ = b.put("vm", "1", "old").put("vm", "2", "kept").append("event", 1, "a").reserve("key", 5)
    });
    proxy.deaf.store(true, Ordering::SeqCst);
    let writer = {
        let store = store.clone();
        std::thread::spawn(move || {
            let mut batch = Batch::new();
            batch.clear("vm").put("vm", "1", "new").append("event", 2, "b").trim("event", Some(1), None);
            store.commit_blocking(batch)
        })
    };
    wait_until("the database has it", || server.sql("SELECT position FROM esfera.store") == "2");
    proxy.open.store(false, Ordering::SeqCst);
    proxy.cut();
    let refused = writer.join().unwrap().unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused}");
    assert_eq!(store.get("vm", "1").unwrap().unwrap(), b"old");

    proxy.deaf.store(false, Ordering::SeqCst);
    proxy.open.store(true, Ordering::SeqCst);
    wait_until("the database is back", || put(&store, "3").is_ok());
    assert_eq!(commit(&store, |b| _ = b.append("event", 3, "c")).appended, [2]);
    drop(store);
    let store = Store::connect(&target(&server), directory.path().join("copy"), &Options::default()).unwrap();
    assert_eq!(store.get("vm", "1").unwrap().unwrap(), b"old");
    assert_eq!(store.read(|view| view.count("vm")).unwrap(), 3);
    let events: Vec<Vec<u8>> = store.tail("event", 9).unwrap().into_iter().map(|entry| entry.value).collect();
    assert_eq!(events, [b"a", b"c"]);
    assert_eq!(store.read(|view| view.position()).unwrap(), 3);
}

#[test]
fn a_second_center_is_refused_and_told_who_has_the_database() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let options = Options { program: "esfera center".into(), ..Options::default() };
    let store = Store::connect(&target(&server), directory.path().join("first"), &options).unwrap();
    let refused = Store::connect(&target(&server), directory.path().join("second"), &options).err().unwrap();
    let Error::Held { by, .. } = &refused else { panic!("{refused}") };
    assert!(by.starts_with(&format!("esfera center (process {} on ", std::process::id())), "{by}");
    put(&store, "1").unwrap();
    drop(store);
    let store = Store::connect(&target(&server), directory.path().join("second"), &options).unwrap();
    assert!(store.get("vm", "1").unwrap().is_some());
}

#[test]
fn a_center_whose_database_was_taken_meanwhile_writes_no_more() {
    let server = Server::start();
    let proxy = Proxy::to(&server);
    let directory = tempfile::tempdir().unwrap();
    let first = impatient(&proxy.target(), directory.path().join("first"));
    put(&first, "1").unwrap();
    proxy.open.store(false, Ordering::SeqCst);
    proxy.cut();
    let options = Options { program: "the other".into(), ..Options::default() };
    let second = Store::connect(&target(&server), directory.path().join("second"), &options).unwrap();
    put(&second, "2").unwrap();
    // Even if the other has ended when the first one comes back.
    drop(second);
    proxy.open.store(true, Ordering::SeqCst);
    let told = stopped(&first).to_string();
    assert!(told.contains("taken") && told.contains("the other"), "{told}");
    assert!(matches!(put(&first, "3").unwrap_err(), Error::Stopped(_)));
    assert_eq!(server.sql("SELECT position FROM esfera.store"), "2");
}

#[test]
fn a_standby_that_had_not_got_everything_gets_it_from_the_center() {
    let server = Server::start();
    let proxy = Proxy::to(&server);
    let directory = tempfile::tempdir().unwrap();
    let store = Store::connect(&proxy.target(), directory.path().join("copy"), &Options::default()).unwrap();
    commit(&store, |b| _ = b.put("vm", "1", "a").append("event", 1, "x"));
    commit(&store, |b| _ = b.put("vm", "2", "b").append("event", 2, "y"));
    proxy.open.store(false, Ordering::SeqCst);
    proxy.cut();
    server.sql(
        "BEGIN; DELETE FROM esfera.record WHERE key = '2'; DELETE FROM esfera.entry WHERE sequence = 2; \
         UPDATE esfera.log SET last = 1; DELETE FROM esfera.batch WHERE position = 2; \
         UPDATE esfera.store SET position = 1; COMMIT",
    );
    proxy.open.store(true, Ordering::SeqCst);
    commit(&store, |b| _ = b.put("vm", "3", "c").append("event", 3, "z"));
    drop(store);
    let store = Store::connect(&target(&server), directory.path().join("copy"), &Options::default()).unwrap();
    assert_eq!(store.read(|view| view.count("vm")).unwrap(), 3);
    assert_eq!(store.tail("event", 9).unwrap().len(), 3);
}

#[test]
fn databases_that_cannot_serve_are_refused_with_the_reason() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let target = Target::parse(name).unwrap();
        Store::connect(&target, directory.path().join("copy"), &Options::default()).err().expect(name)
    };
    let missing = open(&server.name().replace("/center", "/nowhere"));
    assert!(matches!(&missing, Error::Refused { reason, .. } if reason.contains("nowhere")), "{missing}");
    let nobody = open("postgres://esfera@127.0.0.1:1/center");
    assert!(matches!(&nobody, Error::Refused { reason, .. } if reason.contains("refused")), "{nobody}");

    server.sql("CREATE SCHEMA esfera; CREATE TABLE esfera.songs (name text)");
    assert!(matches!(open(&server.name()), Error::Foreign));
    server.sql("DROP SCHEMA esfera CASCADE");
    drop(Store::connect(&target(&server), directory.path().join("copy"), &Options::default()).unwrap());
    server.sql("UPDATE esfera.store SET format = 2");
    assert!(matches!(open(&server.name()), Error::NewerFormat { found: 2, supported: 1 }));
}

/// A key, a certificate for `name` and the certificate of the authority that signed it, in files for the server.
fn certificates(server: &Server, name: &str) -> (String, PathBuf) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let at = |file: &str, text: String| {
        let path = server.directory().join(file);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        server.give(&path);
        path
    };
    let key = at("server.key", key.serialize_pem());
    let certificate = at("server.crt", certificate.pem());
    let root = at("root.crt", root.pem());
    let settings = format!(
        "ssl = on\nssl_key_file = '{}'\nssl_cert_file = '{}'\npassword_encryption = 'scram-sha-256'\n",
        key.display(),
        certificate.display()
    );
    (settings, root)
}

#[test]
fn tls_is_used_and_the_servers_certificate_is_checked() {
    let server = Server::start();
    let (settings, root) = certificates(&server, "localhost");
    let (_, stranger) = {
        let other = tempfile::tempdir().unwrap();
        let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let path = other.path().join("root.crt");
        std::fs::write(&path, key.cert.pem()).unwrap();
        (other.keep(), path)
    };
    server.sql("SET password_encryption = 'scram-sha-256'; CREATE ROLE keeper LOGIN PASSWORD 'se:cret/'; GRANT CREATE ON DATABASE center TO keeper");
    server.stop("fast");
    server.configure(&settings);
    std::fs::write(
        server.data().join("pg_hba.conf"),
        "hostssl all keeper 127.0.0.1/32 scram-sha-256\nhost all esfera 127.0.0.1/32 trust\n",
    )
    .unwrap();
    server.run();
    let directory = tempfile::tempdir().unwrap();
    let open = |host: &str, options: String, password: &str| {
        let name = format!("postgres://keeper@{host}:{}/center?{options}", server.port());
        let target = Target::parse(&name).unwrap().with_password(password);
        Store::connect(&target, directory.path().join("copy"), &Options::default())
    };
    let verified = format!("sslmode=verify-full&sslrootcert={}", root.display());
    let store = open("localhost", verified.clone(), "se:cret/").unwrap();
    put(&store, "1").unwrap();
    assert_eq!(
        server.sql("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'keeper'"),
        "t"
    );
    drop(store);
    drop(open("127.0.0.1", "sslmode=require".into(), "se:cret/").unwrap());

    let refused = [
        // Another name than the certificate's, another authority, a wrong password, a line without TLS.
        open("127.0.0.1", verified.clone(), "se:cret/"),
        open("localhost", format!("sslmode=verify-full&sslrootcert={}", stranger.display()), "se:cret/"),
        open("localhost", verified, "wrong"),
        open("127.0.0.1", "sslmode=disable".into(), "se:cret/"),
    ];
    for (n, refused) in refused.into_iter().enumerate() {
        let error = refused.err().unwrap_or_else(|| panic!("{n} was let in"));
        assert!(matches!(error, Error::Refused { .. }), "{n}: {error}");
        assert!(!error.to_string().contains("cret"), "{error}");
    }
}

#[test]
fn a_full_disk_of_the_server_is_survived() {
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().to_owned();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=160m,mode=711", "tmpfs"]).arg(&disk).status();
    assert!(mounted.unwrap().success(), "mounting a tmpfs needs root");
    let result = std::panic::catch_unwind(|| {
        let server =
            Server::in_directory(tempfile::tempdir_in(&disk).unwrap(), "fsync = off\nwal_recycle = off\n");
        let copies = tempfile::tempdir().unwrap();
        let store = impatient(&target(&server), copies.path().join("copy"));
        let ballast = disk.join("ballast");
        let mut written = 0;
        let value = |n: u64| {
            let mut batch = Batch::new();
            // Values that cannot be compressed.
            let bytes: Vec<u8> = (0..300_000_u64)
                .map(|i| (i.wrapping_mul(n + 7).wrapping_mul(2_654_435_761) >> 13) as u8)
                .collect();
            batch.put("vm", format!("{n}"), bytes);
            store.commit_blocking(batch)
        };
        for _ in 0..3 {
            value(written).unwrap();
            written += 1;
        }
        let mut file = std::fs::File::create(&ballast).unwrap();
        while file.write(&[1; 64 << 10]).is_ok_and(|n| n > 0) {}
        let refused = loop {
            match value(written) {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
            assert!(written < 2_000);
        };
        assert!(matches!(refused, Error::Full | Error::Unavailable(_)), "{refused}");
        assert_eq!(store.read(|view| view.count("vm")).unwrap(), written);

        drop(file);
        std::fs::remove_file(&ballast).unwrap();
        if !server.is_running() {
            // PostgreSQL ends itself when its log has no room.
            server.run();
        }
        let mut last = None;
        wait_until("there is room", || match value(written) {
            Ok(_) => true,
            Err(error) => {
                if last.as_ref() != Some(&error.to_string()) {
                    println!("{error}");
                }
                last = Some(error.to_string());
                false
            }
        });
        drop(store);
        assert_eq!(server.sql("SELECT count(*) FROM esfera.record"), (written + 1).to_string());
    });
    let _ = Command::new("umount").arg("--lazy").arg(&disk).status();
    result.unwrap();
}
