//! A bare QEMU with the guest in it: its serial port on pipes, QMP and the guest agent on sockets. Dropping it
//! kills the process.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// No step of a check takes this long, even on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Machine {
    child: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// Output of the serial port that no call has waited for yet.
    unread: String,
    pub qmp: Lines,
    pub agent: Lines,
}

impl Machine {
    /// Starts QEMU on an overlay of the image, inside a network namespace, with further arguments.
    pub fn start<S: AsRef<OsStr>>(namespace: &str, directory: &Path, arguments: &[S]) -> Result<Self> {
        let (qmp, agent) = (directory.join("qmp"), directory.join("agent"));
        let socket =
            |id: &str, path: &Path| format!("socket,id={id},path={},server=on,wait=off", path.display());
        let mut child = Command::new("ip")
            .args([
                "netns",
                "exec",
                namespace,
                "qemu-system-x86_64",
                "-machine",
                "q35",
                "-accel",
                "tcg",
                "-m",
                "160",
            ])
            .args(["-cpu", "max", "-nodefaults", "-display", "none", "-vga", "std", "-serial", "stdio"])
            .args(["-chardev", &socket("qmp", &qmp), "-mon", "chardev=qmp,mode=control"])
            .args(["-device", "virtio-serial-pci", "-chardev", &socket("agent", &agent)])
            .args(["-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start QEMU")?;
        let input = child.stdin.take().context("QEMU's input is a pipe")?;
        let output = read_in_background(child.stdout.take().context("QEMU's output is a pipe")?);
        let connected = Lines::connect(&qmp).and_then(|qmp| Ok((qmp, Lines::connect(&agent)?)));
        let (qmp, agent) = match connected {
            Ok(sockets) => sockets,
            Err(error) => {
                end(&mut child);
                return Err(error);
            }
        };
        let mut machine = Self { child, input, output, unread: String::new(), qmp, agent };
        machine.qmp.receive().context("QMP greets first")?;
        machine.qmp("qmp_capabilities", json!({}))?;
        Ok(machine)
    }

    /// Waits for `text` on the serial port, and returns the output before it.
    pub fn expect(&mut self, text: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.unread.find(text) {
                let before = self.unread[..at].to_owned();
                self.unread.drain(..at + text.len());
                return Ok(before);
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.unread.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout) => {
                    bail!("waited for `{text}` on the serial port, got: {}", self.unread)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("QEMU ended before `{text}`, after: {}", self.unread)
                }
            }
        }
    }

    fn send(&mut self, line: &str) -> Result<()> {
        self.input
            .write_all(line.as_bytes())
            .and_then(|()| self.input.write_all(b"\n"))
            .context("QEMU is gone")
    }

    /// Logs in at the prompt as an operator would.
    pub fn log_in(&mut self) -> Result<()> {
        self.expect("login: ")?;
        self.send("root")?;
        self.expect("Password: ")?;
        self.send("esfera")?;
        self.expect(":~# ").map(drop)
    }

    /// Runs a shell command in the guest and returns its output, trimmed; a failure is an error.
    pub fn run(&mut self, command: &str) -> Result<String> {
        // The echo of the command must not look like its result.
        self.send(&format!("{command}; echo \"<$?\"'>end'"))?;
        self.expect("'>end'\r\n")?;
        let said = self.expect(">end\r\n").with_context(|| format!("`{command}` in the guest"))?;
        let (output, status) = said.rsplit_once('<').context("the exit status is printed after `<`")?;
        ensure!(status == "0", "`{command}` in the guest ended with {status}: {output}");
        Ok(output.trim().to_owned())
    }

    /// Repeats a shell command until its output is the wanted one.
    pub fn run_until(&mut self, command: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.run(command)?;
            if wanted(&output) {
                return Ok(output);
            }
            if Instant::now() > deadline {
                bail!("`{command}` in the guest never printed the wanted output; last: {output}");
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// A QMP command's result.
    pub fn qmp(&mut self, command: &str, arguments: Value) -> Result<Value> {
        self.qmp.call(command, arguments)
    }

    /// Waits for QEMU to end.
    pub fn wait_for_end(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().context("cannot wait for QEMU")?.is_none() {
            if Instant::now() > deadline {
                bail!("the guest did not power off; the serial port says: {}", self.unread);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Kills a child if it still runs.
pub fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn read_in_background(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A socket that carries one JSON value a line.
pub struct Lines {
    reader: BufReader<UnixStream>,
}

impl Lines {
    fn connect(path: &Path) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).context("cannot set a time limit")?;
                    return Ok(Self { reader: BufReader::new(stream) });
                }
                Err(error) if Instant::now() > deadline => {
                    return Err(error).with_context(|| format!("QEMU does not listen on {}", path.display()));
                }
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn receive(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.reader.read_line(&mut line).context("no answer on the socket")?;
        serde_json::from_str(line.trim_start_matches('\u{ff}')).with_context(|| format!("not JSON: {line:?}"))
    }

    /// Sends a command and waits for its answer; events in between are skipped.
    pub fn call(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.reader.get_mut(), "{request}").context("the socket is closed")?;
        loop {
            let mut answer = self.receive()?;
            if let Some(error) = answer.get("error") {
                bail!("{command}: {error}");
            }
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
        }
    }
}
