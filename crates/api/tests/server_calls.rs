//! SOAP and VI-JSON as clients send them.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::Ordering;

use api::session::MAX_ACCOUNT_SESSIONS;
use support::{PASSWORD, cookie, envelope, plain, plain_that_waits, until, vm, vm_folder};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn what_is_anonymous_works_before_login_and_the_rest_does_not() {
    let daemon = plain().await;
    let content = daemon.soap("", "ServiceInstance", "ServiceInstance", "RetrieveServiceContent", "").await;
    assert_eq!(content.status, 200);
    assert_eq!(content.header("content-type"), Some("text/xml; charset=utf-8"));
    assert!(content.text().contains("<RetrieveServiceContentResponse xmlns=\"urn:vim25\">"));
    let fetched =
        daemon.soap("", "ServiceInstance", "ServiceInstance", "Fetch", "<prop>content</prop>").await;
    assert_eq!(fetched.status, 200, "{}", fetched.text());
    let nobody =
        daemon.soap("", "SessionManager", "ha-sessionmgr", "Fetch", "<prop>currentSession</prop>").await;
    assert_eq!(nobody.status, 200);
    assert!(!nobody.text().contains("returnval"), "unset when not logged in");

    for (method, parameters) in [("Fetch", "<prop>name</prop>"), ("MarkAsTemplate", "")] {
        let answer = daemon.soap("", "VirtualMachine", "1", method, parameters).await;
        assert_eq!(answer.status, 500);
        assert!(answer.text().contains("<NotAuthenticatedFault"), "{}", answer.text());
        let hidden = daemon.soap("", "VirtualMachine", "9", method, parameters).await;
        assert!(hidden.text().contains("<NotAuthenticatedFault"), "{}", hidden.text());
    }
}

#[tokio::test]
async fn a_login_gives_a_cookie_that_is_taken_with_and_without_quotes() {
    let daemon = plain().await;
    let answer = daemon.try_login("root", PASSWORD).await;
    let given = answer.header("set-cookie").unwrap();
    assert!(
        given.starts_with("vmware_soap_session=\"") && given.ends_with("\"; Path=/; HttpOnly"),
        "{given}"
    );
    let key = given.split('"').nth(1).unwrap();
    for cookie in [
        format!("Cookie: vmware_soap_session=\"{key}\"\r\n"),
        format!("Cookie: vmware_soap_session={key}\r\n"),
        format!("Cookie: a=b; vmware_soap_session=\"{key}\"\r\n"),
    ] {
        let name = daemon.soap(&cookie, "VirtualMachine", "1", "Fetch", "<prop>name</prop>").await;
        assert_eq!(name.status, 200);
        assert!(name.text().contains(">VM 1 &lt;&amp;&gt;</returnval>"), "{}", name.text());
    }
    let key_in_header = format!(
        "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Header>\
         <vcSessionCookie xmlns=''>{key}</vcSessionCookie></e:Header><e:Body>\
         <Fetch xmlns='urn:vim25'><_this type='VirtualMachine'>1</_this><prop>name</prop></Fetch>\
         </e:Body></e:Envelope>"
    );
    assert_eq!(daemon.post("/sdk/", "", key_in_header.as_bytes()).await.status, 200);
    let wrong = daemon.soap(&cookie("nonsense"), "VirtualMachine", "1", "Fetch", "<prop>name</prop>").await;
    assert!(wrong.text().contains("<NotAuthenticatedFault"));

    let out = daemon.soap(&cookie(key), "SessionManager", "ha-sessionmgr", "Logout", "").await;
    assert_eq!(out.status, 200);
    let after = daemon.soap(&cookie(key), "VirtualMachine", "1", "Fetch", "<prop>name</prop>").await;
    assert!(after.text().contains("<NotAuthenticatedFault"));
}

#[tokio::test]
async fn wrong_objects_types_methods_and_properties_get_their_own_faults() {
    let daemon = plain().await;
    let key = cookie(&daemon.login("root", PASSWORD).await);
    for (ty, id, method, parameters, fault) in [
        ("VirtualMachine", "9", "MarkAsTemplate", "", "ManagedObjectNotFoundFault"),
        ("HostSystem", "1", "Fetch", "<prop>name</prop>", "ManagedObjectNotFoundFault"),
        ("Folder", "ha-folder-vm", "MarkAsTemplate", "", "MethodNotFoundFault"),
        ("VirtualMachine", "1", "MarkAsWonder", "", "MethodNotFoundFault"),
        ("VirtualMachine", "1", "ResetVM_Task", "", "NotSupportedFault"),
        ("VirtualMachine", "1", "Fetch", "<prop>wonder</prop>", "InvalidPropertyFault"),
        ("VirtualMachine", "1", "ResetGuestInformation", "", "SystemErrorFault"),
    ] {
        let answer = daemon.soap(&key, ty, id, method, parameters).await;
        assert_eq!(answer.status, 500, "{ty} {method}");
        assert!(answer.text().contains(&format!("<{fault} ")), "{ty} {method}: {}", answer.text());
        assert!(!answer.text().contains("secret of the inside"), "an internal error leaks");
    }
    assert_eq!(daemon.ask("GET", "/sdk", "").await.status, 405);
    assert_eq!(daemon.ask("GET", "/nothing", "").await.status, 404);
}

#[tokio::test]
async fn a_read_only_user_may_look_and_not_touch() {
    let daemon = plain().await;
    daemon.accounts.create("reader", "", Some("r")).await.unwrap();
    let root = cookie(&daemon.login("root", PASSWORD).await);
    let permission = "<entity type='Folder'>ha-folder-root</entity><permission><principal>reader</principal>\
                      <group>false</group><roleId>-2</roleId><propagate>true</propagate></permission>";
    let set =
        daemon.soap(&root, "AuthorizationManager", "ha-authmgr", "SetEntityPermissions", permission).await;
    assert_eq!(set.status, 200, "{}", set.text());

    let reader = cookie(&daemon.login("reader", "r").await);
    let name = daemon.soap(&reader, "VirtualMachine", "1", "Fetch", "<prop>name</prop>").await;
    assert_eq!(name.status, 200, "{}", name.text());
    let touch = daemon.soap(&reader, "VirtualMachine", "1", "MarkAsTemplate", "").await;
    assert_eq!(touch.status, 500);
    assert!(touch.text().contains("<NoPermissionFault"), "{}", touch.text());
    assert!(touch.text().contains("<privilegeId>VirtualMachine.Provisioning.MarkAsTemplate</privilegeId>"));
    let grant =
        daemon.soap(&reader, "AuthorizationManager", "ha-authmgr", "SetEntityPermissions", permission).await;
    assert!(grant.text().contains("<NoPermissionFault"), "{}", grant.text());
    let shown = daemon.soap(&reader, "Folder", "ha-folder-root", "Fetch", "<prop>permission</prop>").await;
    assert!(shown.text().contains("<principal>reader</principal>"), "{}", shown.text());
}

#[tokio::test]
async fn vi_json_has_its_session_in_a_header_and_its_own_statuses() {
    let daemon = plain().await;
    let hello = br#"{"api_releases":["9.0.0.0","8.0.1.0","8.0.3.0"]}"#;
    let hello = daemon.post("/api/vcenter/system?action=hello", "", hello).await;
    assert_eq!(hello.text(), r#"{"api_release":"8.0.1.0"}"#);

    let base = "/sdk/vim25/8.0.1.0";
    let login = format!(r#"{{"userName":"root","password":"{PASSWORD}"}}"#);
    let path = format!("{base}/SessionManager/ha-sessionmgr/Login");
    let login = daemon.post(&path, "", login.as_bytes()).await;
    assert_eq!(login.status, 200, "{}", login.text());
    assert!(login.text().starts_with(r#"{"_typeName":"UserSession""#), "{}", login.text());
    let key = format!("vmware-api-session-id: {}\r\n", login.header("vmware-api-session-id").unwrap());

    let name = daemon.ask("GET", &format!("{base}/VirtualMachine/1/name"), &key).await;
    assert_eq!((name.status, name.text().as_str()), (200, "\"VM 1 <&>\""));
    assert_eq!(daemon.ask("GET", &format!("{base}/VirtualMachine/1/guest"), &key).await.status, 204);
    for (method, path, headers, body, status, fault) in [
        ("POST", "VirtualMachine/1/MarkAsTemplate", key.as_str(), "", 204, ""),
        ("POST", "VirtualMachine/1/MarkAsTemplate", key.as_str(), "{}", 204, ""),
        ("POST", "VirtualMachine/1/MarkAsTemplate", "", "{}", 401, "NotAuthenticated"),
        ("GET", "VirtualMachine/1/name", "", "", 401, "NotAuthenticated"),
        ("GET", "VirtualMachine/1/name", "vmware-api-session-id: x\r\n", "", 401, "NotAuthenticated"),
        ("POST", "VirtualMachine/1/MarkAsTemplate", key.as_str(), "{", 400, "InvalidRequest"),
        ("POST", "VirtualMachine/1/MarkAsTemplate", key.as_str(), r#"{"a":1}"#, 400, ""),
        ("POST", "VirtualMachine/9/MarkAsTemplate", key.as_str(), "{}", 404, "ManagedObjectNotFound"),
        ("POST", "VirtualMachine/1/Wonder", key.as_str(), "{}", 404, "MethodNotFound"),
        ("POST", "Folder/ha-folder-vm/MarkAsTemplate", key.as_str(), "{}", 404, "MethodNotFound"),
        ("POST", "Wonder/1/MarkAsTemplate", key.as_str(), "{}", 404, "InvalidType"),
        ("GET", "VirtualMachine/1/wonder", key.as_str(), "", 404, "InvalidProperty"),
        ("POST", "VirtualMachine/1/ResetVM_Task", key.as_str(), "{}", 500, "NotSupported"),
    ] {
        let path = format!("{base}/{path}");
        let answer = match method {
            "POST" => daemon.post(&path, headers, body.as_bytes()).await,
            _ => daemon.ask(method, &path, headers).await,
        };
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
        assert!(answer.text().contains(fault), "{path} {body}: {}", answer.text());
    }
    assert_eq!(daemon.ask("GET", "/sdk/vim25/7.9/VirtualMachine/1/name", &key).await.status, 404);
    let name = daemon.ask("GET", &format!("{base}/VirtualMachine/1/name"), &key).await;
    assert_eq!(name.text(), "\"template\"");
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_wait_and_not_its_change() {
    let daemon = plain_that_waits().await;
    let key = cookie(&daemon.login("root", PASSWORD).await);
    let send = |ty: &'static str, id: &'static str, method: &'static str| {
        let body = envelope(ty, id, method, "");
        let length = body.len();
        let request =
            format!("POST /sdk HTTP/1.1\r\nHost: toy\r\n{key}Content-Length: {length}\r\n\r\n{body}");
        async move {
            let mut stream = TcpStream::connect(daemon.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            stream
        }
    };
    let stream = send("PropertyCollector", "ha-property-collector", "WaitForUpdates").await;
    until(|| daemon.seen.wait_begun.load(Ordering::SeqCst) == 1).await;
    assert_eq!(daemon.seen.wait_dropped.load(Ordering::SeqCst), 0);
    drop(stream);
    until(|| daemon.seen.wait_dropped.load(Ordering::SeqCst) == 1).await;

    let stream = send("VirtualMachine", "1", "StandbyGuest").await;
    until(|| daemon.seen.change_begun.load(Ordering::SeqCst) == 1).await;
    drop(stream);
    until(|| daemon.seen.change_done.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn sessions_have_a_number_and_an_end() {
    let daemon = plain().await;
    let key = daemon.login("root", PASSWORD).await;
    let account = daemon.accounts.find("root").unwrap();
    let session = daemon.core.sessions.find(&key).unwrap();
    let peer =
        api::session::Peer { address: [127, 0, 0, 1].into(), user_agent: String::new(), certificate: None };
    let wait = session.begin();
    let busy: Vec<_> = (1..MAX_ACCOUNT_SESSIONS)
        .map(|_| daemon.core.sessions.open(account.clone(), &peer, "en").unwrap().begin())
        .collect();
    let refused = daemon.try_login("root", PASSWORD).await;
    assert_eq!(refused.status, 500);
    assert!(refused.text().contains("sessions are open"), "{}", refused.text());
    drop((wait, busy));

    let later =
        |seconds: i64| vim::DateTime::from_micros(session.last_active().as_micros() + seconds * 1_000_000);
    daemon.core.sessions.close_idle(later(30 * 60 - 1));
    assert!(daemon.core.sessions.find(&key).is_some());
    let wait = session.begin();
    daemon.core.sessions.close_idle(later(24 * 3600));
    assert!(daemon.core.sessions.find(&key).is_some(), "a request is under way");
    assert_eq!(daemon.core.sessions.all().len(), 1, "the others were idle");
    drop(wait);
    daemon.core.sessions.close_idle(later(24 * 3600));
    assert!(session.ended().is_cancelled());
    let after = daemon.soap(&cookie(&key), "VirtualMachine", "1", "Fetch", "<prop>name</prop>").await;
    assert!(after.text().contains("<NotAuthenticatedFault"));
}

#[tokio::test]
async fn pages_for_people_and_tools_need_no_login() {
    let daemon = plain().await;
    let versions = daemon.ask("GET", "/sdk/vimServiceVersions.xml", "").await;
    assert_eq!(versions.status, 200);
    assert!(versions.text().contains("<name>urn:vim25</name>"));
    let wsdl = daemon.ask("GET", "/sdk/vimService.wsdl", "Accept-Encoding: gzip, deflate\r\n").await;
    assert_eq!((wsdl.status, wsdl.header("content-encoding")), (200, Some("gzip")));
    let plain_wsdl = daemon.ask("GET", "/sdk?wsdl", "").await;
    assert_eq!((plain_wsdl.status, plain_wsdl.header("content-encoding")), (200, None));
    assert!(wsdl.body.len() * 4 < plain_wsdl.body.len());
    let about: serde_json::Value =
        serde_json::from_slice(&daemon.ask("GET", "/about", "").await.body).unwrap();
    assert_eq!(about["apiType"], "HostAgent");
    let index = daemon.ask("GET", "/", "").await;
    assert!(index.text().contains("Toy &lt;1&gt;"), "{}", index.text());
}

#[tokio::test]
async fn an_answer_under_way_is_finished_when_the_server_stops() {
    let mut daemon = plain().await;
    let key = cookie(&daemon.login("root", PASSWORD).await);
    let seen = daemon.seen.clone();
    let (address, body) = (daemon.address, envelope("VirtualMachine", "1", "StandbyGuest", ""));
    let request = tokio::spawn(async move {
        let head = format!(
            "POST /sdk HTTP/1.1\r\nHost: toy\r\nConnection: close\r\n{key}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        support::raw(address, head.as_bytes()).await
    });
    until(|| seen.change_begun.load(Ordering::SeqCst) == 1).await;
    daemon.stop().await;
    assert_eq!(request.await.unwrap().status, 200);
    assert!(TcpStream::connect(address).await.is_err(), "the server no longer listens");
}

/// Only the server can end it, by cutting the connection, and then no answer arrives.
#[tokio::test]
async fn who_waits_for_changes_does_not_keep_the_server_from_stopping() {
    let mut daemon = plain_that_waits().await;
    let key = cookie(&daemon.login("root", PASSWORD).await);
    let seen = daemon.seen.clone();
    let body = envelope("PropertyCollector", "ha-property-collector", "WaitForUpdates", "");
    let head =
        format!("POST /sdk HTTP/1.1\r\nHost: toy\r\n{key}Content-Length: {}\r\n\r\n{body}", body.len());
    let address = daemon.address;
    let request = tokio::spawn(async move { support::raw(address, head.as_bytes()).await });
    until(|| seen.wait_begun.load(Ordering::SeqCst) == 1).await;
    daemon.stop().await;
    let answer = request.await.unwrap();
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("<NotAuthenticatedFault"), "{}", answer.text());
    until(|| seen.wait_dropped.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn what_a_moved_object_allows_is_decided_anew() {
    let daemon = plain().await;
    daemon.accounts.create("keeper", "", Some("k")).await.unwrap();
    let root = cookie(&daemon.login("root", PASSWORD).await);
    let grant = |entity: &str, role: i32| {
        format!(
            "<entity type='ManagedEntity'>{entity}</entity><permission><principal>keeper</principal>\
             <group>false</group><roleId>{role}</roleId><propagate>true</propagate></permission>"
        )
    };
    let set = |body: String| {
        let (daemon, root) = (&daemon, &root);
        async move {
            let answer =
                daemon.soap(root, "AuthorizationManager", "ha-authmgr", "SetEntityPermissions", &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    };
    set(grant("ha-folder-vm", -1)).await;
    let keeper = cookie(&daemon.login("keeper", "k").await);
    let fetch = || daemon.soap(&keeper, "VirtualMachine", "1", "Fetch", "<prop>name</prop>");
    assert_eq!(fetch().await.status, 200);
    daemon.core.tree.write(|w| w.set(&vm(1), vim::props!(VirtualMachine { parent: support::root() })));
    assert!(fetch().await.text().contains("<NoPermissionFault"), "it is outside of the folder now");
    daemon.core.tree.write(|w| w.set(&vm(1), vim::props!(VirtualMachine { parent: vm_folder() })));
    assert_eq!(fetch().await.status, 200);
    set(grant("1", -5)).await;
    assert!(fetch().await.text().contains("<NoPermissionFault"), "the nearest permission decides");
}
