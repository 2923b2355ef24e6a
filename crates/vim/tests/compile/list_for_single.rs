fn main() {
    let _ = vim::vim!(VirtualMachineConfigSpec { name: vec!["a"] });
}
