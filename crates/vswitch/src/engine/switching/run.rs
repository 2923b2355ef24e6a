//! The engine's thread and its loop.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::reconcile::Seen;
use super::{Switching, learning};
use crate::declare::Service;
use crate::engine::THREAD;
use crate::engine::command::{Command, Publish};
use crate::engine::control::Wake;
use crate::engine::options::Options;
use crate::engine::rings::filled;
use crate::layout::Counters;
use crate::limits::BEAT;
use crate::link::{Event, Events};
use crate::{Error, Result};
use crate::{plan, vmkernel};

/// How often all interfaces are listed, in case an event was lost.
const LOOK: Duration = Duration::from_secs(5);

pub(in crate::engine) fn thread(
    options: &Options,
    mut inbox: mpsc::Receiver<Command>,
    publish: Publish,
    started: oneshot::Sender<Result<()>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => {
            // The starter may have stopped waiting.
            let _ = started.send(Err(Error::Thread { name: THREAD, source }));
            return;
        }
    };
    runtime.block_on(async {
        match Switching::open(options, publish).await {
            Ok((mut switching, events)) => {
                let _ = started.send(Ok(()));
                switching.run(&mut inbox, events).await;
            }
            Err(error) => _ = started.send(Err(error)),
        }
    });
    drop(runtime);
    // Closing the channel tells [`crate::Engine::end`] that the thread is done.
    drop(inbox);
}

impl Switching {
    async fn run(&mut self, inbox: &mut mpsc::Receiver<Command>, mut events: Events) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut forget = interval(learning::pause(&self.timing));
        forget.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut balance = interval(self.timing.load_window);
        balance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let leases = self.adapters.changed();
        loop {
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(event) => self.seen(event).await,
                    None => break tracing::error!("netlink has ended; the virtual switch no longer sees links"),
                },
                () = at(self.steady_at) => self.apply_seen().await,
                command = inbox.recv() => match command {
                    Some(Command::End) | None => break,
                    Some(command) => self.carry_out(command).await,
                },
                () = leases.notified() => self.look_at_adapters().await,
                _ = look.tick() => {
                    self.end_captures().await;
                    self.look().await;
                }
                () = self.routed.due() => self.follow_routes().await,
                _ = beat.tick(), if self.listening.is_active() => self.listen_on(),
                _ = forget.tick() => self.forget_learned(),
                _ = balance.tick() => self.balance().await,
                wake = self.control.next() => self.speak(wake).await,
                portion = self.sweep.next() => self.forget_portion(portion),
                () = self.listening.due() => self.apply_seen().await,
                () = filled(self.listening.ring(), self.listening.is_active()) => self.hear().await,
                () = filled(&self.ring, self.capturing.is_active()) => self.hand_out().await,
            }
        }
    }

    /// Does what is due on uplinks.
    async fn speak(&mut self, wake: Wake) {
        let management = self.publish.borrow().source_for(Service::Management).map(|source| source.address);
        if self.control.act(wake, &self.packets, management) {
            self.apply_seen().await;
        }
    }

    async fn carry_out(&mut self, command: Command) {
        match command {
            Command::Declare(declared, answer) => {
                let result = match plan::check_limits(&declared)
                    .and_then(|()| plan::check_mirrors(&declared))
                    .and_then(|()| vmkernel::check(&declared))
                {
                    Ok(()) => {
                        self.adapters.declare(&declared);
                        self.routed.declare(&declared.mirrors);
                        self.declared = vmkernel::with_ports(*declared);
                        // Sessions of a former daemon continue.
                        self.find_routes().await;
                        if !self.is_declared {
                            self.seats = plan::remembered(&self.declared, &self.links, &self.actual.teams);
                        }
                        self.is_declared = true;
                        self.reconcile_all(Seen::Before).await
                    }
                    Err(error) => Err(error),
                };
                let _ = answer.send(result);
            }
            Command::Capture(filter, answer) => {
                let _ = answer.send(self.capture(filter).await);
            }
            Command::Counters(interface, answer) => {
                let _ = answer.send(self.counters(&interface));
            }
            Command::Mirrored(answer) => {
                let _ = answer.send(self.mirrored());
            }
            Command::Learned(interface, answer) => {
                let _ = answer.send(self.learned(&interface));
            }
            // The loop has handled it.
            Command::End => {}
        }
    }

    fn counters(&self, interface: &str) -> Result<Option<Counters>> {
        let number = self.links.get(interface).and_then(|link| self.numbers.get(&link.index));
        number.map(|number| self.kernel.counters(*number)).transpose()
    }

    async fn seen(&mut self, event: Event) {
        let name = match &event {
            Event::Is(name, _) | Event::Gone(name) => name.clone(),
            Event::Lost => {
                tracing::warn!("netlink has lost events; looking at all interfaces");
                return self.look().await;
            }
        };
        let changed = match event {
            Event::Is(name, link) => {
                // An interface that had this index before was renamed.
                let renamed = self.links.iter().find(|(n, l)| l.index == link.index && **n != name);
                if let Some(old) = renamed.map(|(old, _)| old.clone()) {
                    self.links.remove(&old);
                }
                self.links.insert(name, link) != Some(link)
            }
            Event::Gone(name) => self.links.remove(&name).is_some(),
            Event::Lost => false,
        };
        if changed && vmkernel::is_end(&name) {
            self.look_at_adapters().await;
        } else if changed {
            self.apply_seen().await;
        }
    }

    /// Lists all interfaces.
    async fn look(&mut self) {
        match self.netlink.all().await {
            Ok(links) => {
                let is_new = links != self.links;
                self.links = links;
                if is_new {
                    // Before adapters, which take longer.
                    self.apply_seen().await;
                }
                self.look_at_adapters_among(Seen::Just).await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot list the network interfaces");
                self.look_at_adapters().await;
            }
        }
    }
}

/// Returns at a time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
