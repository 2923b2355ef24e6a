//! Reading planned properties of an object.

use vim::encode::{Encode, Encoder};
use vim::path::PropertyPath;
use vim::{DataId, Fault, Kind, List, MoRef, Value, data_id, field, vim};

use super::spec::{Plan, Planned};
use crate::service::{Computed, Object, not_authenticated};
use crate::{Service, Session, Snapshot};

/// The session that reads, and the state that it reads.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub service: &'a Service,
    pub session: Option<&'a Session>,
    pub state: &'a Snapshot,
}

/// The privileges of a plan that the reader lacks on an object, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Denied(u64);

impl Denied {
    pub fn is_denied(self, planned: &Planned) -> bool {
        self.0 & (1 << planned.privilege) != 0
    }

    pub fn any(self) -> bool {
        self.0 != 0
    }
}

impl Reader<'_> {
    pub fn find(&self, reference: &MoRef) -> Option<Object> {
        self.service.find(reference, self.session, self.state).ok()
    }

    /// The fault if the reader lacks this privilege; none if he has it.
    ///
    /// # Errors
    /// `NotAuthenticated`, for the whole call, if logging in would help.
    pub fn refusal(&self, object: &Object, privilege: &str) -> Result<Option<Fault>, Fault> {
        let Object::Shared(node) = object else { return Ok(None) };
        match self.session {
            Some(session) => Ok(self.service.check(session, node.me(), privilege, self.state).err()),
            None if privilege == "System.Anonymous" => Ok(None),
            None => Err(not_authenticated(node.me(), privilege)),
        }
    }

    /// Whether the reader may know that the object exists.
    pub fn sees(&self, object: &Object) -> bool {
        match (object, self.session) {
            (Object::Own(_), _) => true,
            (Object::Shared(node), Some(session)) => {
                self.service.authority.allows(&session.account, node.me(), "System.View", self.state)
            }
            (Object::Shared(_), None) => false,
        }
    }

    pub fn denied(&self, object: &Object, plan: &Plan) -> Result<Denied, Fault> {
        let mut denied = Denied::default();
        for (bit, privilege) in plan.privileges.iter().enumerate() {
            if self.refusal(object, privilege)?.is_some() {
                denied.0 |= 1 << bit;
            }
        }
        Ok(denied)
    }

    /// The value at the end of a path; none if it is unset.
    pub fn value(&self, object: &Object, path: &PropertyPath, computed: Option<Computed>) -> Option<Value> {
        let number = path.property();
        let of = |value: Value| if path.is_whole_property() { Some(value) } else { path.get(&value) };
        match (object, computed, self.session) {
            (Object::Shared(node), None, _) => path.get(node.at(number)?),
            (Object::Shared(node), Some(computed), Some(session)) => {
                of(computed(self.service, session, node, self.state)?)
            }
            (Object::Own(object), _, Some(session)) => of(object.property(number, session, self.state)?),
            (_, _, None) => None,
        }
    }

    pub fn planned(&self, object: &Object, planned: &Planned) -> Option<Value> {
        self.value(object, &planned.path.compiled, planned.computed)
    }

    /// `NoPermission` for each path that the reader may not read.
    pub fn missing(&self, object: &Object, plan: &Plan, denied: Denied) -> Option<List> {
        let mut missing: Vec<Value> = Vec::new();
        if denied.any() {
            for planned in plan.paths.iter().filter(|planned| denied.is_denied(planned)) {
                if let Ok(Some(fault)) = self.refusal(object, plan.privileges[planned.privilege]) {
                    missing.push(
                        vim!(MissingProperty { path: planned.name(), fault: fault.localized() }).into(),
                    );
                }
            }
        }
        (!missing.is_empty()).then(|| List::new(Kind::Data(data_id!(MissingProperty)), missing))
    }
}

pub(super) const CONTENT: DataId = data_id!(ObjectContent);

/// An object with the properties of the plan, as an `ObjectContent`.
pub(super) struct Content<'a> {
    pub reader: Reader<'a>,
    pub object: &'a Object,
    pub plan: &'a Plan,
    pub denied: Denied,
}

impl Encode for Content<'_> {
    fn encode(&self, to: &mut dyn Encoder) {
        let Self { reader, object, plan, denied } = self;
        let me = Value::Ref(object.me().clone());
        let readable = plan.paths.iter().filter(|planned| !denied.is_denied(planned));
        let properties: Vec<(&Planned, Value)> =
            readable.filter_map(|planned| Some((planned, reader.planned(object, planned)?))).collect();
        let missing = reader.missing(object, plan, *denied).map(Value::List);
        to.object(CONTENT, &mut |fields| {
            fields.field(field!(ObjectContent.obj).number(), &me);
            if !properties.is_empty() {
                fields.field(field!(ObjectContent.propSet).number(), &Properties(&properties));
            }
            if let Some(missing) = &missing {
                fields.field(field!(ObjectContent.missingSet).number(), missing);
            }
        });
    }
}

/// Properties with their values, each as a `DynamicProperty`.
struct Properties<'a>(&'a [(&'a Planned, Value)]);

impl Encode for Properties<'_> {
    fn encode(&self, to: &mut dyn Encoder) {
        const PROPERTY: DataId = data_id!(DynamicProperty);
        to.list(PROPERTY, &mut |items| {
            for (planned, value) in self.0 {
                let name = Value::String(planned.name());
                items.object(PROPERTY, &mut |fields| {
                    fields.field(field!(DynamicProperty.name).number(), &name);
                    fields.field(field!(DynamicProperty.val).number(), value);
                });
            }
        });
    }
}

impl Planned {
    pub fn name(&self) -> vim::Str {
        self.path.name.clone()
    }
}
