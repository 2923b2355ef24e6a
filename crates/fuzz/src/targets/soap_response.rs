//! A server's answer to our own client. The first two bytes choose the method.

use vim::{MethodId, Release, schema, soap};

pub(crate) fn run(input: &[u8]) {
    let Some((choice, body)) = input.split_first_chunk::<2>() else { return };
    let method = MethodId(u16::from_be_bytes(*choice) % schema().methods.len() as u16);
    let newest = Release((schema().releases.len() - 1) as u8);
    let write = |result: &Option<vim::Value>| {
        let mut out = Vec::new();
        soap::write_response(
            &mut out,
            method,
            result.as_ref().map(|value| value as &dyn vim::encode::Encode),
            newest,
        );
        out
    };
    match soap::read_response(body, method) {
        Ok(Ok(result)) => {
            let written = write(&result);
            let again = soap::read_response(&written, method).expect("our own response").expect("a result");
            assert_eq!(written, write(&again));
        }
        Ok(Err(fault)) => {
            let mut out = Vec::new();
            soap::write_fault(&mut out, &fault, newest, false);
            let again = soap::read_response(&out, method).expect("our own fault").expect_err("a fault");
            assert_eq!(again.type_name(), fault.type_name());
        }
        Err(_) => {}
    }
}
