//! Where a value names its type, and the text of each kind. Clients compare these texts literally.
#![allow(clippy::unwrap_used)]

use vim::{
    DateTime, Fault, Kind, List, MoRef, Object, Value, api_release, data_id, fault, managed_id, method, soap,
    vim, vim_enum,
};

/// The content of the element named for the response.
fn inside(out: Vec<u8>, response: &str) -> String {
    let text = String::from_utf8(out).unwrap();
    let open = format!("<{response} xmlns=\"urn:vim25\">");
    let start = text.find(&open).unwrap() + open.len();
    text[start..text.find(&format!("</{response}>")).unwrap()].to_owned()
}

fn any(value: impl Into<Value>) -> String {
    let mut out = Vec::new();
    soap::write_fetch_response(&mut out, Some(&value.into()), api_release());
    inside(out, "FetchResponse")
}

fn host(id: &str) -> MoRef {
    MoRef::new(managed_id!(HostSystem), id)
}

fn device() -> Object {
    vim!(VirtualDisk { key: 2000 }).into()
}

#[test]
fn where_nothing_is_declared_every_value_says_its_type() {
    let list = |kind, items: Vec<Value>| Value::List(List::new(kind, items));
    for (value, xml) in [
        ("a".into(), r#"<returnval xsi:type="xsd:string">a</returnval>"#),
        ("".into(), r#"<returnval xsi:type="xsd:string"></returnval>"#),
        (true.into(), r#"<returnval xsi:type="xsd:boolean">true</returnval>"#),
        (Value::Byte(-1), r#"<returnval xsi:type="xsd:byte">-1</returnval>"#),
        (Value::Short(7), r#"<returnval xsi:type="xsd:short">7</returnval>"#),
        (Value::Int(0), r#"<returnval xsi:type="xsd:int">0</returnval>"#),
        (Value::Long(i64::MIN), r#"<returnval xsi:type="xsd:long">-9223372036854775808</returnval>"#),
        (Value::Float(0.1), r#"<returnval xsi:type="xsd:float">0.1</returnval>"#),
        (Value::Double(f64::NAN), r#"<returnval xsi:type="xsd:double">NaN</returnval>"#),
        (Value::Double(f64::NEG_INFINITY), r#"<returnval xsi:type="xsd:double">-INF</returnval>"#),
        (Value::Double(2.5), r#"<returnval xsi:type="xsd:double">2.5</returnval>"#),
        (
            DateTime::from_micros(1_500_000).into(),
            r#"<returnval xsi:type="xsd:dateTime">1970-01-01T00:00:01.500000Z</returnval>"#,
        ),
        (Value::Binary(b"hi".to_vec().into()), r#"<returnval xsi:type="xsd:base64Binary">aGk=</returnval>"#),
        (
            Value::Enum(vim_enum!(VirtualMachinePowerState.poweredOn).into()),
            r#"<returnval xsi:type="VirtualMachinePowerState">poweredOn</returnval>"#,
        ),
        (
            host("host-1").into(),
            r#"<returnval type="HostSystem" xsi:type="ManagedObjectReference">host-1</returnval>"#,
        ),
        (device().into(), r#"<returnval xsi:type="VirtualDisk"><key>2000</key></returnval>"#),
        (
            list(
                Kind::Data(data_id!(VirtualDevice)),
                vec![device().into(), vim!(VirtualDevice { key: 1 }).into()],
            ),
            concat!(
                r#"<returnval xsi:type="ArrayOfVirtualDevice"><VirtualDevice xsi:type="VirtualDisk"><key>2000</key>"#,
                r#"</VirtualDevice><VirtualDevice xsi:type="VirtualDevice"><key>1</key></VirtualDevice></returnval>"#
            ),
        ),
        (
            list(Kind::Ref(managed_id!(HostSystem)), vec![host("h").into()]),
            concat!(
                r#"<returnval xsi:type="ArrayOfManagedObjectReference"><ManagedObjectReference type="HostSystem" "#,
                r#"xsi:type="ManagedObjectReference">h</ManagedObjectReference></returnval>"#
            ),
        ),
        (
            list(Kind::String, vec!["a".into()]),
            r#"<returnval xsi:type="ArrayOfString"><string xsi:type="xsd:string">a</string></returnval>"#,
        ),
        (
            list(Kind::Int, vec![3.into()]),
            r#"<returnval xsi:type="ArrayOfInt"><int xsi:type="xsd:int">3</int></returnval>"#,
        ),
        (
            list(Kind::Any, vec![3.into()]),
            r#"<returnval xsi:type="ArrayOfAnyType"><anyType xsi:type="xsd:int">3</anyType></returnval>"#,
        ),
        (list(Kind::Uri, Vec::new()), r#"<returnval xsi:type="ArrayOfString"></returnval>"#),
    ] {
        assert_eq!(any(value), xml);
    }
}

#[test]
fn where_a_type_is_declared_only_other_types_are_named() {
    let info = vim!(TaskInfo {
        key: "task-1",
        state: "error",
        entity: host("host-1"),
        error: fault!(InvalidState {}, "no").localized(),
        result: 7,
        reason: TaskReasonUser { userName: "root" },
    });
    assert_eq!(
        any(Object::from(info)),
        concat!(
            r#"<returnval xsi:type="TaskInfo"><key>task-1</key><entity type="HostSystem">host-1</entity>"#,
            r#"<state>error</state><error><fault xsi:type="InvalidState"></fault><localizedMessage>no"#,
            r#"</localizedMessage></error><result xsi:type="xsd:int">7</result>"#,
            r#"<reason xsi:type="TaskReasonUser"><userName>root</userName></reason></returnval>"#
        )
    );
}

#[test]
fn a_fault_where_nothing_is_declared_is_localized() {
    let fault: Fault = fault!(InvalidState {}, "no");
    assert!(
        any(fault.localized()).starts_with(r#"<returnval xsi:type="LocalizedMethodFault"><fault xsi:type="#)
    );
}

#[test]
fn a_list_result_is_repeated_and_a_void_one_is_empty() {
    let mut out = Vec::new();
    let content = |id| Value::from(vim!(ObjectContent { obj: host(id) }));
    let list = List::new(Kind::Data(data_id!(ObjectContent)), vec![content("a"), content("b")]);
    soap::write_response(&mut out, method!(RetrieveProperties), Some(&Value::List(list)), api_release());
    assert_eq!(
        inside(out, "RetrievePropertiesResponse"),
        r#"<returnval><obj type="HostSystem">a</obj></returnval><returnval><obj type="HostSystem">b</obj></returnval>"#
    );
    let mut out = Vec::new();
    soap::write_response(&mut out, method!(Logout), None, api_release());
    assert_eq!(inside(out, "LogoutResponse"), "");
}

#[test]
fn text_that_xml_cannot_say_is_replaced() {
    assert_eq!(
        any("<&>\"'\t\n\r\u{1}\u{fffe}\u{ffff}\u{ff01}ü"),
        "<returnval xsi:type=\"xsd:string\">&lt;&amp;&gt;&quot;'\t\n&#xD;\u{fffd}\u{fffd}\u{fffd}\u{ff01}ü</returnval>"
    );
}
