//! Small crates as texts.

use std::path::Path;

use anyhow::Context;

use super::{graph, modules, resolve};

/// The circles of a crate of these files, each as its nodes joined by a space.
fn circles(files: &[(&str, &str)]) -> Vec<String> {
    found(files).iter().map(|circle| circle.nodes.join(" ")).collect()
}

fn found(files: &[(&str, &str)]) -> Vec<graph::Circle> {
    let read = |path: &Path| {
        let text = files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned());
        text.with_context(|| format!("no file {}", path.display()))
    };
    let tree = modules::read(Path::new("src/lib.rs"), &read).expect("a crate that can be read");
    graph::circles(&tree, &resolve::references(&tree))
}

const FOLDERS: (&str, &str) = ("src/lib.rs", "mod a; mod b;");

#[test]
fn folders_that_use_each_other_are_a_circle_and_each_arrow_is_shown() {
    let files = [
        FOLDERS,
        ("src/a/mod.rs", "pub mod x;"),
        ("src/a/x.rs", "use crate::b::y::{One, Two}; pub struct Zero;"),
        ("src/b/mod.rs", "pub mod y;"),
        ("src/b/y.rs", "pub struct One; pub struct Two; fn f() { crate::a::x::g(); }"),
    ];
    let text: Vec<String> = found(&files).iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 1, "{text:?}");
    assert!(text[0].contains("a/x.rs -> b/y.rs: One, Two"), "{text:?}");
    assert!(text[0].contains("b/y.rs -> a/x.rs: g"), "{text:?}");
}

#[test]
fn one_direction_is_no_circle_nor_is_one_between_two_files() {
    let down = [
        FOLDERS,
        ("src/a/mod.rs", "mod x; use crate::b::One;"),
        ("src/a/x.rs", ""),
        ("src/b.rs", "pub struct One;"),
    ];
    assert_eq!(circles(&down), Vec::<String>::new());
    let files =
        [FOLDERS, ("src/a.rs", "use crate::b::One;"), ("src/b.rs", "pub struct One; use crate::a::f;")];
    assert_eq!(circles(&files), Vec::<String>::new());
}

#[test]
fn a_name_is_followed_through_re_exports_to_the_module_that_defines_it() {
    let files = [
        ("src/lib.rs", "mod a; mod b; pub use b::One;"),
        ("src/a/mod.rs", "mod x; pub fn f() {}"),
        ("src/a/x.rs", "use crate::One;"),
        ("src/b/mod.rs", "mod y; pub use y::*;"),
        ("src/b/y.rs", "pub struct One; fn g() { super::super::a::f(); }"),
    ];
    assert_eq!(circles(&files), ["a b"]);
}

#[test]
fn a_circle_deep_in_a_folder_is_found_and_what_lies_in_its_parent_is_free() {
    let files = [
        ("src/lib.rs", "mod top;"),
        ("src/top/mod.rs", "mod a; mod b; pub struct Shared; fn f() { a::g(); b::h(); }"),
        ("src/top/a.rs", "mod deep; use super::{Shared, b}; pub fn g() { b::h() }"),
        ("src/top/a/deep.rs", "pub fn d() {}"),
        ("src/top/b.rs", "use super::Shared; pub fn h() { super::a::deep::d(); }"),
    ];
    let found = found(&files);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].level.join("::").as_str(), found[0].nodes.join(" ").as_str()), ("top", "a b"));
}

#[test]
fn tests_may_look_wherever_they_like() {
    let files = [
        FOLDERS,
        ("src/a/mod.rs", "mod x; use crate::b::One;"),
        ("src/a/x.rs", "pub fn f() {}"),
        (
            "src/b.rs",
            "pub struct One; #[cfg(test)] mod tests { use crate::a::x::f; } #[cfg(test)] use crate::a::x;",
        ),
    ];
    assert_eq!(circles(&files), Vec::<String>::new());
}

#[test]
fn the_arguments_of_macros_count_and_fields_and_other_crates_do_not() {
    let folder = ("src/a/mod.rs", "mod x; pub fn f() {}");
    let user = "use crate::b::One;";
    let inside_macro = ("src/b.rs", "pub struct One; fn g() { println!(\"{}\", crate::a::f()); }");
    assert_eq!(circles(&[FOLDERS, folder, ("src/a/x.rs", user), inside_macro]), ["a b"]);
    let other = (
        "src/b.rs",
        "pub struct One; use ::a::f; fn g(one: Two) { use ::a::f; one.a::<u8>(); ::a::f(); std::a::f(); }",
    );
    assert_eq!(circles(&[FOLDERS, folder, ("src/a/x.rs", user), other]), Vec::<String>::new());
}

#[test]
fn a_circle_through_a_third_module_is_one_circle() {
    let files = [
        ("src/lib.rs", "mod a; mod b; mod c;"),
        ("src/a/mod.rs", "mod x; use crate::b::One;"),
        ("src/a/x.rs", ""),
        ("src/b.rs", "pub struct One; use crate::c::Two;"),
        ("src/c.rs", "pub struct Two; use crate::a as first; fn f() { first::g() }"),
    ];
    assert_eq!(circles(&files), ["a b c"]);
}
