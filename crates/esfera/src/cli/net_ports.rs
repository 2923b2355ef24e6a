//! `esfera net port …` and `esfera net capture`: the ports of a host's switches, and what passes them.

use std::io::{IsTerminal, Write};
use std::pin::pin;

use anyhow::Context;
use api::server::CaptureQuery;
use futures_util::StreamExt;
use serde_json::json;
use vim::field;

use super::failure::{Failure, Reason};
use super::net::{Network, text, words};
use super::net_args::{CaptureArgs, OnHost, Point};
use super::output::Table;
use super::session;

/// Lists the ports of all port groups.
pub async fn list(on: &OnHost) -> Result<(), Failure> {
    let network = Network::of(on).await?;
    let mut table = Table::new(&["port", "port_group", "vlan", "mac", "of"]);
    for group in network.groups() {
        let Some(spec) = group.get(field!(HostPortGroup.spec)) else { continue };
        for port in group.get(field!(HostPortGroup.port)).into_iter().flatten() {
            let macs = port.get(field!(HostPortGroupPort.mac)).map(|macs| macs.iter().collect());
            table.row(vec![
                text(port.get(field!(HostPortGroupPort.key))),
                text(spec.get(field!(HostPortGroupSpec.name))),
                json!(spec.get(field!(HostPortGroupSpec.vlanId))),
                words(macs),
                text(port.get(field!(HostPortGroupPort.r#type))),
            ]);
        }
    }
    table.print(on.target.json);
    Ok(())
}

/// Writes what passes ports to a file or to the standard output, until it is interrupted.
pub async fn capture(args: CaptureArgs) -> Result<(), Failure> {
    if args.write == "-" && std::io::stdout().is_terminal() {
        let failure = Failure::new(Reason::Usage, "a capture is no text for a terminal");
        return Err(failure.hint(
            "give a file with --write, or a pipe: esfera net capture --port … --write - | tshark -r -",
        ));
    }
    let client = session::open(&args.target).await?;
    let points = args.point.iter().map(|point| point.word().to_owned()).collect();
    let query = CaptureQuery { ports: args.port, points, length: args.length };
    let mut frames = pin!(client.capture(&query).await.map_err(|error| {
        let failure = Failure::from(error);
        failure.hint(
            "captures are made by the host itself: log in to it, and see its ports with: esfera net port ls",
        )
    })?);
    let mut out: Box<dyn Write> = match args.write.as_str() {
        "-" => Box::new(std::io::stdout()),
        path => Box::new(std::fs::File::create(path).with_context(|| format!("cannot write {path}"))?),
    };
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut bytes = 0;
    loop {
        let chunk = tokio::select! {
            _ = &mut interrupted => break,
            chunk = frames.next() => chunk,
        };
        let Some(chunk) = chunk else { break };
        let chunk = chunk.context("the capture was cut off")?;
        out.write_all(&chunk)
            .and_then(|()| out.flush())
            .with_context(|| format!("cannot write {}", args.write))?;
        bytes += chunk.len();
    }
    eprintln!("{bytes} bytes written");
    Ok(())
}

impl Point {
    fn word(self) -> &'static str {
        match self {
            Self::FromPort => "fromPort",
            Self::ToPort => "toPort",
            Self::UplinkIn => "uplinkIn",
            Self::UplinkOut => "uplinkOut",
            Self::Dropped => "dropped",
        }
    }
}
