//! Groups of a user, through other groups too.

use std::collections::{BTreeSet, HashSet};

/// Groups of one user that are looked at.
pub const MAX_GROUPS: usize = 1_000;
/// Levels of groups in groups that are followed.
pub const MAX_DEPTH: usize = 16;

/// Follows memberships upwards, level by level. Each group is followed once, so groups that contain each other end.
#[derive(Debug, Default)]
pub(crate) struct Climb {
    names: BTreeSet<String>,
    seen: HashSet<String>,
    /// Distinguished names whose groups are not known yet.
    next: Vec<String>,
    is_cut: bool,
}

impl Climb {
    /// Enters a group to which somebody belongs.
    pub(crate) fn found(&mut self, name: &str, dn: &str) {
        if self.seen.contains(&dn.to_lowercase()) {
            return;
        }
        if self.seen.len() >= MAX_GROUPS {
            self.is_cut = true;
            return;
        }
        self.seen.insert(dn.to_lowercase());
        self.names.insert(name.to_owned());
        self.next.push(dn.to_owned());
    }

    /// The distinguished names to look at next; empty at the top.
    pub(crate) fn next_level(&mut self) -> Vec<String> {
        std::mem::take(&mut self.next)
    }

    /// Names of all groups, and whether some were left out.
    pub(crate) fn end(self) -> (BTreeSet<String>, bool) {
        (self.names, self.is_cut || !self.next.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_contain_each_other_are_followed_once() {
        let mut climb = Climb::default();
        climb.found("a", "cn=a");
        assert_eq!(climb.next_level(), ["cn=a"]);
        climb.found("b", "cn=b");
        assert_eq!(climb.next_level(), ["cn=b"]);
        climb.found("a", "CN=A");
        assert!(climb.next_level().is_empty());
        let (names, is_cut) = climb.end();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(!is_cut);
    }

    #[test]
    fn more_groups_than_the_limit_are_left_out_and_said() {
        let mut climb = Climb::default();
        for number in 0..=MAX_GROUPS {
            climb.found(&format!("g{number}"), &format!("cn=g{number}"));
        }
        climb.next_level();
        let (names, is_cut) = climb.end();
        assert_eq!(names.len(), MAX_GROUPS);
        assert!(is_cut);
    }
}
