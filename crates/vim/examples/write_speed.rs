//! How fast a large answer is written: name, runtime.powerState and summary.config of 10,000 virtual machines, as
//! `RetrievePropertiesEx` returns them, beside a plain copy of the same bytes.
//!
//! `cargo run --release -p vim --example write_speed`; with `ESFERA_FIGURES` set, figures for `cargo xtask bench`.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use vim::{MoRef, Value, api_release, json, managed_id, method, schema, soap, vim, vim_enum};

const MACHINES: usize = 10_000;
const ROUNDS: usize = 21;

fn machine(number: usize) -> Value {
    let name = format!("DC0_C0_RP0_VM{number}");
    vim!(ObjectContent {
        obj: MoRef::new(managed_id!(VirtualMachine), format!("vm-{number}")),
        propSet: [
            DynamicProperty { name: "name", val: name.as_str() },
            DynamicProperty {
                name: "runtime.powerState",
                val: vim_enum!(VirtualMachinePowerState.poweredOn),
            },
            DynamicProperty {
                name: "summary.config",
                val: VirtualMachineConfigSummary {
                    name: name.as_str(),
                    template: false,
                    vmPathName: format!("[LocalDS_0] {name}/{name}.vmx"),
                    memorySizeMB: 32,
                    cpuReservation: 0,
                    memoryReservation: 0,
                    numCpu: 1,
                    numEthernetCards: 1,
                    numVirtualDisks: 1,
                    uuid: format!("265104de-1472-547c-b873-{number:012x}"),
                    instanceUuid: format!("b4689bed-97f0-5bcd-8a4c-{number:012x}"),
                    guestId: "otherGuest",
                    guestFullName: "Other (32-bit)",
                    annotation: "",
                },
            },
        ],
    })
    .into()
}

/// The median time of `run`.
fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

/// The promised speed of writing SOAP, in MB/s.
const TARGET: &str = ">= 500";

/// Prints the speed beside that of copying the same bytes. Returns it in MB/s.
fn report(what: &str, bytes: usize, time: Duration, target: &str, copy: Option<f64>) -> f64 {
    let rate = bytes as f64 / 1e6 / time.as_secs_f64();
    match (std::env::var_os("ESFERA_FIGURES"), copy) {
        (Some(_), Some(copy)) => {
            println!("figure\t{MACHINES} VMs, {what}\t{rate}\tMB/s\t{target}\tcopying the bytes\t{copy}");
        }
        (Some(_), None) => {}
        (None, _) => println!("{what:28} {:8.2} ms {rate:8.0} MB/s", time.as_secs_f64() * 1e3),
    }
    rate
}

fn main() {
    let objects: Vec<vim::Object> =
        (0..MACHINES).map(|number| machine(number).as_object().unwrap().as_ref().clone()).collect();
    let result: Value = vim!(RetrieveResult { objects: objects }).into();
    let mut out = Vec::new();
    let method = method!(RetrievePropertiesEx);
    soap::write_response(&mut out, method, Some(&result), api_release());
    let xml = out.clone();
    println!("{MACHINES} VMs, {} bytes of XML", xml.len());
    let time = median(|| {
        out.clear();
        out.extend_from_slice(std::hint::black_box(&xml));
    });
    let copy = Some(report("copying the same bytes", xml.len(), time, "", None));
    let time = median(|| {
        out.clear();
        soap::write_response(&mut out, method, Some(&result), api_release());
    });
    report("writing SOAP", xml.len(), time, TARGET, copy);
    let time = median(|| {
        let read = soap::read_response(&xml, method);
        assert!(matches!(std::hint::black_box(read), Ok(Ok(Some(_)))));
    });
    report("reading SOAP", xml.len(), time, "", copy);
    let returns = schema().method(method).returns.clone().unwrap();
    out.clear();
    json::write_value(&mut out, returns.kind, returns.list, &result, api_release());
    let text = out.clone();
    let time = median(|| {
        out.clear();
        json::write_value(&mut out, returns.kind, returns.list, &result, api_release());
    });
    report("writing VI-JSON", text.len(), time, "", copy);
    let time = median(|| {
        std::hint::black_box(json::read_value(returns.kind, returns.list, &text)).unwrap();
    });
    report("reading VI-JSON", text.len(), time, "", copy);
}
