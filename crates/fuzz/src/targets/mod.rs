//! A file for each target: what a stranger can send to one parser, and what must hold for whatever he sends.

/// Gives the names of all targets to a macro: the table here and the tests are made of the same list.
#[macro_export]
macro_rules! with_targets {
    ($macro:ident) => {
        $macro! {
            agent_line,
            arp,
            beacon,
            cdp,
            datastore_path,
            dhcp6,
            dhcp_frame,
            disk_image,
            json_args,
            json_value,
            lldp,
            property_path,
            qmp_line,
            snoop,
            soap_fragment,
            soap_request,
            soap_response,
            token,
            vmsd,
            vmx,
        }
    };
}

macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        $(mod $name;)+

        /// All targets with their names.
        pub const ALL: &[Target] = &[$(Target { name: stringify!($name), run: $name::run }),+];
    };
}

/// A parser and what must hold for every input.
#[derive(Clone, Copy)]
pub struct Target {
    /// Name of the target, which is also the name of its file and of its directory of seeds.
    pub name: &'static str,
    /// Panics if an input breaks a rule.
    pub run: fn(&[u8]),
}

crate::with_targets!(targets);
