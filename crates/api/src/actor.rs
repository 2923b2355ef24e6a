//! The user on whose behalf a piece of code works, so that whatever it does can say who did it.
//!
//! The service sets the actor for each call, and a task for its work. Work that the daemon begins by itself has none.

use std::future::Future;
use std::sync::Arc;

tokio::task_local! {
    static ACTOR: Actor;
}

/// A user, and the chain of the events of his task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// Empty if the daemon works by itself.
    pub user: Arc<str>,
    pub chain: Option<i32>,
}

impl Actor {
    pub fn new(user: &str, chain: Option<i32>) -> Self {
        Self { user: user.into(), chain }
    }

    /// The actor of the code that asks.
    pub fn current() -> Self {
        ACTOR.try_with(Clone::clone).unwrap_or_default()
    }

    /// Does the work on behalf of this actor. Tasks that the work spawns have none.
    pub async fn does<F: Future>(self, work: F) -> F::Output {
        ACTOR.scope(self, work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_actor_is_known_within_his_work_only() {
        let eve = Actor::new("eve", Some(7));
        let inner = eve.clone().does(async { Actor::current() }).await;
        assert_eq!(inner, eve);
        assert_eq!(Actor::current(), Actor::default());
        let spawned = eve.does(async { tokio::spawn(async { Actor::current() }).await.unwrap() }).await;
        assert_eq!(spawned, Actor::default());
    }
}
