//! Reads the MACs that guests have given their NICs. QMP reports them for virtio only (`query-rx-filter` and its event).
//! For every model the human monitor reports them in its description of a NIC, from the virtual hardware's registers, so
//! that the guest needs no agent.

use super::Machine;
use crate::Result;
use crate::qmp::command;
use std::collections::BTreeMap;

impl Machine {
    /// The present MAC of each NIC, in lower case with colons, by device id.
    pub async fn nic_macs(&self) -> Result<BTreeMap<String, String>> {
        let shown =
            self.monitor().run(&command::HumanMonitor { command_line: "info network".into() }).await?;
        Ok(shown.lines().filter_map(nic).collect())
    }
}

/// Device id and MAC of a line such as ` \ net-n0: n0: index=0,type=nic,model=e1000e,macaddr=52:54:00:12:34:56`, or
/// `None` if the line describes another kind of device. The id stands before the index; some lines have their peer before it.
fn nic(line: &str) -> Option<(String, String)> {
    let (name, says) = line.split_once(": index=")?;
    let id = name.rsplit([' ', ':']).next().filter(|id| !id.is_empty())?;
    let mut says = says.trim_end().split(',');
    says.find(|it| *it == "type=nic")?;
    let mac = says.find_map(|it| it.strip_prefix("macaddr="))?;
    Some((id.to_owned(), mac.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nics_are_read_from_what_qemu_shows_to_people() {
        let shown = "hub 3\r\n \\ net-nic2: nic2: index=0,type=nic,model=e1000e,macaddr=52:54:00:12:34:56\r\n\
            n4000: index=0,type=nic,model=vmxnet3,macaddr=00:50:56:AB:00:01\r\n \
            \\ net-n4000: index=0,type=tap,fd=31\r\n\
            n4001: index=0,type=nic,model=e1000\r\nnonsense\r\n";
        let seen: Vec<_> = shown.lines().filter_map(nic).collect();
        let of = |id: &str, mac: &str| (id.to_owned(), mac.to_owned());
        assert_eq!(seen, [of("nic2", "52:54:00:12:34:56"), of("n4000", "00:50:56:ab:00:01")]);
    }
}
