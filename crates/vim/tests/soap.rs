//! SOAP messages in the clients' form, and in the form that they must be able to read.
#![allow(clippy::unwrap_used)]

use vim::soap::{self, Call};
use vim::{
    Kind, List, MoRef, ReadError, Value, api_release, arg, call, data_id, fault, field, managed_id, method,
    schema, vim,
};

fn envelope(body: &str) -> String {
    format!(
        "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/' \
         xmlns:x='http://www.w3.org/2001/XMLSchema-instance' xmlns='urn:vim25'><e:Body>{body}</e:Body></e:Envelope>"
    )
}

fn read(body: &str) -> Result<soap::Request, ReadError> {
    soap::read_request(envelope(body).as_bytes())
}

fn read_call(body: &str) -> vim::Args {
    match read(body).unwrap().call {
        Call::Method(args) => args,
        Call::Fetch { property } => panic!("fetches {property}"),
    }
}

#[test]
fn a_login_is_read_whatever_its_prefixes_quotes_and_comments() {
    let body = "<?xml version='1.0'?><!-- hello --><SOAP-ENV:Envelope \
        xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\"><SOAP-ENV:Header>\
        <operationID xmlns='urn:vim25'>op-1</operationID><vcSessionCookie>abc</vcSessionCookie><other><x/></other>\
        </SOAP-ENV:Header>\n<SOAP-ENV:Body><ns0:Login xmlns:ns0='urn:vim25'>\
        <ns0:_this versionId='6.5' type='SessionManager'>SessionManager</ns0:_this>\
        <ns0:password>a&amp;b<![CDATA[<c>]]>&#x41;</ns0:password><!-- order --><ns0:userName>root</ns0:userName>\
        </ns0:Login></SOAP-ENV:Body></SOAP-ENV:Envelope>";
    let request = soap::read_request(body.as_bytes()).unwrap();
    assert_eq!(request.this, MoRef::new(managed_id!(SessionManager), "SessionManager"));
    assert_eq!(request.header.operation_id.as_deref(), Some("op-1"));
    assert_eq!(request.header.session_cookie.as_deref(), Some("abc"));
    assert_eq!(request.call, Call::Method(call!(Login { userName: "root", password: "a&b<c>A" })));
}

#[test]
fn a_fetch_names_its_property() {
    let request =
        read("<Fetch><_this type='VirtualMachine'>vm-1</_this><prop>runtime</prop></Fetch>").unwrap();
    assert_eq!(request.call, Call::Fetch { property: "runtime".into() });
}

#[test]
fn a_call_written_is_the_call_read() {
    let this = MoRef::new(managed_id!(VirtualMachine), "vm-1");
    let args = call!(ReconfigVM_Task {
        spec: VirtualMachineConfigSpec {
            name: "a <b> \"c\" & d",
            deviceChange: [VirtualDeviceConfigSpec {
                operation: "add",
                device: VirtualDisk { key: -1, capacityInKB: 4 }
            }],
            extraConfig: [OptionValue { key: "k", value: 7 }],
        },
    });
    let mut out = Vec::new();
    soap::write_request(&mut out, &this, &args, api_release());
    let request = soap::read_request(&out).unwrap();
    assert_eq!((request.this, request.call), (this, Call::Method(args)));
}

#[test]
fn a_fault_names_its_type_twice() {
    let fault = fault!(InvalidLogin {}, "no <entry>");
    let mut out = Vec::new();
    soap::write_fault(&mut out, &fault, api_release(), false);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains(
        "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>no &lt;entry&gt;</faultstring><detail>\
         <InvalidLoginFault xmlns=\"urn:vim25\" xsi:type=\"InvalidLogin\"></InvalidLoginFault></detail></soapenv:Fault>"
    ), "{text}");
    let read = soap::read_response(text.as_bytes(), method!(Login)).unwrap();
    assert_eq!(read, Err(fault));
}

#[test]
fn a_fetched_list_is_an_array_whose_elements_say_their_type() {
    let host = MoRef::new(managed_id!(HostSystem), "host-1");
    let list = Value::List(List::new(Kind::Ref(managed_id!(HostSystem)), vec![host.into()]));
    let mut out = Vec::new();
    soap::write_fetch_response(&mut out, Some(&list), api_release());
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains(
            "<FetchResponse xmlns=\"urn:vim25\"><returnval xsi:type=\"ArrayOfManagedObjectReference\">\
         <ManagedObjectReference type=\"HostSystem\" xsi:type=\"ManagedObjectReference\">host-1\
         </ManagedObjectReference></returnval></FetchResponse>"
        ),
        "{text}"
    );
}

#[test]
fn scalars_are_converted_to_what_is_declared() {
    let args = read_call(
        "<ReconfigVM_Task><_this type='VirtualMachine'>vm-1</_this><spec>\
         <numCPUs x:type='xsd:string'> 4 </numCPUs><extraConfig><key>k</key><value x:type='xsd:string'>v</value>\
         </extraConfig></spec></ReconfigVM_Task>",
    );
    let spec = args.get(arg!(ReconfigVM_Task.spec)).unwrap();
    assert!(spec.is_a(data_id!(VirtualMachineConfigSpec)));
    assert_eq!(spec.get(field!(VirtualMachineConfigSpec.numCPUs)), Some(4));
}

#[test]
fn an_unknown_method_is_a_fault_that_names_receiver_and_method() {
    let error = read("<Nonsense><_this type='Folder'>group-d1</_this><x><y/></x></Nonsense>").unwrap_err();
    assert_eq!(error.to_fault().type_name(), "MethodNotFound");
    assert!(schema().find_method("Nonsense").is_none());
    let spec = vim!(PropertySpec { r#type: "Folder" });
    assert_eq!(spec.get(field!(PropertySpec.r#type)), Some("Folder"));
}

#[test]
fn values_are_read_in_the_spellings_of_python_and_of_suds() {
    let option = |value: &str| {
        let args = read_call(&format!(
            "<UpdateOptions><_this type='OptionManager'>o</_this><changedValue><key>k</key>{value}</changedValue></UpdateOptions>"
        ));
        let changed = args.get(arg!(UpdateOptions.changedValue)).unwrap();
        let value = changed.iter().next().unwrap().get(field!(OptionValue.value)).cloned();
        value.unwrap()
    };
    assert_eq!(option("<value x:type='xsd:float'>-inf</value>"), Value::Float(f32::NEG_INFINITY));
    let host = MoRef::new(managed_id!(HostSystem), "h");
    assert_eq!(option("<value x:type='ManagedObject' type='HostSystem'>h</value>"), host.clone().into());
    assert_eq!(
        option("<value x:type='ns1:ManagedObjectReference' type='HostSystem'> h </value>"),
        host.into()
    );
    let number = option("<value x:type='xsd:string'>7</value>");
    assert_eq!(number, "7".into());
    assert_eq!(number.converted(Kind::Long), Some(Value::Long(7)));
    assert_eq!(number.converted(Kind::Boolean), None);
    assert_eq!(option("<value>bare</value>"), "bare".into());
}
