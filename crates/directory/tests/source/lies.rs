//! Servers that hang, lie and flood.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use super::support::{PASSWORD, source};
use directory::{Directory, Error};

/// The answer to a bind with the number 1: success.
const BOUND: [u8; 14] = [0x30, 0x0c, 0x02, 0x01, 0x01, 0x61, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00];

/// A directory whose only server does this with each connection.
fn served_by(behaviour: impl Fn(TcpStream) + Send + Clone + 'static) -> Directory {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let behaviour = behaviour.clone();
            thread::spawn(move || behaviour(stream));
        }
    });
    Directory::new(source(&format!("ldap://127.0.0.1:{port}"))).unwrap()
}

/// Accepts the account, reads the search and answers it with these bytes.
fn answering(answer: Vec<u8>) -> impl Fn(TcpStream) + Send + Clone + 'static {
    move |mut stream| {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(&BOUND);
        let _ = stream.read(&mut request);
        let _ = stream.write_all(&answer);
        // Until the other side has closed.
        while stream.read(&mut request).is_ok_and(|read| read > 0) {}
    }
}

/// A search result with the number 2 whose entry is nested a million levels.
fn deep() -> Vec<u8> {
    let levels = 1_000_000_u32;
    let mut inner = Vec::new();
    for level in (0..levels).rev() {
        let mut header = vec![0x30, 0x83];
        header.extend(&((levels - 1 - level) * 5 % 0x00ff_ffff).to_be_bytes()[1..]);
        inner.extend(header);
    }
    let mut all = vec![0x30, 0x83, 0x0f, 0xff, 0x00, 0x02, 0x01, 0x02, 0x64, 0x83, 0x0f, 0xfe, 0xf8];
    all.extend(inner);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_fails_its_own_logins_and_nothing_else() {
    let lies: [Vec<u8>; 6] = [
        deep(),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        // Two gigabytes are announced.
        vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff],
        // No operation, which the library takes for granted.
        vec![0x30, 0x03, 0x02, 0x01, 0x02],
        vec![0x30, 0x00],
        vec![0x30, 0x05, 0x02, 0x01, 0x02, 0x04, 0x00],
    ];
    for lie in lies {
        let begin = lie[..lie.len().min(8)].to_vec();
        let error = served_by(answering(lie)).login("alice", PASSWORD).await.unwrap_err();
        assert!(matches!(error, Error::Server { .. }), "{begin:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_floods_is_cut_off() {
    // The same small entry again and again, under the number of the search.
    let entry = [0x30, 0x0c, 0x02, 0x01, 0x02, 0x64, 0x07, 0x04, 0x03, b'c', b'n', b'=', 0x30, 0x00];
    let directory = served_by(move |mut stream| {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(&BOUND);
        let _ = stream.read(&mut request);
        let many = entry.repeat(10_000);
        while stream.write_all(&many).is_ok() {}
    });
    // The directory passes over entries without a name.
    assert!(matches!(directory.login("alice", PASSWORD).await, Ok(None) | Err(Error::Server { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_meets_the_deadline_and_its_connection_is_closed() {
    let (closed, is_closed) = std::sync::mpsc::channel();
    let directory = served_by(move |mut stream| {
        let mut request = [0; 1024];
        while stream.read(&mut request).is_ok_and(|read| read > 0) {}
        let _ = closed.send(());
    });
    let error = directory.login("alice", PASSWORD).await.unwrap_err();
    assert!(matches!(error, Error::Late { .. }), "{error}");
    is_closed.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
}
