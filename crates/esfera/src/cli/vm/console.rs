//! `esfera vm console`: a local port on which a VNC viewer finds the VM's screen.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;
use vim::{Value, call, field};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Args)]
pub struct Console {
    vm: String,
    /// Local address that a VNC viewer connects to
    #[arg(long, default_value = "127.0.0.1:5900")]
    listen: SocketAddr,
    #[command(flatten)]
    target: Target,
}

pub async fn run(Console { vm, listen, target }: Console) -> Result<(), Failure> {
    let client = session::open(&target).await?;
    let inventory = Inventory::of(&client).await?;
    let me = inventory.vm(&vm).await?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose another address with --listen"))?;
    let address = listener.local_addr().context("the socket has no address")?;
    terminal::line(format!("The screen of {vm} is at {address} for one VNC viewer; Ctrl-C ends it."))?;
    let (mut viewer, _) = listener.accept().await.context("cannot accept the viewer")?;
    let ticket = client.invoke(&me, &call!(AcquireTicket { ticketType: "webmks" })).await?;
    let ticket = ticket.as_ref().and_then(Value::as_object);
    let Some(name) = ticket.and_then(|ticket| ticket.get(field!(VirtualMachineTicket.ticket))) else {
        return Err(Failure::new(Reason::Failed, "the server gave no ticket for the console"));
    };
    let mut screen = client.console(name).await?;
    tokio::io::copy_bidirectional(&mut viewer, &mut screen).await.context("the console was cut off")?;
    Ok(())
}
