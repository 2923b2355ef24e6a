//! The rows of the table.

use std::ops::Range;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u16);

        impl $name {
            pub fn index(self) -> usize {
                self.0.into()
            }
        }
    };
}

id!(/** Index of an operation. */ OperationId);
id!(/** Index of a structure or error. */ StructureId);
id!(/** Index of an enumeration. */ EnumId);

/// A service: operations under one name.
#[derive(Debug)]
pub struct Service {
    /// Without `com.vmware.`.
    pub name: &'static str,
    /// Indexes of its operations.
    pub operations: Range<u16>,
}

/// An operation of a service.
#[derive(Debug)]
pub struct Operation {
    pub name: &'static str,
    /// None if the operation can only be called by JSON-RPC.
    pub verb: Option<Verb>,
    /// The segments of its path below `/api`.
    pub path: Vec<Segment>,
    pub query: Vec<Query>,
    /// The parameter that is the request's body. Without it, the body is an object of the parameters that stand nowhere else.
    pub body: Option<u16>,
    /// Parameters that are headers, with the header's name.
    pub headers: Vec<(&'static str, u16)>,
    pub task: TaskUse,
    pub parameters: Vec<Parameter>,
    pub output: Type,
    /// The errors that it may raise.
    pub errors: Vec<StructureId>,
}

/// Whether an operation runs as a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskUse {
    Never,
    /// If the caller asks for it (`vmw-task=true`).
    Also,
    Always,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    /// Reads `GET`, `POST`, ….
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "GET" => Some(Self::Get),
            "POST" => Some(Self::Post),
            "PUT" => Some(Self::Put),
            "PATCH" => Some(Self::Patch),
            "DELETE" => Some(Self::Delete),
            _ => None,
        }
    }
}

/// A segment of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    Fixed(&'static str),
    /// The parameter with this number.
    Parameter(u16),
}

/// A part of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// `action=attach`: chooses the operation.
    Fixed(&'static str, &'static str),
    /// A name that must be there: chooses the operation.
    Present(&'static str),
    /// The parameter with this number, under this name.
    Parameter(&'static str, u16),
}

/// A parameter of an operation, or a field of a structure.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub ty: Type,
}

/// A structure, or an error that can be raised.
#[derive(Debug)]
pub struct Structure {
    /// Without `com.vmware.`.
    pub name: &'static str,
    pub is_error: bool,
    pub fields: Vec<Parameter>,
}

impl Structure {
    /// The number of the field with this name.
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

/// An enumeration.
#[derive(Debug)]
pub struct EnumType {
    /// Without `com.vmware.`.
    pub name: &'static str,
    pub values: Vec<&'static str>,
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// An operation that answers nothing.
    Void,
    Boolean,
    Long,
    Double,
    String,
    Uri,
    /// A text that is never logged.
    Secret,
    DateTime,
    Binary,
    /// An identifier; the types of resource that it may name, if the table says so.
    Id(&'static str),
    /// Any value.
    Opaque,
    /// Any structure.
    AnyStructure,
    /// Any error.
    AnyError,
    Structure(StructureId),
    Enum(EnumId),
    Optional(Box<Type>),
    List(Box<Type>),
    Set(Box<Type>),
    Map(Box<(Type, Type)>),
}
