//! The monitor client against a monitor that misbehaves in every possible way.
#![allow(clippy::unwrap_used)]

use qemu::qmp::{Client, command};
use qemu::{Error, limits};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}}}}"#;
const SHORT: Duration = Duration::from_millis(50);

struct Monitor {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Monitor {
    /// The next command and its id.
    async fn command(&mut self) -> (String, Value) {
        let mut line = String::new();
        self.read.read_line(&mut line).await.unwrap();
        let command: Value = serde_json::from_str(&line).unwrap();
        (command["execute"].as_str().unwrap().to_owned(), command["id"].clone())
    }

    async fn say(&mut self, line: &str) {
        self.write.write_all(line.as_bytes()).await.unwrap();
        self.write.write_all(b"\n").await.unwrap();
    }

    async fn answer(&mut self, id: &Value, value: Value) {
        self.say(&json!({"return": value, "id": id}).to_string()).await;
    }
}

/// A client and its monitor, negotiated.
async fn pair() -> (Client, Monitor, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("qmp");
    let listener = UnixListener::bind(&path).unwrap();
    let monitor = async {
        let (read, write) = listener.accept().await.unwrap().0.into_split();
        let mut monitor = Monitor { read: BufReader::new(read), write };
        monitor.say(GREETING).await;
        let (name, id) = monitor.command().await;
        assert_eq!(name, "qmp_capabilities");
        monitor.answer(&id, json!({})).await;
        monitor
    };
    let (client, monitor) = tokio::join!(Client::connect(&path, limits::QMP_CALL), monitor);
    (client.unwrap(), monitor, dir)
}

fn status(word: &str) -> Value {
    json!({"running": false, "status": word, "unknown": [1, 2]})
}

#[tokio::test]
async fn a_late_answer_does_not_reach_the_next_call() {
    let (client, mut monitor, _dir) = pair().await;
    assert_eq!(client.version(), [10, 0, 2]);
    let late = client.run_within(&command::QueryStatus {}, SHORT).await;
    assert!(matches!(late, Err(Error::Timeout { .. })));
    let (_, first) = monitor.command().await;
    let (next, ()) = tokio::join!(client.run(&command::QueryStatus {}), async {
        let (_, second) = monitor.command().await;
        assert_ne!(first, second);
        monitor.answer(&first, status("stale")).await;
        monitor.answer(&second, status("fresh")).await;
    });
    assert_eq!(next.unwrap().status, "fresh");
}

#[tokio::test]
async fn answers_in_another_order_reach_their_own_calls() {
    let (client, mut monitor, _dir) = pair().await;
    let (a, b) = (client.clone(), client);
    let (a, b, ()) = tokio::join!(
        a.raw("a", json!({}), limits::QMP_CALL),
        b.raw("b", json!({}), limits::QMP_CALL),
        async {
            let (one, two) = (monitor.command().await, monitor.command().await);
            monitor.answer(&two.1, json!(two.0)).await;
            monitor.say(r#"{"event": "BETWEEN"}"#).await;
            monitor.answer(&one.1, json!(one.0)).await;
        }
    );
    assert_eq!((a.unwrap(), b.unwrap()), (json!("a"), json!("b")));
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_the_connection_whole() {
    let (client, mut monitor, _dir) = pair().await;
    {
        let call = client.raw("dropped", json!({"pad": "x".repeat(100_000)}), limits::QMP_CALL);
        let _ = tokio::time::timeout(SHORT, call).await;
    }
    let (answer, ()) = tokio::join!(client.raw("next", json!({}), limits::QMP_CALL), async {
        assert_eq!(monitor.command().await.0, "dropped");
        let (name, id) = monitor.command().await;
        monitor.answer(&id, json!(name)).await;
    });
    assert_eq!(answer.unwrap(), json!("next"));
}

#[tokio::test]
async fn refusals_carry_class_and_words() {
    let (client, mut monitor, _dir) = pair().await;
    let (refused, ()) = tokio::join!(client.run(&command::Cont {}), async {
        let (_, id) = monitor.command().await;
        let error = json!({"class": "GenericError", "desc": "no medium"});
        monitor.say(&json!({"error": error, "id": id}).to_string()).await;
    });
    let refused = refused.unwrap_err();
    assert!(refused.is_class("GenericError"));
    assert_eq!(refused.to_string(), "QEMU refused cont: no medium (GenericError)");
}

#[tokio::test]
async fn a_hang_up_ends_waiting_calls_and_subscribers_at_once() {
    let (client, mut monitor, _dir) = pair().await;
    let mut events = client.events();
    let (call, ()) = tokio::join!(client.run(&command::QueryStatus {}), async {
        monitor.command().await;
        monitor.say(r#"{"event": "LAST"}"#).await;
        drop(monitor);
    });
    assert!(matches!(call, Err(Error::Closed)));
    assert_eq!(events.recv().await.unwrap().name, "LAST");
    assert!(events.recv().await.is_err());
    assert!(client.is_closed());
    assert!(matches!(client.run(&command::QueryStatus {}).await, Err(Error::Closed)));
    assert!(client.events().recv().await.is_err());
}

#[tokio::test]
async fn garbage_ends_the_connection_with_its_reason() {
    let (client, mut monitor, _dir) = pair().await;
    let (call, ()) = tokio::join!(client.run(&command::QueryStatus {}), async {
        monitor.command().await;
        monitor.say("\u{1}\u{2}no json at all").await;
    });
    assert!(matches!(call, Err(Error::Protocol(_))));
    assert!(client.violation().is_some());
    assert!(matches!(client.run(&command::QueryStatus {}).await, Err(Error::Protocol(_))));
}

#[tokio::test]
async fn a_line_without_end_is_cut_off_at_the_limit() {
    let (client, mut monitor, _dir) = pair().await;
    let flood = tokio::spawn(async move {
        let piece = vec![b'x'; 1 << 20];
        let mut sent = 0;
        while monitor.write.write_all(&piece).await.is_ok() {
            sent += piece.len();
        }
        sent
    });
    let call = client.run(&command::QueryStatus {}).await;
    assert!(matches!(call, Err(Error::Protocol(_))), "{call:?}");
    drop(client);
    assert!(flood.await.unwrap() < 2 * limits::QMP_LINE_BYTES);
}

#[tokio::test]
async fn a_slow_subscriber_loses_events_and_knows_it() {
    let (client, mut monitor, _dir) = pair().await;
    let mut events = client.events();
    for n in 0..limits::EVENT_QUEUE + 10 {
        monitor.say(&format!(r#"{{"event": "E{n}"}}"#)).await;
    }
    // An answer after the events proves that they have all been read.
    let (done, ()) = tokio::join!(client.raw("x", json!({}), limits::QMP_CALL), async {
        let (_, id) = monitor.command().await;
        monitor.answer(&id, json!({})).await;
    });
    done.unwrap();
    use tokio::sync::broadcast::error::RecvError;
    assert!(matches!(events.recv().await, Err(RecvError::Lagged(n)) if n >= 10));
    assert!(events.recv().await.is_ok());
}

#[tokio::test]
async fn what_does_not_greet_is_no_monitor() {
    let dir = tempfile::tempdir().unwrap();
    let connect = async |first: &'static [u8]| {
        let path = dir.path().join(format!("s{}", first.len()));
        let listener = UnixListener::bind(&path).unwrap();
        let other = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(first).await.unwrap();
        });
        let result = Client::connect(&path, limits::QMP_CALL).await;
        other.await.unwrap();
        result.err()
    };
    assert!(matches!(connect(b"{\"return\": {}}\n").await, Some(Error::Protocol(_))));
    assert!(matches!(connect(b"SSH-2.0\n").await, Some(Error::Protocol(_))));
    assert!(matches!(connect(b"").await, Some(Error::Closed)));
    assert!(matches!(Client::connect(&dir.path().join("none"), SHORT).await, Err(Error::Io { .. })));
}
