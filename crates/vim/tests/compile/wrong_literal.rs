fn main() {
    let _ = vim::vim!(VirtualDeviceConfigSpec { device: ToolsConfigInfo {} });
    let _ = vim::vim!(VirtualMachineConfigSpec { deviceChange: [OptionValue {}] });
    let _ = vim::vim!(VirtualMachineConfigSpec { name: OptionValue {} });
}
