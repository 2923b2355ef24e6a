fn main() {
    let _ = vim::vim!(ToolsConfigInfo { toolsVersion: 1, toolsVersion: 2 });
    let _ = vim::call!(PowerOnVM_Task { host: None::<vim::MoRef>, host: None::<vim::MoRef> });
    let _ = vim::props!(Task { info: None::<vim::ty!(TaskInfo)>, info: None::<vim::ty!(TaskInfo)> });
}
