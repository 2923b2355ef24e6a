use super::*;

const MAC: Mac = Mac([0, 0x50, 0x56, 1, 2, 3]);
const SERVER: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 1];
const OTHER: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 2];
const ID: u32 = 7;

fn own() -> Ipv6Addr {
    "fd00::50".parse().unwrap()
}

fn another() -> Ipv6Addr {
    "fd00::51".parse().unwrap()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fresh() -> Machine {
    Machine::new(MAC, ID, None, 7, at(0))
}

fn found(left: u64) -> Machine {
    Machine::new(MAC, ID, Some((own(), at(left))), 7, at(0))
}

/// A server's message in the client's transaction: valid for 1000 seconds, preferred for 800.
fn says(client: &Machine, kind: Kind, change: impl FnOnce(&mut Message)) -> Message {
    let mut message = Message::new(kind, client.transaction, duid(MAC));
    message.server = Some(SERVER.to_vec());
    let given = Given { address: own(), preferred: 800, valid: 1000, outcome: Outcome::Success };
    message.association = Some(Association { id: ID, addresses: vec![given], ..Association::default() });
    change(&mut message);
    message
}

fn part(message: &mut Message) -> &mut Association {
    message.association.as_mut().unwrap()
}

fn given(message: &mut Message) -> &mut Given {
    &mut part(message).addresses[0]
}

/// A client that has just requested an offer, and the time.
fn requesting() -> (Machine, Duration) {
    let mut client = fresh();
    let began = client.due();
    client.wake(began);
    let offer = says(&client, Kind::Advertise, |m| m.preference = FIRST_CHOICE);
    assert_eq!(words(&client.hear(began, &offer)), ["Request fd00::50"]);
    (client, began)
}

/// A client with a lease from time 10.
fn bound() -> Machine {
    let (mut client, _) = requesting();
    let reply = says(&client, Kind::Reply, |_| ());
    assert_eq!(words(&client.hear(at(10), &reply)), ["have fd00::50 for 1000 since 10"]);
    client
}

/// The actions, each in a word.
fn words(actions: &[Action]) -> Vec<String> {
    let word = |action: &Action| match action {
        Action::Send(message) => {
            let part = message.association.as_ref().unwrap();
            let address = part.addresses.first().map_or_else(String::new, |own| format!(" {}", own.address));
            let to = message.server.as_deref() == Some(OTHER);
            format!("{:?}{address}{}", message.kind, if to { " of the other" } else { "" })
        }
        Action::Have(lease, since) => {
            format!("have {} for {} since {}", lease.address, lease.seconds, since.as_secs())
        }
        Action::Lose => "lose".into(),
        Action::Taken(address) => format!("{address} is taken"),
    };
    actions.iter().map(word).collect()
}

/// The actions, one after the other, until a time or a word, without any answer.
fn alone(client: &mut Machine, until: Duration, word: &str) -> (Vec<String>, Duration) {
    let (mut said, mut now) = (Vec::new(), Duration::ZERO);
    let mut left = 1000;
    while client.due() <= until && !said.iter().any(|known| known == word) {
        now = client.due();
        said.extend(words(&client.wake(now)));
        left -= 1;
        assert!(left > 0, "{said:?}");
    }
    (said, now)
}

#[test]
fn solicit_advertise_request_reply() {
    let mut client = fresh();
    let began = client.due();
    assert!(began <= SOLICIT_DELAY);
    let actions = client.wake(began);
    let [Action::Send(solicit)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((solicit.kind, &solicit.client, &solicit.server), (Kind::Solicit, &duid(MAC), &None));
    assert_eq!((solicit.elapsed, solicit.association.as_ref().unwrap().id), (0, ID));
    // Servers are compared while the first wait lasts.
    assert_eq!(client.hear(began, &says(&client, Kind::Advertise, |_| ())), []);
    let better = says(&client, Kind::Advertise, |m| (m.server, m.preference) = (Some(OTHER.to_vec()), 9));
    assert_eq!(client.hear(began, &better), []);
    assert_eq!(client.hear(began, &says(&client, Kind::Advertise, |_| ())), []);
    let wait = client.due() - began;
    assert!((at(1)..=at(1) + at(1) / 10).contains(&wait), "{wait:?}");
    let actions = client.wake(client.due());
    let [Action::Send(request)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(words(&actions), ["Request fd00::50 of the other"]);
    assert_ne!(request.transaction, solicit.transaction);
    let wrong = says(&client, Kind::Reply, |_| ());
    assert_eq!(client.hear(at(3), &wrong), [], "of a server that was not asked");
    let reply = says(&client, Kind::Reply, |m| {
        m.server = Some(OTHER.to_vec());
        (m.dns, m.domains) = (vec![another()], vec!["test".into()]);
    });
    let lease = Lease {
        address: own(),
        server: OTHER.to_vec(),
        seconds: 1000,
        preferred: 800,
        dns: vec![another()],
        search: vec!["test".into()],
    };
    assert_eq!(client.hear(at(3), &reply), [Action::Have(lease, at(3))]);
    assert_eq!(client.due(), at(403), "half of the time that it is preferred");
}

#[test]
fn messages_for_other_clients_or_without_sense_are_ignored() {
    type Change = fn(&mut Message);
    let everywhere: [(&str, Change); 10] = [
        ("another transaction", |m| m.transaction ^= 1),
        ("another client", |m| m.client = duid(Mac([2; 6]))),
        ("no server", |m| m.server = None),
        ("another association", |m| part(m).id ^= 1),
        ("no association", |m| m.association = None),
        ("a group's address", |m| given(m).address = "ff02::1".parse().unwrap()),
        ("a link's address", |m| given(m).address = "fe80::1".parse().unwrap()),
        ("preferred for too long", |m| given(m).preferred = 1001),
        ("T1 after T2", |m| (part(m).renew, part(m).rebind) = (200, 100)),
        ("a failure", |m| m.outcome = Outcome::Other(1)),
    ];
    for (case, change) in everywhere {
        let mut client = fresh();
        client.wake(client.due());
        client.wake(client.due());
        let message = says(&client, Kind::Advertise, change);
        assert_eq!(client.hear(at(3), &message), [], "{case}");
        let (mut client, _) = requesting();
        let message = says(&client, Kind::Reply, change);
        assert_eq!(client.hear(at(3), &message), [], "{case}");
        assert!(matches!(client.state, State::Requesting(_)), "{case}");
    }
    let mut client = fresh();
    client.wake(client.due());
    client.wake(client.due());
    for change in
        [|m: &mut Message| m.outcome = Outcome::NoAddresses, |m| m.kind = Kind::Reply] as [Change; 2]
    {
        let message = says(&client, Kind::Advertise, change);
        assert_eq!(client.hear(at(3), &message), []);
    }
}

#[test]
fn lost_messages_are_sent_again_ever_more_rarely() {
    let mut client = fresh();
    let (mut now, mut waits) = (client.due(), Vec::new());
    for _ in 0..14 {
        let actions = client.wake(now);
        assert_eq!(words(&actions), ["Solicit"]);
        assert_eq!(client.wake(now), [], "once");
        waits.push((client.due() - now).as_secs());
        now = client.due();
    }
    assert!((1..=2).contains(&waits[1]) && waits[9] > 300 && waits[13] <= 3960, "{waits:?}");
    // By now the first server is taken; it is asked ten times.
    let offer = says(&client, Kind::Advertise, |_| ());
    assert_eq!(words(&client.hear(now, &offer)), ["Request fd00::50"]);
    let (said, _) = alone(&mut client, Duration::MAX, "Solicit");
    assert_eq!(said.iter().filter(|word| *word == "Request fd00::50").count(), 9, "{said:?}");
    // Servers may ask for rarer solicitations, within bounds.
    for (most, seconds) in [(60, 60), (59, 3600), (100_000, 3600)] {
        let mut client = fresh();
        client.wake(client.due());
        let message = says(&client, Kind::Advertise, |m| {
            (m.outcome, m.solicit_most) = (Outcome::NoAddresses, Some(most));
        });
        client.hear(at(1), &message);
        assert_eq!(client.solicit.most, at(seconds), "{most}");
    }
}

#[test]
fn time_that_passes_is_told() {
    let (mut client, began) = requesting();
    let due = client.due();
    let actions = client.wake(due);
    let [Action::Send(request)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(u128::from(request.elapsed), (due - began).as_millis() / 10);
}

#[test]
fn a_lease_is_renewed_rebound_and_lost() {
    let mut client = bound();
    assert_eq!((client.due(), client.wake(at(409))), (at(410), vec![]), "not yet");
    let actions = client.wake(at(410));
    let [Action::Send(renew)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((renew.kind, renew.server.as_deref()), (Kind::Renew, Some(SERVER)));
    let renewed = client.hear(at(412), &says(&client, Kind::Reply, |_| ()));
    assert_eq!(words(&renewed), ["have fd00::50 for 1000 since 412"]);
    // No server answers any more.
    let (mut said, now) = alone(&mut client, Duration::MAX, "lose");
    said.dedup();
    assert_eq!(
        (said, now),
        (["Renew fd00::50", "Rebind fd00::50", "lose"].map(String::from).into(), at(1412))
    );
    let (said, _) = alone(&mut client, Duration::MAX, "Solicit");
    assert_eq!(said, ["Solicit"]);
    // Another server takes it over.
    let mut client = bound();
    alone(&mut client, at(650), "Rebind fd00::50");
    let reply = says(&client, Kind::Reply, |m| m.server = Some(OTHER.to_vec()));
    assert_eq!(words(&client.hear(at(651), &reply)), ["have fd00::50 for 1000 since 651"]);
    assert_eq!(client.release(at(652)).unwrap().server.as_deref(), Some(OTHER));
}

#[test]
fn rebinding_begins_when_it_is_due_even_between_two_renewals() {
    let mut client = bound();
    client.wake(at(410));
    let mut last = at(410);
    while client.due() < at(650) {
        last = client.due();
        assert_eq!(words(&client.wake(last)), ["Renew fd00::50"]);
    }
    assert_eq!(
        (client.due(), words(&client.wake(at(650)))),
        (at(650), vec!["Rebind fd00::50".into()]),
        "{last:?}"
    );
}

#[test]
fn times_of_the_server_are_used_if_they_make_sense() {
    for (renew, rebind, preferred, valid, t1, t2) in [
        (0, 0, 800, 1000, 400, 640),
        (100, 200, 800, 1000, 100, 200),
        (100, 0, 800, 1000, 100, 640),
        (0, 100, 800, 1000, 100, 100),
        (2000, 3000, 800, 1000, 1000, 1000),
        (0, 0, 0, 1000, 500, 800),
        (0, 0, 1, 1, 1, 1),
    ] {
        let (mut client, _) = requesting();
        let reply = says(&client, Kind::Reply, |m| {
            (part(m).renew, part(m).rebind) = (renew, rebind);
            (given(m).preferred, given(m).valid) = (preferred, valid);
        });
        client.hear(at(0), &reply);
        let held = client.held.as_ref().unwrap();
        assert_eq!((held.renew, held.rebind, held.end), (at(t1), at(t2), at(valid.into())), "{reply:?}");
    }
    let (mut client, _) = requesting();
    let reply = says(&client, Kind::Reply, |m| (given(m).preferred, given(m).valid) = (ENDLESS, ENDLESS));
    assert_eq!(words(&client.hear(at(9), &reply)), [format!("have fd00::50 for {NEARLY_ENDLESS} since 9")]);
    assert_eq!((client.due(), client.wake(at(1 << 40))), (Duration::MAX, vec![]));
}

#[test]
fn an_address_that_was_found_is_asked_for_and_kept_until_it_is_known() {
    let mut client = found(300);
    assert_eq!((client.due(), words(&client.wake(at(0)))), (at(0), vec!["Rebind fd00::50".into()]));
    let reply = says(&client, Kind::Reply, |_| ());
    assert_eq!(words(&client.hear(at(1), &reply)), ["have fd00::50 for 1000 since 1"]);

    // The server has forgotten the lease, and makes it again.
    let mut client = found(300);
    client.wake(at(0));
    let unknown = says(&client, Kind::Reply, |m| {
        *part(m) = Association { id: ID, outcome: Outcome::NoBinding, ..Association::default() };
    });
    assert_eq!(words(&client.hear(at(1), &unknown)), ["Request fd00::50"]);
    let reply = says(&client, Kind::Reply, |_| ());
    assert_eq!(words(&client.hear(at(2), &reply)), ["have fd00::50 for 1000 since 2"]);

    // The address belongs to another network; the last case is dnsmasq's answer.
    type Change = fn(&mut Message);
    let changes: [Change; 3] = [
        |m| (given(m).preferred, given(m).valid) = (0, 0),
        |m| m.outcome = Outcome::NotOnLink,
        |m| {
            (given(m).preferred, given(m).valid) = (0, 0);
            (part(m).renew, part(m).rebind, m.outcome) = (ENDLESS, ENDLESS, Outcome::NoAddresses);
        },
    ];
    for change in changes {
        let mut client = found(300);
        client.wake(at(0));
        let refused = says(&client, Kind::Reply, change);
        assert_eq!(words(&client.hear(at(1), &refused)), ["lose"]);
        assert_eq!(alone(&mut client, at(3), "Solicit").0, ["Solicit"]);
    }

    // Without an answer, the client solicits servers, and loses the address only when its time is over.
    let mut client = found(300);
    let (mut said, now) = alone(&mut client, Duration::MAX, "lose");
    assert_eq!(said.iter().filter(|word| *word == "Rebind fd00::50").count(), 3, "{said:?}");
    said.dedup();
    assert_eq!(
        (said, now),
        (["Rebind fd00::50", "Solicit fd00::50", "lose"].map(String::from).into(), at(300))
    );
    // An address that ends earlier.
    assert_eq!(alone(&mut found(5), at(7), "Solicit").0, ["Rebind fd00::50", "lose", "Solicit"]);
    assert_eq!(found(300).release(at(1)), None, "whom it is of is not known");
}

#[test]
fn an_address_that_is_replaced_is_not_lost_in_between() {
    let mut client = bound();
    client.wake(at(410));
    let reply = says(&client, Kind::Reply, |m| {
        let new = Given { address: another(), ..*given(m) };
        given(m).valid = 0;
        given(m).preferred = 0;
        part(m).addresses.push(new);
    });
    assert_eq!(words(&client.hear(at(411), &reply)), ["have fd00::51 for 1000 since 411"]);
    // An answer without the address changes nothing.
    client.wake(client.due());
    let empty = says(&client, Kind::Reply, |m| part(m).addresses.clear());
    assert_eq!(client.hear(at(900), &empty), []);
    assert!(matches!(client.state, State::Renewing));
}

#[test]
fn a_server_that_offers_and_refuses_is_not_asked_without_end() {
    let mut client = fresh();
    let mut waits = Vec::new();
    for _ in 0..8 {
        let now = client.due();
        assert_eq!(words(&client.wake(now)), ["Solicit"]);
        client.hear(now, &says(&client, Kind::Advertise, |m| m.preference = FIRST_CHOICE));
        let refused = says(&client, Kind::Reply, |m| part(m).outcome = Outcome::NoAddresses);
        assert_eq!(client.hear(now, &refused), []);
        waits.push((client.due() - now).as_secs());
    }
    assert!(waits[0] <= 1 && waits[1] >= 8 && waits[7] >= 64 && waits[7] <= 65, "{waits:?}");
}

#[test]
fn a_lease_is_given_back_once() {
    let mut client = bound();
    let message = client.release(at(20)).unwrap();
    assert_eq!(words(&[Action::Send(message.clone())]), ["Release fd00::50"]);
    assert_eq!(message.server.as_deref(), Some(SERVER));
    assert!(client.is_answer(&says(&client, Kind::Reply, |_| ())));
    assert!(!client.is_answer(&says(&client, Kind::Reply, |m| m.transaction ^= 1)));
    assert_eq!((client.release(at(21)), client.due()), (None, Duration::MAX));
    assert_eq!(fresh().release(at(1)), None);
}

#[test]
fn an_address_that_somebody_has_is_declined_and_another_is_asked_for_later() {
    let mut client = bound();
    assert_eq!(client.conflict(at(12), another()), [], "another address");
    let said = words(&client.conflict(at(12), own()));
    assert_eq!(said, ["lose", "fd00::50 is taken", "Decline fd00::50"]);
    assert_eq!((client.conflict(at(12), own()), client.release(at(12))), (vec![], None), "once");
    let reply = says(&client, Kind::Reply, |m| m.association = None);
    assert_eq!(client.hear(at(13), &reply), []);
    assert!((at(23)..=at(24)).contains(&client.due()), "{:?}", client.due());
    assert_eq!(words(&client.wake(client.due())), ["Solicit"]);
    // The server does not receive it.
    let mut client = bound();
    client.conflict(at(12), own());
    assert_eq!(
        alone(&mut client, Duration::MAX, "Solicit").0,
        [&["Decline fd00::50"; 3][..], &["Solicit"]].concat()
    );
    // An earlier address, whose server is unknown.
    let mut client = found(300);
    client.wake(at(0));
    assert_eq!(words(&client.conflict(at(1), own())), ["lose", "fd00::50 is taken"]);
    assert_eq!(alone(&mut client, at(13), "Solicit").0, ["Solicit"]);
}
