//! Sitting at a guest's serial port.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A login on the serial port.
pub struct Serial {
    stream: UnixStream,
    seen: String,
    next: u32,
    length: usize,
}

impl Serial {
    /// Connects, waits until the guest is up and logs in.
    pub async fn login(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).await.unwrap();
        let mut serial = Self { stream, seen: String::new(), next: 0, length: 0 };
        // A shell that is logged in already gives a prompt, else the login asks.
        let mut at_prompt = false;
        for _ in 0..40 {
            serial.send("\n").await;
            // Until nothing comes any more.
            while serial.wait_for(&["\0"], Duration::from_secs(1)).await.is_none() && serial.grew() {}
            // The shell asks where the cursor is.
            let seen = serial.seen.replace("\u{1b}[6n", "");
            let seen = seen.trim_end();
            at_prompt = seen.ends_with('#');
            if at_prompt || seen.ends_with("login:") {
                break;
            }
        }
        if !at_prompt {
            serial.send("root\n").await;
            serial.wait_for(&["assword:"], Duration::from_secs(60)).await.expect("it asks for a password");
            serial.send("esfera\n").await;
            serial.wait_for(&["# "], Duration::from_secs(60)).await.expect("it lets us in");
        }
        serial
    }

    /// Runs a command; gives what it wrote.
    pub async fn run(&mut self, command: &str) -> String {
        self.next += 1;
        let (begin, end) = (format!("<{}<", self.next), format!(">{}>", self.next));
        // Written in two parts so that the echo of the line is not taken for the output.
        let line = format!("echo '<'{n}'<'; {command}; echo '>'{n}'>'\n", n = self.next);
        self.seen.clear();
        self.send(&line).await;
        self.wait_for(&[&end], Duration::from_secs(60)).await.expect("the command ends");
        let out = self.seen.split(&begin).nth(1).and_then(|rest| rest.split(&end).next());
        out.expect("its output").trim().replace('\r', "")
    }

    /// Whether more has come since this was last asked.
    fn grew(&mut self) -> bool {
        let grew = self.seen.len() > self.length;
        self.length = self.seen.len();
        grew
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn wait_for(&mut self, texts: &[&str], within: Duration) -> Option<()> {
        let wait = async {
            let mut buffer = [0; 4096];
            loop {
                if texts.iter().any(|text| self.seen.contains(text)) {
                    return;
                }
                let count = self.stream.read(&mut buffer).await.unwrap();
                assert_ne!(count, 0, "the serial port was closed: {}", self.seen);
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        };
        tokio::time::timeout(within, wait).await.ok()
    }
}
