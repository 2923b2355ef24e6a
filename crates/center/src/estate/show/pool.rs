//! A resource pool's properties.

use vim::{MoRef, Props, props};

use crate::estate::records::Pool;

pub(crate) fn props(me: &MoRef, pool: &Pool) -> Props {
    let (name, config) = (&pool.name, pools::show::config(me, pool.version, &pool.cpu, &pool.memory));
    props!(ResourcePool { name: name, parent: &pool.parent, owner: &pool.owner, config: config })
}
