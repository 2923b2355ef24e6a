fn main() {
    let _ = vim::vim!(ToolsConfigInfo { toolsVersion: "1" });
}
