//! Reads the text form. Two passes over its lines: the names of structures and enumerations, then everything.

use std::collections::HashMap;

use super::types::*;
use super::{PREFIX, Schema};

/// A line that the reader does not understand.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("vapi.schema line {line}: {problem}")]
pub struct SchemaError {
    /// Counted from 1.
    pub line: usize,
    pub problem: String,
}

type Result<T> = std::result::Result<T, SchemaError>;

/// The errors' package, which lists of errors leave out.
const ERRORS: &str = "vapi.std.errors.";

#[derive(Default)]
struct Names {
    structures: HashMap<&'static str, StructureId>,
    enums: HashMap<&'static str, EnumId>,
}

/// A line and how far it is indented, in steps of two.
struct Line {
    number: usize,
    depth: usize,
    text: &'static str,
}

impl Line {
    fn error<T>(&self, problem: impl Into<String>) -> Result<T> {
        Err(SchemaError { line: self.number, problem: problem.into() })
    }

    fn id(&self, index: usize) -> Result<u16> {
        u16::try_from(index).or_else(|_| self.error("the table has too many rows"))
    }
}

fn lines(text: &'static str) -> impl Iterator<Item = Line> {
    text.lines().enumerate().filter_map(|(at, line)| {
        let text = line.trim();
        let depth = (line.len() - line.trim_start().len()) / 2;
        (!text.is_empty() && !text.starts_with('#')).then_some(Line { number: at + 1, depth, text })
    })
}

pub(super) fn parse(text: &'static str) -> Result<Schema> {
    let names = names(text)?;
    let mut schema = Schema {
        services: Vec::new(),
        operations: Vec::new(),
        structures: Vec::new(),
        enums: Vec::new(),
        services_by_name: HashMap::new(),
        structures_by_name: HashMap::new(),
    };
    let mut under = "";
    // The parameters of an operation stand behind the line that uses them, so that line is read last.
    let mut open: Option<(Line, Vec<Parameter>)> = None;
    for line in lines(text) {
        if line.depth < 2
            && let Some((line, parameters)) = open.take()
        {
            close(&mut schema, &names, &line, parameters)?;
        }
        match (line.depth, under) {
            (0, _) => under = begin(&mut schema, &line)?,
            (1, "service") => open = Some((line, Vec::new())),
            (2, "service") => match &mut open {
                Some((_, parameters)) => parameters.push(parameter(&names, &line)?),
                None => return line.error("a parameter stands behind its operation"),
            },
            (1, "struct" | "error") => {
                let field = parameter(&names, &line)?;
                let Some(last) = schema.structures.last_mut() else { return line.error("no structure") };
                last.fields.push(field);
            }
            (1, "enum") => {
                let Some(last) = schema.enums.last_mut() else { return line.error("no enumeration") };
                last.values.push(line.text);
            }
            _ => return line.error("an indented line belongs to a service, struct, error or enum"),
        }
    }
    if let Some((line, parameters)) = open.take() {
        close(&mut schema, &names, &line, parameters)?;
    }
    schema.structures_by_name = names.structures;
    Ok(schema)
}

fn names(text: &'static str) -> Result<Names> {
    let mut names = Names::default();
    for line in lines(text).filter(|line| line.depth == 0) {
        let twice = match line.text.split_once(' ') {
            Some(("struct" | "error", name)) => {
                let id = StructureId(line.id(names.structures.len())?);
                names.structures.insert(name, id).is_some()
            }
            Some(("enum", name)) => {
                let id = EnumId(line.id(names.enums.len())?);
                names.enums.insert(name, id).is_some()
            }
            _ => false,
        };
        if twice {
            return line.error("the name is there already");
        }
    }
    Ok(names)
}

/// The keyword of a line that begins a block.
fn begin(schema: &mut Schema, line: &Line) -> Result<&'static str> {
    let Some((keyword, name)) = line.text.split_once(' ') else { return line.error("a name is missing") };
    match keyword {
        "service" => {
            let first = line.id(schema.operations.len())?;
            schema.services_by_name.insert(name, schema.services.len());
            schema.services.push(Service { name, operations: first..first });
        }
        "struct" | "error" => {
            schema.structures.push(Structure { name, is_error: keyword == "error", fields: Vec::new() });
        }
        "enum" => schema.enums.push(EnumType { name, values: Vec::new() }),
        _ => return line.error(format!("{keyword:?} begins no block")),
    }
    Ok(keyword)
}

fn parameter(names: &Names, line: &Line) -> Result<Parameter> {
    let Some((name, ty)) = line.text.split_once(' ') else { return line.error("a type is missing") };
    Ok(Parameter { name, ty: ty_of(names, line, ty)? })
}

fn close(schema: &mut Schema, names: &Names, line: &Line, parameters: Vec<Parameter>) -> Result<()> {
    let Some((front, back)) = line.text.split_once(" -> ") else { return line.error("\"->\" is missing") };
    let (output, errors) = back.split_once(" ! ").unwrap_or((back, ""));
    let mut words = front.split(' ');
    let name = words.next().unwrap_or_default();
    let mut operation = Operation {
        name,
        verb: None,
        path: Vec::new(),
        query: Vec::new(),
        body: None,
        headers: Vec::new(),
        task: TaskUse::Never,
        output: ty_of(names, line, output)?,
        errors: Vec::new(),
        parameters,
    };
    let number = |operation: &Operation, name: &str| {
        let at = operation.parameters.iter().position(|parameter| parameter.name == name);
        at.map_or_else(|| line.error(format!("{name:?} is not among the parameters")), |at| line.id(at))
    };
    while let Some(word) = words.next() {
        if let Some(verb) = Verb::read(word) {
            operation.verb = Some(verb);
            let Some(path) = words.next() else { return line.error("a path is missing") };
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            for segment in path.split('/').filter(|segment| !segment.is_empty()) {
                operation.path.push(match braced(segment) {
                    Some(name) => Segment::Parameter(number(&operation, name)?),
                    None => Segment::Fixed(segment),
                });
            }
            for pair in query.split('&').filter(|pair| !pair.is_empty()) {
                operation.query.push(match pair.split_once('=') {
                    None => Query::Present(pair),
                    Some((name, value)) => match braced(value) {
                        Some(parameter) => Query::Parameter(name, number(&operation, parameter)?),
                        None => Query::Fixed(name, value),
                    },
                });
            }
        } else if let Some(name) = word.strip_prefix("body=") {
            operation.body = Some(number(&operation, name)?);
        } else if let Some(list) = word.strip_prefix("headers=") {
            for pair in list.split(',') {
                let Some((header, name)) = pair.split_once(':') else {
                    return line.error(format!("{pair:?} does not name a header and a parameter"));
                };
                operation.headers.push((header, number(&operation, name)?));
            }
        } else {
            operation.task = match word {
                "task=also" => TaskUse::Also,
                "task=only" => TaskUse::Always,
                _ => return line.error(format!("{word:?} is not understood")),
            };
        }
    }
    for name in errors.split(' ').filter(|name| !name.is_empty()) {
        let standard = names.structures.get(format!("{ERRORS}{name}").as_str());
        match standard.or_else(|| names.structures.get(name)) {
            Some(id) => operation.errors.push(*id),
            None => return line.error(format!("the error {name:?} is not in the table")),
        }
    }
    schema.operations.push(operation);
    let end = line.id(schema.operations.len())?;
    let Some(service) = schema.services.last_mut() else { return line.error("an operation has a service") };
    service.operations.end = end;
    Ok(())
}

fn braced(text: &'static str) -> Option<&'static str> {
    text.strip_prefix('{')?.strip_suffix('}')
}

fn ty_of(names: &Names, line: &Line, text: &'static str) -> Result<Type> {
    if let Some((outer, inner)) = text.strip_suffix('>').and_then(|text| text.split_once('<')) {
        let one = || Ok(Box::new(ty_of(names, line, inner)?));
        return match outer {
            "id" => Ok(Type::Id(inner)),
            "optional" => Ok(Type::Optional(one()?)),
            "list" => Ok(Type::List(one()?)),
            "set" => Ok(Type::Set(one()?)),
            "map" => {
                let Some(comma) = top_comma(inner) else { return line.error("a map has a key and a value") };
                let (key, value) = (&inner[..comma], &inner[comma + 1..]);
                Ok(Type::Map(Box::new((ty_of(names, line, key)?, ty_of(names, line, value)?))))
            }
            _ => line.error(format!("{outer:?} holds no other type")),
        };
    }
    Ok(match text {
        "void" => Type::Void,
        "boolean" => Type::Boolean,
        "long" => Type::Long,
        "double" => Type::Double,
        "string" => Type::String,
        "uri" => Type::Uri,
        "secret" => Type::Secret,
        "datetime" => Type::DateTime,
        "binary" => Type::Binary,
        "id" => Type::Id(""),
        "opaque" => Type::Opaque,
        "struct" => Type::AnyStructure,
        "error" => Type::AnyError,
        name => match (names.structures.get(name), names.enums.get(name)) {
            (Some(id), _) => Type::Structure(*id),
            (None, Some(id)) => Type::Enum(*id),
            (None, None) => return line.error(format!("the type {PREFIX}{name} is not in the table")),
        },
    })
}

/// Where the comma between a map's key and its value stands.
fn top_comma(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    text.bytes().position(|byte| {
        match byte {
            b'<' => depth += 1,
            b'>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        byte == b',' && depth == 0
    })
}
