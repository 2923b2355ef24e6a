//! SCSI controllers.

use qemu::spec::{Controller, ControllerKind};
use vim::{Fault, Object};

use super::draft::{Change, Draft};
use super::faults::{invalid, unsupported};
use super::keys::{Keys, Prefix};
use super::kind::{DeviceKind, Reading, Shown, Writing, option, shown};
use super::parts::Parts;
use super::place::{SCSI_OWN_UNIT, controller_key, controller_unit};
use super::{Bus, Device, Devices, Looks, controller, key};

/// SCSI controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scsi {
    pub bus: i32,
    pub model: ScsiModel,
}

/// Models of SCSI controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScsiModel {
    /// BusLogic parallel. It can be configured, but QEMU has none.
    BusLogic,
    /// LSI Logic parallel.
    LsiLogic,
    /// LSI Logic SAS.
    LsiLogicSas,
    /// VMware paravirtual.
    ParaVirtual,
}

impl ScsiModel {
    const ALL: [Self; 4] = [Self::BusLogic, Self::LsiLogic, Self::LsiLogicSas, Self::ParaVirtual];

    /// As `.vmx` writes it.
    fn word(self) -> &'static str {
        match self {
            Self::BusLogic => "buslogic",
            Self::LsiLogic => "lsilogic",
            Self::LsiLogicSas => "lsisas1068",
            Self::ParaVirtual => "pvscsi",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.word().eq_ignore_ascii_case(word))
    }

    /// The model that a specification asks for.
    fn asked(device: &Object) -> Option<Self> {
        match device.type_name() {
            "VirtualLsiLogicController" => Some(Self::LsiLogic),
            "VirtualLsiLogicSASController" => Some(Self::LsiLogicSas),
            "ParaVirtualSCSIController" => Some(Self::ParaVirtual),
            _ => None,
        }
    }
}

/// Types of SCSI controller that can be added, the recommended one first.
pub const SCSI_TYPES: [&str; 3] =
    ["ParaVirtualSCSIController", "VirtualLsiLogicController", "VirtualLsiLogicSASController"];

impl DeviceKind for Scsi {
    const KEYS: &'static [Keys] = &[Keys {
        prefix: Prefix::Numbered(Bus::Scsi.prefix(), Bus::Scsi.controllers()),
        names: &["present", "virtualDev"],
    }];

    fn is(asked: &Object) -> bool {
        ScsiModel::asked(asked).is_some()
    }

    fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
        draft.need_off("Controllers")?;
        let ty = change.device.type_name();
        let model = ScsiModel::asked(change.device)
            .ok_or_else(|| unsupported(change.index, ty, draft.hardware_version))?;
        if controller::shares_bus(change) {
            return Err(invalid(change.index, "device.sharedBus", "Shared SCSI buses are not supported"));
        }
        controller::add(draft, change, Bus::Scsi, |bus| Self { bus, model })
    }

    fn edit(_draft: &mut Draft<'_>, change: &Change<'_>, device: Device) -> Result<(), Fault> {
        controller::edit(change, &device)
    }

    fn bus(&self) -> Option<i32> {
        Some(self.bus)
    }

    fn units(&self) -> Option<(Bus, i32)> {
        match self.model {
            // QEMU's parallel LSI and SAS controllers have eight targets.
            ScsiModel::LsiLogic | ScsiModel::LsiLogicSas | ScsiModel::BusLogic => Some((Bus::Scsi, 8)),
            ScsiModel::ParaVirtual => Some((Bus::Scsi, 16)),
        }
    }

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        let model = match self.model {
            ScsiModel::BusLogic => "BusLogic",
            ScsiModel::LsiLogic => "LSI Logic",
            ScsiModel::LsiLogicSas => "LSI Logic SAS",
            ScsiModel::ParaVirtual => "VMware paravirtual SCSI",
        };
        (format!("SCSI controller {}", self.bus), model.to_owned())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        macro_rules! scsi {
            ($ty:ident) => {
                shown!(
                    at,
                    $ty {
                        busNumber: self.bus,
                        device: at.attached(),
                        hotAddRemove: true,
                        sharedBus: "noSharing",
                        scsiCtlrUnitNumber: SCSI_OWN_UNIT,
                    }
                )
            };
        }
        match self.model {
            ScsiModel::BusLogic => scsi!(VirtualBusLogicController),
            ScsiModel::LsiLogic => scsi!(VirtualLsiLogicController),
            ScsiModel::LsiLogicSas => scsi!(VirtualLsiLogicSASController),
            ScsiModel::ParaVirtual => scsi!(ParaVirtualSCSIController),
        }
    }

    fn options() -> Vec<Object> {
        SCSI_TYPES.into_iter().map(|ty| option(ty, Some("VirtualPCIController"), false)).collect()
    }

    fn prefix(&self, _device: &Device, _devices: &Devices) -> Option<String> {
        Some(format!("scsi{}", self.bus))
    }

    fn read(from: &mut Reading<'_>) {
        for number in controller::present(from, Bus::Scsi) {
            let model = from.source.word(
                &format!("scsi{number}.virtualDev"),
                ScsiModel::from_word,
                "lsilogic, lsisas1068, pvscsi or buslogic",
            );
            let bus = i32::from(number);
            match model {
                Ok(model) => {
                    let model = model.unwrap_or(ScsiModel::LsiLogic);
                    from.insert(controller::device(Bus::Scsi, bus, Self { bus, model }));
                }
                Err(error) => {
                    let place = Some((key::PCI, controller_unit(Bus::Scsi, bus)));
                    let key = controller_key(Bus::Scsi, bus);
                    from.unusable(&format!("scsi{number}"), key, place, Looks::Scsi(bus), &error.into());
                }
            }
        }
    }

    fn write(&self, _device: &Device, to: &mut Writing<'_>) {
        to.wanted.flag(format!("scsi{}.present", self.bus), true);
        to.wanted.put(format!("scsi{}.virtualDev", self.bus), self.model.word());
    }

    fn build(&self, _device: &Device, parts: &mut Parts<'_>) -> qemu::Result<()> {
        let model = match self.model {
            ScsiModel::LsiLogic => qemu::spec::ScsiModel::LsiLogic,
            ScsiModel::LsiLogicSas => qemu::spec::ScsiModel::LsiLogicSas,
            ScsiModel::ParaVirtual => qemu::spec::ScsiModel::Pvscsi,
            ScsiModel::BusLogic => {
                let message = "BusLogic controllers are not supported; use LSI Logic instead";
                return Err(qemu::Error::Spec(message.into()));
            }
        };
        let index = controller::small(self.bus)?;
        parts.spec.controllers.push(Controller { index, kind: ControllerKind::Scsi(model) });
        Ok(())
    }
}
