//! Results of the executer: a response or a fault, as text.

use vim::soap::{Element, write_fragment};
use vim::{ty, vim};

use crate::table::CliFault;

pub(super) type SoapResult = ty!(ReflectManagedMethodExecuterSoapResult);

/// A response.
pub(super) fn done(element: &Element) -> SoapResult {
    vim!(ReflectManagedMethodExecuterSoapResult { response: write_fragment(element) })
}

/// A `CLIFault`, as clients of ESXi read it.
pub(super) fn failed(fault: &CliFault) -> SoapResult {
    let element = Element::of("fault", vec![Element::text("errMsg", &*fault.0)]).typed("VimEsxCLICLIFault");
    fault_result("EsxCLI.CLIFault.summary", element)
}

/// A fault of any type.
pub(super) fn fault_result(message: &str, fault: Element) -> SoapResult {
    let parts = vec![fault, Element::text("localizedMessage", message)];
    let detail = Element::of("obj", parts).typed("LocalizedMethodFault");
    vim!(ReflectManagedMethodExecuterSoapResult {
        fault: ReflectManagedMethodExecuterSoapFault {
            faultMsg: message,
            faultDetail: write_fragment(&detail),
        },
    })
}
