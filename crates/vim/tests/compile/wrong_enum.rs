fn main() {
    let _ = vim::vim!(VirtualMachineRuntimeInfo {
        powerState: vim::vim_enum!(HostSystemPowerState.poweredOn)
    });
}
