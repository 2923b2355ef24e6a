//! The body of a VI-JSON call, from any client. The first two bytes choose the method.

use vim::{MethodId, Release, json, schema};

pub(crate) fn run(input: &[u8]) {
    let Some((choice, body)) = input.split_first_chunk::<2>() else { return };
    let method = MethodId(u16::from_be_bytes(*choice) % schema().methods.len() as u16);
    let newest = Release((schema().releases.len() - 1) as u8);
    let write = |args: &vim::Args| {
        let mut out = Vec::new();
        json::write_args(&mut out, args, newest);
        out
    };
    match json::read_args(method, body) {
        Ok(args) => {
            let written = write(&args);
            let again = json::read_args(method, &written).expect("our own parameters");
            assert_eq!(written, write(&again));
        }
        Err(error) => {
            let mut out = Vec::new();
            json::write_fault(&mut out, &error.to_fault(), vim::api_release());
            json::read_fault(&out).expect("our own fault");
        }
    }
}
