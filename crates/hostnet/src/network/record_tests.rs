use super::*;
use serde_json::json;

fn config() -> NetworkConfig {
    NetworkConfig::first(&["vmnic0".into()], &["VM Network".into()], None)
}

async fn kept(value: &[u8]) -> (Store, Kept) {
    let store = Store::in_memory().unwrap();
    let mut batch = Batch::new();
    batch.put("network", KEY, value.to_vec());
    store.commit(batch).await.unwrap();
    let kept = read(&store).unwrap();
    (store, kept)
}

async fn unreadable(value: &[u8]) -> Unreadable {
    match kept(value).await.1 {
        Kept::Unreadable(unreadable) => unreadable,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_written_is_read() {
    let store = Store::in_memory().unwrap();
    assert_eq!(read(&store).unwrap(), Kept::Nothing);
    let mut batch = Batch::new();
    put(&mut batch, &config()).unwrap();
    store.commit(batch).await.unwrap();
    assert_eq!(read(&store).unwrap(), Kept::Readable(config()));
    assert_eq!(RECORDS.get(&store, KEY).unwrap().unwrap()["format"], json!(FORMAT));
    // Before formats had numbers.
    let old = serde_json::to_vec(&config()).unwrap();
    assert_eq!(kept(&old).await.1, Kept::Readable(config()));
}

#[tokio::test]
async fn a_newer_record_is_shown_as_far_as_it_can_be_read() {
    let mut newer = serde_json::to_value(Record { format: FORMAT + 1, config: config() }).unwrap();
    newer["anything"] = json!({"new": true});
    let read = unreadable(newer.to_string().as_bytes()).await;
    assert_eq!(read.shown, config());
    let said = format!("format {}, this version of Esfera reads up to {FORMAT}", FORMAT + 1);
    assert!(
        read.reason.contains(&said) && read.reason.ends_with("Start a version that reads it"),
        "{}",
        read.reason
    );
    newer["switches"] = json!("otherwise");
    let read = unreadable(newer.to_string().as_bytes()).await;
    assert_eq!(read.shown, NetworkConfig::default());
    assert!(read.reason.contains(&said), "what is not understood is newer: {}", read.reason);
}

#[tokio::test]
async fn a_damaged_record_is_told_from_a_newer_one() {
    let whole = serde_json::to_vec(&Record { format: FORMAT, config: config() }).unwrap();
    let mut cases: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\xff\xfe\x00garbage".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        br#"{"format":"two","switches":[]}"#.to_vec(),
        br#"{"format":-1,"switches":[]}"#.to_vec(),
        br#"{"format":1e99,"switches":[]}"#.to_vec(),
        br#"{"format":1,"switches":[{"name":"vSwitch0"}]}"#.to_vec(),
        [b"[".repeat(100_000), b"]".repeat(100_000)].concat(),
    ];
    cases.extend((1..whole.len()).step_by(7).map(|end| whole[..end].to_vec()));
    for case in cases {
        let read = unreadable(&case).await;
        assert!(read.reason.contains("cannot be read ("), "{}", read.reason);
        assert!(read.reason.ends_with("Restore the host's state from a copy"), "{}", read.reason);
        assert_eq!(read.shown, NetworkConfig::default());
    }
}

/// Names of all fields of a value, with their places.
fn fields(value: &Value, at: &str, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            let at = format!("{at}.{name}");
            fields(value, &at, found);
            found.insert(at);
        }),
        Value::Array(list) => list.iter().for_each(|value| fields(value, at, found)),
        _ => {}
    }
}

/// The fields of format 1. If this fails because a field was added, an older daemon would lose it: raise [`FORMAT`], then change the
/// list.
#[test]
fn the_format_rises_with_what_is_written() {
    let mut config = config();
    let takeover = vswitch::vmkernel::Takeover {
        mac: vswitch::Mac([2; 6]),
        mtu: 1500,
        ipv4: vswitch::declare::Ipv4Config::Static { address: [10, 0, 0, 1].into(), prefix: 8 },
        ipv6: None,
        gateways: Default::default(),
        routes: Vec::new(),
    };
    config.adapters = NetworkConfig::first(&[], &[], Some(takeover)).adapters;
    config.stacks = vec![vswitch::declare::Stack::default()];
    config.names = Some(Default::default());
    let mut found = Default::default();
    fields(&serde_json::to_value(Record { format: FORMAT, config }).unwrap(), "", &mut found);
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    assert_eq!((FORMAT, found), (1, include_str!("format.txt").lines().collect()));
}
