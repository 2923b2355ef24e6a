//! Waiting for what the system under test does by itself: for a state or a counter, never for a time.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use super::PATIENCE;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// Looks in a row at which a value that rests must be the same.
const LOOKS: u32 = 10;

/// Waits until a look finds something, and returns it. `describe` tells what is missing after [`PATIENCE`] has passed twice.
pub async fn until<T>(describe: impl FnOnce() -> String, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let late = Instant::now() + 2 * PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        if Instant::now() > late {
            panic!("{}", describe());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// As [`until`], in a test or a helper that is not asynchronous.
pub fn until_blocking<T>(describe: impl FnOnce() -> String, mut look: impl FnMut() -> Option<T>) -> T {
    let late = Instant::now() + 2 * PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        if Instant::now() > late {
            panic!("{}", describe());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits until a condition holds.
pub async fn until_so(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    until(|| format!("it never happened: {what}"), async || is_so().await.then_some(())).await;
}

/// Waits until a value has been the same for several looks in a row, and returns it.
pub async fn rests<T: PartialEq + Debug>(what: &str, mut look: impl AsyncFnMut() -> T) -> T {
    let (mut last, mut same) = (look().await, 0);
    until(
        || format!("it never rested: {what}"),
        async || {
            let now = look().await;
            same = if now == last { same + 1 } else { 0 };
            last = now;
            (same == LOOKS).then_some(())
        },
    )
    .await;
    last
}
