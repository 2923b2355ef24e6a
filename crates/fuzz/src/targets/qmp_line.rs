//! One line from a QEMU process.

pub(crate) fn run(line: &[u8]) {
    let _ = qemu::qmp::parse_line(line);
}
