fn main() {
    let _ = vim::call!(PowerOnVM_Task { host: "host-1" });
}
