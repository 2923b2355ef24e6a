//! `esfera net capture`: the frames that pass ports, as pcapng.

use std::io::{IsTerminal, Write};
use std::pin::pin;

use anyhow::Context;
use api::server::CaptureQuery;
use clap::{Args, ValueEnum};
use futures_util::StreamExt;

use crate::client::failure::{Failure, Reason};
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Args)]
pub struct Capture {
    /// A port or an uplink, as `esfera net port ls` and `esfera net nic ls` name it; may be repeated
    #[arg(long, required = true)]
    port: Vec<String>,
    /// File to write pcapng to; - for the standard output
    #[arg(long, value_name = "FILE")]
    write: String,
    /// Where frames are captured; may be repeated [default: all points]
    #[arg(long, value_enum)]
    point: Vec<Point>,
    /// Bytes of each frame that are kept [default: 256]
    #[arg(long)]
    length: Option<u32>,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Point {
    /// As the port sends it
    FromPort,
    /// As it is delivered to the port
    ToPort,
    /// As it comes from the uplink
    UplinkIn,
    /// As it leaves by the uplink
    UplinkOut,
    /// Where it is dropped, with the reason
    Dropped,
}

/// Writes frames to a file or the standard output until it is interrupted.
pub async fn run(args: Capture) -> Result<(), Failure> {
    if args.write == "-" && std::io::stdout().is_terminal() {
        let failure = Failure::new(Reason::Usage, "a capture is binary and cannot go to a terminal");
        return Err(failure.hint(
            "give a file with --write, or a pipe: esfera net capture --port … --write - | tshark -r -",
        ));
    }
    let client = session::open(&args.target).await?;
    let points = args.point.iter().map(|point| point.word().to_owned()).collect();
    let query = CaptureQuery { ports: args.port, points, length: args.length };
    let mut frames = pin!(client.capture(&query).await.map_err(|error| {
        let failure = Failure::from(error);
        failure
            .hint("only the host itself captures: log in to it; its ports are listed by: esfera net port ls")
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
            .map_err(|error| terminal::unwritten(&args.write, &error))?;
        bytes += chunk.len();
    }
    terminal::complain(format!("{bytes} bytes written"));
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
