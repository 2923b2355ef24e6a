//! Our own client against our own server, over TLS.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::client::{CallError, Client, FilePath, Options};
use api::files::ByteRange;
use api::tls::{CertificateAuthority, CertificateDer, Identity, Trust, center_uri, thumbprint_of};
use support::{Daemon, PASSWORD, plain, vm, vm_folder, with_tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use vim::{MoRef, Value, call, data_id, field, managed_id, props, vim};

async fn connect(daemon: &Daemon, trust: Trust, identity: Option<Identity>) -> Result<Client, CallError> {
    Client::connect(&daemon.address.to_string(), Options { identity, ..Options::new(trust) }).await
}

fn authority(daemon: &Daemon) -> Trust {
    let identity = daemon.certificate.as_ref().unwrap().identity();
    Trust::Ca(vec![identity.chain.last().unwrap().clone()])
}

async fn logged_in(daemon: &Daemon) -> Client {
    let client = connect(daemon, authority(daemon), None).await.unwrap();
    client.login("root", PASSWORD).await.unwrap();
    client
}

#[tokio::test]
async fn servers_are_believed_by_authority_or_thumbprint_only() {
    let daemon = with_tls().await;
    let own = daemon.certificate.as_ref().unwrap().identity();
    let shown = thumbprint_of(&daemon.address.to_string()).await.unwrap();
    assert_eq!(shown.sha1, own.thumbprint_sha1());
    assert_eq!(shown.sha256, own.thumbprint_sha256());
    assert_eq!(shown.chain, own.chain);
    assert!(!shown.is_self_signed());

    let ca = api::tls::thumbprint_sha256(own.chain.last().unwrap());
    for trust in [
        authority(&daemon),
        Trust::Thumbprint(shown.sha1.clone()),
        Trust::Thumbprint(shown.sha256.to_lowercase()),
        Trust::Thumbprint(ca),
        Trust::Insecure,
    ] {
        let shown = format!("{trust:?}");
        assert!(connect(&daemon, trust, None).await.is_ok(), "{shown}");
    }
    let other = tempfile::tempdir().unwrap();
    let other = CertificateAuthority::open(other.path(), "another").unwrap();
    let strangers: Vec<CertificateDer<'static>> = vec![other.certificate().clone()];
    let wrong = shown
        .sha1
        .replace(&shown.sha1[..2], "ZZ")
        .replace("ZZ", if shown.sha1.starts_with("00") { "01" } else { "00" });
    for trust in [Trust::Ca(strangers), Trust::Thumbprint(wrong)] {
        assert!(matches!(connect(&daemon, trust, None).await, Err(CallError::Tls { .. })));
    }
    let nonsense = connect(&daemon, Trust::Thumbprint("12:34".into()), None).await;
    assert!(matches!(nonsense, Err(CallError::Usage(_))));
}

#[tokio::test]
async fn a_client_certificate_logs_in_once_it_is_trusted() {
    let daemon = with_tls().await;
    let directory = tempfile::tempdir().unwrap();
    let center = CertificateAuthority::open(directory.path(), "center CA").unwrap();
    let identity = center.identity("client", &["center.test".into()]).unwrap();
    daemon.accounts.ensure_administrator("vpxuser", "Center", None).await.unwrap();

    let client = connect(&daemon, authority(&daemon), Some(identity.clone())).await.unwrap();
    let refused = client.login_by_certificate("com.esfera.center").await.unwrap_err();
    assert!(refused.fault().is_some_and(|fault| fault.is_a(data_id!(InvalidLogin))), "{refused}");
    daemon.accounts.trust_certificate(identity.certificate(), None, "vpxuser", "the center").await.unwrap();
    let session = client.login_by_certificate("com.esfera.center").await.unwrap();
    assert_eq!(session.get(field!(UserSession.userName)), Some("vpxuser"));
    assert_eq!(session.get(field!(UserSession.extensionSession)), Some(true));
    client.invoke(&vm(1), &call!(MarkAsTemplate {})).await.unwrap();
    assert!(daemon.accounts.distrust_certificate(&identity.thumbprint_sha256()).await.unwrap());
    assert!(client.login_by_certificate("com.esfera.center").await.is_err());

    let without = connect(&daemon, authority(&daemon), None).await.unwrap();
    let refused = without.login_by_certificate("com.esfera.center").await.unwrap_err();
    assert!(refused.fault().is_some_and(|fault| fault.is_a(data_id!(NoClientCertificate))), "{refused}");
    assert!(without.login("vpxuser", "").await.is_err(), "an account without a password accepts none");
}

#[tokio::test]
async fn a_center_renews_its_certificate_and_its_hosts_go_on_trusting_it() {
    let daemon = with_tls().await;
    let directory = tempfile::tempdir().unwrap();
    let center = CertificateAuthority::open(&directory.path().join("center"), "center CA").unwrap();
    let uri = center_uri("4711");
    let first = center.client_identity("client", &uri).unwrap();
    let manager = MoRef::new(managed_id!(ExtensionManager), "ha-extensionmgr");
    let admin = connect(&daemon, authority(&daemon), Some(first.clone())).await.unwrap();
    admin.login("root", PASSWORD).await.unwrap();
    admin.invoke(&manager, &call!(SetExtensionCertificate { extensionKey: "center c 4711" })).await.unwrap();
    let trusted = daemon.accounts.trusted_certificates();
    assert_eq!(trusted.len(), 1);
    assert_eq!(trusted[0].uri.as_ref(), Some(&uri), "the host trusts its authority for its URI");

    // The renewed certificate shares only the authority and the URI with the first.
    std::fs::remove_file(directory.path().join("center/client.pem")).unwrap();
    let second = center.client_identity("client", &uri).unwrap();
    assert_ne!(second.certificate(), first.certificate());
    for (identity, name) in [(&first, "the first"), (&second, "the second")] {
        let client = connect(&daemon, authority(&daemon), Some(identity.clone())).await.unwrap();
        let session = client.login_by_certificate("center c 4711").await.expect(name);
        assert_eq!(session.get(field!(UserSession.extensionSession)), Some(true));
    }
    let stranger = CertificateAuthority::open(&directory.path().join("stranger"), "center CA").unwrap();
    let forged = stranger.client_identity("client", &uri).unwrap();
    let forged_chain = Identity {
        chain: vec![forged.chain[0].clone(), center.certificate().clone()],
        key: forged.key.clone_key(),
    };
    for (identity, why) in [
        (center.identity("server", &["center.test".into()]).unwrap(), "a server's"),
        (
            center.client_identity("another", &center_uri("4712")).unwrap(),
            "another URI of the same authority",
        ),
        (forged, "another authority's"),
        (forged_chain, "a certificate of another authority that shows the right one"),
    ] {
        let client = connect(&daemon, authority(&daemon), Some(identity)).await.unwrap();
        let refused = client.login_by_certificate("center c 4711").await.expect_err(why);
        assert!(refused.fault().is_some_and(|fault| fault.is_a(data_id!(InvalidLogin))), "{why}: {refused}");
    }
}

#[tokio::test]
async fn methods_properties_and_tasks_are_used_through_the_client() {
    let daemon = with_tls().await;
    let anonymous = connect(&daemon, authority(&daemon), None).await.unwrap();
    let refused = anonymous.property(&vm(1), "name").await.unwrap_err();
    assert!(refused.is_not_authenticated(), "{refused}");

    let client = logged_in(&daemon).await;
    assert_eq!(client.property(&vm(1), "name").await.unwrap().unwrap().as_str(), Some("VM 1 <&>"));
    assert_eq!(client.property(&vm(1), "guest").await.unwrap(), None);
    let gone = client.property(&vm(9), "name").await.unwrap_err();
    assert!(gone.fault().is_some_and(|fault| fault.is_a(data_id!(ManagedObjectNotFound))));

    let read =
        client.retrieve(&[vm(1), vm(2)], managed_id!(VirtualMachine), &["name", "parent"]).await.unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(read[1].1["name"].as_str(), Some("VM 2 <&>"));
    assert_eq!(read[1].1["parent"].as_ref(), Some(&vm_folder()));

    let task = client.invoke(&vm(1), &call!(PowerOnVM_Task {})).await.unwrap();
    let task = task.as_ref().and_then(Value::as_ref).unwrap();
    assert_eq!(client.wait_for_task(task, |_| {}).await.unwrap(), None);
    let task = client.invoke(&vm(1), &call!(PowerOffVM_Task {})).await.unwrap();
    let task = task.as_ref().and_then(Value::as_ref).unwrap();
    let failed = client.wait_for_task(task, |_| {}).await.unwrap_err();
    assert!(failed.fault().is_some_and(|fault| fault.is_a(data_id!(InvalidPowerState))), "{failed}");

    let again = connect(&daemon, authority(&daemon), None).await.unwrap();
    again.resume(&client.session_key().unwrap());
    assert!(again.property(&vm(1), "name").await.is_ok(), "another client continues the session");
    client.logout().await.unwrap();
    assert!(again.property(&vm(1), "name").await.unwrap_err().is_not_authenticated());
}

#[tokio::test]
async fn files_go_up_and_down_with_progress() {
    let daemon = with_tls().await;
    let client = logged_in(&daemon).await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let file =
        FilePath {
            datacenter: "ha-datacenter".into(), datastore: "ds 1".into(), path: "a b/ü#?.iso".into()
        };
    let sent = Arc::new(AtomicUsize::new(0));
    let seen = sent.clone();
    let progress = move |bytes: u64| seen.store(usize::try_from(bytes).unwrap(), Ordering::SeqCst);
    let source = std::io::Cursor::new(content.clone());
    client.upload(&file, Some(content.len() as u64), source, progress).await.unwrap();
    assert_eq!(sent.load(Ordering::SeqCst), content.len());
    assert_eq!(daemon.files.get("a b/ü#?.iso").unwrap(), content);
    assert_eq!(client.file_facts(&file).await.unwrap().size, content.len() as u64);

    let mut whole = Vec::new();
    let mut received = client.download(&file, None).await.unwrap();
    assert_eq!(received.length, Some(content.len() as u64));
    received.read_to_end(&mut whole).await.unwrap();
    assert_eq!(whole, content);
    let mut part = Vec::new();
    let range = ByteRange::From { first: 1_000_000, last: Some(1_000_099) };
    let mut received = client.download(&file, Some(range)).await.unwrap();
    assert_eq!((received.length, received.size), (Some(100), Some(content.len() as u64)));
    received.read_to_end(&mut part).await.unwrap();
    assert_eq!(part, content[1_000_000..1_000_100]);

    client.delete_file(&file).await.unwrap();
    let gone = client.download(&file, None).await.err().unwrap();
    assert!(matches!(gone, CallError::Http { status: 404, .. }), "{gone}");
}

#[tokio::test]
async fn a_console_carries_bytes_both_ways_and_its_ticket_works_once() {
    let daemon = with_tls().await;
    let socket = tokio::net::UnixListener::bind(daemon.directory.path().join("console.sock")).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        stream.write_all(b"RFB 003.008\n").await.unwrap();
        let mut bytes = vec![0; 1000];
        loop {
            let n = stream.read(&mut bytes).await.unwrap();
            if n == 0 {
                return;
            }
            bytes[..n].reverse();
            stream.write_all(&bytes[..n]).await.unwrap();
        }
    });
    let client = logged_in(&daemon).await;
    let ticket = client.invoke(&vm(1), &call!(AcquireTicket { ticketType: "webmks" })).await.unwrap();
    let ticket = ticket.as_ref().and_then(Value::as_object).unwrap();
    let id = ticket.get(field!(VirtualMachineTicket.ticket)).unwrap();
    let mut console = client.console(id).await.unwrap();
    let mut greeting = [0; 12];
    console.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"RFB 003.008\n");
    console.write_all(b"abc").await.unwrap();
    let mut answer = [0; 3];
    console.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"cba");
    let again = client.console(id).await.err().unwrap();
    assert!(matches!(again, CallError::Http { status: 404, .. }), "{again}");
}

/// A server that answers the hello of a connection, then breaks off every request on it, and counts them.
async fn breaking_server(asked: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let asked = asked.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 << 10];
                while let Ok(n) = stream.read(&mut bytes).await {
                    let request = String::from_utf8_lossy(&bytes[..n]).into_owned();
                    if !request.contains("action=hello") {
                        if n > 0 {
                            asked.fetch_add(1, Ordering::SeqCst);
                        }
                        return;
                    }
                    let body = r#"{"api_release":"8.0.3.0"}"#;
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_call_that_may_have_been_done_is_not_sent_again_and_a_read_is() {
    let asked = Arc::new(AtomicUsize::new(0));
    let address = breaking_server(asked.clone()).await;
    let client = Client::connect(&address, Options::new(Trust::Insecure)).await.unwrap();
    let broken = client.invoke(&vm(1), &call!(PowerOnVM_Task {})).await.unwrap_err();
    assert!(matches!(broken, CallError::Unreachable { maybe_done: true, .. }), "{broken:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    let client = Client::connect(&address, Options::new(Trust::Insecure)).await.unwrap();
    assert!(client.property(&vm(1), "name").await.is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 3, "once on the idle connection, once on a new one");
}

#[tokio::test]
async fn who_is_not_there_or_no_server_of_ours_is_told_apart() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let nobody = Client::connect(&address, Options::new(Trust::Insecure)).await.err().unwrap();
    assert!(matches!(nobody, CallError::Unreachable { maybe_done: false, .. }), "{nobody:?}");
    let daemon = plain().await;
    let no_tls = connect(&daemon, Trust::Insecure, None).await.err().unwrap();
    assert!(matches!(no_tls, CallError::Tls { .. }), "{no_tls:?}");
    assert!(thumbprint_of(&daemon.address.to_string()).await.is_err());
    let url = format!("http://{}", daemon.address);
    let client = Client::connect(&url, Options::new(Trust::Insecure)).await.unwrap();
    client.login("root", PASSWORD).await.unwrap();
    assert!(client.property(&vm(1), "name").await.is_ok(), "without TLS");
}

#[tokio::test]
async fn a_large_state_comes_in_portions_that_are_one_state_together() {
    const VMS: u32 = 600;
    let daemon = with_tls().await;
    daemon.core.tree.write(|w| {
        let all: Vec<MoRef> = (1..=VMS).map(vm).collect();
        for vm in &all {
            w.create(vm, props!(VirtualMachine { name: vm.id(), parent: vm_folder() }));
        }
        w.set(&vm_folder(), props!(Folder { childEntity: all }));
    });
    let spec = vim!(PropertyFilterSpec {
        propSet: [PropertySpec { type: "VirtualMachine", pathSet: ["name"] }],
        objectSet: [ObjectSpec {
            obj: vm_folder(),
            skip: true,
            selectSet: [TraversalSpec { type: "Folder", path: "childEntity" }],
        }],
    });
    let client = logged_in(&daemon).await;
    let mut updates = client.follow(spec).await.unwrap();
    let (mut found, mut portions) = (HashSet::new(), 0);
    loop {
        let batch = updates.next(None).await.unwrap().unwrap();
        assert_eq!(batch.full, portions == 0, "only the first batch begins a state");
        portions += 1;
        for filter in batch.set.get(field!(UpdateSet.filterSet)).unwrap() {
            for update in filter.get(field!(PropertyFilterUpdate.objectSet)).unwrap() {
                assert!(found.insert(update.get(field!(ObjectUpdate.obj)).unwrap().clone()));
            }
        }
        if !batch.set.get(field!(UpdateSet.truncated)).unwrap_or(false) {
            break;
        }
    }
    assert_eq!(found, (1..=VMS).map(vm).collect());
    assert!(portions > 1);
}
