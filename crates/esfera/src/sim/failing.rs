//! Failures on demand: calls of named methods end with named faults, always or at a rate.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use api::{Call, Gate};
use vim::{DataId, EnumValue, Fault, Kind, Member, MethodId, MoRef, Object, Value, data_id, schema};

use super::identity::Seed;

/// A row of `--fail`.
#[derive(Clone, Debug, PartialEq)]
pub struct Failing {
    method: MethodId,
    fault: DataId,
    rate: f64,
}

impl FromStr for Failing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (method, fault) =
            text.split_once('=').ok_or("write METHOD=FAULT, as in PowerOnVM_Task=InvalidState")?;
        let (fault, rate) = match fault.split_once(':') {
            Some((fault, rate)) => {
                (fault, rate.parse().map_err(|_| format!("{rate:?} is not a rate from 0 to 1"))?)
            }
            None => (fault, 1.0),
        };
        if !(0.0..=1.0).contains(&rate) {
            return Err(format!("the rate {rate} is not from 0 to 1"));
        }
        let found = schema().find_method(method).or_else(|| schema().find_method(&format!("{method}_Task")));
        let method = found.ok_or_else(|| format!("the vSphere API has no method {method:?}"))?;
        let is_fault = |id: &DataId| Object::new(*id).is_a(data_id!(MethodFault));
        let found = schema().find_data(fault).filter(is_fault);
        let fault = found.ok_or_else(|| format!("the vSphere API has no fault {fault:?}"))?;
        Ok(Self { method, fault, rate })
    }
}

/// Lets calls fail by the rows of `--fail`.
pub struct Failures {
    seed: Seed,
    rows: Vec<(Failing, AtomicU64)>,
}

impl Failures {
    pub fn new(seed: Seed, rows: &[Failing]) -> Self {
        Self { seed, rows: rows.iter().map(|row| (row.clone(), AtomicU64::new(0))).collect() }
    }

    /// Whether the call with this number of the row's method fails.
    fn fails(&self, at: usize, row: &Failing, number: u64) -> bool {
        row.rate >= 1.0 || self.seed.fraction("fail", &[&at.to_string(), &number.to_string()]) < row.rate
    }
}

impl Gate for Failures {
    fn refuse(&self, call: &Call) -> Option<Fault> {
        for (at, (row, calls)) in self.rows.iter().enumerate() {
            if row.method != call.args.method {
                continue;
            }
            let number = calls.fetch_add(1, Ordering::Relaxed);
            if self.fails(at, row, number) {
                let name = schema().data(row.fault).name;
                let method = schema().method(row.method).name;
                let fault = filled(row.fault, &call.this, 0);
                return Some(Fault::new(
                    fault,
                    format!("The simulator was asked to let {method} fail with {name}"),
                ));
            }
        }
        None
    }
}

/// Deepest object that a fault is filled with.
const DEPTH: usize = 3;

/// An object whose required fields are set, as strict clients expect.
fn filled(ty: DataId, this: &MoRef, depth: usize) -> Object {
    let fields = schema().data(ty).fields.iter().zip(0..);
    let needed = fields.filter(|(member, _)| !member.optional && !member.list);
    let set = needed.filter_map(|(member, at)| Some((at, value(member, this, depth)?)));
    Object::from_fields(ty, set.collect())
}

fn value(member: &Member, this: &MoRef, depth: usize) -> Option<Value> {
    Some(match member.kind {
        Kind::Boolean => false.into(),
        Kind::Byte => 0i8.into(),
        Kind::Short => 0i16.into(),
        Kind::Int => 0i32.into(),
        Kind::Long => 0i64.into(),
        Kind::Float => Value::Float(0.0),
        Kind::Double => Value::Double(0.0),
        Kind::String | Kind::Uri | Kind::TypeName | Kind::MethodName | Kind::PropertyPath | Kind::Any => {
            "simulated".into()
        }
        Kind::Enum(ty) => EnumValue::new(ty, 0).into(),
        Kind::Ref(ty) if this.is_a(ty) => this.into(),
        Kind::Data(ty) if depth < DEPTH => filled(ty, this, depth + 1).into(),
        Kind::Ref(_) | Kind::Data(_) | Kind::DateTime | Kind::Binary => return None,
    })
}

#[cfg(test)]
mod tests {
    use vim::managed_id;

    use super::*;

    #[test]
    fn methods_faults_and_rates_are_checked_when_they_are_read() {
        for (text, said) in [
            ("PowerOnVM_Task", "METHOD=FAULT"),
            ("PowerOnVM_Task=Nonsense", "no fault"),
            ("PowerOnVM_Task=VirtualDisk", "no fault"),
            ("Nonsense=InvalidState", "no method"),
            ("PowerOnVM_Task=InvalidState:2", "from 0 to 1"),
            ("PowerOnVM_Task=InvalidState:often", "not a rate"),
            ("PowerOnVM_Task=InvalidState:NaN", "from 0 to 1"),
        ] {
            let told = text.parse::<Failing>().unwrap_err();
            assert!(told.contains(said), "{text}: {told}");
        }
        assert_eq!("PowerOnVM=InvalidState:1".parse::<Failing>(), "PowerOnVM_Task=InvalidState".parse());
    }

    #[test]
    fn a_rate_is_kept_and_the_same_seed_lets_the_same_calls_fail() {
        let row: Failing = "PowerOnVM_Task=InvalidState:0.25".parse().unwrap();
        let failed = |seed| -> Vec<u64> {
            let failures = Failures::new(Seed(seed), std::slice::from_ref(&row));
            (0..4000).filter(|number| failures.fails(0, &row, *number)).collect()
        };
        assert!((800..1200).contains(&failed(1).len()), "{}", failed(1).len());
        assert_eq!(failed(1), failed(1));
        assert_ne!(failed(1), failed(2));
    }

    #[test]
    fn every_fault_can_be_made_with_its_required_fields() {
        let this = MoRef::new(managed_id!(VirtualMachine), "vm-1");
        for at in schema().data(data_id!(MethodFault)).subtypes.clone() {
            let made = filled(DataId(at), &this, 0);
            assert!(made.is_a(data_id!(MethodFault)), "{}", made.type_name());
        }
    }
}
