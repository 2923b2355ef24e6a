//! The one way to run a helper program to its end: bounded in time and in what it may print, killed when the caller
//! gives up.

use crate::{Error, Result, limits};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

/// The result of a helper program.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Runs a program without input. `on_output` gets each piece of its standard output as it arrives.
pub(crate) async fn run(
    program: &Path,
    arguments: &[String],
    within: Duration,
    mut on_output: impl FnMut(&[u8]),
) -> Result<Output> {
    let what = || program.display().to_string();
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::io(what()))?;
    let stdout = child.stdout.take().expect("piped above");
    let stderr = child.stderr.take().expect("piped above");
    let all = async {
        let (stdout, stderr) = tokio::join!(drain(stdout, &mut on_output), drain(stderr, |_: &[u8]| {}));
        Ok::<_, std::io::Error>((child.wait().await?, stdout?, stderr?))
    };
    let (status, stdout, stderr) = timeout(within, all)
        .await
        .map_err(|_| Error::Timeout { command: what() })?
        .map_err(Error::io(what()))?;
    let stderr = String::from_utf8_lossy(&stderr).trim().to_owned();
    Ok(Output { status, stdout, stderr })
}

/// Reads to the end and keeps the first `limits::CHILD_OUTPUT_BYTES`, so that the child never blocks.
async fn drain(
    mut from: impl AsyncRead + Unpin,
    mut on_output: impl FnMut(&[u8]),
) -> std::io::Result<Vec<u8>> {
    let (mut kept, mut piece) = (Vec::new(), vec![0; 8192]);
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return Ok(kept);
        }
        on_output(&piece[..length]);
        let room = limits::CHILD_OUTPUT_BYTES - kept.len();
        kept.extend_from_slice(&piece[..length.min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str, within: Duration) -> Result<Output> {
        run(Path::new("/bin/sh"), &["-c".into(), script.into()], within, |_| {}).await
    }

    #[tokio::test]
    async fn output_and_status_come_back() {
        let output = shell("echo out; echo err >&2; exit 3", limits::QMP_CALL).await.unwrap();
        assert_eq!((output.stdout.as_slice(), output.stderr.as_str()), (&b"out\n"[..], "err"));
        assert_eq!(output.status.code(), Some(3));
    }

    #[tokio::test]
    async fn a_child_that_hangs_is_given_up() {
        let hung = shell("sleep 1000", Duration::from_millis(50)).await;
        assert!(matches!(hung, Err(Error::Timeout { .. })));
    }

    #[tokio::test]
    async fn a_child_that_prints_without_end_costs_bounded_memory() {
        let output = shell("head -c 20000000 /dev/zero", Duration::from_secs(60)).await.unwrap();
        assert_eq!(output.stdout.len(), limits::CHILD_OUTPUT_BYTES);
        assert!(output.status.success());
    }
}
