fn main() {
    let tools = vim::vim!(ToolsConfigInfo {});
    let _ = vim::vim!(VirtualDeviceConfigSpec { device: tools });
}
