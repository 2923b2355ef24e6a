//! Faults: the errors of the API's methods.

use std::fmt;
use std::sync::Arc;

use crate::{DataId, Object, data_id};

/// A fault object and the sentence that people see. Displays as the sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault(Arc<Inner>);

#[derive(Debug, PartialEq)]
struct Inner {
    object: Arc<Object>,
    message: Box<str>,
}

impl Fault {
    /// `object` is a `MethodFault` or derived from it.
    pub fn new(object: impl Into<Object>, message: impl Into<Box<str>>) -> Self {
        let object = object.into();
        debug_assert!(object.is_a(data_id!(MethodFault)), "{} is not a fault", object.type_name());
        Self(Arc::new(Inner { object: Arc::new(object), message: message.into() }))
    }

    pub fn object(&self) -> &Arc<Object> {
        &self.0.object
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn type_name(&self) -> &'static str {
        self.0.object.type_name()
    }

    /// Whether the fault is of type `base` (`data_id!(InvalidState)`) or derived from it.
    pub fn is_a(&self, base: DataId) -> bool {
        self.0.object.is_a(base)
    }

    /// The fault as a field of another object, where it is a `LocalizedMethodFault`.
    pub fn localized(&self) -> Object {
        crate::vim!(LocalizedMethodFault { fault: self.object(), localizedMessage: self.message() }).into()
    }

    /// From a `LocalizedMethodFault`.
    pub fn from_localized(object: &Object) -> Option<Self> {
        let fault = object.get(crate::field!(LocalizedMethodFault.fault))?;
        let message = object.get(crate::field!(LocalizedMethodFault.localizedMessage)).unwrap_or_default();
        Some(Self(Arc::new(Inner { object: fault.clone(), message: message.into() })))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message().is_empty() { f.write_str(self.type_name()) } else { f.write_str(self.message()) }
    }
}

impl std::error::Error for Fault {}

/// A [`Fault`] with its fields and message in one: `fault!(InvalidState {}, "{name} is suspended")`.
#[macro_export]
macro_rules! fault {
    ($name:ident { $($fields:tt)* }, $($message:tt)+) => {
        $crate::Fault::new($crate::vim!($name { $($fields)* }), format!($($message)+))
    };
}
