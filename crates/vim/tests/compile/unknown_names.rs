use vim::{arg, call, data_id, field, managed_id, method, prop, props, ty, vim, vim_enum};

fn main() {
    let _ = vim!(VirtualMachineConfigSumary { name: "a" });
    let _ = vim!(VirtualMachineConfigSpec { nmae: "a" });
    let _ = vim!(VirtualMachineConfigSpec { tools: ToolsConfigInfo { nonsense: 1 } });
    let _ = vim!(VirtualMachineRuntimeInfo { powerState: "poweredUp" });
    let _ = vim_enum!(VirtualMachinePowerState.poweredUp);
    let _ = vim_enum!(VirtualMachinePowerStat.poweredOn);
    let _ = props!(VirtualMachin { name: "a" });
    let _ = props!(VirtualMachine { nmae: "a" });
    let _ = call!(PowerOnVm_Task {});
    let _ = call!(PowerOnVM_Task { hots: 1 });
    let _ = field!(ToolsConfigInfo.nonsense);
    let _ = prop!(Task.nonsense);
    let _ = arg!(PowerOnVM_Task.nonsense);
    let _ = data_id!(Nonsense);
    let _ = managed_id!(VirtualDisk);
    let _ = method!(PowerOn);
    let _: ty!(VirtualMachine);
}
