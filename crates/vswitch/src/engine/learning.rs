//! MAC learning: the data plane learns, the engine has what is old forgotten, and tells.

use std::time::Duration;

use super::run::Switching;
use super::{Learned, Timing};
use crate::Result;

/// What is not used is forgotten at an age that is exact to one part in this.
const PARTS: u32 = 10;
/// The shortest pause between two looks.
const SHORTEST: Duration = Duration::from_millis(100);

/// How often it is looked for what is old.
pub(super) fn pause(timing: &Timing) -> Duration {
    (timing.learned_age / PARTS).max(SHORTEST)
}

impl Switching {
    /// Has forgotten what is old, if there is anything.
    pub(super) fn forget_learned(&mut self) {
        if !self.actual.extras.learners.is_empty() {
            self.forget_learned_now();
        }
    }

    pub(super) fn forget_learned_now(&mut self) {
        if let Err(error) = self.kernel.forget_learned(self.timing.learned_age) {
            tracing::error!(%error, "learned MACs grow old");
        }
    }

    pub(super) fn learned(&self, interface: &str) -> Result<Option<Learned>> {
        let number = self.links.get(interface).and_then(|link| self.numbers.get(&link.index));
        let learner = number.and_then(|number| Some((number, self.actual.extras.learners.get(number)?)));
        let Some((number, learner)) = learner else { return Ok(None) };
        Ok(Some(Learned { count: self.kernel.learned_by(*number)?, limit: learner.limit }))
    }
}
