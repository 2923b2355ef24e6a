//! Bad input that a server must withstand.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;

use api::server::limits::MAX_BODY_BYTES;
use support::{PASSWORD, cookie, envelope, plain, raw};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn huge_bodies_are_refused_in_whatever_form_they_come() {
    let daemon = plain().await;
    let announced = format!(
        "POST /sdk HTTP/1.1\r\nHost: toy\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        MAX_BODY_BYTES + 1
    );
    let answer = raw(daemon.address, announced.as_bytes()).await;
    assert_eq!(answer.status, 413);
    assert!(answer.text().contains("<InvalidRequestFault"), "{}", answer.text());

    let mut chunked =
        b"POST /sdk HTTP/1.1\r\nHost: toy\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..17 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.extend_from_slice(&chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    assert_eq!(raw(daemon.address, &chunked).await.status, 413);

    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    for path in ["/sdk", "/sdk/vim25/8.0.3.0/ServiceInstance/ServiceInstance/CurrentTime"] {
        assert_eq!(daemon.post(path, "Content-Encoding: gzip\r\n", &bomb).await.status, 413, "{path}");
        assert_eq!(daemon.post(path, "Content-Encoding: gzip\r\n", b"no gzip").await.status, 400, "{path}");
        assert_eq!(daemon.post(path, "Content-Encoding: br\r\n", b"").await.status, 415, "{path}");
    }
    let content = envelope("ServiceInstance", "ServiceInstance", "RetrieveServiceContent", "");
    let good = daemon.post("/sdk", "Content-Encoding: gzip\r\n", &gzip(content.as_bytes())).await;
    assert_eq!(good.status, 200);
}

#[tokio::test]
async fn what_is_no_soap_is_the_clients_fault() {
    let daemon = plain().await;
    // A stranger may send less than the deepest of them.
    let key = cookie(&daemon.login("root", PASSWORD).await);
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    let deep = envelope("ServiceInstance", "ServiceInstance", "RetrieveServiceContent", &deep);
    let entity = "<!DOCTYPE a [<!ENTITY b \"cc\">]><a>&b;</a>";
    for body in ["", "<", "no xml", "<a/>", deep.as_str(), entity, "\u{0}", "{}"] {
        let answer = daemon.post("/sdk", &key, body.as_bytes()).await;
        let shown = &body[..body.len().min(40)];
        assert_eq!(answer.status, 500, "{shown:?}");
        assert!(
            answer.text().contains("<faultcode>ClientFaultCode</faultcode>"),
            "{shown:?}: {}",
            answer.text()
        );
    }
    let answer = daemon.post("/sdk", "", b"\xff\xfe<\x00").await;
    assert!(answer.text().contains("ClientFaultCode"));
}

#[tokio::test]
async fn wrong_values_name_the_parameter() {
    let daemon = plain().await;
    let key = cookie(&daemon.login("root", PASSWORD).await);
    let (vm, manager) = (("VirtualMachine", "1"), ("AuthorizationManager", "ha-authmgr"));
    for ((ty, id), method, parameters, named) in [
        (manager, "RetrieveRolePermissions", "<roleId>perhaps</roleId>", "InvalidArgumentFault"),
        (
            manager,
            "RetrieveRolePermissions",
            "<roleId>99999999999</roleId>",
            "RetrieveRolePermissions.roleId",
        ),
        (manager, "RetrieveRolePermissions", "", "<invalidProperty>roleId</invalidProperty>"),
        (vm, "PowerOnVM_Task", "<wonder>1</wonder>", "wonder"),
        (vm, "PowerOnVM_Task", "<host type='Wonder'>1</host>", "Wonder"),
        (vm, "PowerOnVM_Task", "<host type='VirtualMachine'>1</host>", "InvalidArgumentFault"),
    ] {
        let answer = daemon.soap(&key, ty, id, method, parameters).await;
        assert_eq!(answer.status, 500, "{parameters}");
        assert!(answer.text().contains(named), "{parameters}: {}", answer.text());
    }
}

#[tokio::test]
async fn malformed_http_is_refused_and_the_server_goes_on() {
    let daemon = plain().await;
    let long = format!("GET / HTTP/1.1\r\nHost: toy\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\nHost: toy\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    for request in ["nonsense\r\n\r\n", long.as_str(), many.as_str()] {
        let mut stream = TcpStream::connect(daemon.address).await.unwrap();
        // The server may close before it has all of it.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        assert!(line.is_empty() || line.starts_with("HTTP/1.1 4"), "{line}");
    }
    assert_eq!(daemon.ask("GET", "/about", "").await.status, 200);
}

#[tokio::test]
async fn slow_clients_do_not_hold_up_others() {
    let daemon = plain().await;
    let mut slow = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(daemon.address).await.unwrap();
        let begun: &[u8] = match n % 3 {
            0 => b"",
            1 => b"POST /sdk HT",
            _ => b"POST /sdk HTTP/1.1\r\nHost: toy\r\nContent-Length: 100\r\n\r\n<e:Env",
        };
        stream.write_all(begun).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(daemon.ask("GET", "/about", "").await.status, 200);
    daemon.login("root", PASSWORD).await;
}

#[tokio::test]
async fn wrong_passwords_get_one_answer_whoever_is_meant() {
    let daemon = plain().await;
    let unknown = daemon.try_login("nobody", "x").await;
    let wrong = daemon.try_login("root", "x").await;
    assert_eq!(unknown.status, 500);
    assert!(unknown.text().contains("<InvalidLoginFault"), "{}", unknown.text());
    assert_eq!(unknown.text(), wrong.text());
    assert!(wrong.header("set-cookie").is_none());
    daemon.login("root", PASSWORD).await;
}
