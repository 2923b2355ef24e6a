//! The texts around values, made once from the schema, so that writing an element is copying bytes.

use std::sync::LazyLock;

use crate::{DataId, Kind, Member, MethodId, Release, names, schema};

/// `<name></name>`, the name's start and end.
#[derive(Clone, Copy)]
pub(crate) struct Tag(&'static str);

impl Tag {
    /// `text` is `<name></name>`.
    const fn literal(text: &'static str) -> Self {
        Self(text)
    }

    /// `<name>`
    pub(crate) fn open(self) -> &'static [u8] {
        &self.0.as_bytes()[..self.split()]
    }

    /// `<name`, for attributes to follow.
    pub(crate) fn begin(self) -> &'static [u8] {
        &self.0.as_bytes()[..self.split() - 1]
    }

    /// `</name>`
    pub(crate) fn close(self) -> &'static [u8] {
        &self.0.as_bytes()[self.split()..]
    }

    pub(crate) fn name(self) -> &'static str {
        &self.0[1..self.split() - 1]
    }

    // `<name>` is one byte shorter than `</name>`.
    fn split(self) -> usize {
        self.0.len() / 2
    }
}

pub(crate) const FAULT: Tag = Tag::literal("<fault></fault>");
pub(crate) const RETURNVAL: Tag = Tag::literal("<returnval></returnval>");

/// The writers' view of a member.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) tag: Tag,
    pub(crate) kind: Kind,
    pub(crate) list: bool,
    pub(crate) since: Release,
}

/// The writers' view of a data type.
pub(crate) struct Type {
    pub(crate) fields: Box<[Row]>,
    pub(crate) base: Option<DataId>,
    pub(crate) since: Release,
    /// The type's name as an element, in an array.
    pub(crate) tag: Tag,
    /// ` xsi:type="Name"`
    pub(crate) xsi_type: &'static str,
}

pub(crate) struct Tags {
    data: Vec<Type>,
    enums: Vec<Tag>,
    methods: Vec<Box<[Row]>>,
}

static TAGS: LazyLock<Tags> = LazyLock::new(Tags::new);

pub(crate) fn tags() -> &'static Tags {
    &TAGS
}

impl Tags {
    fn new() -> Self {
        let schema = schema();
        let mut names = std::collections::HashMap::new();
        let mut tag = |name: &'static str| {
            *names.entry(name).or_insert_with(|| Tag(format!("<{name}></{name}>").leak()))
        };
        let mut rows = |members: &[Member]| -> Box<[Row]> {
            members
                .iter()
                .map(|m| Row { tag: tag(m.name), kind: m.kind, list: m.list, since: m.since })
                .collect()
        };
        let fields: Vec<_> = schema.data.iter().map(|ty| rows(&ty.fields)).collect();
        let methods = schema.methods.iter().map(|method| rows(&method.parameters)).collect();
        let data = schema
            .data
            .iter()
            .zip(fields)
            .map(|(ty, fields)| Type {
                fields,
                base: ty.base,
                since: ty.since,
                tag: tag(ty.name),
                xsi_type: format!(" xsi:type=\"{}\"", ty.name).leak(),
            })
            .collect();
        Self { data, enums: schema.enums.iter().map(|ty| tag(ty.name)).collect(), methods }
    }

    pub(crate) fn data(&self, id: DataId) -> &Type {
        &self.data[usize::from(id.0)]
    }

    pub(crate) fn parameters(&self, id: MethodId) -> &[Row] {
        &self.methods[usize::from(id.0)]
    }

    /// The type as which an object of type `ty` is sent to a client of `release`: itself, or its nearest ancestor that
    /// the client knows. `None` if it knows none of them.
    pub(crate) fn known(&self, ty: DataId, release: Release) -> Option<DataId> {
        let mut ty = ty;
        loop {
            let row = self.data(ty);
            if row.since <= release {
                return Some(ty);
            }
            ty = row.base?;
        }
    }

    /// The tag of a kind's elements in an array.
    pub(crate) fn element(&self, kind: Kind) -> Tag {
        match kind {
            Kind::Data(id) => self.data(id).tag,
            Kind::Enum(id) => self.enums[usize::from(id.0)],
            Kind::Ref(_) => Tag::literal("<ManagedObjectReference></ManagedObjectReference>"),
            kind => match names::scalar(kind).unwrap_or_default() {
                "anyType" => Tag::literal("<anyType></anyType>"),
                "boolean" => Tag::literal("<boolean></boolean>"),
                "byte" => Tag::literal("<byte></byte>"),
                "short" => Tag::literal("<short></short>"),
                "int" => Tag::literal("<int></int>"),
                "long" => Tag::literal("<long></long>"),
                "float" => Tag::literal("<float></float>"),
                "double" => Tag::literal("<double></double>"),
                "dateTime" => Tag::literal("<dateTime></dateTime>"),
                "base64Binary" => Tag::literal("<base64Binary></base64Binary>"),
                _ => Tag::literal("<string></string>"),
            },
        }
    }
}
