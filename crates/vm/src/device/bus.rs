//! Controllers that take drives, and places of drives on them, as `.vmx` and `.vmsd` write them.

use std::fmt;
use std::str::FromStr;

/// Kind of controller that takes drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bus {
    /// `ideN`
    Ide,
    /// `scsiN`
    Scsi,
    /// `sataN`
    Sata,
    /// `nvmeN`
    Nvme,
}

impl Bus {
    /// All of them.
    pub const ALL: [Bus; 4] = [Bus::Ide, Bus::Scsi, Bus::Sata, Bus::Nvme];

    /// First word of its keys.
    pub const fn prefix(self) -> &'static str {
        match self {
            Bus::Ide => "ide",
            Bus::Scsi => "scsi",
            Bus::Sata => "sata",
            Bus::Nvme => "nvme",
        }
    }

    /// How many controllers of this kind a `.vmx` can have.
    pub const fn controllers(self) -> u8 {
        match self {
            Bus::Ide => 2,
            Bus::Scsi | Bus::Sata | Bus::Nvme => 4,
        }
    }

    /// How many devices one controller can have in a `.vmx`.
    pub fn units(self) -> u8 {
        match self {
            Bus::Ide => 2,
            Bus::Scsi | Bus::Nvme => 64,
            Bus::Sata => 30,
        }
    }
}

/// Place of a disk or CD-ROM drive: `scsi0:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Kind of the controller.
    pub bus: Bus,
    /// Number of the controller.
    pub controller: u8,
    /// Place on the controller.
    pub unit: u8,
}

impl Slot {
    /// A place, if it exists.
    pub fn new(bus: Bus, controller: u8, unit: u8) -> Option<Self> {
        (controller < bus.controllers() && unit < bus.units()).then_some(Self { bus, controller, unit })
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}:{}", self.bus.prefix(), self.controller, self.unit)
    }
}

impl FromStr for Slot {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bus = Bus::ALL.into_iter().find(|bus| text.starts_with(bus.prefix())).ok_or(())?;
        let (controller, unit) = text[bus.prefix().len()..].split_once(':').ok_or(())?;
        let number = |text: &str| text.parse::<u8>().ok().filter(|n| n.to_string() == text).ok_or(());
        Slot::new(bus, number(controller)?, number(unit)?).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_do_not_exist_are_refused() {
        assert_eq!("scsi3:63".parse::<Slot>().map(|slot| slot.to_string()), Ok("scsi3:63".into()));
        for bad in [
            "ide2:0", "ide0:2", "scsi4:0", "scsi0:64", "scsi0", "scsi0:", "scsi00:1", "scsi0:+1", "usb0:1",
            "",
        ] {
            assert!(bad.parse::<Slot>().is_err(), "{bad}");
        }
    }
}
