//! Attaching programs to interfaces by links, pinned under the interface's index and the program's name. Where the
//! kernel has no tcx (before 6.6), a filter on the clsact queueing discipline does the same. The filter lives with its
//! interface, and the program is pinned in the link's place, so that it is found again.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aya::Ebpf;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{
    self, NlOptions, SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions, TcHandle,
};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType};
use aya::util::KernelVersion;

use super::marks::marked_uplink;
use super::{Kernel, in_words};
use crate::{Error, Result};

/// A program of the data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Program {
    FromPort,
    FromUplink,
    /// At the far end of the queue pair.
    FromQueue,
    /// At the far end of the mirror pair.
    FromMirror,
    /// Is never attached, but run directly.
    ForgetLearned,
}

impl Program {
    pub(super) const ALL: [Self; 5] =
        [Self::FromPort, Self::FromUplink, Self::FromQueue, Self::FromMirror, Self::ForgetLearned];

    /// Its name in the object, and in the names of pins.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FromPort => "from_port",
            Self::FromUplink => "from_uplink",
            Self::FromQueue => "from_queue",
            Self::FromMirror => "from_mirror",
            Self::ForgetLearned => "forget_learned",
        }
    }
}

/// The loaded program, by name.
pub(super) fn program(ebpf: &mut Ebpf, program: Program) -> Result<&mut SchedClassifier> {
    let name = program.name();
    let found = ebpf.program_mut(name);
    let found =
        found.ok_or_else(|| Error::Program { program: name, reason: "the object lacks it".into() })?;
    found.try_into().map_err(|error| Error::Program { program: name, reason: in_words(&error) })
}

/// Whether the kernel has tcx: since 6.6.
pub(super) fn has_tcx() -> bool {
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 6, 0))
}

/// The only Esfera filter at the ingress of an interface.
const FILTER_PRIORITY: u16 = 1;
const FILTER_HANDLE: TcHandle = TcHandle::new(0, 1);

/// Attaches a program as a filter, replacing that of an earlier daemon in place.
fn filter(program: &mut SchedClassifier, interface: &str) -> Result<(), ProgramError> {
    let known =
        SchedClassifierLink::attached(interface, TcAttachType::Ingress, FILTER_PRIORITY, FILTER_HANDLE, None);
    let replaced = program.attach_to_link(known.map_err(ProgramError::IOError)?);
    let link = match replaced {
        Ok(link) => link,
        Err(_) => {
            // The discipline may already exist.
            let _ = tc::qdisc_add_clsact(interface);
            let options = NlOptions { priority: FILTER_PRIORITY, handle: FILTER_HANDLE, classid: None };
            program.attach_with_options(
                interface,
                TcAttachType::Ingress,
                TcAttachOptions::Netlink(options),
            )?
        }
    };
    // The filter lives with the interface: dropping the link would remove it.
    std::mem::forget(program.take_link(link)?);
    Ok(())
}

/// The kernel ends a link some time after its last pin and descriptor are gone, and until then refuses to attach the
/// same program again, as when an uplink leaves a switch and returns at once.
const ENDING: Duration = Duration::from_millis(5);
const ENDING_TRIES: u32 = 100;

/// Attaches a program to an interface without a pinned link.
fn afresh(program: &mut SchedClassifier, interface: &str) -> Result<SchedClassifierLinkId, ProgramError> {
    for _ in 0..ENDING_TRIES {
        let order = TcAttachOptions::TcxOrder(LinkOrder::default());
        match program.attach_with_options(interface, TcAttachType::Ingress, order) {
            Err(ProgramError::SyscallError(error)) if error.io_error.kind() == ErrorKind::AlreadyExists => {
                std::thread::sleep(ENDING);
            }
            attached => return attached,
        }
    }
    let order = TcAttachOptions::TcxOrder(LinkOrder::default());
    program.attach_with_options(interface, TcAttachType::Ingress, order)
}

impl Kernel {
    /// Puts a program to work at the ingress of an interface. One of an earlier daemon is replaced in place: no frame
    /// is lost.
    ///
    /// # Errors
    /// `Attach`.
    pub fn attach(&mut self, interface: &str, index: u32, wanted: Program) -> Result<()> {
        let failed = |error: &dyn std::error::Error| Error::Attach {
            interface: interface.into(),
            reason: in_words(error),
        };
        let pin = self.links.join(pin_name(index, wanted));
        let program = program(&mut self.ebpf, wanted)?;
        if !self.tcx {
            filter(program, interface).map_err(|error| failed(&error))?;
            let _ = fs::remove_file(&pin);
            return program.pin(&pin).map_err(|error| failed(&error));
        }
        if let Some(link) = pinned(&pin)
            && let Ok(link) = program.attach_to_link(link)
        {
            // Still pinned; the descriptor may go.
            drop(program.take_link(link).map_err(|error| failed(&error))?);
            return Ok(());
        }
        // The pinned link belongs to an earlier interface with this index.
        let _ = fs::remove_file(&pin);
        let link = afresh(program, interface).map_err(|error| failed(&error))?;
        let link = program.take_link(link).map_err(|error| failed(&error))?;
        let link: FdLink =
            link.try_into().map_err(|error: aya::programs::links::LinkError| failed(&error))?;
        link.pin(&pin).map_err(|error| failed(&error))?;
        Ok(())
    }

    /// Takes a program off an interface that is not a port any more.
    pub fn detach(&mut self, interface: &str, index: u32, program: Program) {
        if !self.tcx {
            let _ = tc::qdisc_detach_program(interface, TcAttachType::Ingress, program.name());
        }
        let pin = self.links.join(pin_name(index, program));
        if let Err(error) = fs::remove_file(&pin)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(pin = %pin.display(), %error, "cannot remove a link of the virtual switch");
        }
    }

    /// Every pinned link, by its ifindex, and uplinks that have lost theirs but are still marked.
    pub fn attached(&self) -> BTreeSet<(u32, Program)> {
        let entries = fs::read_dir(&self.links).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let marked = |name: &str| Some((marked_uplink(name)?, Program::FromUplink));
        names.filter_map(|name| parse_pin(&name).or_else(|| marked(&name))).collect()
    }
}

/// `<ifindex>-<program>`.
fn pin_name(index: u32, program: Program) -> PathBuf {
    format!("{index}-{}", program.name()).into()
}

fn parse_pin(name: &str) -> Option<(u32, Program)> {
    let (index, name) = name.split_once('-')?;
    let program = Program::ALL.into_iter().find(|program| program.name() == name)?;
    Some((index.parse().ok()?, program))
}

fn pinned(pin: &Path) -> Option<SchedClassifierLink> {
    FdLink::from(PinnedLink::from_pin(pin).ok()?).try_into().ok()
}
