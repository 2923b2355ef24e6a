//! One line from the agent inside a guest, which the guest's owner can forge.

pub(crate) fn run(line: &[u8]) {
    let _ = qemu::agent::parse_line(line);
}
