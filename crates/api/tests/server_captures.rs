//! Captures over HTTP, and how long they last.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::Ordering;

use api::session::IDLE_TIMEOUT;
use support::{Answer, Daemon, PASSWORD, cookie, plain, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vim::DateTime;

const FRAME: &str = "frame of eth0";

/// A capture whose first frame has arrived.
async fn listening(daemon: &Daemon, headers: &str) -> (TcpStream, Vec<u8>) {
    let head = format!("GET /capture?port=eth0 HTTP/1.1\r\nHost: toy\r\nConnection: close\r\n{headers}\r\n");
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(FRAME) {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
    }
    (stream, read)
}

/// Returns the captured bytes when it ends.
async fn rest((mut stream, mut read): (TcpStream, Vec<u8>)) -> Answer {
    stream.read_to_end(&mut read).await.unwrap();
    Answer::read(&read)
}

#[tokio::test]
async fn a_capture_ends_with_its_session_however_that_ends() {
    let daemon = plain().await;
    let administrator = daemon.login("root", PASSWORD).await;
    for (n, way) in ["logout", "terminated", "key forgotten"].into_iter().enumerate() {
        let key = daemon.login("root", PASSWORD).await;
        let capture = listening(&daemon, &cookie(&key)).await;
        let manager = ("SessionManager", "ha-sessionmgr");
        let answer = match way {
            "logout" => daemon.soap(&cookie(&key), manager.0, manager.1, "Logout", "").await,
            "terminated" => {
                let id = format!("<sessionId>{}</sessionId>", &key[..36]);
                daemon.soap(&cookie(&administrator), manager.0, manager.1, "TerminateSession", &id).await
            }
            _ => {
                assert!(daemon.core.sessions.close(&key));
                daemon.ask("GET", "/about", "").await
            }
        };
        assert_eq!(answer.status, 200, "{way}: {}", answer.text());
        let whole = rest(capture).await;
        assert_eq!((whole.status, whole.text()), (200, FRAME.to_owned()), "{way}");
        assert_eq!(whole.header("content-type"), Some("application/x-pcapng"));
        until(|| daemon.seen.captures_ended.load(Ordering::SeqCst) == n + 1).await;
        assert_eq!(daemon.ask("GET", "/capture?port=eth0", &cookie(&key)).await.status, 401, "{way}");
    }
}

#[tokio::test]
async fn a_session_that_captures_is_not_idle_and_others_leave_its_capture_alone() {
    let daemon = plain().await;
    let (key, other) = (daemon.login("root", PASSWORD).await, daemon.login("root", PASSWORD).await);
    let mut capture = listening(&daemon, &cookie(&key)).await;
    let late = DateTime::from_micros(
        DateTime::now().as_micros() + 2 * i64::try_from(IDLE_TIMEOUT.as_micros()).unwrap(),
    );
    daemon.core.sessions.close_idle(late);
    assert!(daemon.core.sessions.find(&other).is_none());
    assert!(daemon.core.sessions.find(&key).is_some());
    let more = tokio::time::timeout(std::time::Duration::from_millis(50), capture.0.read_buf(&mut capture.1));
    assert!(more.await.is_err(), "it goes on");
    // The client leaves, and the session is idle from then on.
    drop(capture);
    until(|| {
        daemon.core.sessions.close_idle(late);
        daemon.core.sessions.find(&key).is_none()
    })
    .await;
}

#[tokio::test]
async fn a_capture_needs_its_privilege() {
    let daemon = plain().await;
    daemon.accounts.create("other", "", Some("o")).await.unwrap();
    assert_eq!(daemon.ask("GET", "/capture?port=eth0", "").await.status, 401);
    let other = cookie(&daemon.login("other", "o").await);
    assert_eq!(daemon.ask("GET", "/capture?port=eth0", &other).await.status, 403);
    let key = cookie(&daemon.login("root", PASSWORD).await);
    assert_eq!(daemon.ask("GET", "/capture", &key).await.status, 400);
    assert_eq!(daemon.ask("GET", "/capture?port=eth0&length=x", &key).await.status, 400);
}
