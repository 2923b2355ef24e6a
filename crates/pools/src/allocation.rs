//! The reservation, limit and shares of a pool for one resource, and what a client's specification makes of them.

use serde::{Deserialize, Serialize};
use vim::{Fault, Object, fault, field};

use crate::MAX_SHARES;

/// In MHz or MiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Allocation {
    pub reservation: i64,
    /// The pool takes from its parent what its children reserve beyond its own reservation.
    pub expandable: bool,
    /// -1: no limit.
    pub limit: i64,
    pub shares: Shares,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Shares {
    Low,
    Normal,
    High,
    Custom(i32),
}

impl Default for Allocation {
    fn default() -> Self {
        Self { reservation: 0, expandable: true, limit: -1, shares: Shares::Normal }
    }
}

/// Applies an allocation that a client gave as `spec.{property}`. Fields that it leaves unset stay as they are.
///
/// # Errors
/// `InvalidArgument` that names the field.
fn allocate(known: &mut Allocation, property: &str, given: Option<&Object>) -> Result<(), Fault> {
    let Some(given) = given else { return Ok(()) };
    let invalid = |field: &str, why: &str| {
        let name = format!("spec.{property}.{field}");
        Err(fault!(InvalidArgument { invalidProperty: &name }, "{name}: {why}"))
    };
    let mut wanted = known.clone();
    if let Some(reservation) = given.get(field!(ResourceAllocationInfo.reservation)) {
        wanted.reservation = reservation;
    }
    if let Some(expandable) = given.get(field!(ResourceAllocationInfo.expandableReservation)) {
        wanted.expandable = expandable;
    }
    if let Some(limit) = given.get(field!(ResourceAllocationInfo.limit)) {
        wanted.limit = limit;
    }
    if let Some(shares) = given.get(field!(ResourceAllocationInfo.shares)) {
        let level = shares.get(field!(SharesInfo.level)).map_or("custom", |level| level.name());
        wanted.shares = match level {
            "low" => Shares::Low,
            "normal" => Shares::Normal,
            "high" => Shares::High,
            _ => match shares.get(field!(SharesInfo.shares)) {
                Some(shares @ 1..=MAX_SHARES) => Shares::Custom(shares),
                _ => return invalid("shares.shares", &format!("give 1 to {MAX_SHARES} shares")),
            },
        };
    }
    if wanted.reservation < 0 {
        return invalid("reservation", "a reservation is not negative");
    }
    if wanted.limit < -1 {
        return invalid("limit", "a limit is not negative (-1 for no limit)");
    }
    if wanted.limit >= 0 && wanted.limit < wanted.reservation {
        return invalid("limit", "the limit is below the reservation");
    }
    *known = wanted;
    Ok(())
}

/// The allocations of a new pool: CPU and memory.
///
/// # Errors
/// `InvalidArgument`.
pub fn fresh(spec: &Object) -> Result<[Allocation; 2], Fault> {
    let (mut cpu, mut memory) = (Allocation::default(), Allocation::default());
    apply([&mut cpu, &mut memory], spec)?;
    Ok([cpu, memory])
}

fn apply([cpu, memory]: [&mut Allocation; 2], spec: &Object) -> Result<(), Fault> {
    let given = spec.get(field!(ResourceConfigSpec.cpuAllocation));
    allocate(cpu, "cpuAllocation", given.map(|given| &**given))?;
    let given = spec.get(field!(ResourceConfigSpec.memoryAllocation));
    allocate(memory, "memoryAllocation", given.map(|given| &**given))
}

/// Applies a client's specification to the pool `name`, whose configuration has changed `version` times.
///
/// # Errors
/// `ConcurrentAccess` if the client knows another version; `InvalidArgument`.
pub fn configure(
    name: &str,
    version: &mut u64,
    allocations: [&mut Allocation; 2],
    spec: &Object,
) -> Result<(), Fault> {
    if let Some(known) = spec.get(field!(ResourceConfigSpec.changeVersion))
        && !known.is_empty()
        && known != version.to_string()
    {
        return Err(fault!(
            ConcurrentAccess {},
            "The resource pool '{name}' has changed meanwhile; read it again"
        ));
    }
    apply(allocations, spec)?;
    *version += 1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use vim::vim;

    use super::*;

    #[test]
    fn an_allocation_is_taken_whole_or_refused_by_the_name_of_its_field() {
        let cases: [(Object, Option<&str>); 7] = [
            (vim!(ResourceAllocationInfo { reservation: 10i64, limit: 10i64 }).into(), None),
            (vim!(ResourceAllocationInfo { limit: -1i64 }).into(), None),
            (vim!(ResourceAllocationInfo { reservation: -1i64 }).into(), Some("reservation")),
            (vim!(ResourceAllocationInfo { limit: -2i64 }).into(), Some("limit")),
            (vim!(ResourceAllocationInfo { reservation: 11i64, limit: 10i64 }).into(), Some("limit")),
            (
                vim!(ResourceAllocationInfo { shares: SharesInfo { shares: 0, level: "custom" } }).into(),
                Some("shares.shares"),
            ),
            (
                vim!(ResourceAllocationInfo { shares: SharesInfo { shares: i32::MAX, level: "custom" } })
                    .into(),
                Some("shares.shares"),
            ),
        ];
        for (given, refused) in cases {
            let mut known = Allocation::default();
            let outcome = allocate(&mut known, "cpuAllocation", Some(&given));
            match refused {
                None => outcome.unwrap(),
                Some(field) => {
                    let message = outcome.unwrap_err().to_string();
                    assert!(message.contains(&format!("spec.cpuAllocation.{field}")), "{message}");
                    assert_eq!(known, Allocation::default());
                }
            }
        }
    }
}
