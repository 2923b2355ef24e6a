//! pyVmomi, the Python client that most scripts use, from where `cargo xtask setup` installs it.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use support::{PASSWORD, with_tls};

const SCRIPT: &str = r#"
import sys
from pyVim.connect import SmartConnect, Disconnect
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

port, password = int(sys.argv[1]), sys.argv[2]
try:
    SmartConnect(host="127.0.0.1", port=port, user="root", pwd="wrong", disableSslCertValidation=True)
    sys.exit("a wrong password was accepted")
except vim.fault.InvalidLogin:
    pass
si = SmartConnect(host="127.0.0.1", port=port, user="root", pwd=password, disableSslCertValidation=True)
content = si.RetrieveContent()
assert content.about.apiType == "HostAgent", content.about
assert content.sessionManager.currentSession.userName == "root"
assert [role.name for role in content.authorizationManager.roleList if role.roleId == -1] == ["Admin"]
view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
names = sorted(vm.name for vm in view.view)
assert names == ["VM 1 <&>", "VM 2 <&>"], names
vm = [vm for vm in view.view if vm.name == names[0]][0]
assert vm.parent.name == "vm"
assert vm.guest is None
WaitForTask(vm.PowerOn(), si=si)
try:
    WaitForTask(vm.PowerOff(), si=si)
    sys.exit("a failed task passed for a successful one")
except vim.fault.InvalidPowerState as fault:
    assert fault.existingState == "poweredOff", fault
vm.MarkAsTemplate()
assert vm.name == "template"
try:
    vm.Reset()
    sys.exit("the method does not exist")
except vmodl.fault.NotSupported:
    pass
Disconnect(si)
try:
    vm.name
    sys.exit("the session had ended")
except vim.fault.NotAuthenticated:
    pass
print("all good")
"#;

/// Far more time than it takes: a client that waits in vain must not hold up the tests.
const LIMIT: Duration = Duration::from_secs(100);

fn python() -> Option<PathBuf> {
    let cache = PathBuf::from(std::env::var_os("HOME")?).join(".cache/esfera");
    let venvs = std::fs::read_dir(cache).ok()?.flatten().map(|entry| entry.path().join("bin/python"));
    venvs.filter(|python| python.exists()).max()
}

#[tokio::test(flavor = "multi_thread")]
async fn pyvmomi_connects_lists_and_waits_for_tasks() {
    let Some(python) = python() else {
        eprintln!("skipped: cargo xtask setup has not been run here");
        return;
    };
    let daemon = with_tls().await;
    let output = tokio::process::Command::new(python)
        .args(["-c", SCRIPT, &daemon.address.port().to_string(), PASSWORD])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, output).await.expect("it ends").unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("all good"), "{out}\n{err}");
}
