//! Equal values are kept once.
//!
//! Thousands of VMs have the same capability, the same default devices and texts, and a host sends a copy for each. A value that is
//! written to the tree is therefore put together from parts that exist already. The table holds recently seen parts; when it has
//! grown, it drops those with few users.
//!
//! All trees of a process use one table, because a simulator has thousands of equal hosts. A caller that gathers many values before it
//! writes them shares them itself ([`share`]), so that they are small from the start.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use parking_lot::Mutex;

use vim::{List, Object, Value};

use crate::hash::Quick;

/// The table drops nothing until it holds this many parts.
const FEW: usize = 4096;
/// A part that is used in no more places may be dropped.
const MIN_USES: usize = 8;
/// Longer lists of references (the VMs of a folder) are hardly ever equal, and take long to compare.
const LONG_LIST: usize = 64;
/// The same for lists of objects, such as all privileges.
const LONG_LIST_OF_OBJECTS: usize = 1_024;

static TABLE: LazyLock<Mutex<Shared>> = LazyLock::new(Mutex::default);

/// An equal value, made of parts that the trees of this process share.
pub fn share(value: &Value) -> Value {
    TABLE.lock().share(value)
}

/// The table, by the parts' hashes. Of several parts with one hash it finds the last; the others are not shared.
struct Shared {
    parts: HashMap<u64, Value>,
    /// The number of parts at which it looks for parts to drop.
    limit: usize,
}

impl Default for Shared {
    fn default() -> Self {
        Self { parts: HashMap::new(), limit: FEW }
    }
}

impl Shared {
    /// An equal value, made of shared parts.
    fn share(&mut self, value: &Value) -> Value {
        self.part(value, true)
    }

    /// `ours`: nothing else refers to the value that this is a part of.
    fn part(&mut self, value: &Value, ours: bool) -> Value {
        match value {
            Value::List(list) if is_long(list) => return value.clone(),
            Value::String(_) | Value::Ref(_) | Value::Object(_) | Value::List(_) => {}
            scalar => return scalar.clone(),
        }
        let hash = hash(value);
        if let Some(known) = self.parts.get(&hash)
            && known == value
        {
            return known.clone();
        }
        let made = self.make(value, ours && value.uses() == 1);
        if self.parts.len() >= self.limit {
            self.parts.retain(|_, part| part.uses() > MIN_USES);
            self.parts.shrink_to(FEW);
            self.limit = FEW.max(self.parts.len() * 2);
        }
        self.parts.insert(hash, made.clone());
        made
    }

    /// Puts together a value that is not in the table. A value that is only ours is copied though it could be kept: it may have spare
    /// capacity, and it lies scattered among memory that is freed as soon as a message has been read. Copies lie together.
    fn make(&mut self, value: &Value, ours: bool) -> Value {
        match value {
            Value::String(text) if ours => Value::from(&**text),
            Value::Object(object) => {
                let fields = object.fields();
                let made: Vec<_> = fields.iter().map(|(at, value)| (*at, self.part(value, ours))).collect();
                let same = |((_, before), (_, after)): (&(u16, Value), &(u16, Value))| before.is_same(after);
                if !ours && fields.iter().zip(&made).all(same) {
                    return value.clone();
                }
                Object::from_fields(object.ty(), made).into()
            }
            Value::List(list) => {
                let made: Vec<_> = list.items().iter().map(|item| self.part(item, ours)).collect();
                if !ours && list.items().iter().zip(&made).all(|(before, after)| before.is_same(after)) {
                    return value.clone();
                }
                Value::List(List::new(list.element(), made))
            }
            other => other.clone(),
        }
    }
}

fn is_long(list: &List) -> bool {
    let most =
        if matches!(list.items().first(), Some(Value::Object(_))) { LONG_LIST_OF_OBJECTS } else { LONG_LIST };
    list.items().len() > most
}

fn hash(value: &Value) -> u64 {
    let mut hasher = Quick::default();
    add(&mut hasher, value);
    hasher.finish()
}

fn add(to: &mut impl Hasher, value: &Value) {
    match value {
        Value::Boolean(value) => to.write_u8(u8::from(*value)),
        Value::Byte(value) => to.write_i8(*value),
        Value::Short(value) => to.write_i16(*value),
        Value::Int(value) => to.write_i32(*value),
        Value::Long(value) => to.write_i64(*value),
        Value::Float(value) => to.write_u32(value.to_bits()),
        Value::Double(value) => to.write_u64(value.to_bits()),
        Value::String(text) => text.hash(to),
        Value::DateTime(time) => to.write_i64(time.as_micros()),
        Value::Binary(bytes) => bytes.hash(to),
        Value::Enum(value) => value.hash(to),
        Value::Ref(reference) => reference.hash(to),
        Value::Object(object) => {
            to.write_u16(object.ty().0);
            for (number, value) in object.fields() {
                to.write_u16(*number);
                add(to, value);
            }
        }
        Value::List(list) => {
            to.write_usize(list.items().len());
            list.items().iter().for_each(|item| add(to, item));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use vim::{MoRef, field, managed_id, ty, vim};

    fn disk(uuid: &str) -> ty!(VirtualDisk) {
        vim!(VirtualDisk {
            key: 2000,
            deviceInfo: Description { label: "Hard disk 1", summary: "10 GB" },
            backing: VirtualDiskFlatVer2BackingInfo {
                fileName: "[ds] a.vmdk",
                diskMode: "persistent",
                uuid: uuid
            },
        })
    }

    #[test]
    fn equal_values_become_one_and_unequal_ones_share_what_they_have_in_common() {
        let mut shared = Shared::default();
        let [a, b, c] = ["1", "1", "2"].map(|uuid| disk(uuid).into());
        let [a, b, c] = [a, b, c].map(|value: Value| {
            let same = shared.share(&value);
            assert_eq!(same, value);
            same
        });
        assert!(a.is_same(&b) && !a.is_same(&c));
        let description = |disk: &Arc<Object>| disk.get(field!(VirtualDisk.deviceInfo)).cloned();
        let [a, c] = [&a, &c].map(|disk| description(disk.as_object().unwrap()).unwrap());
        assert!(Arc::ptr_eq(&a, &c));
    }

    #[test]
    fn references_are_shared_and_long_lists_left_alone() {
        let mut shared = Shared::default();
        let host = || Value::Ref(MoRef::new(managed_id!(HostSystem), "host-1"));
        let list = |length: usize| Value::List(List::new(vim::Kind::String, vec![host(); length]));
        let [a, b] = [host(), host()].map(|host| shared.share(&host));
        assert!(a.is_same(&b));
        let [short, again] = [list(2), list(2)].map(|list| shared.share(&list));
        assert!(short.is_same(&again));
        let [long, other] = [list(100), list(100)].map(|list| shared.share(&list));
        assert!(!long.is_same(&other));
    }

    #[test]
    fn the_table_forgets_unused_parts_and_keeps_common_ones() {
        let mut shared = Shared::default();
        let common: Vec<Value> = (0..20).map(|_| shared.share(&"common".into())).collect();
        for n in 0..3 * FEW {
            shared.share(&format!("{n}").as_str().into());
        }
        assert!(shared.parts.len() <= FEW);
        assert!(common[0].is_same(&shared.share(&"common".into())));
    }
}
