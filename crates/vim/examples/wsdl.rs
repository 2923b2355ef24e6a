//! Prints the service's WSDL, for checks by tools that read WSDL.

fn main() {
    print!("{}", vim::wsdl::service_wsdl());
}
