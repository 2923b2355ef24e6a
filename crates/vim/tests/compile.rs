//! The macros' refusals, with the message for the programmer.
//!
//! Part of the messages is the compiler's own. After an intended change, or with another compiler, review the output of
//! `TRYBUILD=overwrite cargo nextest run -p vim --test compile`, and commit it.

#[test]
fn wrong_names_and_kinds_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile/right/*.rs");
    cases.compile_fail("tests/compile/*.rs");
}
