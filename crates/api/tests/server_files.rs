//! Files, screenshots and tickets over HTTP.
#![allow(clippy::unwrap_used)]

mod support;

use base64::Engine;
use support::{PASSWORD, cookie, plain, until};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const FILE: &str = "/folder/dir/a%20file.iso?dcPath=ha%2ddatacenter&dsName=ds%201";

#[tokio::test]
async fn a_file_is_written_read_in_part_and_removed() {
    let daemon = plain().await;
    let key = cookie(&daemon.login("root", PASSWORD).await);
    let put = |body: &'static str| {
        let head = format!(
            "PUT {FILE} HTTP/1.1\r\nHost: toy\r\nConnection: close\r\n{key}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        async move { support::raw(daemon.address, head.as_bytes()).await.status }
    };
    assert_eq!(put("something else").await, 201);
    assert_eq!(put("0123456789").await, 200, "the file existed");
    assert_eq!(daemon.files.get("dir/a file.iso").unwrap(), b"0123456789");
    assert_eq!(daemon.files.asked.lock().unwrap()[0].datacenter.as_deref(), Some("ha-datacenter"));

    for (range, status, body, content_range) in [
        ("", 200, "0123456789", None),
        ("Range: bytes=2-4\r\n", 206, "234", Some("bytes 2-4/10")),
        ("Range: bytes=7-\r\n", 206, "789", Some("bytes 7-9/10")),
        ("Range: bytes=-2\r\n", 206, "89", Some("bytes 8-9/10")),
        ("Range: bytes=5-100\r\n", 206, "56789", Some("bytes 5-9/10")),
        ("Range: bytes=10-\r\n", 416, "", Some("bytes */10")),
        ("Range: bytes=99999999999-\r\n", 416, "", Some("bytes */10")),
        ("Range: bytes=4-2\r\n", 200, "0123456789", None),
        ("Range: furlongs=1-2\r\n", 200, "0123456789", None),
    ] {
        let answer = daemon.ask("GET", FILE, &format!("{key}{range}")).await;
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(answer.header("content-range"), content_range, "{range}");
        if status != 416 {
            assert_eq!(answer.text(), body, "{range}");
            assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()));
        }
    }
    let head = daemon.ask("HEAD", FILE, &key).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("10"), 0));
    assert_eq!(daemon.ask("DELETE", FILE, &key).await.status, 204);
    assert_eq!(daemon.ask("GET", FILE, &key).await.status, 404);
    assert_eq!(daemon.ask("DELETE", FILE, &key).await.status, 404);
    assert_eq!(daemon.ask("PATCH", FILE, &key).await.status, 405);
}

#[tokio::test]
async fn who_may_have_a_file_is_told_by_session_password_or_ticket() {
    let daemon = plain().await;
    daemon.files.put("dir/a file.iso", b"x");
    let nobody = daemon.ask("GET", FILE, "").await;
    assert_eq!(nobody.status, 401);
    assert!(nobody.header("www-authenticate").unwrap().starts_with("Basic"));
    let basic = |pair: &str| {
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        format!("Authorization: Basic {encoded}\r\n")
    };
    assert_eq!(daemon.ask("GET", FILE, &basic(&format!("root:{PASSWORD}"))).await.status, 200);
    assert_eq!(daemon.ask("GET", FILE, &basic("root:wrong")).await.status, 401);
    assert_eq!(daemon.ask("GET", FILE, "Authorization: Basic !!!\r\n").await.status, 401);

    let key = cookie(&daemon.login("root", PASSWORD).await);
    let spec = format!(
        "<spec xmlns:i='http://www.w3.org/2001/XMLSchema-instance' i:type='SessionManagerHttpServiceRequestSpec'>\
         <method>httpGet</method><url>https://toy:443{}</url></spec>",
        FILE.replace('&', "&amp;")
    );
    let ticket =
        daemon.soap(&key, "SessionManager", "ha-sessionmgr", "AcquireGenericServiceTicket", &spec).await;
    assert_eq!(ticket.status, 200, "{}", ticket.text());
    let text = ticket.text();
    let id = text.split("<id>").nth(1).unwrap().split('<').next().unwrap();
    let ticket = format!("Cookie: vmware_cgi_ticket={id}\r\n");
    assert_eq!(daemon.ask("DELETE", FILE, &ticket).await.status, 401, "another method");
    assert_eq!(daemon.ask("GET", "/folder/b?dsName=ds%201", &ticket).await.status, 401, "another file");
    assert_eq!(daemon.ask("GET", FILE, &ticket).await.status, 200);
    assert_eq!(daemon.ask("GET", FILE, &ticket).await.status, 401, "a second time");
}

#[tokio::test]
async fn paths_that_lead_out_reach_the_files_as_they_are_and_are_refused_there() {
    let daemon = plain().await;
    let key = cookie(&daemon.login("root", PASSWORD).await);
    for (path, seen) in [
        ("/folder/../../etc/passwd", "../../etc/passwd"),
        ("/folder/a/%2e%2e/%2E%2e/etc/passwd", "a/../../etc/passwd"),
        ("/folder/a%2f..%2f..%2fetc/passwd", "a/../../etc/passwd"),
        ("/folder/a%00b", "a\0b"),
    ] {
        let answer = daemon.ask("GET", &format!("{path}?dsName=ds+1"), &key).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(daemon.files.asked.lock().unwrap().last().unwrap().path, seen, "{path}");
    }
    assert_eq!(daemon.ask("GET", "/folder/%252e%252e/x?dsName=ds%201", &key).await.status, 404);
    assert_eq!(daemon.files.asked.lock().unwrap().last().unwrap().path, "%2e%2e/x", "undone once only");
    assert_eq!(daemon.ask("GET", "/folder/folder1/x?dsName=ds%201", &key).await.status, 404);
    assert_eq!(daemon.files.asked.lock().unwrap().last().unwrap().path, "folder1/x", "cut off once only");
    assert_eq!(daemon.ask("GET", "/folder/%ff?dsName=ds%201", &key).await.status, 400);
    assert_eq!(daemon.ask("PUT", "/folder/x", &format!("{key}Content-Length: 0\r\n")).await.status, 400);
}

#[tokio::test]
async fn directories_are_shown_as_pages() {
    let daemon = plain().await;
    daemon.files.put("dir/<b>&.vmx", b"x");
    let key = cookie(&daemon.login("root", PASSWORD).await);
    let top = daemon.ask("GET", "/folder", &key).await;
    assert_eq!(top.status, 200);
    assert!(top.text().contains("href=\"/folder/?dsName=ds%201\""), "{}", top.text());
    let dir = daemon.ask("GET", "/folder/dir/?dsName=ds%201", &key).await;
    assert!(dir.text().contains("&lt;b&gt;&amp;.vmx"), "{}", dir.text());
    assert!(!dir.text().contains("<b>"));
    assert!(dir.text().contains("/folder/dir/%3Cb%3E%26.vmx?dsName=ds%201"), "{}", dir.text());
    let bare = daemon.ask("GET", "/folder/dir?dsName=ds%201", &key).await;
    assert_eq!((bare.status, bare.text()), (200, dir.text()), "with or without the slash");
    assert_eq!(daemon.ask("GET", "/folder/other?dsName=ds%201", &key).await.status, 404);
    let head = daemon.ask("HEAD", "/folder/dir?dsName=ds%201", &key).await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/html; charset=utf-8")));
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_told_to_the_files() {
    let daemon = plain().await;
    let key = cookie(&daemon.login("root", PASSWORD).await);
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    let head = format!("PUT {FILE} HTTP/1.1\r\nHost: toy\r\n{key}Content-Length: 100\r\n\r\nhalf");
    stream.write_all(head.as_bytes()).await.unwrap();
    until(|| !daemon.files.asked.lock().unwrap().is_empty()).await;
    drop(stream);
    until(|| daemon.files.broken.lock().unwrap().len() == 1).await;
    assert!(daemon.files.get("dir/a file.iso").is_none());
}

#[tokio::test]
async fn an_upload_ends_with_its_session() {
    let daemon = plain().await;
    let session = daemon.login("root", PASSWORD).await;
    let key = cookie(&session);
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    let head = format!("PUT {FILE} HTTP/1.1\r\nHost: toy\r\n{key}Content-Length: 100\r\n\r\nhalf");
    stream.write_all(head.as_bytes()).await.unwrap();
    until(|| !daemon.files.asked.lock().unwrap().is_empty()).await;
    assert!(daemon.core.sessions.close(&session));
    until(|| daemon.files.broken.lock().unwrap().len() == 1).await;
    assert!(daemon.files.get("dir/a file.iso").is_none());
    drop(stream);
}

#[tokio::test]
async fn a_screenshot_needs_its_privilege() {
    let daemon = plain().await;
    daemon.accounts.create("other", "", Some("o")).await.unwrap();
    let key = cookie(&daemon.login("root", PASSWORD).await);
    let shot = daemon.ask("GET", "/screen?id=1", &key).await;
    assert_eq!((shot.status, shot.header("content-type")), (200, Some("image/png")));
    assert_eq!(daemon.ask("GET", "/screen?id=2", &key).await.status, 409);
    assert_eq!(daemon.ask("GET", "/screen?id=9", &key).await.status, 404);
    assert_eq!(daemon.ask("GET", "/screen", &key).await.status, 400);
    assert_eq!(daemon.ask("GET", "/screen?id=1", "").await.status, 401);
    let other = cookie(&daemon.login("other", "o").await);
    assert_eq!(daemon.ask("GET", "/screen?id=1", &other).await.status, 403);
}
