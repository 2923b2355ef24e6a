fn main() {
    let _ = vim::vim!(OptionValue { key: None::<String> });
}
