//! A body posted to `/sdk`, by any client: the reader refuses it with a fault, or it is a call that means the same when
//! written again.

use vim::soap::{self, Call};
use vim::{Args, MoRef, Release, schema};

fn write(this: &MoRef, args: &Args) -> Vec<u8> {
    let newest = Release((schema().releases.len() - 1) as u8);
    let mut out = Vec::new();
    soap::write_request(&mut out, this, args, newest);
    out
}

pub(crate) fn run(body: &[u8]) {
    let request = match soap::read_request(body) {
        Ok(request) => request,
        Err(error) => {
            let mut out = Vec::new();
            soap::write_fault(&mut out, &error.to_fault(), vim::api_release(), true);
            soap::read_response(&out, vim::method!(Login)).expect("our own fault").expect_err("a fault");
            return;
        }
    };
    let Call::Method(args) = request.call else { return };
    let written = write(&request.this, &args);
    let again = soap::read_request(&written).expect("our own request");
    let Call::Method(args) = again.call else { panic!("a method became a Fetch") };
    // Compared as text: a NaN is not equal to itself.
    assert_eq!(written, write(&again.this, &args));
}
