//! Datastore paths: valid and invalid ones, and agreement between reading and writing.
#![allow(clippy::unwrap_used)]

use datastore::{DatastorePath, FilePath, PathFault, escape_name};
use proptest::prelude::*;

#[test]
fn paths_are_read_as_clients_write_them() {
    for (text, name, path, shown) in [
        ("[ds1] vm/vm.vmx", "ds1", "vm/vm.vmx", "[ds1] vm/vm.vmx"),
        ("[ds1]vm/vm.vmx", "ds1", "vm/vm.vmx", "[ds1] vm/vm.vmx"),
        ("[ds1]   vm/", "ds1", "vm", "[ds1] vm"),
        ("[ds1]", "ds1", "", "[ds1]"),
        ("[ds1] ", "ds1", "", "[ds1]"),
        ("[my ds (1)] a b/c d.iso", "my ds (1)", "a b/c d.iso", "[my ds (1)] a b/c d.iso"),
        ("[a%2fb%5Cc%25] x", "a%2fb%5Cc%25", "x", "[a%2fb%5Cc%25] x"),
        ("[100%] x", "100%25", "x", "[100%25] x"),
        ("[ds] 100%25/ü.vmdk", "ds", "100%25/ü.vmdk", "[ds] 100%25/ü.vmdk"),
        ("[ds] ..a/b..", "ds", "..a/b..", "[ds] ..a/b.."),
        ("[ds] a]b/[c]", "ds", "a]b/[c]", "[ds] a]b/[c]"),
        ("[ds] .", "ds", "", "[ds]"),
        ("[ds] ./", "ds", "", "[ds]"),
    ] {
        let parsed = DatastorePath::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!((parsed.datastore(), parsed.path().as_str()), (name, path), "{text}");
        assert_eq!(parsed.to_string(), shown);
    }
}

#[test]
fn what_is_no_path_is_refused_with_its_reason() {
    let long = format!("[ds] {}", "a".repeat(256));
    let deep = format!("[ds] {}", "a/".repeat(33));
    let far = format!("[ds] {}", vec!["a".repeat(200); 6].join("/"));
    let name = format!("[{}] a", "n".repeat(81));
    for (text, fault) in [
        ("", PathFault::NoDatastore),
        ("vm/vm.vmx", PathFault::NoDatastore),
        ("[ds vm/vm.vmx", PathFault::NoDatastore),
        (" [ds] vm", PathFault::NoDatastore),
        ("[] vm", PathFault::DatastoreName),
        ("[ ] vm", PathFault::DatastoreName),
        ("[a/b] vm", PathFault::DatastoreName),
        ("[a\\b] vm", PathFault::DatastoreName),
        ("[a\0b] vm", PathFault::DatastoreName),
        (&name, PathFault::DatastoreName),
        ("[ds] ../../etc/passwd", PathFault::Dots),
        ("[ds] a/../b", PathFault::Dots),
        ("[ds] a/..", PathFault::Dots),
        ("[ds] ./vm", PathFault::Dots),
        ("[ds] ./../vm", PathFault::Dots),
        ("[ds] /etc/passwd", PathFault::Absolute),
        ("[ds] /", PathFault::Absolute),
        ("[ds] //", PathFault::Absolute),
        ("[ds] a//b", PathFault::EmptyComponent),
        ("[ds] a//", PathFault::EmptyComponent),
        ("[ds] a\0b", PathFault::Character),
        ("[ds] a\nb", PathFault::Character),
        ("[ds] ..\\..\\etc", PathFault::Character),
        ("[ds] .esfera-datastore", PathFault::Reserved),
        ("[ds] .esfera-tmp/x", PathFault::Reserved),
        (&long, PathFault::TooLong),
        (&deep, PathFault::TooLong),
        (&far, PathFault::TooLong),
    ] {
        assert_eq!(DatastorePath::parse(text).map_err(|e| e.fault), Err(fault), "{text}");
    }
}

#[test]
fn names_are_escaped_as_the_inventory_does() {
    for (name, escaped) in
        [("a/b\\c", "a%2fb%5cc"), ("50%", "50%25"), ("50%25", "50%25"), ("%2F%zz", "%2F%25zz"), ("%", "%25")]
    {
        assert_eq!(escape_name(name), escaped);
        assert_eq!(DatastorePath::new(name, FilePath::root()).unwrap().datastore(), escaped);
    }
}

#[test]
fn paths_know_their_parts() {
    let path = FilePath::parse("a/b/vm.flat.vmdk").unwrap();
    assert_eq!((path.name(), path.stem()), ("vm.flat.vmdk", "vm.flat"));
    assert_eq!(path.parent().unwrap().as_str(), "a/b");
    assert_eq!(path.sibling("x").unwrap().as_str(), "a/b/x");
    assert_eq!(FilePath::parse("a").unwrap().parent(), Some(FilePath::root()));
    assert_eq!(FilePath::root().parent(), None);
    assert!(
        path.sibling("../x").is_err() && path.join("/x").is_err() && FilePath::root().join("/x").is_err()
    );
    let a = FilePath::parse("a").unwrap();
    assert!(a.contains(&path) && a.contains(&a) && FilePath::root().contains(&a));
    assert!(!a.contains(&FilePath::parse("ab").unwrap()) && !path.contains(&a));
    let ds =
        |path: &str| DatastorePath::new("ds", FilePath::parse(path).unwrap()).unwrap().to_folder_string();
    assert_eq!((ds("a/b").as_str(), ds("").as_str()), ("[ds] a/b/", "[ds] "));
}

proptest! {
    #[test]
    fn any_text_is_a_safe_path_or_none(text in "(\\[[a-z%/]{0,4}\\]? ?)?[a-c./\\\\ %\u{0}-\u{1f}ä]{0,20}") {
        if let Ok(path) = DatastorePath::parse(&text) {
            prop_assert!(path.path().components().all(|c| !matches!(c, "" | "." | "..") && !c.contains(['/', '\0'])));
            prop_assert_eq!(DatastorePath::parse(&path.to_string()).unwrap(), path.clone());
            prop_assert_eq!(DatastorePath::parse(&path.to_folder_string()).unwrap(), path);
        }
    }

    #[test]
    fn any_characters_are_parsed_without_panic(text in "\\PC*", name in "\\PC{0,90}") {
        let _ = DatastorePath::parse(&text);
        let _ = FilePath::parse(&text);
        if let Ok(path) = DatastorePath::new(&name, FilePath::root()) {
            prop_assert_eq!(DatastorePath::parse(&path.to_string()).unwrap(), path);
        }
    }
}
