//! The XML of an answer.

use vim::soap::Element;

use super::wire_name;
use crate::table::{Answer, CliFault, Command, Datum, FieldKind, Namespace, Output, Row, Structure};

/// Most rows of an answer.
const MAX_ROWS: usize = 20_000;

/// The element of an answer.
///
/// # Errors
/// If it has more than [`MAX_ROWS`] rows.
pub(crate) fn element(namespace: &Namespace, command: &Command, answer: Answer) -> Result<Element, CliFault> {
    let owner = format!("{}.{}", namespace.type_name(), command.name);
    Ok(match (answer, &command.output) {
        (Answer::Done, _) => Element::text("obj", "true").typed("xsd:boolean"),
        (Answer::Text(text), _) => Element::text("obj", text).typed("xsd:string"),
        (Answer::One(row), output) => row_element("obj", &owner, shape(output), row),
        (Answer::Many(rows), output) => {
            if rows.len() > MAX_ROWS {
                return Err(CliFault(format!("the answer has {} rows; {MAX_ROWS} fit", rows.len())));
            }
            let rows = rows.into_iter().map(|row| row_element("DataObject", &owner, shape(output), row));
            Element::of("obj", rows.collect()).typed("ArrayOfDataObject")
        }
    })
}

fn shape(output: &Output) -> &'static Structure {
    output.structure().expect("a command answers with what it declares")
}

/// The row in the order of the structure, without values that the structure does not have.
fn row_element(name: &str, owner: &str, structure: &Structure, row: Row) -> Element {
    let mut values = row.into_values();
    let mut children = Vec::new();
    for field in structure.fields {
        let Some(at) = values.iter().position(|(name, _)| *name == field.display) else { continue };
        let name = field.name();
        match (values.swap_remove(at).1, &field.kind) {
            (Datum::Text(text), _) => children.push(Element::text(name, text)),
            (Datum::Number(number), _) => children.push(Element::text(name, number.to_string())),
            (Datum::Boolean(boolean), _) => children.push(Element::text(name, boolean.to_string())),
            (Datum::Texts(texts), _) => {
                children.extend(texts.into_iter().map(|text| Element::text(&name, text)));
            }
            (Datum::Row(row), FieldKind::Structure(structure)) => {
                children.push(row_element(&name, owner, structure, row));
            }
            (Datum::Row(_), _) => debug_assert!(false, "{name} is not a structure"),
        }
    }
    debug_assert!(values.is_empty(), "{} has no {values:?}", structure.name);
    Element::of(name, children).typed(wire_name(&format!("{owner}.{}", structure.name)))
}
