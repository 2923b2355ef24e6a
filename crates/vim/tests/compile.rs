//! What the macros refuse, with the message that the programmer sees.
//!
//! Part of the messages is the compiler's own. After a change that is meant, or with another compiler, read what
//! `TRYBUILD=overwrite cargo nextest run -p vim --test compile` writes, and commit it.

#[test]
fn wrong_names_and_kinds_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile/right/*.rs");
    cases.compile_fail("tests/compile/*.rs");
}
