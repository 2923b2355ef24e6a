//! The memory that the server spends on a client without a login, whatever the client does. The clients are another process, so that
//! only the server's end counts: the test starts itself again with [`CLIENTS`] set.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use api::server::limits::{
    FREE_HEAD_BYTES, MAX_ADDRESS_STRANGERS, MAX_HANDSHAKE_BYTES, MAX_HEAD_BYTES, MAX_STRANGE_BODY_BYTES,
    MAX_STRANGER_BYTES,
};
use api::tls::{Trust, client_config};
use rustls::pki_types::{CertificateDer, ServerName};
use support::with_tls;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The server's address, its authority as hex, and the number of clients, which send their case's bytes when a line comes.
const CLIENTS: &str = "ESFERA_TEST_CLIENTS";
/// Connections by which the memory of one is measured.
const CROWD: usize = 300;

/// The behaviour of a client.
enum Deed {
    /// Sends this through TLS.
    Sends(Vec<u8>),
    /// Sends this below TLS after the handshake.
    SendsRaw(Vec<u8>),
    /// Sends this instead of a handshake.
    SendsNoHandshake(Vec<u8>),
}

fn cases() -> Vec<(&'static str, Deed)> {
    let head = "POST /sdk HTTP/1.1\r\nHost: toy\r\n";
    let long = format!("{head}X-Long: {}", "x".repeat(MAX_HEAD_BYTES - 200));
    let length = format!("Content-Length: {MAX_STRANGE_BODY_BYTES}\r\n\r\n");
    let nearly = " ".repeat(MAX_STRANGE_BODY_BYTES - 1);
    // As large as it may be behind such a head.
    let left = MAX_STRANGE_BODY_BYTES - (MAX_HEAD_BYTES - FREE_HEAD_BYTES);
    let less = format!("Content-Length: {left}\r\n\r\n{}", " ".repeat(left - 1));
    let chunk = format!("Transfer-Encoding: chunked\r\n\r\n{MAX_STRANGE_BODY_BYTES:x}\r\n");
    let record = [&[0x17, 3, 3, 0x40, 0][..], &[0; 16 << 10][..(16 << 10) - 1]].concat();
    // A hello of 64 KiB, in records of 8 KiB.
    let mut hello = Vec::new();
    for number in 0..(MAX_HANDSHAKE_BYTES >> 13) {
        hello.extend([0x16, 3, 1, 0x20, 0]);
        let begin = if number == 0 { &[1, 0, 0xff, 0xf0, 3, 3][..] } else { &[] };
        hello.extend(begin);
        hello.extend(vec![0; (8 << 10) - begin.len()]);
    }
    hello.truncate(MAX_HANDSHAKE_BYTES);
    let ask = |accept: &str| format!("GET /sdk/vimService.wsdl HTTP/1.1\r\nHost: toy\r\n{accept}\r\n");
    vec![
        ("nothing", Deed::Sends(Vec::new())),
        ("half a head", Deed::Sends(long.clone().into())),
        ("half a body", Deed::Sends(format!("{head}{length}{nearly}").into())),
        ("half a chunk", Deed::Sends(format!("{head}{chunk}{nearly}").into())),
        ("a long head and half a body", Deed::Sends(format!("{long}\r\n{less}").into())),
        ("half a record of TLS", Deed::SendsRaw(record)),
        ("half a hello", Deed::SendsNoHandshake(hello)),
        ("a question whose answer it does not read", Deed::Sends(ask("").into())),
        ("the same, compressed", Deed::Sends(ask("Accept-Encoding: gzip\r\n").into())),
    ]
}

/// One client, which stays as long as the result.
async fn client(address: &str, tls: &TlsConnector, deed: &Deed) -> Box<dyn Send> {
    // A client that reads little takes little from the kernel.
    let mut stream = TcpStream::connect(address).await.unwrap();
    if let Deed::SendsNoHandshake(bytes) = deed {
        stream.write_all(bytes).await.unwrap();
        return Box::new(stream);
    }
    let mut stream = tls.connect(ServerName::try_from("toy.test").unwrap(), stream).await.unwrap();
    match deed {
        Deed::Sends(bytes) => stream.write_all(bytes).await.unwrap(),
        Deed::SendsRaw(bytes) => stream.get_mut().0.write_all(bytes).await.unwrap(),
        Deed::SendsNoHandshake(_) => {}
    }
    stream.flush().await.unwrap();
    Box::new(stream)
}

/// The other process: for each line, a case and a number of clients, which go with the next case.
#[test]
fn clients_of_the_other_tests() {
    let Ok(what) = std::env::var(CLIENTS) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (address, authority) = what.split_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&authority[at..at + 2], 16).unwrap();
        let authority: Vec<u8> = (0..authority.len()).step_by(2).map(byte).collect();
        let config = client_config(&Trust::Ca(vec![CertificateDer::from(authority)]), None).unwrap();
        let tls = TlsConnector::from(config);
        let cases = cases();
        let mut crowd = Vec::new();
        for line in std::io::stdin().lines() {
            let line = line.unwrap();
            let (case, count) = line.split_once(' ').unwrap();
            let deed = &cases[case.parse::<usize>().unwrap()].1;
            for _ in 0..count.parse::<usize>().unwrap() {
                crowd.push(client(address, &tls, deed).await);
            }
            println!("\nready");
        }
    });
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The bytes in memory, once they are the same for a while.
async fn settled() -> usize {
    let mut last = resident();
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = resident();
        if now.abs_diff(last) < 16 << 10 {
            return now;
        }
        last = now;
    }
}

/// The memory for each client of a case. Each case has a server and a process of its own.
async fn measured(case: &str) -> usize {
    const { assert!(CROWD < MAX_ADDRESS_STRANGERS) };
    let number = cases().iter().position(|(name, _)| *name == case).unwrap();
    let daemon = with_tls().await;
    let authority = daemon.certificate.as_ref().unwrap().identity().chain.last().unwrap().clone();
    let authority: String = authority.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "clients_of_the_other_tests", "--nocapture"])
        .env(CLIENTS, format!("{} {authority}", daemon.address))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut orders = other.stdin.take().unwrap();
    let mut answers = BufReader::new(other.stdout.take().unwrap());
    let mut before = 0;
    // The first ones pay for the structures that all share.
    for count in [20, CROWD] {
        before = settled().await;
        writeln!(orders, "{number} {count}").unwrap();
        answers = tokio::task::spawn_blocking(move || {
            let ready = answers.by_ref().lines().map(Result::unwrap).any(|line| line == "ready");
            assert!(ready, "the clients have ended");
            answers
        })
        .await
        .unwrap();
    }
    let each = settled().await.saturating_sub(before) / CROWD;
    drop(orders);
    other.wait().unwrap();
    each
}

macro_rules! measure {
    ($($test:ident: $case:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let each = measured($case).await;
                println!("{}: {each} bytes for each client", $case);
                assert!(each < MAX_STRANGER_BYTES, "{each} bytes for each client");
            }
        )*
    };
}

measure! {
    a_client_that_sends_nothing_costs_little: "nothing";
    a_client_that_sends_half_a_head_costs_little: "half a head";
    a_client_that_sends_half_a_body_costs_little: "half a body";
    a_client_that_sends_half_a_chunk_costs_little: "half a chunk";
    a_client_that_sends_a_long_head_and_half_a_body_costs_little: "a long head and half a body";
    a_client_that_sends_half_a_record_of_tls_costs_little: "half a record of TLS";
    a_client_that_does_not_end_its_handshake_costs_little: "half a hello";
    a_client_that_does_not_read_its_answer_costs_little: "a question whose answer it does not read";
    a_client_that_does_not_read_its_compressed_answer_costs_little: "the same, compressed";
}
