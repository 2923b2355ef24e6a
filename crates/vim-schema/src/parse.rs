//! Reads the text form. Three passes over its lines: names, inheritance (which gives the ids), members.

use crate::Schema;
use crate::types::*;
use std::collections::HashMap;

/// A line that the reader does not understand.
#[derive(Debug, PartialEq, Eq)]
pub struct SchemaError {
    /// The file's name.
    pub file: &'static str,
    /// Counted from 1; 0 if the text as a whole is wrong.
    pub line: usize,
    pub problem: String,
}

impl std::fmt::Display for SchemaError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} line {}: {}", self.file, self.line, self.problem)
    }
}

impl std::error::Error for SchemaError {}

/// The place of an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Line {
    file: &'static str,
    number: usize,
}

/// The table as a whole.
const WHOLE: Line = Line { file: "the schema", number: 0 };

fn error<T>(line: Line, problem: impl Into<String>) -> Result<T, SchemaError> {
    Err(SchemaError { file: line.file, line: line.number, problem: problem.into() })
}

/// A block: the line that begins it and the indented lines that belong to it.
struct Block {
    line: Line,
    name: &'static str,
    base: Option<&'static str>,
    since: Release,
    body: Vec<(Line, &'static str)>,
}

#[derive(Default)]
struct Blocks {
    releases: Vec<&'static str>,
    enums: Vec<Block>,
    data: Vec<Block>,
    managed: Vec<Block>,
}

pub(crate) fn parse(texts: &[(&'static str, &'static str)]) -> Result<Schema, SchemaError> {
    let mut blocks = split(texts)?;
    order(&mut blocks.data)?;
    order(&mut blocks.managed)?;
    let mut names = HashMap::with_capacity(4096);
    let mut add = |name, line, type_ref| match names.insert(name, type_ref) {
        None => Ok(()),
        Some(_) => error(line, format!("{name} is defined twice")),
    };
    for (at, block) in blocks.enums.iter().enumerate() {
        add(block.name, block.line, TypeRef::Enum(EnumId(number(at)?)))?;
    }
    for (at, block) in blocks.data.iter().enumerate() {
        add(block.name, block.line, TypeRef::Data(DataId(number(at)?)))?;
    }
    for (at, block) in blocks.managed.iter().enumerate() {
        add(block.name, block.line, TypeRef::Managed(ManagedId(number(at)?)))?;
    }
    let mut reader = Reader {
        schema: Schema {
            releases: blocks.releases,
            enums: Vec::new(),
            data: Vec::new(),
            managed: Vec::new(),
            methods: Vec::new(),
            names,
            method_names: HashMap::new(),
        },
    };
    for block in &blocks.enums {
        let values = block.body.iter().map(|(_, text)| text.trim()).collect();
        reader.schema.enums.push(EnumType { name: block.name, since: block.since, values });
    }
    let data_ranges = subtypes(&blocks.data)?;
    for (block, range) in blocks.data.iter().zip(data_ranges) {
        reader.data(block, range)?;
    }
    let managed_ranges = subtypes(&blocks.managed)?;
    for (block, range) in blocks.managed.iter().zip(managed_ranges) {
        reader.managed(block, range)?;
    }
    Ok(reader.schema)
}

fn number(at: usize) -> Result<u16, SchemaError> {
    u16::try_from(at).or_else(|_| error(WHOLE, "more than 65,535 types"))
}

fn split(texts: &[(&'static str, &'static str)]) -> Result<Blocks, SchemaError> {
    let mut blocks = Blocks::default();
    for (file, text) in texts {
        split_one(file, text, &mut blocks)?;
    }
    Ok(blocks)
}

fn split_one(file: &'static str, text: &'static str, blocks: &mut Blocks) -> Result<(), SchemaError> {
    let mut current: Option<&mut Vec<(Line, &'static str)>> = None;
    for (at, text) in text.lines().enumerate() {
        let line = Line { file, number: at + 1 };
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if text.starts_with(' ') {
            match &mut current {
                Some(body) => body.push((line, text)),
                None => return error(line, "an indented line outside of a block"),
            }
            continue;
        }
        let mut words = text.split_whitespace();
        let sort = words.next().unwrap_or_default();
        if sort == "releases" {
            blocks.releases = words.collect();
            current = None;
            continue;
        }
        let Some(name) = words.next() else { return error(line, "a name is missing") };
        if sort == "extend" {
            let known = blocks.managed.iter_mut().find(|block| block.name == name);
            let Some(known) = known else {
                return error(line, format!("the managed type {name} does not exist"));
            };
            current = Some(&mut known.body);
            continue;
        }
        let mut block = Block { line, name, base: None, since: Release(0), body: Vec::new() };
        while let Some(word) = words.next() {
            match word.strip_prefix('@') {
                Some(id) => block.since = release(&blocks.releases, id, line)?,
                None if word == ":" => block.base = words.next(),
                None => return error(line, format!("unexpected {word}")),
            }
        }
        let list = match sort {
            "enum" => &mut blocks.enums,
            "data" => &mut blocks.data,
            "managed" => &mut blocks.managed,
            _ => return error(line, format!("unexpected {sort}")),
        };
        list.push(block);
        current = list.last_mut().map(|block| &mut block.body);
    }
    Ok(())
}

fn release(releases: &[&str], id: &str, line: Line) -> Result<Release, SchemaError> {
    match releases.iter().position(|known| *known == id).map(u8::try_from) {
        Some(Ok(at)) => Ok(Release(at)),
        _ => error(line, format!("unknown release {id}")),
    }
}

/// Sorts the blocks into depth-first order of inheritance; siblings keep the order of the text.
fn order(blocks: &mut Vec<Block>) -> Result<(), SchemaError> {
    let mut children: HashMap<Option<&str>, Vec<usize>> = HashMap::new();
    for (at, block) in blocks.iter().enumerate() {
        children.entry(block.base).or_default().push(at);
    }
    let mut sorted = Vec::with_capacity(blocks.len());
    let mut stack: Vec<usize> = children.get(&None).into_iter().flatten().rev().copied().collect();
    while let Some(at) = stack.pop() {
        sorted.push(at);
        stack.extend(children.get(&Some(blocks[at].name)).into_iter().flatten().rev());
    }
    if sorted.len() != blocks.len() {
        return error(WHOLE, "a base type is missing, or types inherit in a circle");
    }
    let mut slots: Vec<Option<Block>> = blocks.drain(..).map(Some).collect();
    blocks.extend(sorted.into_iter().filter_map(|at| slots[at].take()));
    Ok(())
}

/// For each block (in depth-first order) the range of itself and its descendants.
fn subtypes(blocks: &[Block]) -> Result<Vec<std::ops::Range<u16>>, SchemaError> {
    let position: HashMap<&str, usize> = blocks.iter().enumerate().map(|(at, b)| (b.name, at)).collect();
    let mut ends: Vec<usize> = (1..=blocks.len()).collect();
    for at in (0..blocks.len()).rev() {
        if let Some(base) = blocks[at].base.and_then(|base| position.get(base)) {
            ends[*base] = ends[*base].max(ends[at]);
        }
    }
    ends.into_iter().enumerate().map(|(at, end)| Ok(number(at)?..number(end)?)).collect()
}

struct Reader {
    schema: Schema,
}

impl Reader {
    fn data(&mut self, block: &Block, subtypes: std::ops::Range<u16>) -> Result<(), SchemaError> {
        let base = match block.base.map(|base| self.schema.find(base)) {
            None => None,
            Some(Some(TypeRef::Data(id))) => Some(id),
            Some(_) => return error(block.line, "the base is not a data type"),
        };
        let mut fields = base.map(|id| self.schema.data(id).fields.clone()).unwrap_or_default();
        let inherited = fields.len();
        for (line, text) in &block.body {
            fields.push(self.member(text, *line, block.since)?.0);
        }
        let id = DataId(subtypes.start);
        self.schema.data.push(DataType {
            name: block.name,
            id,
            base,
            since: block.since,
            fields,
            inherited,
            subtypes,
        });
        Ok(())
    }

    fn managed(&mut self, block: &Block, subtypes: std::ops::Range<u16>) -> Result<(), SchemaError> {
        let base = match block.base.map(|base| self.schema.find(base)) {
            None => None,
            Some(Some(TypeRef::Managed(id))) => Some(id),
            Some(_) => return error(block.line, "the base is not a managed type"),
        };
        let id = ManagedId(subtypes.start);
        let (mut properties, mut privileges) = match base.map(|id| self.schema.managed(id)) {
            Some(base) => (base.properties.clone(), base.privileges.clone()),
            None => Default::default(),
        };
        let inherited = properties.len();
        let mut methods = Vec::new();
        let mut in_method: Option<MethodId> = None;
        for (line, text) in &block.body {
            if let Some(parameter) = text.strip_prefix("    ") {
                let Some(method) = in_method else { return error(*line, "a parameter outside of a method") };
                let owner_since = self.schema.method(method).since;
                let (member, privilege) = self.member(parameter, *line, owner_since)?;
                let method = &mut self.schema.methods[usize::from(method.0)];
                method.parameters.push(member);
                method.parameter_privileges.push(privilege);
            } else if let Some(method) = text.strip_prefix("  method ") {
                let method = self.method(method, *line, id, block.since)?;
                methods.push(method);
                in_method = Some(method);
            } else {
                let (member, privilege) = self.member(text, *line, block.since)?;
                properties.push(member);
                privileges.push(privilege);
            }
        }
        let since = block.since;
        let name = block.name;
        self.schema.managed.push(ManagedType {
            name,
            id,
            base,
            since,
            properties,
            privileges,
            inherited,
            methods,
            subtypes,
        });
        Ok(())
    }

    fn method(
        &mut self,
        text: &'static str,
        line: Line,
        owner: ManagedId,
        since: Release,
    ) -> Result<MethodId, SchemaError> {
        let mut words = text.split_whitespace();
        let (Some(name), Some(model_name), Some("->"), Some(returns)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return error(line, "expected NAME VMODLNAME -> TYPE");
        };
        let id = MethodId(number(self.schema.methods.len())?);
        let mut method = Method {
            name,
            model_name,
            id,
            owner,
            since,
            parameters: Vec::new(),
            parameter_privileges: Vec::new(),
            returns: self.result(returns, line, since)?,
            task_result: None,
            is_task: name.ends_with("_Task"),
            privilege: None,
            faults: Vec::new(),
        };
        while let Some(word) = words.next() {
            if let Some(privilege) = word.strip_prefix('!') {
                method.privilege = Some(privilege);
            } else if let Some(id) = word.strip_prefix('@') {
                method.since = release(&self.schema.releases, id, line)?;
            } else if let Some(result) = word.strip_prefix('=') {
                method.task_result = self.result(result, line, since)?;
            } else if word == "throws" {
                for fault in words.by_ref() {
                    match self.schema.find(fault) {
                        Some(TypeRef::Data(id)) => method.faults.push(id),
                        _ => return error(line, format!("unknown fault {fault}")),
                    }
                }
            } else {
                return error(line, format!("unexpected {word}"));
            }
        }
        if self.schema.method_names.insert(name, id).is_some() {
            return error(line, format!("method {name} is defined twice"));
        }
        self.schema.methods.push(method);
        Ok(id)
    }

    fn result(&self, text: &'static str, line: Line, since: Release) -> Result<Option<Member>, SchemaError> {
        if text == "void" { Ok(None) } else { self.typed("returnval", text, line, since).map(Some) }
    }

    fn typed(
        &self,
        name: &'static str,
        text: &str,
        line: Line,
        since: Release,
    ) -> Result<Member, SchemaError> {
        let (text, optional) = text.strip_suffix('?').map_or((text, false), |rest| (rest, true));
        let (text, list) = text.strip_suffix("[]").map_or((text, false), |rest| (rest, true));
        let kind = match text {
            "any" => Kind::Any,
            "boolean" => Kind::Boolean,
            "byte" => Kind::Byte,
            "short" => Kind::Short,
            "int" => Kind::Int,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "string" => Kind::String,
            "anyURI" => Kind::Uri,
            "dateTime" => Kind::DateTime,
            "base64Binary" => Kind::Binary,
            "TypeName" => Kind::TypeName,
            "MethodName" => Kind::MethodName,
            "PropertyPath" => Kind::PropertyPath,
            _ => match self.schema.find(text.trim_start_matches('&')) {
                Some(TypeRef::Managed(id)) if text.starts_with('&') => Kind::Ref(id),
                Some(TypeRef::Data(id)) => Kind::Data(id),
                Some(TypeRef::Enum(id)) => Kind::Enum(id),
                _ => return error(line, format!("unknown type {text}")),
            },
        };
        Ok(Member { name, kind, list, optional, secret: false, link: false, since })
    }

    fn member(
        &self,
        text: &'static str,
        line: Line,
        owner_since: Release,
    ) -> Result<(Member, Option<&'static str>), SchemaError> {
        let mut words = text.split_whitespace();
        let (Some(name), Some(kind)) = (words.next(), words.next()) else {
            return error(line, "expected NAME TYPE");
        };
        let mut member = self.typed(name, kind, line, owner_since)?;
        let mut privilege = None;
        for word in words {
            if word == "k" {
                member.link = true;
            } else if word == "secret" {
                member.secret = true;
            } else if let Some(id) = word.strip_prefix('@') {
                member.since = release(&self.schema.releases, id, line)?;
            } else if let Some(name) = word.strip_prefix('!') {
                privilege = Some(name);
            } else {
                return error(line, format!("unexpected {word}"));
            }
        }
        Ok((member, privilege))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        Schema::built_in().unwrap()
    }

    #[test]
    fn the_built_in_schema_has_every_type() {
        let schema = schema();
        assert_eq!((schema.data.len(), schema.enums.len(), schema.managed.len()), (3121, 468, 151));
        assert!(schema.methods.len() >= 981);
    }

    #[test]
    fn ids_are_in_order_of_inheritance() {
        let schema = schema();
        for ty in &schema.data {
            assert_eq!(schema.data(ty.id).name, ty.name);
            let Some(base) = ty.base else { continue };
            let base = schema.data(base);
            assert!(base.id < ty.id && ty.is_a(base) && !base.is_a(ty), "{}", ty.name);
            assert_eq!(ty.inherited, base.fields.len());
        }
        let is_a =
            |a, b| schema.data(schema.find_data(a).unwrap()).is_a(schema.data(schema.find_data(b).unwrap()));
        assert!(is_a("VirtualDisk", "VirtualDevice"));
        assert!(!is_a("VirtualDisk", "VirtualController"));
        assert!(is_a("InvalidLogin", "MethodFault"));
        assert!(!is_a("MethodFault", "DynamicData"));
    }

    #[test]
    fn a_task_method_is_read_whole() {
        let schema = schema();
        let method = schema.method(schema.find_method("CreateVM_Task").unwrap());
        assert_eq!(method.privilege, Some("VirtualMachine.Inventory.Create"));
        assert_eq!(method.model_name, "createVm");
        let names: Vec<_> = method.parameters.iter().map(|p| (p.name, p.optional)).collect();
        assert_eq!(names, [("config", false), ("pool", false), ("host", true)]);
        assert!(method.is_task && method.task_result.is_some() && !method.faults.is_empty());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let at = |text| parse(&[("x", text)]).unwrap_err().line;
        assert_eq!(at("releases 1\n\nenum A @1\n  x\nenum A @1\n"), 5);
        assert_eq!(at("releases 1\ndata A @1\n  x nonsense\n"), 3);
        assert_eq!(at("releases 1\ndata A @2\n"), 2);
        assert_eq!(at("releases 1\ndata A : B @1\ndata B : A @1\n"), 0);
        assert_eq!(at("releases 1\nextend A\n"), 2);
        let error =
            parse(&[("a", "releases 1\nmanaged M @1\n"), ("b", "extend M\n  x nonsense\n")]).unwrap_err();
        assert_eq!((error.file, error.line), ("b", 2));
    }

    #[test]
    fn a_type_has_what_another_file_adds_to_it() {
        let schema = schema();
        let method = schema.method(schema.find_method("RetrieveManagedMethodExecuter").unwrap());
        assert_eq!(schema.managed(method.owner).name, "HostSystem");
        assert!(schema.managed(method.owner).methods.contains(&method.id));
        assert_eq!(schema.releases[usize::from(method.since.0)], "4.1");
    }
}
