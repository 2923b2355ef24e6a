//! The network namespaces of TCP/IP stacks, each with a netlink socket in it. The default stack is the host's own
//! namespace; the engine makes the others when an adapter needs them, and marks them, so that it never removes another
//! program's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use tokio::runtime::Handle;

use super::names::Prefix;
use super::namespace::{self, Namespace};
use super::netlink::Routing;
use crate::declare::StackName;

pub(crate) struct Stacks {
    prefix: Prefix,
    /// The file of the host's own namespace, if it has one.
    file: Option<PathBuf>,
    host: Routing,
    others: BTreeMap<StackName, Space>,
    /// Whether marked namespaces may exist that are not open.
    look_for_strays: bool,
}

struct Space {
    namespace: Namespace,
    routing: Routing,
}

impl Stacks {
    pub(crate) fn open(prefix: Prefix, file: Option<PathBuf>) -> io::Result<Self> {
        Ok(Self { prefix, file, host: Routing::open()?, others: BTreeMap::new(), look_for_strays: true })
    }

    /// Makes the next [`Self::remove_all_but`] look at all named namespaces.
    pub(crate) fn look_for_strays(&mut self) {
        self.look_for_strays = true;
    }

    pub(crate) fn host(&self) -> &Routing {
        &self.host
    }

    pub(crate) fn routing(&self, name: &StackName) -> Option<Routing> {
        if name.is_default() {
            return Some(self.host.clone());
        }
        self.others.get(name).map(|space| space.routing.clone())
    }

    /// All that are open.
    pub(crate) fn all(&self) -> Vec<(StackName, Routing)> {
        let others = self.others.iter().map(|(name, space)| (name.clone(), space.routing.clone()));
        [(StackName::default(), self.host.clone())].into_iter().chain(others).collect()
    }

    /// The namespace of a stack other than the default.
    pub(crate) fn namespace(&self, name: &StackName) -> Option<BorrowedFd<'_>> {
        self.others.get(name).map(|space| space.namespace.file().as_fd())
    }

    /// The file of its namespace; `None` for the daemon's own.
    pub(crate) fn file(&self, name: &StackName) -> Option<PathBuf> {
        if name.is_default() {
            self.file.clone()
        } else {
            Some(namespace::path(&self.prefix.namespace(name)))
        }
    }

    /// Runs `body` in a stack's namespace, which must be open.
    pub(crate) fn run<T: Send>(&self, name: &StackName, body: impl FnOnce() -> T + Send) -> io::Result<T> {
        if name.is_default() {
            return Ok(body());
        }
        let missing = || io::Error::other("its network namespace does not exist");
        self.others.get(name).ok_or_else(missing)?.namespace.run(body)
    }

    /// Makes the missing ones of these; returns those that failed.
    pub(crate) async fn ensure(&mut self, names: &BTreeSet<StackName>) -> Vec<(StackName, String)> {
        let mut failed = Vec::new();
        // A namespace whose name was removed meanwhile must be made again.
        self.others.retain(|_, space| space.namespace.is_current());
        for name in names.iter().filter(|name| !name.is_default()) {
            if self.others.contains_key(name) {
                continue;
            }
            match self.make(name).await {
                Ok(space) => _ = self.others.insert(name.clone(), space),
                Err(error) => failed.push((name.clone(), format!("its network namespace: {error}"))),
            }
        }
        failed
    }

    async fn make(&self, name: &StackName) -> io::Result<Space> {
        let space = enter(Namespace::ensure(&self.prefix.namespace(name))?)?;
        let view = space.routing.read(false).await.map_err(io::Error::other)?;
        let missing = || io::Error::other("it has no loopback interface");
        let loopback = view.links.get("lo").ok_or_else(missing)?;
        let mark = self.prefix.stack_mark();
        if loopback.alias.as_deref() != Some(&mark) {
            space.routing.set_alias(loopback.index, &mark).await.map_err(io::Error::other)?;
        }
        if !loopback.up {
            space.routing.set_up(loopback.index).await.map_err(io::Error::other)?;
        }
        Ok(space)
    }

    /// Removes all marked namespaces but these; returns those that failed.
    pub(crate) async fn remove_all_but(&mut self, names: &BTreeSet<StackName>) -> Vec<(StackName, String)> {
        let mut failed = Vec::new();
        let mut remove = |name: &StackName, namespace: Namespace| {
            tracing::info!(stack = %name, "removing a TCP/IP stack");
            if let Err(error) = namespace.remove() {
                failed.push((name.clone(), format!("cannot remove its network namespace: {error}")));
            }
        };
        let unused: Vec<StackName> =
            self.others.keys().filter(|name| !names.contains(name)).cloned().collect();
        for name in unused {
            if let Some(space) = self.others.remove(&name) {
                remove(&name, space.namespace);
            }
        }
        if self.look_for_strays {
            for namespace in namespace::all() {
                let Some(name) = self.prefix.stack(&namespace) else { continue };
                if names.contains(&name) || self.others.contains_key(&name) {
                    continue;
                }
                if let Some(space) = self.stray(&namespace).await {
                    remove(&name, space.namespace);
                }
            }
        }
        self.look_for_strays = false;
        failed
    }

    /// The namespace of this name, if it bears this host's mark.
    async fn stray(&self, name: &str) -> Option<Space> {
        let space = Namespace::open(&namespace::path(name)).and_then(enter).ok()?;
        let view = space.routing.read(false).await.ok()?;
        let is_ours = view.links.get("lo")?.alias.as_deref() == Some(&self.prefix.stack_mark());
        is_ours.then_some(space)
    }
}

fn enter(namespace: Namespace) -> io::Result<Space> {
    let runtime = Handle::current();
    let routing = namespace.run(|| {
        let _entered = runtime.enter();
        Routing::open()
    })??;
    Ok(Space { namespace, routing })
}
