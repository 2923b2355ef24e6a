//! Changing a machine. New files are made first, then the `.vmx` is written, then the running machine follows; what it
//! refuses is taken back. Devices that go leave the running machine first, and their files go last.

use std::sync::Arc;

use vim::{Fault, Object, field};
use vm::config::VmConfig;
use vm::device::{Cdrom, Kind, Medium};
use vm::plan::{self, Plan, Step};
use vm::{FileRef, Power};

use super::blocking;
use super::power::port_spec;
use crate::Host;
use crate::engine::Machine;
use crate::error::machine_fault;
use crate::events::{self, Who};
use crate::vms::Vm;
use crate::vms::usable;

impl Host {
    /// Changes a machine as the specification says.
    pub(crate) async fn reconfigure(
        self: &Arc<Self>,
        vm: &Arc<Vm>,
        spec: Arc<Object>,
        who: &Who,
    ) -> Result<(), Fault> {
        let _one = vm.changing.lock().await;
        let (home, current) = {
            let state = vm.state();
            usable(&state)?;
            (state.home.clone(), state.config.clone())
        };
        if let Some(name) = spec.get(field!(VirtualMachineConfigSpec.name)) {
            self.check_free_name(name, Some(&vm.me))?;
        }
        let (host, machine, before) = (self.clone(), vm.clone(), current.clone());
        let plan = blocking(move || {
            host.plan(home, Some(&machine), |around| plan::reconfigure(&spec, &before, around))
        })
        .await?;
        self.carry_out(vm, &current, plan).await?;
        if let Some(machine) = vm.machine() {
            self.engine.allot(vm.me.id(), &vm.config(), machine.pid()).await;
        }
        self.look_at_files(vm).await;
        self.publish(vm);
        self.post(vm, events::Vm::Reconfigured, who).await;
        Ok(())
    }

    /// Carries out a plan, or leaves everything as it was.
    async fn carry_out(&self, vm: &Arc<Vm>, before: &VmConfig, plan: Plan) -> Result<(), Fault> {
        let machine = vm.machine();
        let images = self.engine.images();
        // Devices that the guest must let go of: a refusal changes nothing.
        for step in &plan.steps {
            if let (Step::Unplug(key), Some(machine)) = (step, &machine) {
                self.unplug(vm, machine, before, *key).await?;
            }
        }
        let mut made: Vec<FileRef> = Vec::new();
        let changed = async {
            for step in &plan.steps {
                match step {
                    Step::CreateDisk { file, bytes, thin, eager, .. } => {
                        self.create_disk(&*images, file, *bytes, *thin, *eager).await?;
                        made.push(file.clone());
                    }
                    Step::GrowDisk { key, file, bytes } => {
                        let grown = match &machine {
                            Some(machine) => machine.resize_disk(*key, *bytes).await,
                            None => images.grow(file, *bytes).await,
                        };
                        grown.map_err(|error| self.image_fault(file, &error))?;
                    }
                    _ => {}
                }
            }
            let suspended = vm.state().suspend_file.clone();
            self.save(vm, plan.config.clone(), suspended.as_deref()).await
        };
        if let Err(fault) = changed.await {
            self.clear_away(&made).await;
            return Err(fault);
        }
        if let Some(machine) = &machine
            && let Err(fault) = self.follow(vm, machine, &plan).await
        {
            // The running machine is as it was, but for what it has taken on already.
            tracing::warn!(vm = vm.me.id(), %fault, "the running machine did not follow");
            self.save(vm, before.clone(), None).await?;
            self.clear_away(&made).await;
            return Err(fault);
        }
        for step in &plan.steps {
            if let Step::DestroyDisk { files } = step {
                self.destroy_disk(vm, files).await;
            }
        }
        Ok(())
    }

    async fn unplug(
        &self,
        vm: &Vm,
        machine: &Arc<dyn Machine>,
        before: &VmConfig,
        key: i32,
    ) -> Result<(), Fault> {
        let is_nic = before.devices.get(&key).is_some_and(|device| device.nic().is_some());
        let gone = if is_nic { machine.remove_nic(key).await } else { machine.remove_disk(key).await };
        gone.map_err(|error| machine_fault(&vm.me, &error))?;
        if is_nic && let Err(error) = self.network.unplug(vm.me.id(), key).await {
            tracing::warn!(vm = vm.me.id(), %error, "a port stays behind");
        }
        Ok(())
    }

    /// Brings the running machine to its new configuration. If a step fails, devices that were added go again.
    async fn follow(&self, vm: &Vm, machine: &Arc<dyn Machine>, plan: &Plan) -> Result<(), Fault> {
        let mut added = Vec::new();
        for step in &plan.steps {
            if let Err(fault) = self.follow_step(vm, machine, &plan.config, step).await {
                for key in added {
                    if let Err(fault) = self.unplug(vm, machine, &plan.config, key).await {
                        tracing::warn!(vm = vm.me.id(), key, %fault, "a device that was just added stays");
                    }
                }
                return Err(fault);
            }
            if let Step::Plug(key) = step {
                added.push(*key);
            }
        }
        Ok(())
    }

    async fn follow_step(
        &self,
        vm: &Vm,
        machine: &Arc<dyn Machine>,
        config: &VmConfig,
        step: &Step,
    ) -> Result<(), Fault> {
        let fault = |error| machine_fault(&vm.me, &error);
        match step {
            Step::Plug(key) => {
                let Some(device) = config.devices.get(key) else { return Ok(()) };
                match &device.kind {
                    Kind::Disk(_) => machine.add_disk(config, *key).await.map_err(fault),
                    Kind::Nic(_) => {
                        let tap = self.plug_one(vm, config, *key).await?;
                        let added = machine.add_nic(config, *key, tap.as_ref()).await.map_err(fault);
                        if added.is_err()
                            && let Err(error) = self.network.unplug(vm.me.id(), *key).await
                        {
                            tracing::warn!(vm = vm.me.id(), %error, "a port stays behind");
                        }
                        added
                    }
                    _ => Ok(()),
                }
            }
            Step::ChangeMedium(key) => {
                let device = config.devices.get(key);
                let iso = device.and_then(|device| match &device.kind {
                    Kind::Cdrom(Cdrom { medium: Medium::Iso(file) }) => {
                        Some(file).filter(|_| device.connect.is_some_and(|connect| connect.now))
                    }
                    _ => None,
                });
                machine.change_medium(*key, iso).await.map_err(fault)
            }
            Step::SetLink { key, up } => machine.set_link(*key, *up).await.map_err(fault),
            // The tap keeps its name: the port is moved under the running adapter.
            Step::Reconnect(key) => {
                let Some(nic) = config.devices.get(key).and_then(|device| device.nic()) else {
                    return Ok(());
                };
                let port = port_spec(vm, *key, nic);
                self.network.move_port(&port).await.map_err(|error| {
                    vim::fault!(GenericVmConfigFault { reason: error.to_string() }, "{error}")
                })
            }
            Step::AddMemory { mib } => machine.add_memory(*mib).await.map_err(fault),
            Step::AddProcessors { count } => machine.add_processors(*count).await.map_err(fault),
            Step::CreateDisk { .. } | Step::GrowDisk { .. } | Step::DestroyDisk { .. } | Step::Unplug(_) => {
                Ok(())
            }
        }
    }

    /// Removes the images of a disk that is no longer the machine's, but those that a snapshot or another machine
    /// needs.
    async fn destroy_disk(&self, vm: &Vm, images: &[FileRef]) {
        let mut kept = super::files::all_disk_files(&vm.state());
        for other in self.all_vms().into_iter().filter(|other| other.me != vm.me) {
            kept.extend(super::files::all_disk_files(&other.state()));
        }
        let gone: Vec<FileRef> = images.iter().filter(|file| !kept.contains(file)).cloned().collect();
        self.clear_away(&gone).await;
    }

    /// Gives a machine another name.
    pub(crate) async fn rename(self: &Arc<Self>, vm: &Arc<Vm>, name: &str, who: &Who) -> Result<(), Fault> {
        let _one = vm.changing.lock().await;
        plan::check_name(name)?;
        self.check_free_name(name, Some(&vm.me))?;
        let (mut config, suspended) = {
            let state = vm.state();
            usable(&state)?;
            (VmConfig::clone(&state.config), state.suspend_file.clone())
        };
        let old = std::mem::replace(&mut config.name, name.to_owned());
        config.touch(vim::DateTime::now());
        self.save(vm, config, suspended.as_deref()).await?;
        self.publish(vm);
        self.post(vm, events::Vm::Renamed { old }, who).await;
        Ok(())
    }

    /// Makes a machine a template, or a template a machine.
    pub(crate) async fn mark_as_template(
        self: &Arc<Self>,
        vm: &Arc<Vm>,
        template: bool,
        pool: Option<vim::MoRef>,
    ) -> Result<(), Fault> {
        let _one = vm.changing.try_lock().map_err(|_| super::destroy::busy(vm))?;
        vm.require(Power::Off)?;
        let mut config = VmConfig::clone(&vm.config());
        if config.template == template {
            let what = if template { "is a template" } else { "is no template" };
            return Err(vim::fault!(InvalidState {}, "{} {what} already", config.name));
        }
        config.template = template;
        config.touch(vim::DateTime::now());
        self.save(vm, config, None).await?;
        if let Some(pool) = pool {
            vm.state().pool = pool;
        }
        self.publish(vm);
        Ok(())
    }

    /// Answers the question that a machine waits with: to try again, or to give up and power off.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        vm: &Arc<Vm>,
        id: &str,
        choice: &str,
        who: &Who,
    ) -> Result<(), Fault> {
        let asked = vm.state().question.as_ref().is_some_and(|question| question.id == id);
        if !asked {
            return Err(vim::fault!(
                ConcurrentAccess {},
                "The machine does not ask the question {id} any more"
            ));
        }
        let machine = vm.running()?;
        match choice {
            "0" | "button.retry" => {
                machine.resume().await.map_err(|error| machine_fault(&vm.me, &error))?;
                vm.state().question = None;
                self.publish(vm);
                Ok(())
            }
            "1" | "button.abort" => self.power_off(vm, who).await,
            other => Err(vim::fault!(
                InvalidArgument { invalidProperty: "answerChoice" },
                "\"{other}\" is no choice; answer 0 to retry or 1 to cancel"
            )),
        }
    }
}
