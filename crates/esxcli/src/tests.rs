use std::collections::BTreeSet;
use std::sync::Arc;

use host::{Host, SimulatedOptions};

use crate::namespaces::{GROUPS, all, find};
use crate::table::{
    Answer, Arguments, CliFault, Command, Datum, Field, FieldKind, Namespace, Outcome, Output, Parameter,
    Row, Structure,
};
use crate::wire::element;

async fn host() -> Arc<Host> {
    let store = Arc::new(datastore::Datastore::memory(uuid::Uuid::new_v4(), 1 << 40));
    Host::simulated(SimulatedOptions::new("esx1.example.org", vec![("ds".into(), store)])).await.unwrap()
}

/// An argument with which a command finds something on a simulated host.
fn given(parameter: &Parameter) -> &'static str {
    match parameter.display {
        "vswitch-name" => "vSwitch0",
        "portgroup-name" => "VM Network",
        "nic-name" => "vmnic0",
        "netstack" => "defaultTcpipStack",
        other => panic!("what is a good {other}?"),
    }
}

fn arguments(command: &Command, all: &[(&str, &str)]) -> Result<Arguments, CliFault> {
    Arguments::read(command.parameters, all.iter().copied())
}

fn find_command(line: &str) -> (&'static Namespace, &'static Command) {
    let (namespace, name) = line.rsplit_once(' ').unwrap();
    let namespace = find(&namespace.replace(' ', ".")).unwrap();
    (namespace, namespace.command(name).unwrap())
}

async fn run(host: &Arc<Host>, line: &str, given: &[(&str, &str)]) -> Outcome {
    let (_, command) = find_command(line);
    (command.run)(host.clone(), arguments(command, given)?).await
}

fn fits(row: &Row, structure: &Structure) {
    for (name, datum) in row.values() {
        let field = structure.fields.iter().find(|field| field.display == *name);
        let field = field.unwrap_or_else(|| panic!("{} has no {name}", structure.name));
        match (datum, &field.kind) {
            (Datum::Text(_), FieldKind::Text)
            | (Datum::Number(_), FieldKind::Number)
            | (Datum::Boolean(_), FieldKind::Boolean)
            | (Datum::Texts(_), FieldKind::Texts) => {}
            (Datum::Row(inner), FieldKind::Structure(structure)) => fits(inner, structure),
            _ => panic!("{} {name}: {datum:?} is of another kind", structure.name),
        }
    }
}

#[test]
fn the_table_has_each_name_once_and_known_privileges() {
    let mut names = BTreeSet::new();
    for namespace in all() {
        assert!(names.insert(namespace.name), "{} twice", namespace.name);
        let mut commands = BTreeSet::new();
        for command in namespace.commands {
            assert!(commands.insert(command.name), "{} {} twice", namespace.name, command.name);
            assert!(api::host_privileges().any(|known| known == command.privilege), "{}", command.privilege);
            let (mut long, mut short) = (BTreeSet::new(), BTreeSet::new());
            for parameter in command.parameters {
                let at = format!("{} {} {}", namespace.name, command.name, parameter.display);
                assert!(long.insert(parameter.display), "{at} twice");
                assert!(parameter.letter.is_none_or(|letter| short.insert(letter)), "{at}: its letter twice");
            }
            let fields = command.output.structure().map(|structure| structure.fields).unwrap_or_default();
            let fields: Vec<String> = fields.iter().map(Field::name).collect();
            assert_eq!(fields.iter().collect::<BTreeSet<_>>().len(), fields.len(), "{}", command.name);
        }
    }
}

#[test]
fn every_group_of_namespaces_has_help() {
    let parents = |name: &'static str| {
        let ends = name.match_indices('.').map(|(at, _)| at);
        ends.map(|at| &name[..at]).collect::<Vec<_>>()
    };
    for group in all().flat_map(|namespace| parents(namespace.name)) {
        assert!(find(group).is_some() || GROUPS.iter().any(|(known, _)| *known == group), "{group}");
    }
    for (group, _) in GROUPS {
        assert!(
            find(group).is_none() && all().any(|it| it.name.starts_with(&format!("{group}."))),
            "{group}"
        );
    }
}

#[tokio::test]
async fn every_answer_is_what_its_command_declares() {
    let host = host().await;
    let mut asked = 0;
    for namespace in all() {
        for command in namespace.commands.iter().filter(|command| !matches!(command.output, Output::Done)) {
            let at = format!("{} {}", namespace.name, command.name);
            // A simulated host has nothing for these to find.
            let needs = ["network.vm.port list", "network.port.stats get", "network.ip.interface.tag get"];
            if needs.contains(&&*at) {
                continue;
            }
            let required = command.parameters.iter().filter(|parameter| parameter.required);
            let given: Vec<(String, &str)> = required.map(|known| (known.name(), given(known))).collect();
            let given: Vec<(&str, &str)> = given.iter().map(|(name, value)| (&**name, *value)).collect();
            let answer = (command.run)(host.clone(), arguments(command, &given).unwrap()).await;
            let answer = answer.unwrap_or_else(|fault| panic!("{at}: {fault:?}"));
            match (&answer, &command.output) {
                (Answer::Text(_), Output::Text) => {}
                (Answer::One(row), Output::One(structure)) => fits(row, structure),
                (Answer::Many(rows), Output::Many(structure)) => {
                    rows.iter().for_each(|row| fits(row, structure));
                }
                _ => panic!("{at}: {answer:?}"),
            }
            element(namespace, command, answer).unwrap();
            asked += 1;
        }
    }
    assert!(asked >= 28, "{asked}");
}

/// The value of one field in the first row of an answer.
async fn field(host: &Arc<Host>, line: &str, given: &[(&str, &str)], field: &str) -> String {
    let row = match run(host, line, given).await.unwrap() {
        Answer::One(row) => row,
        Answer::Many(mut rows) => rows.swap_remove(0),
        other => panic!("{other:?}"),
    };
    match row.values().iter().find(|(name, _)| *name == field).map(|(_, datum)| datum) {
        Some(Datum::Text(text)) => text.clone(),
        Some(Datum::Number(number)) => number.to_string(),
        Some(Datum::Boolean(boolean)) => boolean.to_string(),
        Some(Datum::Texts(texts)) => texts.join(","),
        other => panic!("{field}: {other:?}"),
    }
}

const SWITCH: &str = "network vswitch standard";
const V0: (&str, &str) = ("vswitchname", "vSwitch0");
const GROUP: (&str, &str) = ("portgroupname", "VM Network");

#[tokio::test]
async fn switches_and_port_groups_live_their_life() {
    let host = host().await;
    let v1 = ("vswitchname", "vSwitch1");
    run(&host, "network vswitch standard add", &[v1]).await.unwrap();
    run(&host, "network vswitch standard uplink add", &[v1, ("uplinkname", "vmnic1")]).await.unwrap();
    run(&host, "network vswitch standard set", &[v1, ("mtu", "9000"), ("cdpstatus", "both")]).await.unwrap();
    let list = format!("{SWITCH} list");
    for (name, value) in
        [("Uplinks", "vmnic1"), ("MTU", "9000"), ("CDP Status", "both"), ("Configured Ports", "128")]
    {
        assert_eq!(field(&host, &list, &[v1], name).await, value);
    }
    run(&host, "network vswitch standard set", &[v1, ("cdpstatus", "down")]).await.unwrap();
    assert_eq!(field(&host, &list, &[v1], "CDP Status").await, "down");
    let web = ("portgroupname", "Web");
    run(&host, "network vswitch standard portgroup add", &[web, v1]).await.unwrap();
    run(&host, "network vswitch standard portgroup set", &[web, ("vlanid", "20")]).await.unwrap();
    let Answer::Many(groups) = run(&host, "network vswitch standard portgroup list", &[]).await.unwrap()
    else {
        panic!("a list")
    };
    assert_eq!(groups.len(), 2);
    assert_eq!(i32::from(host.network.config().group("Web").unwrap().1.vlan.number()), 20);
    // Of another switch it is not removed.
    assert!(run(&host, "network vswitch standard portgroup remove", &[web, V0]).await.is_err());
    run(&host, "network vswitch standard portgroup remove", &[web, v1]).await.unwrap();
    run(&host, "network vswitch standard uplink remove", &[v1, ("uplinkname", "vmnic1")]).await.unwrap();
    run(&host, "network vswitch standard remove", &[v1]).await.unwrap();
    assert_eq!(host.network.config().switches.len(), 1);
}

#[tokio::test]
async fn policies_are_changed_item_by_item() {
    let host = host().await;
    run(&host, "network vswitch standard uplink add", &[V0, ("uplinkname", "vmnic1")]).await.unwrap();
    let set = "network vswitch standard policy failover set";
    run(
        &host,
        set,
        &[V0, ("standbyuplinks", "vmnic1"), ("loadbalancing", "explicit"), ("failback", "false")],
    )
    .await
    .unwrap();
    let get = "network vswitch standard policy failover get";
    for (name, value) in [
        ("Active Adapters", "vmnic0"),
        ("Standby Adapters", "vmnic1"),
        ("Load Balancing", "explicit"),
        ("Failback", "false"),
        ("Notify Switches", "true"),
    ] {
        assert_eq!(field(&host, get, &[V0], name).await, value, "{name}");
    }

    let security = "network vswitch standard portgroup policy security";
    run(&host, &format!("{security} set"), &[GROUP, ("allowpromiscuous", "true")]).await.unwrap();
    run(&host, &format!("{security} set"), &[GROUP, ("allowmacchange", "false")]).await.unwrap();
    for (name, value) in [
        ("Allow Promiscuous", "true"),
        ("Override Vswitch Allow Promiscuous", "true"),
        ("Allow MAC Address Change", "false"),
        ("Override Vswitch Allow Forged Transmits", "false"),
    ] {
        assert_eq!(field(&host, &format!("{security} get"), &[GROUP], name).await, value, "{name}");
    }
    run(&host, &format!("{security} set"), &[GROUP, ("usevswitch", "true")]).await.unwrap();
    assert_eq!(field(&host, &format!("{security} get"), &[GROUP], "Allow Promiscuous").await, "false");

    let shaping = "network vswitch standard policy shaping";
    let rates =
        [V0, ("enabled", "true"), ("avgbandwidth", "2000"), ("peakbandwidth", "4000"), ("burstsize", "64")];
    run(&host, &format!("{shaping} set"), &rates).await.unwrap();
    let kept = host.network.config().switch("vSwitch0").unwrap().declared.policy.outbound;
    assert_eq!((kept.enabled, kept.average, kept.peak, kept.burst), (true, 2_000_000, 4_000_000, 65_536));
    assert_eq!(field(&host, &format!("{shaping} get"), &[V0], "Average Bandwidth").await, "2000");
}

#[tokio::test]
async fn what_is_wrong_is_said_in_words() {
    let host = host().await;
    for (line, given, words) in [
        ("network vswitch standard add", vec![], "Missing required parameter 'vswitchname'"),
        ("network vswitch standard portgroup set", vec![GROUP], "Missing required parameter 'vlanid'"),
        ("network vswitch standard add", vec![V0, ("color", "red")], "Invalid parameter 'color'"),
        ("network vswitch standard add", vec![V0, V0], "given twice"),
        ("network vswitch standard add", vec![V0], "already"),
        ("network vswitch standard set", vec![V0, ("mtu", "big")], "is not a long"),
        ("network vswitch standard set", vec![V0, ("mtu", "99999")], "1280"),
        ("network vswitch standard remove", vec![("vswitchname", "nosuch")], "nosuch"),
        ("network vswitch standard list", vec![("vswitchname", "nosuch")], "Invalid vswitch name"),
        ("network vswitch standard policy failover set", vec![V0, ("loadbalancing", "x")], "constraint"),
        ("network vswitch standard policy failover set", vec![V0, ("failback", "maybe")], "is not a boolean"),
        ("network nic get", vec![("nicname", "eth9")], "eth9"),
        ("network ip netstack get", vec![("netstack", "../x")], "Invalid netstack"),
        ("network ip route ipv4 list", vec![("netstack", "vmotion")], "Invalid netstack"),
        ("network vm port list", vec![("worldid", "7")], "world"),
        ("network port stats get", vec![("portid", "7")], "Invalid port"),
        ("network vswitch standard add", vec![("vswitchname", "<a>x</b>")], "malformed"),
        ("network vswitch standard add", vec![("vswitchname", "<a>x</a><a>y</a>")], "one value"),
        ("network vswitch standard add", vec![("vswitchname", "<a><b/></a>")], "elements"),
    ] {
        let CliFault(said) = run(&host, line, &given).await.expect_err(line);
        assert!(said.contains(words), "{line}: {said}");
    }
    let long = "x".repeat(70_000);
    assert!(run(&host, "network nic get", &[("nicname", &long)]).await.is_err());
}
