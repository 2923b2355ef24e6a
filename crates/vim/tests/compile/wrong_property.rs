fn main() {
    let _ = vim::props!(VirtualMachine { name: 7 });
}
