//! `esfera vm power`

use clap::{Args, ValueEnum};
use vim::call;

use crate::client::failure::Failure;
use crate::client::inventory::Inventory;
use crate::client::session;
use crate::client::target::Target;

#[derive(Args)]
pub struct PowerArgs {
    vm: String,
    #[arg(value_enum)]
    operation: PowerOperation,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum PowerOperation {
    On,
    Off,
    Reset,
    Suspend,
    /// Ask the guest to shut down
    Shutdown,
    /// Ask the guest to restart
    Reboot,
}

pub async fn run(PowerArgs { vm, operation, target }: PowerArgs) -> Result<(), Failure> {
    let client = session::open(&target).await?;
    let inventory = Inventory::of(&client).await?;
    let vm = inventory.vm(&vm).await?;
    let call = match operation {
        PowerOperation::On => call!(PowerOnVM_Task {}),
        PowerOperation::Off => call!(PowerOffVM_Task {}),
        PowerOperation::Reset => call!(ResetVM_Task {}),
        PowerOperation::Suspend => call!(SuspendVM_Task {}),
        PowerOperation::Shutdown => call!(ShutdownGuest {}),
        PowerOperation::Reboot => call!(RebootGuest {}),
    };
    inventory.task(&vm, call).await.map(drop)
}
