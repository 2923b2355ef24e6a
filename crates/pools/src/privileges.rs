//! The privileges that methods of pools take where the schema names none.

use api::{Ask, Guard, Rule};
use vim::{Fault, Value, managed_id};

pub const EDIT: Guard = Guard::Privilege("Resource.EditPool");
pub const RENAME: Guard = Guard::Privilege("Resource.RenamePool");
pub const DELETE: Guard = Guard::Privilege("Resource.DeletePool");

const ASSIGN_VM: &str = "Resource.AssignVMToPool";

/// For `MoveIntoResourcePool`: to assign a VM to a pool, or to move a pool, on what is moved as on the target.
/// A user who may only see a VM must not bring it to where he has rights. A vApp has privileges of its own for what is put into it.
pub const MOVE_INTO: Guard = Guard::Rule(Rule {
    privileges: &[
        ASSIGN_VM,
        "Resource.MovePool",
        "VApp.Move",
        VAPP_TAKES_VM,
        VAPP_TAKES_VAPP,
        VAPP_TAKES_POOL,
    ],
    check: may_move,
});

const VAPP_TAKES_VM: &str = "VApp.AssignVM";
const VAPP_TAKES_VAPP: &str = "VApp.AssignVApp";
const VAPP_TAKES_POOL: &str = "VApp.AssignResourcePool";

fn may_move(ask: &Ask<'_>) -> Result<(), Fault> {
    let list = ask.call.args.values().iter().flat_map(|(_, value)| value.items());
    for moved in list.filter_map(Value::as_ref) {
        let (on_moved, on_target, of_vapp) = if moved.is_a(managed_id!(VirtualMachine)) {
            (ASSIGN_VM, ASSIGN_VM, VAPP_TAKES_VM)
        } else if moved.is_a(managed_id!(VirtualApp)) {
            ("VApp.Move", "VApp.Move", VAPP_TAKES_VAPP)
        } else {
            ("Resource.MovePool", "Resource.MovePool", VAPP_TAKES_POOL)
        };
        ask.needs(moved, on_moved)?;
        ask.needs(ask.object, on_target)?;
        if ask.object.is_a(managed_id!(VirtualApp)) {
            ask.needs(ask.object, of_vapp)?;
        }
    }
    Ok(())
}
