//! What is right compiles; that there is such a case makes the wrong ones be built whole, not only checked.
fn main() {
    let _ = vim::vim!(VirtualDeviceConfigSpec { device: VirtualDisk { key: 1 } });
}
