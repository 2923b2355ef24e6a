//! The rows of the table.

use std::ops::Range;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);
    };
}

id!(/** Index of a data type. */ DataId(u16));
id!(/** Index of an enum. */ EnumId(u16));
id!(/** Index of a managed type. */ ManagedId(u16));
id!(/** Index of a method. */ MethodId(u16));
id!(/** Index of a release; a later release is greater. */ Release(u8));

/// A named type of any sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TypeRef {
    Data(DataId),
    Enum(EnumId),
    Managed(ManagedId),
}

/// The kind of one value of a member; whether the member is a list stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `anyType`: the value names its own type.
    Any,
    Boolean,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    String,
    Uri,
    DateTime,
    Binary,
    TypeName,
    MethodName,
    PropertyPath,
    Enum(EnumId),
    Data(DataId),
    /// A reference to a managed object of this type or a subtype.
    Ref(ManagedId),
}

/// A field of a data type, a property of a managed type, or a parameter of a method.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: &'static str,
    pub kind: Kind,
    pub list: bool,
    pub optional: bool,
    /// A password or key: never logged.
    pub secret: bool,
    /// The key of another object ("link").
    pub link: bool,
    pub since: Release,
}

/// A type that has members by number: a data type, a managed type or a method.
pub trait Record {
    fn name(&self) -> &'static str;
    fn members(&self) -> &[Member];

    /// The number of the member with this name.
    fn member(&self, name: &str) -> Option<u16> {
        self.members().iter().position(|m| m.name == name).and_then(|at| u16::try_from(at).ok())
    }
}

#[derive(Debug)]
pub struct EnumType {
    pub name: &'static str,
    pub since: Release,
    pub values: Vec<&'static str>,
}

#[derive(Debug)]
pub struct DataType {
    pub name: &'static str,
    pub id: DataId,
    pub base: Option<DataId>,
    pub since: Release,
    /// All fields in wire order: inherited ones first, so that a field keeps its number in every subtype.
    pub fields: Vec<Member>,
    /// The number of inherited `fields`.
    pub inherited: usize,
    /// Ids of this type and everything derived from it.
    pub subtypes: Range<u16>,
}

impl DataType {
    pub fn is_a(&self, base: &DataType) -> bool {
        base.subtypes.contains(&self.id.0)
    }
}

#[derive(Debug)]
pub struct ManagedType {
    pub name: &'static str,
    pub id: ManagedId,
    pub base: Option<ManagedId>,
    pub since: Release,
    /// All properties, inherited ones first.
    pub properties: Vec<Member>,
    /// The privilege to read each of `properties`.
    pub privileges: Vec<Option<&'static str>>,
    pub inherited: usize,
    /// The type's own methods; those of its bases apply too.
    pub methods: Vec<MethodId>,
    pub subtypes: Range<u16>,
}

impl ManagedType {
    pub fn is_a(&self, base: &ManagedType) -> bool {
        base.subtypes.contains(&self.id.0)
    }
}

#[derive(Debug)]
pub struct Method {
    /// The name on the wire: `PowerOnVM_Task`.
    pub name: &'static str,
    /// The name in the object model: `powerOn`; with the type it makes a task's `descriptionId`.
    pub model_name: &'static str,
    pub id: MethodId,
    pub owner: ManagedId,
    pub since: Release,
    pub parameters: Vec<Member>,
    /// A privilege that a single parameter needs, beside `parameters`.
    pub parameter_privileges: Vec<Option<&'static str>>,
    /// The type of its result; `None` for void.
    pub returns: Option<Member>,
    /// For a task method, the type of `Task.info.result`; `None` if it has none.
    pub task_result: Option<Member>,
    pub is_task: bool,
    pub privilege: Option<&'static str>,
    pub faults: Vec<DataId>,
}

impl Record for DataType {
    fn name(&self) -> &'static str {
        self.name
    }
    fn members(&self) -> &[Member] {
        &self.fields
    }
}

impl Record for ManagedType {
    fn name(&self) -> &'static str {
        self.name
    }
    fn members(&self) -> &[Member] {
        &self.properties
    }
}

impl Record for Method {
    fn name(&self) -> &'static str {
        self.name
    }
    fn members(&self) -> &[Member] {
        &self.parameters
    }
}
