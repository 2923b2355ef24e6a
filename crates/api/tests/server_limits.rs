//! Clients that are a burden: those without a login, crowds, and sessions that ask for more than they read. At each limit an
//! administrator still gets in.
#![allow(clippy::unwrap_used)]

mod support;

use api::Account;
use api::server::limits::{MAX_ADDRESS_STRANGERS, MAX_DRAINED_BYTES, MAX_STRANGE_BODY_BYTES};
use api::session::{MAX_ACCOUNT_SESSIONS, MAX_SESSION_BYTES, MAX_SESSIONS, Peer, Sessions};
use support::{Answer, Daemon, PASSWORD, cookie, envelope, plain, until, vm, with_tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vim::props;

/// Sends a request on a connection that stays open.
async fn send(daemon: &Daemon, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    stream
}

/// The next answer on the connection, which has a `Content-Length`.
async fn next(stream: &mut TcpStream) -> Answer {
    let mut whole = Vec::new();
    let mut byte = [0];
    while !whole.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).await.unwrap();
        whole.push(byte[0]);
    }
    let mut answer = Answer::read(&whole);
    let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
    answer.body = vec![0; length];
    stream.read_exact(&mut answer.body).await.unwrap();
    answer
}

fn post(path: &str, length: usize) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: toy\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn a_body_without_a_login_is_small_and_a_larger_one_is_refused_before_it_is_read() {
    let daemon = plain().await;
    let call = envelope("ServiceInstance", "ServiceInstance", "RetrieveServiceContent", "");
    let padded = |length: usize| {
        let mut body = call.clone().into_bytes();
        body.resize(length, b' ');
        body
    };
    let small = daemon.post("/sdk", "", &padded(MAX_STRANGE_BODY_BYTES)).await;
    assert_eq!(small.status, 200, "{}", small.text());
    let large = padded(MAX_STRANGE_BODY_BYTES + 1);
    let path = "/sdk/vim25/8.0.3.0/ServiceInstance/ServiceInstance/CurrentTime";
    for path in ["/sdk", path] {
        assert_eq!(daemon.post(path, "", &large).await.status, 413, "{path}");
    }
    // Each of them has sent 15 of 16 MiB.
    let mut crowd = Vec::new();
    for _ in 0..20 {
        let stream = TcpStream::connect(daemon.address).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        write.write_all(&post("/sdk", 16 << 20)).await.unwrap();
        let sending = tokio::spawn(async move {
            let _ = write.write_all(&vec![b' '; 15 << 20]).await;
            write
        });
        let mut begun = [0; 12];
        read.read_exact(&mut begun).await.unwrap();
        assert_eq!(&begun, b"HTTP/1.1 413", "without the rest of the body");
        crowd.push((read, sending));
    }
    let key = daemon.login("root", PASSWORD).await;
    let known = daemon.post("/sdk", &cookie(&key), &large).await;
    assert_eq!(known.status, 200, "with a session it may be large");
    let inside = format!("<e:Header><vcSessionCookie>{key}</vcSessionCookie></e:Header><e:Body>");
    let mut inside = call.replace("<e:Body>", &inside).into_bytes();
    inside.resize(2 * MAX_STRANGE_BODY_BYTES, b' ');
    let known = daemon.post("/sdk", "", &inside).await;
    assert_eq!(known.status, 200, "the key is in the message: {}", known.text());
}

#[tokio::test]
async fn a_large_request_of_a_session_that_has_ended_makes_its_client_log_in_again() {
    let daemon = plain().await;
    let key = daemon.login("root", PASSWORD).await;
    assert!(daemon.core.sessions.close(&key));
    let call = envelope("ServiceInstance", "ServiceInstance", "CurrentTime", "");
    let padded = |body: &str| {
        let mut body = body.as_bytes().to_vec();
        body.resize(2 * MAX_STRANGE_BODY_BYTES, b' ');
        body
    };
    let json = "/sdk/vim25/8.0.3.0/ServiceInstance/ServiceInstance/CurrentTime";
    for headers in [cookie(&key), format!("vmware-api-session-id: {key}\r\n")] {
        let soap = daemon.post("/sdk", &headers, &padded(&call)).await;
        assert_eq!(soap.status, 500, "{}", soap.text());
        assert!(soap.text().contains("<NotAuthenticatedFault"), "{}", soap.text());
        let answer = daemon.post(json, &headers, &padded("{}")).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(answer.text().contains("NotAuthenticated"), "{}", answer.text());
    }
    let inside = format!("<e:Header><vcSessionCookie>{key}</vcSessionCookie></e:Header><e:Body>");
    let inside = daemon.post("/sdk", "", &padded(&call.replace("<e:Body>", &inside))).await;
    assert_eq!(inside.status, 500, "the key is in the message: {}", inside.text());
    assert!(inside.text().contains("<NotAuthenticatedFault"), "{}", inside.text());
    assert_eq!(daemon.post("/sdk", "", &padded(&call)).await.status, 413, "without a key");
}

#[tokio::test]
async fn a_refused_body_does_not_cost_the_client_its_answer() {
    let daemon = plain().await;
    let mut stream = send(&daemon, &[post("/nowhere", 100_000), vec![b'x'; 100_000]].concat()).await;
    assert_eq!(next(&mut stream).await.status, 404);
    let content = envelope("ServiceInstance", "ServiceInstance", "RetrieveServiceContent", "");
    stream.write_all(&[post("/sdk", content.len()), content.into_bytes()].concat()).await.unwrap();
    assert_eq!(next(&mut stream).await.status, 200, "the connection goes on");

    let huge = 4 * MAX_DRAINED_BYTES;
    for (path, sent) in [("/nowhere", 0), ("/sdk", MAX_STRANGE_BODY_BYTES + 1)] {
        let mut stream = send(&daemon, &[post(path, huge), vec![b'x'; sent]].concat()).await;
        let refused = next(&mut stream).await;
        assert!(matches!(refused.status, 404 | 413), "{path}: {}", refused.status);
        assert_eq!(refused.header("connection"), Some("close"), "{path}");
    }
    // The client reads only after it has sent everything.
    let mut stream = send(&daemon, &[post("/nowhere", huge), vec![b'x'; huge]].concat()).await;
    let late = next(&mut stream).await;
    assert_eq!((late.status, late.header("connection")), (404, Some("close")));
    let mut expects = post("/nowhere", 1_000);
    expects.truncate(expects.len() - 2);
    expects.extend_from_slice(b"Expect: 100-continue\r\n\r\n");
    let mut stream = send(&daemon, &expects).await;
    assert_eq!(next(&mut stream).await.status, 404, "nobody asks for the body");
}

#[tokio::test]
async fn idle_connections_give_way_to_an_administrator() {
    let daemon = with_tls().await;
    let mut crowd = Vec::new();
    for _ in 0..MAX_ADDRESS_STRANGERS {
        crowd.push(TcpStream::connect(daemon.address).await.unwrap());
    }
    let plain = plain().await;
    let mut idle = Vec::new();
    for _ in 0..MAX_ADDRESS_STRANGERS {
        idle.push(send(&plain, b"POST /sdk HTTP/1.1\r\nHost: toy\r\nContent-Length: 100\r\n\r\n<").await);
    }
    let key = cookie(&plain.login("root", PASSWORD).await);
    let mut byte = [0];
    let given_way = idle[0].read(&mut byte).await;
    assert!(matches!(given_way, Ok(0) | Err(_)), "the oldest of them");
    let time = envelope("ServiceInstance", "ServiceInstance", "CurrentTime", "");
    let ask = format!("POST /sdk HTTP/1.1\r\nHost: toy\r\nContent-Length: {}\r\n{key}\r\n{time}", time.len());
    let mut mine = send(&plain, ask.as_bytes()).await;
    assert_eq!(next(&mut mine).await.status, 200);
    for _ in 0..MAX_ADDRESS_STRANGERS + 1 {
        idle.push(TcpStream::connect(plain.address).await.unwrap());
    }
    mine.write_all(ask.as_bytes()).await.unwrap();
    assert_eq!(next(&mut mine).await.status, 200, "one who has logged in does not give way");
    let newest = TcpStream::connect(daemon.address).await.unwrap();
    let given_way = crowd[0].read(&mut byte).await;
    assert!(matches!(given_way, Ok(0) | Err(_)), "those that do not begin TLS give way too");
    drop(newest);
}

#[tokio::test]
async fn wrong_logins_that_hang_up_do_not_keep_the_right_password_out() {
    let daemon = plain().await;
    let wrong = "<userName>root</userName><password>wrong</password>";
    let body = envelope("SessionManager", "ha-sessionmgr", "Login", wrong);
    let request = [post("/sdk", body.len()), body.into_bytes()].concat();
    for _ in 0..3 {
        assert_eq!(daemon.try_login("root", "wrong").await.status, 500);
    }
    for _ in 0..400 {
        drop(send(&daemon, &request).await);
    }
    daemon.login("root", PASSWORD).await;
}

#[tokio::test]
async fn sessions_of_one_account_leave_room_for_others() {
    let daemon = plain().await;
    daemon.accounts.create("script", "", Some("s")).await.unwrap();
    let sessions = &daemon.core.sessions;
    let peer = Peer { address: [10, 0, 0, 1].into(), user_agent: "leak".into(), certificate: None };
    let open = |name: &str| sessions.open(daemon.accounts.find(name).unwrap(), &peer, "en").unwrap();
    let busy = open("script");
    let _request = busy.begin();
    let idle = open("script");
    for _ in 2..MAX_ACCOUNT_SESSIONS {
        open("script");
    }
    assert!(!idle.ended().is_cancelled());
    open("script");
    assert!(idle.ended().is_cancelled() && !busy.ended().is_cancelled());
    for n in 0..MAX_SESSIONS / MAX_ACCOUNT_SESSIONS {
        daemon.accounts.create(&format!("s{n}"), "", Some("s")).await.unwrap();
        (0..MAX_ACCOUNT_SESSIONS).for_each(|_| drop(open(&format!("s{n}"))));
    }
    assert_eq!(sessions.all().len(), MAX_SESSIONS);
    daemon.login("root", PASSWORD).await;
    assert_eq!(sessions.all().len(), MAX_SESSIONS);
}

#[test]
fn the_busy_sessions_of_one_account_do_not_keep_others_out_while_any_session_is_idle() {
    let sessions = Sessions::default();
    let peer = Peer { address: [10, 0, 0, 1].into(), user_agent: "crowd".into(), certificate: None };
    let open = |name: &str| {
        let account = Account { name: name.into(), ..Account::default() };
        sessions.open(account, &peer, "en").unwrap()
    };
    let crowd: Vec<_> = (0..MAX_ACCOUNT_SESSIONS).map(|_| open("crowd").begin()).collect();
    let idle = open("s0");
    (1..MAX_SESSIONS - crowd.len()).for_each(|n| drop(open(&format!("s{}", n % 4))));
    assert_eq!(sessions.all().len(), MAX_SESSIONS);
    assert!(!idle.ended().is_cancelled());
    open("root");
    assert!(idle.ended().is_cancelled(), "the longest idle one of all");
    assert_eq!(sessions.all().len(), MAX_SESSIONS);
}

#[tokio::test]
async fn answers_that_a_session_does_not_read_are_bounded() {
    const ANSWER: usize = 8 << 20;
    let daemon = plain().await;
    daemon.core.tree.write(|w| w.set(&vm(1), props!(VirtualMachine { name: "x".repeat(ANSWER) })));
    let key = daemon.login("root", PASSWORD).await;
    let session = daemon.core.sessions.find(&key).unwrap();
    let ask =
        format!("GET /sdk/vim25/8.0.3.0/VirtualMachine/1/name HTTP/1.1\r\nHost: toy\r\n{}\r\n", cookie(&key));
    let mut crowd = Vec::new();
    for _ in 0..3 * MAX_SESSION_BYTES / ANSWER {
        crowd.push(send(&daemon, ask.as_bytes()).await);
    }
    until(|| session.unread_bytes() > MAX_SESSION_BYTES - 2 * ANSWER).await;
    // Another session of the same account is not held up.
    let other = cookie(&daemon.login("root", PASSWORD).await);
    let folder = daemon.ask("GET", "/folder", &other).await;
    assert_eq!(folder.status, 200);
    for stream in &mut crowd {
        assert_eq!(next(stream).await.body.len(), ANSWER + 2, "whoever reads gets his answer");
        assert!(session.unread_bytes() <= MAX_SESSION_BYTES);
    }
    until(|| session.unread_bytes() == 0).await;
}

#[tokio::test]
async fn a_changed_password_and_a_logout_end_what_they_granted() {
    let daemon = plain().await;
    daemon.accounts.create("eve", "", Some("before")).await.unwrap();
    let (mine, other) = (daemon.login("eve", "before").await, daemon.login("eve", "before").await);
    let root = daemon.login("root", PASSWORD).await;
    let change = "<user>eve</user><oldPassword>before</oldPassword><newPassword>After!123</newPassword>";
    let changed = daemon
        .soap(&cookie(&mine), "HostLocalAccountManager", "ha-localacctmgr", "ChangePassword", change)
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let sessions = &daemon.core.sessions;
    assert!(sessions.find(&mine).is_some(), "the session that changed it goes on");
    assert!(sessions.find(&other).is_none());
    let update = "<user><id>eve</id><password>Again!123</password></user>";
    let updated =
        daemon.soap(&cookie(&root), "HostLocalAccountManager", "ha-localacctmgr", "UpdateUser", update).await;
    assert_eq!(updated.status, 200, "{}", updated.text());
    assert!(sessions.find(&mine).is_none() && sessions.find(&root).is_some());

    let session = sessions.find(&root).unwrap();
    let ticket = daemon.core.tickets.for_request(&session, "/folder", None).unwrap();
    let answer = daemon.soap(&cookie(&root), "SessionManager", "ha-sessionmgr", "Logout", "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let ticket = format!("Cookie: vmware_cgi_ticket={ticket}\r\n");
    assert_eq!(daemon.ask("GET", "/folder", &ticket).await.status, 401);
}
