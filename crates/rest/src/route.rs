//! From a method, a path and a query to an operation of the table.
//!
//! The table has the older paths of some services (`POST /vcenter/vm/{vm}/power/start`). The rule of `/api` gives these operations another
//! way: an operation beyond creating, reading, changing and deleting is `POST …?action=<name with dashes>`.

use std::collections::HashMap;
use std::sync::LazyLock;

use vapi::{Operation, OperationId, Query, Segment, Verb, schema};

/// More than the parts of a query that choose an operation.
const MOST_CHOSEN: usize = 8;

/// An operation that a request may mean, with the texts of its path.
pub(crate) struct Found<'a> {
    pub(crate) operation: OperationId,
    /// Parameters of the path by their numbers.
    pub(crate) parameters: Vec<(u16, &'a str)>,
}

/// Why a request means no operation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Path,
    /// The path is there with other methods.
    Method,
    /// The path and the method are there with other queries.
    Query,
}

/// The table's operations by their paths.
#[derive(Default)]
pub(crate) struct Routes {
    root: Node,
    /// Services by their names as paths of `/rest` have them: `com/vmware/cis/session`.
    by_service: HashMap<String, Vec<OperationId>>,
}

/// The paths that have begun in the same way.
#[derive(Default)]
struct Node {
    fixed: HashMap<&'static str, Node>,
    parameter: Option<Box<Node>>,
    /// Operations whose path ends here.
    ways: Vec<Way>,
}

/// A way to an operation.
struct Way {
    operation: OperationId,
    /// The action that the query must name, beside what the table says.
    action: Option<String>,
    /// Segments of the path that are fixed words.
    fixed: usize,
}

/// Operations that a method says; the others are actions.
const PLAIN: [&str; 6] = ["create", "get", "list", "set", "update", "delete"];

/// The action by which a query names an operation that its method does not say.
pub(crate) fn action_of(operation: &Operation) -> Option<String> {
    let named = operation.query.iter().any(|part| matches!(part, Query::Fixed("action", _)));
    let plain = operation.verb != Some(Verb::Post) || PLAIN.contains(&operation.name);
    (!named && !plain).then(|| operation.name.replace('_', "-"))
}

/// The path that stays when the action is not a part of it: `…/power` of `…/power/start`, `…/hardware` of `…/hardware/action/upgrade`.
pub(crate) fn without_action<'a>(path: &'a [Segment], action: &str) -> &'a [Segment] {
    match path {
        [front @ .., Segment::Fixed("action"), Segment::Fixed(last)] if *last == action => front,
        [front @ .., Segment::Fixed(last)] if *last == action => front,
        _ => path,
    }
}

/// Operations are alike if method and path are, whatever the parameters are called.
fn likeness(operation: &Operation) -> (Option<Verb>, Vec<Option<&'static str>>) {
    let word = |segment: &Segment| match segment {
        Segment::Fixed(word) => Some(*word),
        Segment::Parameter(_) => None,
    };
    (operation.verb, operation.path.iter().map(word).collect())
}

/// Whether a part of the query chooses the operation.
fn chooses(part: &Query) -> bool {
    !matches!(part, Query::Parameter(..))
}

impl Node {
    fn gather<'n>(&'n self, path: &[&str], found: &mut Vec<&'n Way>) {
        let Some((first, rest)) = path.split_first() else {
            found.extend(&self.ways);
            return;
        };
        if let Some(next) = self.fixed.get(*first) {
            next.gather(rest, found);
        }
        if let Some(next) = &self.parameter {
            next.gather(rest, found);
        }
    }
}

impl Node {
    fn add(&mut self, operation: OperationId, path: &[Segment], action: Option<String>) {
        let mut node = self;
        for segment in path {
            node = match segment {
                Segment::Fixed(word) => node.fixed.entry(word).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
            };
        }
        let fixed = path.iter().filter(|segment| matches!(segment, Segment::Fixed(_))).count();
        node.ways.push(Way { operation, action, fixed });
    }
}

/// The routes of the built-in table, made at first use.
pub(crate) fn routes() -> &'static Routes {
    static ROUTES: LazyLock<Routes> = LazyLock::new(Routes::new);
    &ROUTES
}

impl Routes {
    fn new() -> Self {
        let mut routes = Self::default();
        let mut alike: HashMap<_, usize> = HashMap::new();
        for operation in &schema().operations {
            if !operation.query.iter().any(chooses) {
                *alike.entry(likeness(operation)).or_default() += 1;
            }
        }
        for service in &schema().services {
            let name = format!("com/vmware/{}", service.name.replace('.', "/").replace('_', "-"));
            let operations: Vec<_> = service.operations.clone().map(OperationId).collect();
            for id in &operations {
                let operation = schema().at(*id);
                if operation.verb.is_none() {
                    continue;
                }
                let action = action_of(operation);
                // Of several operations on one path, only the query can say which is meant.
                let only = alike.get(&likeness(operation)).is_none_or(|count| *count == 1);
                if action.is_none() || only {
                    routes.root.add(*id, &operation.path, None);
                }
                if let Some(action) = action {
                    let path = without_action(&operation.path, &action);
                    routes.root.add(*id, path, Some(action));
                }
            }
            routes.by_service.insert(name, operations);
        }
        routes
    }

    /// The operation for a path below `/api`. A fixed segment goes before a parameter.
    pub(crate) fn api<'a>(
        &self,
        verb: Verb,
        path: &[&'a str],
        query: &[(String, String)],
    ) -> Result<Found<'a>, Missing> {
        let mut candidates = Vec::new();
        self.root.gather(path, &mut candidates);
        let mut missing = if candidates.is_empty() { Missing::Path } else { Missing::Method };
        let mut best: Option<(usize, OperationId)> = None;
        let names = |action: &str| {
            query.iter().any(|(key, given)| (key == "action" || key == "~action") && given == action)
        };
        for way in candidates {
            let id = way.operation;
            let operation = schema().at(id);
            if operation.verb != Some(verb) {
                continue;
            }
            missing = Missing::Query;
            // Every part that chooses the operation must be there; the operation with most such parts is meant.
            let acts = match &way.action {
                Some(action) if names(action) => Some(1),
                Some(_) => None,
                None => Some(0),
            };
            let Some(acts) = acts else { continue };
            let chosen = operation.query.iter().try_fold(acts, |chosen, part| match part {
                Query::Fixed(name, value) => {
                    query.iter().any(|(key, given)| key == name && given == value).then_some(chosen + 1)
                }
                Query::Present(name) => query.iter().any(|(key, _)| key == name).then_some(chosen + 1),
                Query::Parameter(..) => Some(chosen),
            });
            if let Some(chosen) = chosen
                && best.is_none_or(|(rank, _)| way.fixed * MOST_CHOSEN + chosen > rank)
            {
                best = Some((way.fixed * MOST_CHOSEN + chosen, id));
            }
        }
        let (_, operation) = best.ok_or(missing)?;
        let parameters =
            schema().at(operation).path.iter().zip(path).filter_map(|(segment, text)| match segment {
                Segment::Parameter(number) => Some((*number, *text)),
                Segment::Fixed(_) => None,
            });
        Ok(Found { operation, parameters: parameters.collect() })
    }

    /// The operation for a path below `/rest`, where the service's name is the path: `com/vmware/cis/session`, then `id:ID`
    /// for the first parameter, and `POST` with `~action=get` for an operation that the method does not say. No other method takes an
    /// action: a browser that is led to a link sends a `GET` with the user's cookie.
    pub(crate) fn rest<'a>(
        &self,
        verb: Verb,
        path: &[&'a str],
        query: &[(String, String)],
    ) -> Result<Found<'a>, Missing> {
        let (path, id) = match path.split_last() {
            Some((last, before)) if last.starts_with("id:") => (before, last.strip_prefix("id:")),
            _ => (path, None),
        };
        let operations = self.by_service.get(&path.join("/")).ok_or(Missing::Path)?;
        let action =
            query.iter().find(|(key, _)| key == "~action").map(|(_, action)| action.replace('-', "_"));
        let names: &[&str] = match (verb, &action) {
            (Verb::Post, Some(action)) => &[action],
            (_, Some(_)) => return Err(Missing::Method),
            (Verb::Get, None) if id.is_some() => &["get"],
            (Verb::Get, None) => &["list", "get"],
            (Verb::Post, None) => &["create"],
            (Verb::Patch, None) => &["update"],
            (Verb::Put, None) => &["set"],
            (Verb::Delete, None) => &["delete"],
        };
        let named = |name: &&str| operations.iter().find(|id| schema().at(**id).name == *name);
        let operation = *names.iter().find_map(named).ok_or(Missing::Method)?;
        Ok(Found { operation, parameters: id.map(|id| (0, id)).into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(found: Result<Found<'_>, Missing>) -> Result<&'static str, Missing> {
        found.map(|found| schema().at(found.operation).name)
    }

    #[test]
    fn a_path_a_method_and_a_query_choose_the_operation() {
        let routes = routes();
        let find = |verb, path: &str, query: &[(&str, &str)]| {
            let query: Vec<_> = query.iter().map(|(k, v)| (String::from(*k), String::from(*v))).collect();
            let path: Vec<&str> = path.split('/').collect();
            name(routes.api(verb, &path, &query))
        };
        assert_eq!(find(Verb::Post, "session", &[]), Ok("create"));
        assert_eq!(find(Verb::Get, "session", &[]), Ok("get"));
        assert_eq!(find(Verb::Put, "session", &[]), Err(Missing::Method));
        assert_eq!(find(Verb::Get, "sessions", &[]), Err(Missing::Path));
        assert_eq!(find(Verb::Get, "cis/tagging/tag/urn:1", &[]), Ok("get"));
        assert_eq!(find(Verb::Post, "cis/tagging/tag/urn:1", &[]), Err(Missing::Query));
        assert_eq!(
            find(Verb::Post, "cis/tagging/tag/urn:1", &[("action", "add-to-used-by")]),
            Ok("add_to_used_by")
        );
        assert_eq!(find(Verb::Get, "vcenter/vm/vm-1/hardware/cpu", &[]), Ok("get"));
        assert_eq!(find(Verb::Post, "vcenter/vm/vm-1/power", &[("action", "start")]), Ok("start"));
        assert_eq!(find(Verb::Post, "vcenter/vm/vm-1/power/start", &[]), Ok("start"));
        assert_eq!(find(Verb::Post, "vcenter/vm/vm-1/power", &[]), Err(Missing::Query));
        assert_eq!(find(Verb::Post, "vcenter/vm/vm-1/hardware", &[("action", "upgrade")]), Ok("upgrade"));
        assert_eq!(find(Verb::Post, "vcenter/vm/vm-1/guest/power", &[("action", "reboot")]), Ok("reboot"));
        assert_eq!(find(Verb::Post, "vcenter/vm/vm-1/guest/power", &[]), Err(Missing::Query));
        assert_eq!(find(Verb::Post, "vcenter/vm", &[]), Ok("create"));
        assert_eq!(find(Verb::Post, "vcenter/vm", &[("action", "clone")]), Ok("clone"));
    }

    #[test]
    fn the_older_paths_name_the_service() {
        let routes = routes();
        let action = |action: &str| vec![("~action".to_owned(), action.to_owned())];
        let session = ["com", "vmware", "cis", "session"];
        assert_eq!(name(routes.rest(Verb::Post, &session, &[])), Ok("create"));
        assert_eq!(name(routes.rest(Verb::Post, &session, &action("get"))), Ok("get"));
        assert_eq!(name(routes.rest(Verb::Get, &session, &[])), Ok("get"));
        for verb in [Verb::Get, Verb::Put, Verb::Patch, Verb::Delete] {
            let found = name(routes.rest(verb, &session, &action("delete")));
            assert_eq!(found, Err(Missing::Method), "{verb:?} does not act");
        }
        assert_eq!(name(routes.rest(Verb::Delete, &session, &[])), Ok("delete"));
        let tag = ["com", "vmware", "cis", "tagging", "tag", "id:urn:1"];
        let found = routes.rest(Verb::Get, &tag, &[]).unwrap();
        assert_eq!(found.parameters, [(0, "urn:1")]);
    }
}
