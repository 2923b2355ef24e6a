//! The fuzzer over the target that `ESFERA_FUZZ_TARGET` names. All targets are in one program, so that it is built once.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("ESFERA_FUZZ_TARGET").expect("ESFERA_FUZZ_TARGET names the target");
    fuzz::target(&name).unwrap_or_else(|| panic!("the fuzz target {name} does not exist"))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
