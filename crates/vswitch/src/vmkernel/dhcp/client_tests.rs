use super::*;

const MAC: Mac = Mac([0, 0x50, 0x56, 1, 2, 3]);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const OFFER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 50);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fresh() -> Machine {
    Machine::new(MAC, "host-1", None, 7, at(0))
}

fn found(left: u64) -> Machine {
    Machine::new(MAC, "host-1", Some((OFFER, at(left))), 7, at(0))
}

/// A server's message in the client's transaction.
fn says(client: &Machine, kind: Kind, change: impl FnOnce(&mut Message)) -> Message {
    let mut message = Message::new(kind, client.transaction, MAC);
    message.server = Some(SERVER);
    if kind != Kind::Nak {
        (message.yours, message.lease, message.prefix) = (OFFER, Some(1000), Some(24));
    }
    change(&mut message);
    message
}

/// A client with a lease of 1000 seconds from time 1, obtained in the usual way.
fn bound() -> Machine {
    let mut client = fresh();
    client.wake(at(0));
    client.hear(at(0), &says(&client, Kind::Offer, |_| ()));
    client.asked = at(1);
    assert!(matches!(gets(&mut client, at(1), |_| ())[..], [Action::Have(..)]));
    client
}

/// The actions for an offered address that no other station has.
fn gets(client: &mut Machine, now: Duration, change: impl FnOnce(&mut Message)) -> Vec<Action> {
    let message = says(client, Kind::Ack, change);
    let mut actions = client.hear(now, &message);
    while matches!(actions[..], [Action::Probe(OFFER)]) {
        actions = client.wake(client.due());
    }
    actions
}

/// The actions, each in a word.
fn words(actions: &[Action]) -> Vec<String> {
    let word = |action: &Action| match action {
        Action::Broadcast(from, message) => format!("{:?} from {from}", message.kind),
        Action::Unicast(to, message) => format!("{:?} to {to}", message.kind),
        Action::Have(lease, since) => {
            format!("have {}/{} since {}", lease.address, lease.prefix, since.as_secs())
        }
        Action::Lose => "lose".into(),
        Action::Probe(address) => format!("probe {address}"),
        Action::Taken(address, mac) => format!("{address} is of {mac}"),
    };
    actions.iter().map(word).collect()
}

#[test]
fn discover_offer_request_acknowledge() {
    let mut client = fresh();
    let actions = client.wake(at(0));
    let [Action::Broadcast(_, discover)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((discover.kind, discover.host_name.as_str(), discover.mac), (Kind::Discover, "host-1", MAC));
    let actions = client.hear(at(1), &says(&client, Kind::Offer, |_| ()));
    let [Action::Broadcast(_, request)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((request.kind, request.server, request.requested), (Kind::Request, Some(SERVER), Some(OFFER)));
    assert_eq!(request.client, Ipv4Addr::UNSPECIFIED);
    let actions = gets(&mut client, at(2), |_| ());
    assert_eq!(words(&actions), ["have 10.0.0.50/24 since 1"]);
    assert_eq!(client.due(), at(501), "T1 is half of the time, from the request on");
}

#[test]
fn messages_for_other_clients_are_ignored() {
    for (case, change) in [
        ("another transaction", (|m: &mut Message| m.transaction ^= 1) as fn(&mut Message)),
        ("another client", |m| m.mac = Mac([2; 6])),
        ("no server", |m| m.server = None),
        ("no address", |m| m.yours = Ipv4Addr::UNSPECIFIED),
        ("a group's address", |m| m.yours = Ipv4Addr::new(224, 0, 0, 1)),
        ("nothing offered", |m| m.kind = Kind::Ack),
    ] {
        let mut client = fresh();
        client.wake(at(0));
        let message = says(&client, Kind::Offer, change);
        assert_eq!(client.hear(at(1), &message), [], "{case}");
    }
    for (case, change) in [
        ("another address", (|m: &mut Message| m.yours = SERVER) as fn(&mut Message)),
        ("no time", |m| m.lease = None),
        ("no time at all", |m| m.lease = Some(0)),
    ] {
        let mut client = fresh();
        client.wake(at(0));
        client.hear(at(0), &says(&client, Kind::Offer, |_| ()));
        let message = says(&client, Kind::Ack, change);
        assert_eq!(client.hear(at(1), &message), [], "{case}");
    }
}

#[test]
fn lost_messages_are_sent_again_ever_more_rarely() {
    let mut client = fresh();
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..7 {
        assert_eq!(words(&client.wake(now)), ["Discover from 0.0.0.0"]);
        assert_eq!(client.wake(now), [], "once");
        waits.push((client.due() - now).as_secs_f64());
        now = client.due();
    }
    for (wait, about) in waits.iter().zip([4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0]) {
        assert!((about - 1.0..=about + 1.0).contains(wait), "{waits:?}");
    }
    client.hear(now, &says(&client, Kind::Offer, |_| ()));
    for _ in 1..REQUESTS {
        now = client.due();
        assert_eq!(words(&client.wake(now)), ["Request from 0.0.0.0"]);
    }
    now = client.due();
    assert_eq!(words(&client.wake(now)), ["Discover from 0.0.0.0"], "the server is gone");
    // After an hour without a server, a lease has its full duration.
    client.hear(at(9000), &says(&client, Kind::Offer, |_| ()));
    let actions = gets(&mut client, at(9001), |_| ());
    assert_eq!(words(&actions), ["have 10.0.0.50/24 since 9000"]);
    assert_eq!(client.due(), at(9500));
}

#[test]
fn a_lease_is_renewed_rebound_and_lost() {
    let mut client = bound();
    assert_eq!(client.wake(at(500)), [], "not yet");
    assert_eq!(words(&client.wake(at(501))), ["Request to 10.0.0.1"]);
    let renewed = client.hear(at(502), &says(&client, Kind::Ack, |_| ()));
    assert_eq!(words(&renewed), ["have 10.0.0.50/24 since 501"]);
    assert_eq!(client.due(), at(1001));
    // No server answers any more.
    let mut now = client.due();
    let mut said = Vec::new();
    while !said.iter().any(|word| word == "lose") {
        said.extend(words(&client.wake(now)).into_iter().map(|word| word.replace(" from 0.0.0.0", "")));
        now = client.due();
        assert!(said.len() < 100, "{said:?}");
    }
    said.dedup();
    assert_eq!(said, ["Request to 10.0.0.1", "Request from 10.0.0.50", "lose", "Discover"]);
    assert!((1501..1510).contains(&now.as_secs()), "at the end of the lease: {now:?}");
}

#[test]
fn times_of_the_server_are_used_if_they_make_sense() {
    for (renew, rebind, t1) in [
        (None, None, 500),
        (Some(100), Some(200), 100),
        (Some(300), Some(200), 200),
        (Some(100), Some(5000), 100),
        (Some(5000), None, 500),
    ] {
        let mut client = fresh();
        client.wake(at(0));
        client.hear(at(0), &says(&client, Kind::Offer, |_| ()));
        gets(&mut client, at(0), |m| (m.renew, m.rebind) = (renew, rebind));
        assert_eq!(client.due(), at(t1), "{renew:?} {rebind:?}");
    }
    let mut client = fresh();
    client.wake(at(0));
    client.hear(at(0), &says(&client, Kind::Offer, |_| ()));
    let actions = gets(&mut client, at(0), |m| m.lease = Some(ENDLESS));
    assert!(
        matches!(&actions[..], [Action::Have(lease, _)] if lease.seconds == NEARLY_ENDLESS),
        "{actions:?}"
    );
    assert_eq!(client.due(), Duration::MAX);
}

#[test]
fn a_lease_of_a_second_does_not_flood_the_network() {
    let mut client = fresh();
    client.wake(at(0));
    client.hear(at(0), &says(&client, Kind::Offer, |_| ()));
    gets(&mut client, at(0), |m| m.lease = Some(1));
    let (mut now, mut sent) = (at(0), 0);
    while now < at(60) {
        now = client.due().max(now);
        sent += client.wake(now).iter().filter(|action| !matches!(action, Action::Lose)).count();
        assert!(sent < 20, "at {now:?}");
    }
}

#[test]
fn a_refusal_ends_the_lease_and_repeated_ones_slow_down() {
    let mut client = bound();
    client.wake(at(501));
    assert_eq!(words(&client.hear(at(502), &says(&client, Kind::Nak, |_| ()))), ["lose"]);
    assert_eq!(client.due(), at(502));
    let mut now = at(502);
    let mut waits = Vec::new();
    for _ in 0..6 {
        assert_eq!(words(&client.wake(now)), ["Discover from 0.0.0.0"]);
        client.hear(now, &says(&client, Kind::Offer, |_| ()));
        // A refusal of another server does not concern this offer.
        assert_eq!(client.hear(now, &says(&client, Kind::Nak, |m| m.server = Some(OFFER))), []);
        assert!(matches!(client.state, State::Requesting { .. }));
        assert_eq!(client.hear(now, &says(&client, Kind::Nak, |_| ())), []);
        waits.push((client.due() - now).as_secs());
        now = client.due();
    }
    assert_eq!(waits, [8, 16, 32, 64, 64, 64]);
}

#[test]
fn an_address_from_before_is_asked_for_and_kept_meanwhile() {
    let mut client = found(300);
    let actions = client.wake(at(0));
    let [Action::Broadcast(_, request)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((request.kind, request.requested, request.server), (Kind::Request, Some(OFFER), None));
    assert_eq!(words(&client.hear(at(1), &says(&client, Kind::Ack, |_| ()))), ["have 10.0.0.50/24 since 0"]);

    let mut refused = found(300);
    refused.wake(at(0));
    assert_eq!(words(&refused.hear(at(1), &says(&refused, Kind::Nak, |_| ()))), ["lose"]);
    assert_eq!(words(&refused.wake(at(1))), ["Discover from 0.0.0.0"]);

    // Without an answer, the client discovers servers, and loses the address only when its time is over.
    let mut alone = found(300);
    let (mut now, mut said) = (at(0), Vec::new());
    while now <= at(300) {
        said.extend(words(&alone.wake(now)));
        now = alone.due();
    }
    said.dedup();
    assert_eq!(
        said,
        ["Request from 0.0.0.0", "Discover from 0.0.0.0", "lose", "Discover from 0.0.0.0"].map(String::from)
            [..said.len()]
    );
    assert!(said.contains(&"lose".to_owned()), "{said:?}");
}

#[test]
fn a_lease_is_given_back_once() {
    let mut client = bound();
    let Some(Action::Unicast(to, message)) = client.release() else { panic!("no lease") };
    assert_eq!((to, message.kind, message.client), (SERVER, Kind::Release, OFFER));
    assert_eq!(client.release(), None);
    assert_eq!(fresh().release(), None);
}

#[test]
fn an_address_that_somebody_has_is_declined_and_another_is_asked_for_later() {
    const OTHER: Mac = Mac([2; 6]);
    let mut client = fresh();
    client.wake(at(0));
    client.hear(at(0), &says(&client, Kind::Offer, |_| ()));
    let transaction = client.transaction;
    assert_eq!(words(&client.hear(at(1), &says(&client, Kind::Ack, |_| ()))), ["probe 10.0.0.50"]);
    assert_eq!(client.probed(), Some(OFFER));
    assert_eq!(client.wake(at(1)), [], "not yet");
    assert_eq!(client.hear(at(1), &says(&client, Kind::Ack, |_| ())), [], "it is known");
    assert_eq!(client.conflict(at(1), SERVER, OTHER), [], "another address");
    assert_eq!(words(&client.wake(client.due())), ["probe 10.0.0.50"]);
    let actions = client.conflict(at(2), OFFER, OTHER);
    let [Action::Broadcast(from, decline), Action::Taken(OFFER, OTHER)] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(
        (*from, decline.kind, decline.client),
        (Ipv4Addr::UNSPECIFIED, Kind::Decline, Ipv4Addr::UNSPECIFIED)
    );
    assert_eq!(
        (decline.requested, decline.server, decline.transaction),
        (Some(OFFER), Some(SERVER), transaction)
    );
    assert_eq!((client.conflict(at(2), OFFER, OTHER), client.probed()), (vec![], None), "once");
    assert_eq!((client.due(), client.wake(at(11))), (at(12), vec![]));
    assert_eq!(words(&client.wake(at(12))), ["Discover from 0.0.0.0"]);
    assert_eq!(client.release(), None, "nothing to give back");
}

#[test]
fn a_station_that_claims_every_address_empties_no_pool_and_is_reported_once() {
    const OTHER: Mac = Mac([2; 6]);
    let mut client = fresh();
    let given = |client: &mut Machine, now, address| {
        assert_eq!(words(&client.wake(now)), ["Discover from 0.0.0.0"]);
        client.hear(now, &says(client, Kind::Offer, |m| m.yours = address));
        client.hear(now, &says(client, Kind::Ack, |m| m.yours = address));
    };
    for round in 0..2 {
        let (mut waits, mut told) = (Vec::new(), Vec::new());
        for last in 50..62 {
            let (now, address) = (client.due(), Ipv4Addr::new(10, 0, 0, last));
            given(&mut client, now, address);
            let said = words(&client.conflict(now, address, OTHER));
            assert_eq!(said[0], "Decline from 0.0.0.0");
            told.extend(said.into_iter().skip(1));
            waits.push((client.due() - now).as_secs());
        }
        assert_eq!((&waits[..9], &waits[9..]), (&[10; 9][..], &[60; 3][..]), "round {round}");
        assert_eq!(told, [format!("10.0.0.50 is of {OTHER}")]);
        // A lease takes effect.
        let now = client.due();
        client.wake(now);
        client.hear(now, &says(&client, Kind::Offer, |_| ()));
        assert!(matches!(gets(&mut client, now, |_| ())[..], [Action::Have(..)]));
        client.wake(client.due());
        let now = client.asked;
        client.hear(now, &says(&client, Kind::Nak, |_| ()));
    }
}

#[test]
fn an_address_is_probed_for_three_times_unless_it_is_in_use_here() {
    let mut client = fresh();
    client.wake(at(0));
    client.hear(at(0), &says(&client, Kind::Offer, |_| ()));
    let mut said = words(&client.hear(at(0), &says(&client, Kind::Ack, |_| ())));
    while client.probed().is_some() {
        said.extend(words(&client.wake(client.due())));
    }
    assert_eq!(said[..3], ["probe 10.0.0.50"; 3].map(String::from));
    assert_eq!(said[3..], ["have 10.0.0.50/24 since 0".to_owned()]);
    // An address that an earlier daemon used is not probed for.
    let mut again = found(300);
    for _ in 0..REBOOTS {
        again.wake(again.due());
    }
    assert_eq!(words(&again.wake(again.due())), ["Discover from 0.0.0.0"]);
    let now = again.asked;
    again.hear(now, &says(&again, Kind::Offer, |_| ()));
    let actions = again.hear(now, &says(&again, Kind::Ack, |_| ()));
    assert!(matches!(actions[..], [Action::Have(..)]), "{actions:?}");
}
