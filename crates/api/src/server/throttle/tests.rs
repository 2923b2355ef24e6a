use futures_util::FutureExt;

use super::*;

fn address(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

/// An attempt that may begin at once.
fn at_once(throttle: &Throttle, n: u8, account: &str) -> Option<Attempt> {
    throttle.begin(address(n), account).now_or_never()?.ok()
}

fn fail(throttle: &Throttle, n: u8, account: &str, times: u32) {
    for _ in 0..times {
        let (address, account) = (network_of(address(n)), plain(account));
        let now = Instant::now();
        let both = throttle.both.of((address, account.clone()), now);
        let of_address = throttle.addresses.of(address, now);
        let account = throttle.accounts.of(account, now);
        let attempt = Attempt { both, address: of_address, account, _turns: Vec::new(), _one_of_few: None };
        attempt.end(false);
    }
}

#[tokio::test]
async fn guessing_becomes_slow_and_one_mistypes_freely() {
    let throttle = Throttle::default();
    fail(&throttle, 1, "root", OF_BOTH.free - 1);
    assert!(at_once(&throttle, 1, "root").is_some());
    fail(&throttle, 1, "root", 1);
    for spelling in ["root", "ROOT", "root@vsphere.local", "VSPHERE.LOCAL\\root"] {
        assert!(at_once(&throttle, 1, spelling).is_none(), "{spelling}");
    }
    assert!(at_once(&throttle, 1, "other").is_some(), "another account at the address");
    assert!(at_once(&throttle, 2, "root").is_some(), "the account at another address");
}

#[tokio::test]
async fn a_good_login_of_ones_own_clears_nothing_that_one_guessed() {
    let throttle = Throttle::default();
    for _ in 0..2 {
        fail(&throttle, 1, "victim", 2);
        at_once(&throttle, 1, "guesser").expect("his own account").end(true);
    }
    assert!(at_once(&throttle, 1, "victim").is_none());
    assert!(at_once(&throttle, 1, "guesser").is_some());
    fail(&throttle, 1, "guesser", OF_BOTH.free);
    assert!(at_once(&throttle, 1, "guesser").is_none());
}

#[tokio::test]
async fn one_address_that_tries_many_accounts_is_slowed_but_those_who_were_there_before_are_not() {
    let throttle = Throttle::default();
    at_once(&throttle, 1, "admin").expect("it is quiet").end(true);
    (0..OF_ADDRESS.free).for_each(|n| fail(&throttle, 1, &format!("user{n}"), 1));
    assert!(at_once(&throttle, 1, "another").is_none());
    assert!(at_once(&throttle, 1, "admin").is_some());
    assert!(at_once(&throttle, 2, "another").is_some());
}

#[tokio::test]
async fn an_account_that_many_addresses_guess_stays_open_to_its_owner() {
    let throttle = Throttle::default();
    at_once(&throttle, 200, "admin").expect("it is quiet").end(true);
    (0..OF_ACCOUNT.free).for_each(|n| fail(&throttle, u8::try_from(n).expect("few"), "admin", 1));
    assert!(at_once(&throttle, 201, "admin").is_none(), "an address that nobody knows");
    assert!(at_once(&throttle, 200, "admin").is_some(), "his usual address");
    assert!(at_once(&throttle, 201, "other").is_some());
}

#[tokio::test(start_paused = true)]
async fn attempts_that_hang_up_leave_no_wait_behind() {
    let throttle = Throttle::default();
    fail(&throttle, 1, "root", 30);
    for _ in 0..400 {
        assert!(at_once(&throttle, 1, "root").is_none(), "it waits, and hangs up");
    }
    let right = throttle.begin(address(1), "root").now_or_never();
    assert!(right.is_none(), "it waits");
    let count = throttle.both.of((address(1), "root".into()), Instant::now());
    assert!(count.line.is_empty() && count.pause(OF_BOTH, Instant::now()) <= Some(OF_BOTH.longest));
}

#[tokio::test]
async fn a_crowd_at_once_is_bounded_and_learns_from_the_first_failures() {
    let throttle = Throttle::default();
    let crowd: Vec<_> = (0..AT_ONCE).map(|_| at_once(&throttle, 1, "root").expect("few")).collect();
    let mut next = Box::pin(throttle.begin(address(1), "root"));
    assert!((&mut next).now_or_never().is_none());
    assert!(at_once(&throttle, 2, "root").is_some());
    crowd.into_iter().for_each(|attempt| attempt.end(false));
    assert!(next.now_or_never().is_none(), "it stands in line now");
}

#[test]
fn failures_are_forgotten() {
    let count = Count::default();
    let now = Instant::now();
    *count.state.lock() = State { failures: 20, last: Some(now), ..State::default() };
    assert_eq!(count.pause(OF_BOTH, now), Some(OF_BOTH.longest));
    assert_eq!(count.pause(OF_BOTH, now + MEMORY + Duration::from_secs(1)), None);
}

#[test]
fn counts_are_bounded_and_the_weightiest_stay() {
    let counts = Counts::<u32>::default();
    let now = Instant::now();
    *counts.of(0, now).state.lock() = State { failures: 9, last: Some(now), ..State::default() };
    for n in 1..u32::try_from(MAX_COUNTS).expect("few") + 100 {
        *counts.of(n, now).state.lock() = State { failures: 1, last: Some(now), ..State::default() };
    }
    assert!(counts.0.lock().len() <= MAX_COUNTS);
    assert_eq!(counts.of(0, now).state.lock().failures, 9);
}
