//! Reading planned properties of an object.

use vim::path::PropertyPath;
use vim::{Fault, Kind, List, MoRef, Value, data_id, vim};

use super::spec::{Plan, Planned};
use crate::service::{Computed, Object, not_authenticated};
use crate::{Service, Session, Snapshot};

/// Who reads, and when.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub service: &'a Service,
    pub session: Option<&'a Session>,
    pub state: &'a Snapshot,
}

/// Which of a plan's privileges the reader lacks on an object, as bits.
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

    /// Why the reader may not read what needs this privilege; none if he may.
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

    /// What a path leads to; none if it is unset.
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

    /// The object with the properties of the plan.
    pub fn content(&self, object: &Object, plan: &Plan) -> Result<Value, Fault> {
        let denied = self.denied(object, plan)?;
        let mut properties = Vec::with_capacity(plan.paths.len());
        for planned in plan.paths.iter().filter(|planned| !denied.is_denied(planned)) {
            if let Some(value) = self.planned(object, planned) {
                properties.push(vim!(DynamicProperty { name: planned.name(), val: value }).into());
            }
        }
        let properties = List::new(Kind::Data(data_id!(DynamicProperty)), properties);
        let missing = self.missing(object, plan, denied);
        Ok(vim!(ObjectContent { obj: object.me(), propSet: properties, missingSet: missing }).into())
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

impl Planned {
    pub fn name(&self) -> std::sync::Arc<str> {
        self.path.name.clone()
    }
}
