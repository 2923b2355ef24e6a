//! Correct code compiles. A passing case makes trybuild build the failing cases whole, not only check them.
fn main() {
    let _ = vim::vim!(VirtualDeviceConfigSpec { device: VirtualDisk { key: 1 } });
}
