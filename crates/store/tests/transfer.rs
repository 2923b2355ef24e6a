//! Moving stores between files and databases by exports, and checking them.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::path::Path;

use common::{Home, commit};
use store::{Error, Options, Place, Store, Totals};

fn fill(store: &Store) {
    commit(store, |b| {
        b.put("vm", "1", "{\"name\":\"web\"}")
            .put("vm", "2\u{0}ä", vec![0, 159, 146, 150])
            .put("host", "", "");
    });
    for n in 0..2_500 {
        commit(store, |b| _ = b.append("event", n, format!("event {n}")).reserve("key", 3));
    }
    commit(store, |b| {
        _ = b.trim("event", Some(2_200), None).append("gone", 1, "x").trim("gone", Some(0), None)
    });
}

/// Everything that a store has, as the lines of an export.
async fn content(home: &Home) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("export");
    home.place().export(&file).await.unwrap();
    text(&file)
}

fn text(export: &Path) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(export).unwrap()).read_to_string(&mut text).unwrap();
    text
}

async fn import(home: &Home, export: &Path) -> store::Result<Totals> {
    home.place().import(export, &Options::default()).await
}

#[tokio::test]
async fn a_store_moves_from_a_file_to_a_database_and_back_unchanged() {
    let (file, database, back) = (Home::file(), Home::database(), Home::file());
    let mut batch = store::Batch::new();
    batch.append("event", 9, "remembered");
    let first = {
        let (home, batch) = (&file, batch.clone());
        std::thread::scope(|scope| {
            scope
                .spawn(move || {
                    let store = home.open();
                    fill(&store);
                    store.commit_blocking(batch).unwrap()
                })
                .join()
                .unwrap()
        })
    };
    let directory = tempfile::tempdir().unwrap();
    let (there, again) = (directory.path().join("there.gz"), directory.path().join("again.gz"));
    let exported = file.place().export(&there).await.unwrap();
    assert_eq!((exported.records, exported.entries, exported.batches), (3, 2_201, 2_503));
    assert_eq!(import(&database, &there).await.unwrap(), exported);
    assert_eq!(database.place().export(&again).await.unwrap(), exported);
    assert_eq!(import(&back, &again).await.unwrap(), exported);
    let original = content(&file).await;
    assert_eq!(content(&database).await, original);
    assert_eq!(content(&back).await, original);
    for home in [&file, &database, &back] {
        let survey = home.place().check().await.unwrap();
        let sizes: Vec<(&str, u64)> =
            survey.collections.iter().chain(&survey.logs).map(|t| (t.name.as_str(), t.rows)).collect();
        assert_eq!(sizes, [("host", 1), ("vm", 2), ("event", 2_201), ("gone", 0)]);
        assert!(survey.on_disk > 0);
        // It goes on where it was: a batch that is sent again is known.
        let replayed = std::thread::scope(|scope| {
            scope.spawn(|| home.open().commit_blocking(batch.clone()).unwrap()).join().unwrap()
        });
        assert_eq!(replayed, store::Committed { replayed: true, ..first.clone() });
    }
    assert!(matches!(import(&database, &there).await, Err(Error::NotEmpty { .. })));
    assert!(matches!(import(&back, &there).await, Err(Error::NotEmpty { .. })));
}

#[tokio::test]
async fn a_store_in_use_is_exported_and_neither_checked_nor_filled() {
    for home in [Home::file(), Home::database()] {
        let directory = tempfile::tempdir().unwrap();
        let export = directory.path().join("export.gz");
        let store = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let store = home.open();
                    commit(&store, |b| _ = b.put("vm", "1", "x"));
                    store
                })
                .join()
                .unwrap()
        });
        assert_eq!(home.place().export(&export).await.unwrap().records, 1);
        assert!(text(&export).contains(r#"{"record":{"collection":"vm","key":"1","value":"x"}}"#));
        let in_use = |error: &Error| matches!(error, Error::InUse(_) | Error::Held { .. });
        let error = home.place().check().await.unwrap_err();
        assert!(in_use(&error), "{error}");
        let error = import(&home, &export).await.unwrap_err();
        assert!(in_use(&error), "{error}");
        assert!(matches!(home.place().export(&export).await, Err(Error::Io(_))), "no export is overwritten");
        std::thread::scope(|scope| _ = scope.spawn(|| drop(store)).join());
    }
}

#[tokio::test]
async fn an_export_that_is_cut_changed_or_newer_is_refused_and_leaves_nothing() {
    let home = Home::file();
    std::thread::scope(|scope| {
        _ = scope.spawn(|| fill(&home.open())).join();
    });
    let directory = tempfile::tempdir().unwrap();
    let good = directory.path().join("good.gz");
    home.place().export(&good).await.unwrap();
    let text = text(&good);
    let bytes = std::fs::read(&good).unwrap();
    let packed = |text: &str| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap()
    };
    let line = text.lines().nth(1).unwrap();
    let last = text.lines().last().unwrap();
    let cases = [
        ("cut", bytes[..bytes.len() / 2].to_vec()),
        ("without its end", packed(text.strip_suffix(&format!("{last}\n")).unwrap())),
        ("changed", packed(&text.replace("event 2400", "event 2401"))),
        ("a line twice", packed(&text.replacen(line, &format!("{line}\n{line}"), 1))),
        ("a line missing", packed(&text.replacen(&format!("{line}\n"), "", 1))),
        ("longer", packed(&format!("{text}{line}\n"))),
        ("newer", packed(&text.replacen("\"version\":1", "\"version\":2", 1))),
        ("of a newer store", packed(&text.replacen("\"format\":1", "\"format\":7", 1))),
        ("a text", b"hello".to_vec()),
        ("empty", Vec::new()),
    ];
    for (case, bytes) in cases {
        let file = directory.path().join("bad.gz");
        std::fs::write(&file, bytes).unwrap();
        let empty = Home::file();
        let error = import(&empty, &file).await.expect_err(case);
        assert!(matches!(error, Error::Export(_) | Error::NewerFormat { .. }), "{case}: {error}");
        let Place::File(path) = empty.place() else { unreachable!() };
        assert!(!path.exists(), "{case}");
        assert!(!path.with_extension("db.importing").exists(), "{case}");
        assert!(import(&empty, &good).await.is_ok(), "{case}");
    }
}

#[tokio::test]
async fn a_check_finds_rows_that_no_batch_can_have_made() {
    let home = Home::database();
    std::thread::scope(|scope| {
        _ = scope.spawn(|| fill(&home.open())).join();
    });
    let Home::Database(server, _) = &home else { unreachable!() };
    assert!(home.place().check().await.is_ok());
    for (damage, repair) in [
        (
            "UPDATE esfera.log SET last = 3 WHERE name = 'event'",
            "UPDATE esfera.log SET last = 2500 WHERE name = 'event'",
        ),
        (
            "UPDATE esfera.batch SET outcome = 'x' WHERE position = 7",
            "UPDATE esfera.batch SET outcome = '' WHERE position = 7",
        ),
        ("UPDATE esfera.store SET position = 9", "UPDATE esfera.store SET position = 2502"),
        (
            "UPDATE esfera.record SET key = '\\xff' WHERE key = '1'",
            "UPDATE esfera.record SET key = '1' WHERE key = '\\xff'",
        ),
    ] {
        server.sql(damage);
        let error = home.place().check().await.expect_err(damage);
        assert!(matches!(error, Error::Corrupt(_)), "{damage}: {error}");
        server.sql(repair);
        home.place().check().await.expect(repair);
    }
}
