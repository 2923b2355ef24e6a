//! The clock of the scheduled tasks: the computer's, or one that a test moves.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use vim::DateTime;

/// The longest sleep: a change of the computer's clock is noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Tells the time, and waits for a time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<watch::Sender<DateTime>>>);

impl Clock {
    /// A clock that stands still until [`Clock::set`].
    pub fn standing(at: DateTime) -> Self {
        Self(Some(Arc::new(watch::Sender::new(at))))
    }

    /// Moves a standing clock; the computer's stays as it is.
    pub fn set(&self, at: DateTime) {
        if let Some(standing) = &self.0 {
            standing.send_replace(at);
        }
    }

    pub fn now(&self) -> DateTime {
        self.0.as_ref().map_or_else(DateTime::now, |standing| *standing.borrow())
    }

    /// Returns when it is this time.
    pub(super) async fn until(&self, at: DateTime) {
        if let Some(standing) = &self.0 {
            // The sender lives in `self`.
            let _ = standing.subscribe().wait_for(|now| *now >= at).await;
            return;
        }
        loop {
            let left = at.as_micros().saturating_sub(self.now().as_micros());
            let Ok(left) = u64::try_from(left) else { return };
            if left == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_micros(left).min(LONGEST_SLEEP)).await;
        }
    }
}
