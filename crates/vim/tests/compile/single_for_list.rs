fn main() {
    let option = vim::vim!(OptionValue { key: "a", value: 1 });
    let _ = vim::vim!(VirtualMachineConfigSpec { extraConfig: option });
}
