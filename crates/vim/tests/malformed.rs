//! Malformed messages: each is refused with the right fault, in memory in proportion to the message.
#![allow(clippy::unwrap_used)]

use vim::{ReadError, json, method, soap};

const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

fn envelope(body: &str) -> String {
    format!(
        "<e:Envelope xmlns:e='{ENVELOPE}' xmlns:x='{INSTANCE}' xmlns='urn:vim25'><e:Body>{body}</e:Body></e:Envelope>"
    )
}

fn reconfigure(spec: &str) -> String {
    envelope(&format!(
        "<ReconfigVM_Task><_this type='VirtualMachine'>vm-1</_this><spec>{spec}</spec></ReconfigVM_Task>"
    ))
}

fn fault(body: impl AsRef<[u8]>) -> (String, String) {
    let error = soap::read_request(body.as_ref()).unwrap_err();
    (error.to_fault().type_name().to_owned(), error.to_string())
}

#[test]
fn each_mistake_is_the_fault_that_clients_know_it_by_and_names_the_place() {
    let this = "<_this type='VirtualMachine'>vm-1</_this>";
    for (body, fault_type, part) in [
        (envelope(""), "InvalidRequest", "a method"),
        (envelope("<Destroy_Task></Destroy_Task>"), "InvalidArgument", "_this"),
        (
            envelope(&format!("<Destroy_Task>{this}{this}</Destroy_Task>")),
            "InvalidRequest",
            "Destroy_Task._this",
        ),
        (
            envelope(&format!("<Destroy_Task>{this}</Destroy_Task><x/>")),
            "InvalidRequest",
            "end of the message",
        ),
        (envelope(&format!("<Destroy_Task>{this}<x/></Destroy_Task>")), "InvalidRequest", "no member x"),
        (envelope(&format!("<NoSuch>{this}</NoSuch>")), "MethodNotFound", "NoSuch"),
        (envelope("<NoSuch/>"), "InvalidRequest", "NoSuch"),
        (
            envelope("<Destroy_Task><_this type='Nonsense'>a</_this></Destroy_Task>"),
            "InvalidType",
            "Nonsense",
        ),
        (envelope("<Destroy_Task><_this type='Event'>a</_this></Destroy_Task>"), "InvalidArgument", "Event"),
        (envelope(&format!("<ReconfigVM_Task>{this}</ReconfigVM_Task>")), "InvalidArgument", "spec"),
        (reconfigure("<numCPUs>two</numCPUs>"), "InvalidArgument", "ReconfigVM_Task.spec.numCPUs"),
        (reconfigure("<numCPUs>99999999999</numCPUs>"), "InvalidArgument", "99999999999"),
        (reconfigure("<numCPUs></numCPUs>"), "InvalidArgument", "numCPUs"),
        (reconfigure("<numCPUs><x/></numCPUs>"), "InvalidRequest", "element x"),
        (
            reconfigure("<numCPUs>1</numCPUs><numCPUs>1</numCPUs>"),
            "InvalidRequest",
            "spec.numCPUs is given twice",
        ),
        (reconfigure("<nonsense>1</nonsense>"), "InvalidRequest", "no member nonsense"),
        (reconfigure("stray"), "InvalidRequest", "text"),
        (reconfigure("<deviceChange><operation>fly</operation></deviceChange>"), "InvalidArgument", "fly"),
        (
            reconfigure("<deviceChange><device x:type='Event'/></deviceChange>"),
            "InvalidArgument",
            "deviceChange.device: expected VirtualDevice, found Event",
        ),
        (
            reconfigure("<deviceChange><device x:type='VirtualNothing'/></deviceChange>"),
            "InvalidType",
            "VirtualNothing",
        ),
        (reconfigure("<extraConfig x:type='ArrayOfNothing'/>"), "InvalidType", "ArrayOfNothing"),
        (reconfigure("<extraConfig x:type='ArrayOfEvent'/>"), "InvalidArgument", "ArrayOfEvent"),
        (reconfigure("<extraConfig><value x:type='what'>1</value></extraConfig>"), "InvalidType", "what"),
        (reconfigure("<name>&nonsense;</name>"), "InvalidRequest", "nonsense"),
        (reconfigure("<name>&#0;</name>"), "InvalidRequest", "#0"),
        (reconfigure("<name>&#x1;</name>"), "InvalidRequest", "#x1"),
        (reconfigure("<name>&#xD800;</name>"), "InvalidRequest", "#xD800"),
        (reconfigure("<name>"), "InvalidRequest", "malformed"),
        (reconfigure("<name a='1>").replace('\'', "\""), "InvalidRequest", "malformed"),
        ("".to_owned(), "InvalidRequest", "Envelope"),
        ("hello".to_owned(), "InvalidRequest", "text"),
        ("<a/>".to_owned(), "InvalidRequest", "Envelope"),
        (envelope("").replace("soap/envelope/", "other/"), "InvalidRequest", "Envelope"),
        (
            "<Envelope xmlns='http://www.w3.org/2003/05/soap-envelope'><Body/></Envelope>".to_owned(),
            "InvalidRequest",
            "SOAP 1.1",
        ),
        (format!("<?xml version='1.0' encoding='UTF-16'?>{}", envelope("")), "InvalidRequest", "UTF-8"),
    ] {
        let (name, message) = fault(&body);
        assert_eq!(name, fault_type, "{message}: {body}");
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn what_is_missing_at_the_end_is_noticed_wherever_the_message_is_cut() {
    let whole =
        reconfigure("<name>ü&amp;<![CDATA[x]]></name><!-- c --><numCPUs x:type=\"xsd:int\">2</numCPUs>");
    assert!(soap::read_request(whole.as_bytes()).is_ok());
    for end in 0..whole.len() {
        assert!(soap::read_request(&whole.as_bytes()[..end]).is_err(), "{}", &whole[..end]);
    }
}

#[test]
fn bytes_that_are_no_utf8_are_named() {
    let mut body = reconfigure("<name>a</name>").into_bytes();
    let at = body.windows(3).position(|w| w == b">a<").unwrap() + 1;
    body[at] = 0xff;
    assert_eq!(soap::read_request(&body), Err(ReadError::Encoding { at }));
    let wide: Vec<u8> = reconfigure("").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(soap::read_request(&wide).is_err());
    let body = [b"{\"userName\":\"".as_slice(), &[0xff], b"\"}"].concat();
    assert_eq!(json::read_args(method!(Login), &body), Err(ReadError::Encoding { at: 13 }));
}

#[test]
fn entities_cannot_grow() {
    let bomb = "<!DOCTYPE b [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>]>";
    let (name, message) = fault(format!("{bomb}{}", reconfigure("<name>&b;</name>")));
    assert_eq!(name, "InvalidRequest");
    assert!(message.contains("document type"), "{message}");
}

#[test]
fn depth_has_a_limit() {
    let deep = |levels: usize| format!("{}{}", "<x>".repeat(levels), "</x>".repeat(levels));
    for body in [
        deep(100_000),
        envelope(&deep(100_000)),
        envelope(&"<x>".repeat(100_000)),
        reconfigure(&deep(100_000)),
        format!("<e:Envelope xmlns:e='{ENVELOPE}'><e:Header>{}</e:Header></e:Envelope>", deep(100_000)),
        // A type that may contain its own kind.
        reconfigure(&format!("<vAppConfig>{}", "<x>".repeat(100_000))),
        envelope(&format!(
            "<RetrieveProperties>{}",
            "<specSet><objectSet><selectSet x:type='TraversalSpec'>".repeat(40)
        )),
        envelope(&format!(
            "<RetrieveProperties><specSet><objectSet>{}",
            "<selectSet x:type='TraversalSpec'>".repeat(10_000)
        )),
    ] {
        let error = soap::read_request(body.as_bytes()).unwrap_err();
        assert!(
            matches!(
                error,
                ReadError::TooMuch { .. } | ReadError::Unexpected { .. } | ReadError::Envelope { .. }
            ),
            "{error}"
        );
    }
    let nested = "{\"_typeName\":\"KeyAnyValue\",\"value\":".repeat(100_000);
    assert!(json::read_value(vim::Kind::Any, false, nested.as_bytes()).is_err());
    let nested = format!("{}1{}", "{\"_typeName\":\"KeyAnyValue\",\"value\":".repeat(70), "}".repeat(70));
    let error = json::read_value(vim::Kind::Any, false, nested.as_bytes()).unwrap_err();
    assert!(matches!(error, ReadError::TooMuch { .. }), "{error}");
}

#[test]
fn lists_and_messages_have_a_limit() {
    let million = reconfigure(&"<extraConfig/>".repeat(1_000_000));
    assert!(matches!(soap::read_request(million.as_bytes()), Err(ReadError::TooMuch { .. })));
    let array = format!(
        "<extraConfig><value x:type='ArrayOfInt'>{}</value></extraConfig>",
        "<int>1</int>".repeat(vim::limits::REQUEST.list_items + 1)
    );
    assert!(matches!(soap::read_request(reconfigure(&array).as_bytes()), Err(ReadError::TooMuch { .. })));
    let unknown = envelope(&format!("<NoSuch>{}</NoSuch>", "<a/>".repeat(1_100_000)));
    assert!(matches!(soap::read_request(unknown.as_bytes()), Err(ReadError::TooMuch { .. })));
    let attributes: String = (0..10_000).map(|n| format!(" a{n}='1'")).collect();
    let many = envelope(&format!("<Destroy_Task><_this{attributes}>a</_this></Destroy_Task>"));
    assert!(matches!(soap::read_request(many.as_bytes()), Err(ReadError::TooMuch { .. })));
    let namespaces: String = (0..10_000).map(|n| format!(" xmlns:a{n}='urn:{n}'")).collect();
    assert!(soap::read_request(format!("<a{namespaces}/>").as_bytes()).is_err());
    let text = reconfigure(&format!("<name>{}</name>", "a".repeat(vim::limits::MAX_TEXT_BYTES + 1)));
    assert!(matches!(soap::read_request(text.as_bytes()), Err(ReadError::TooMuch { .. })));
    let items = vec!["1"; vim::limits::REQUEST.list_items + 1].join(",");
    let body = format!("{{\"counterId\":[{items}]}}");
    let read = json::read_args(method!(QueryPerfCounter), body.as_bytes());
    assert!(matches!(read, Err(ReadError::TooMuch { .. })), "{read:?}");
}

#[test]
fn json_mistakes_are_the_same_faults() {
    for (body, fault_type, part) in [
        ("", "InvalidArgument", "spec"),
        ("{}", "InvalidArgument", "spec"),
        ("[]", "InvalidArgument", "object of parameters"),
        ("{", "InvalidRequest", "malformed"),
        ("{\"spec\":7}", "InvalidArgument", "ReconfigVM_Task.spec"),
        ("{\"spec\":null}", "InvalidArgument", "spec"),
        ("{\"spec\":{},\"x\":1}", "InvalidRequest", "no member x"),
        ("{\"spec\":{\"numCPUs\":1.5}}", "InvalidArgument", "1.5"),
        ("{\"spec\":{\"numCPUs\":1e400}}", "InvalidArgument", "1e400"),
        ("{\"spec\":{\"numCPUs\":{}}}", "InvalidArgument", "spec.numCPUs"),
        ("{\"spec\":{\"numCPUs\":99999999999}}", "InvalidArgument", "99999999999"),
        ("{\"spec\":{\"name\":\"a\",\"name\":\"b\"}}", "InvalidRequest", "spec.name is given twice"),
        ("{\"spec\":{\"name\":\n\"\\x\"}}", "InvalidRequest", "byte 20"),
        ("{\"spec\":{\"name\":[]}}", "InvalidArgument", "name"),
        ("{\"spec\":{\"name\":7}}", "InvalidArgument", "spec.name"),
        ("{\"spec\":{\"name\":true}}", "InvalidArgument", "spec.name"),
        ("{\"spec\":{\"deviceChange\":{}}}", "InvalidArgument", "deviceChange"),
        ("{\"spec\":{\"_typeName\":\"Event\"}}", "InvalidArgument", "Event"),
        ("{\"spec\":{\"_typeName\":\"Nothing\"}}", "InvalidType", "Nothing"),
        ("{\"spec\":{\"_typeName\":7}}", "InvalidArgument", "_typeName"),
        ("{\"spec\":{\"extraConfig\":[{\"key\":\"a\",\"value\":{}}]}}", "InvalidArgument", "_typeName"),
        (
            "{\"spec\":{\"extraConfig\":[{\"value\":{\"_typeName\":\"what\",\"_value\":1}}]}}",
            "InvalidType",
            "what",
        ),
        ("{\"spec\":{\"extraConfig\":[{\"value\":{\"_typeName\":\"int\"}}]}}", "InvalidArgument", "_value"),
    ] {
        let error = json::read_args(method!(ReconfigVM_Task), body.as_bytes()).unwrap_err();
        assert_eq!(error.to_fault().type_name(), fault_type, "{error}: {body}");
        assert!(error.to_string().contains(part), "{error} does not say {part:?}");
    }
    let args =
        json::read_args(method!(ReconfigVM_Task), b"{\"spec\":{\"name\":null,\"deviceChange\":[]}}").unwrap();
    assert_eq!(args.get(vim::arg!(ReconfigVM_Task.spec)).unwrap().fields(), []);
}
