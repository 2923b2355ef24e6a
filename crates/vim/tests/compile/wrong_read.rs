fn main() {
    let spec = vim::vim!(VirtualMachineConfigSpec { numCPUs: 1 });
    let _: Option<&str> = spec.get(vim::field!(VirtualMachineConfigSpec.numCPUs));
}
