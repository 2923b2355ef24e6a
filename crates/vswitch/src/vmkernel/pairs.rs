//! The veth pairs of adapters: which to make, and which to remove. Pure.

use std::collections::BTreeMap;

use super::names::{Prefix, port_interface};
use super::view::{Interface, View};
use crate::declare::{Adapter, StackName};

/// A change of pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Removes both ends, by the index of the switch's.
    Remove(String, u32),
    /// Makes a pair for the adapter at this place in the declaration.
    Make(usize),
    /// Marks a switch's end.
    Mark(usize, u32),
    /// Brings a switch's end up.
    Up(usize, u32),
}

/// The steps from the present pairs to the declared ones. A stack that could not be read is not among `stacks`, and its
/// adapters stay untouched.
pub(crate) fn plan(
    prefix: &Prefix,
    adapters: &[Adapter],
    host: &View,
    stacks: &BTreeMap<StackName, View>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let ports: BTreeMap<String, usize> =
        adapters.iter().enumerate().map(|(at, adapter)| (port_interface(&adapter.device), at)).collect();
    let marked = |port: &Interface| port.alias.as_deref().is_some_and(|alias| prefix.is_port_mark(alias));
    let stray = host.links.iter().filter(|(name, port)| marked(port) && !ports.contains_key(*name));
    steps.extend(stray.map(|(name, port)| Step::Remove(name.clone(), port.index)));
    for (name, at) in ports {
        let adapter = &adapters[at];
        let Some(stack) = stacks.get(&adapter.stack) else { continue };
        let Some(port) = host.links.get(&name) else {
            steps.push(Step::Make(at));
            continue;
        };
        let own = stack.links.get(&adapter.device);
        let is_pair =
            own.is_some_and(|own| own.veth_peer == Some(port.index) && port.veth_peer == Some(own.index));
        // An unmarked pair with the right names was made by a daemon that died before it could mark it.
        if !is_pair && marked(port) {
            steps.extend([Step::Remove(name, port.index), Step::Make(at)]);
        } else if !is_pair {
            // Another program's interface is in the way; the attempt reports that.
            steps.push(Step::Make(at));
        } else {
            if port.alias.as_deref() != Some(&prefix.port_mark(&adapter.device)) {
                steps.push(Step::Mark(at, port.index));
            }
            if !port.up {
                steps.push(Step::Up(at, port.index));
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mac;
    use crate::declare::{Gateways, Ipv4Config};

    fn adapter(device: &str, stack: &str) -> Adapter {
        Adapter {
            device: device.into(),
            port_group: 1,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            stack: stack.to_owned().try_into().unwrap(),
            ipv4: Ipv4Config::None,
            ipv6: None,
            gateways: Gateways::default(),
            services: [].into(),
        }
    }

    fn end(index: u32, peer: u32, alias: &str) -> Interface {
        let alias = (!alias.is_empty()).then(|| alias.to_owned());
        Interface { index, veth_peer: Some(peer), up: true, alias, ..Interface::default() }
    }

    fn view(links: &[(&str, Interface)]) -> View {
        let links = links.iter().map(|(name, link)| ((*name).to_owned(), link.clone())).collect();
        View { links, ..View::default() }
    }

    #[test]
    fn pairs_are_made_kept_and_removed() {
        let prefix = Prefix::new("h").unwrap();
        let one = [adapter("vmk0", StackName::DEFAULT)];
        let other = [adapter("vmk0", StackName::VMOTION)];
        let mark = "esfera:h:vmk0";
        let remove = |index| Step::Remove("vmk0-port".into(), index);
        let right = [("vmk0-port", end(5, 6, mark)), ("vmk0", end(6, 5, ""))];
        type Ends<'a> = &'a [(&'a str, Interface)];
        type Case<'a> = (&'a str, &'a [Adapter], Ends<'a>, Ends<'a>, Vec<Step>);
        let cases: [Case<'_>; 10] = [
            ("nothing is there", &one, &[], &[], vec![Step::Make(0)]),
            ("all is well", &one, &right, &[], vec![]),
            ("it is no longer declared", &[], &right, &[], vec![remove(5)]),
            ("a stranger's, like ours", &[], &[("vmk0-port", end(5, 6, "esfera:x:vmk0"))], &[], vec![]),
            ("it goes to another stack", &other, &right, &[], vec![remove(5), Step::Make(0)]),
            (
                "in another stack",
                &other,
                &[("vmk0-port", end(5, 5, mark))],
                &[("vmk0", end(5, 5, ""))],
                vec![],
            ),
            (
                "its own end was renamed",
                &one,
                &[("vmk0-port", end(5, 6, mark)), ("x", end(6, 5, ""))],
                &[],
                vec![remove(5), Step::Make(0)],
            ),
            (
                "made, but not marked",
                &one,
                &[("vmk0-port", end(5, 6, "")), ("vmk0", end(6, 5, ""))],
                &[],
                vec![Step::Mark(0, 5)],
            ),
            ("a stranger has the name", &one, &[("vmk0-port", end(5, 9, ""))], &[], vec![Step::Make(0)]),
            (
                "its port is down",
                &one,
                &[("vmk0-port", Interface { up: false, ..end(5, 6, mark) }), ("vmk0", end(6, 5, ""))],
                &[],
                vec![Step::Up(0, 5)],
            ),
        ];
        for (case, adapters, host, vmotion, expected) in cases {
            let host = view(host);
            let stacks = [
                (StackName::default(), host.clone()),
                (StackName::VMOTION.to_owned().try_into().unwrap(), view(vmotion)),
            ];
            assert_eq!(plan(&prefix, adapters, &host, &stacks.into()), expected, "{case}");
        }
    }
}
