//! Compiles the data plane (`bpf/switch.c`) with clang into an object that the crate carries.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("switch.o");
    println!("cargo::rerun-if-changed={}", root.display());
    let machine = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    let mut clang = Command::new("clang");
    clang.args(["-O2", "-g", "-Wall", "-Wextra", "-Werror", "-target", "bpf", "-mcpu=v3"]);
    // Debian keeps `asm/` by architecture, where clang does not look for a target that has none.
    clang.arg(format!("-I/usr/include/{machine}-linux-gnu"));
    clang.arg("-c").arg(root.join("switch.c")).arg("-o").arg(&out);
    match clang.output() {
        Err(error) => panic!(
            "cannot run clang ({error}); `cargo xtask setup` installs it with libbpf-dev and linux-libc-dev"
        ),
        Ok(output) if !output.status.success() => {
            panic!("the data plane does not compile:\n{}", String::from_utf8_lossy(&output.stderr))
        }
        Ok(_) => {}
    }
}
