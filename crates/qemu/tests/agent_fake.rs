//! The agent client against agents that are slow, silent, confused or hostile.
#![allow(clippy::unwrap_used)]

use qemu::Error;
use qemu::agent::{Agent, ShutdownMode};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

const SHORT: Duration = Duration::from_millis(100);
/// Long enough to connect on a busy host, since the command must have been sent.
const PATIENT: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(20);

struct Fake {
    listener: UnixListener,
    _dir: tempfile::TempDir,
}

fn fake() -> (Agent, Fake) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent");
    let listener = UnixListener::bind(&path).unwrap();
    (Agent::new(path), Fake { listener, _dir: dir })
}

struct Guest(BufReader<UnixStream>);

impl Fake {
    async fn accept(&self) -> Guest {
        Guest(BufReader::new(self.listener.accept().await.unwrap().0))
    }
}

impl Guest {
    /// The next command and its arguments, or `None` after a hang-up.
    async fn next(&mut self) -> Option<(String, Value)> {
        let mut line = Vec::new();
        if self.0.read_until(b'\n', &mut line).await.unwrap() == 0 {
            return None;
        }
        let text = line.strip_prefix(b"\xff").unwrap_or(&line);
        let command: Value = serde_json::from_slice(text).unwrap();
        Some((command["execute"].as_str().unwrap().to_owned(), command["arguments"].clone()))
    }

    async fn say(&mut self, line: &[u8]) {
        self.0.get_mut().write_all(line).await.unwrap();
    }

    async fn synchronise(&mut self) {
        let (name, arguments) = self.next().await.unwrap();
        assert_eq!(name, "guest-sync-delimited");
        let answer = format!("\n{}\n", json!({"return": arguments["id"]}));
        self.say(&[b"\xff", &answer.as_bytes()[1..]].concat()).await;
    }

    async fn answer(&mut self, value: Value) {
        self.say(format!("{}\n", json!({ "return": value })).as_bytes()).await;
    }
}

#[tokio::test]
async fn an_agent_that_never_answers_is_given_up_and_works_once_it_does() {
    let (agent, fake) = fake();
    for _ in 0..3 {
        let silent = agent.call("guest-ping", Value::Null, SHORT).await;
        assert!(matches!(silent, Err(Error::AgentSilent { .. })));
    }
    // The connections of earlier callers come first, and are already closed; on a busy host before they said anything.
    let serve = async {
        loop {
            let mut guest = fake.accept().await;
            let Some((name, arguments)) = guest.next().await else { continue };
            assert_eq!(name, "guest-sync-delimited");
            let answer = format!("{}\n", json!({"return": arguments["id"]}));
            if guest.0.get_mut().write_all(answer.as_bytes()).await.is_ok() && guest.next().await.is_some() {
                guest.answer(json!({})).await;
                return guest;
            }
        }
    };
    let (answered, _guest) = tokio::join!(agent.call("guest-ping", Value::Null, LONG), serve);
    answered.unwrap();
}

#[tokio::test]
async fn an_answer_that_came_too_late_is_not_taken_for_the_next() {
    let (agent, fake) = fake();
    let serve = async {
        let mut guest = fake.accept().await;
        guest.synchronise().await;
        assert_eq!(guest.next().await.unwrap().0, "guest-slow");
        let mut again = fake.accept().await;
        // The answer to the first call arrives, torn, on the new connection.
        again.say(b"{\"return\": \"stale\"}\n{\"return\": {\"ha\n").await;
        again.synchronise().await;
        assert_eq!(again.next().await.unwrap().0, "guest-fast");
        again.answer(json!("fresh")).await;
    };
    let calls = async {
        assert!(agent.call("guest-slow", Value::Null, PATIENT).await.is_err());
        agent.call("guest-fast", Value::Null, LONG).await.unwrap()
    };
    let (answer, ()) = tokio::join!(calls, serve);
    assert_eq!(answer, json!("fresh"));
}

#[tokio::test]
async fn garbage_and_hang_ups_are_errors_and_the_next_call_connects_anew() {
    let (agent, fake) = fake();
    let serve = async {
        let mut guest = fake.accept().await;
        guest.synchronise().await;
        guest.next().await;
        guest.say(b"garbage\n").await;
        let mut guest = fake.accept().await;
        guest.synchronise().await;
        guest.next().await;
        drop(guest);
        let mut guest = fake.accept().await;
        guest.synchronise().await;
        guest.next().await;
        guest.answer(json!({"host-name": "esfera"})).await;
    };
    let calls = async {
        assert!(matches!(agent.host_name().await, Err(Error::Protocol(_))));
        assert!(matches!(agent.host_name().await, Err(Error::AgentSilent { .. })));
        agent.host_name().await.unwrap()
    };
    let (name, ()) = tokio::join!(calls, serve);
    assert_eq!(name, "esfera");
}

#[tokio::test]
async fn interfaces_come_with_the_addresses_that_can_be_read() {
    let (agent, fake) = fake();
    let serve = async {
        let mut guest = fake.accept().await;
        guest.synchronise().await;
        guest.next().await;
        let addresses = json!([
            {"ip-address": "10.0.2.15", "ip-address-type": "ipv4", "prefix": 24},
            {"ip-address": "fe80::1%eth0", "ip-address-type": "ipv6", "prefix": 64},
            {"ip-address": "nonsense", "prefix": 1}
        ]);
        guest.answer(json!([
            {"name": "lo"},
            {"name": "eth0", "hardware-address": "00:50:56:00:00:01", "ip-addresses": addresses, "statistics": {}}
        ])).await;
    };
    let (interfaces, ()) = tokio::join!(agent.interfaces(), serve);
    let interfaces = interfaces.unwrap();
    assert_eq!(interfaces.len(), 2);
    assert_eq!(interfaces[1].mac.as_deref(), Some("00:50:56:00:00:01"));
    let found: Vec<(IpAddr, u8)> = interfaces[1].addresses.iter().map(|a| (a.ip, a.prefix)).collect();
    assert_eq!(found, [("10.0.2.15".parse().unwrap(), 24), ("fe80::1".parse().unwrap(), 64)]);
}

#[tokio::test]
async fn silence_after_a_shutdown_is_consent_and_a_refusal_is_told() {
    let (agent, fake) = fake();
    let serve = async {
        let mut guest = fake.accept().await;
        guest.synchronise().await;
        assert_eq!(guest.next().await.unwrap().0, "guest-ping");
        guest.answer(json!({})).await;
        let (name, arguments) = guest.next().await.unwrap();
        assert_eq!((name.as_str(), &arguments["mode"]), ("guest-shutdown", &json!("powerdown")));
        drop(guest);
        let mut guest = fake.accept().await;
        guest.synchronise().await;
        guest.next().await;
        guest.answer(json!({})).await;
        guest.next().await;
        guest.say(b"{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}\n").await;
    };
    let calls = async {
        agent.shutdown(ShutdownMode::PowerDown).await.unwrap();
        agent.shutdown(ShutdownMode::Reboot).await
    };
    let (refused, ()) = tokio::join!(calls, serve);
    assert!(matches!(refused, Err(Error::Agent { desc, .. }) if desc == "not now"));
}
