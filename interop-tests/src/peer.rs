//! One peer process: started, listened to under a watchdog, and reaped, whatever happens.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use wait_timeout::ChildExt;

use crate::observe::Observation;

/// How long a peer may be silent when something is due. Generous: it is there to end a test that hangs, never
/// to measure one.
const WATCHDOG: Duration = Duration::from_secs(30);

/// What a peer said, and when the kit heard it.
#[derive(Clone, Debug)]
pub struct Line {
    /// When the line arrived.
    pub at: Instant,
    /// The line.
    pub said: Said,
}

/// One line of a peer's stdout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// `READY`: attached.
    Ready,
    /// An observation.
    Observed(Observation),
    /// Something that the protocol of the kit does not have.
    Garbage(String),
}

/// A running peer program. Dropping it kills and reaps it: this child and no other process.
pub struct Peer {
    label: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Line>,
    listener: Option<JoinHandle<()>>,
    complaints: Option<JoinHandle<String>>,
}

impl Peer {
    /// Starts `command`; `label` names it in errors.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(label: String, mut command: Command) -> Result<Peer> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{label}: {command:?} does not start"))?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut stderr = child.stderr.take().context("stderr is piped")?;
        let stdin = child.stdin.take();
        let (sender, lines) = mpsc::channel();
        let listener = thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                if sender.send(Line { at: Instant::now(), said: parse(line) }).is_err() {
                    break;
                }
            }
        });
        let complaints = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok(Peer { label, child, stdin, lines, listener: Some(listener), complaints: Some(complaints) })
    }

    /// The next line.
    ///
    /// # Errors
    /// When none comes in time, when the peer has ended, or when it reports that its side did not hold.
    pub fn hear(&mut self) -> Result<Line> {
        let line = match self.lines.recv_timeout(WATCHDOG) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.child.kill();
                return Err(self.failure(&format!("said nothing for {WATCHDOG:?}")));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(self.failure("ended early")),
        };
        match &line.said {
            Said::Observed(Observation::Failed { reason }) => bail!("{} failed: {reason}", self.label),
            Said::Garbage(text) => bail!("{} said {text:?}, expected READY or an observation", self.label),
            _ => Ok(line),
        }
    }

    /// Waits for READY, and returns when it came.
    ///
    /// # Errors
    /// As [`Peer::hear`], and when the peer reports an error instead.
    pub fn ready(&mut self) -> Result<Instant> {
        loop {
            let line = self.hear()?;
            match line.said {
                Said::Ready => return Ok(line.at),
                Said::Observed(Observation::Opening) => {}
                other => bail!("{} said {other:?}, expected READY", self.label),
            }
        }
    }

    /// Gives a command to a peer of the scenario `commands`.
    ///
    /// # Errors
    /// When it does not listen any more.
    pub fn tell(&mut self, command: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("stdin is closed")?;
        let told = stdin.write_all(format!("{command}\n").as_bytes());
        told.with_context(|| format!("{} does not listen to {command:?}", self.label))
    }

    /// The answer to a command.
    ///
    /// # Errors
    /// As [`Peer::hear`].
    pub fn answer(&mut self) -> Result<Observation> {
        loop {
            match self.hear()?.said {
                Said::Ready | Said::Observed(Observation::Opening) => {}
                Said::Observed(observation) => return Ok(observation),
                Said::Garbage(_) => unreachable!("`hear` refuses it"),
            }
        }
    }

    /// Gives a command and returns its answer.
    ///
    /// # Errors
    /// As [`Peer::tell`] and [`Peer::answer`].
    pub fn ask(&mut self, command: &str) -> Result<Observation> {
        self.tell(command)?;
        self.answer().with_context(|| format!("{}: no answer to {:.60}", self.label, command))
    }

    /// Gives a command whose answer must be this one.
    ///
    /// # Errors
    /// As [`Peer::ask`], and for another answer.
    pub fn expect(&mut self, command: &str, expected: &Observation) -> Result<()> {
        let found = self.ask(command)?;
        ensure!(found == *expected, "{}: {command:.60}: {found:?}, expected {expected:?}", self.label);
        Ok(())
    }

    /// Gives a command that must fail with this code, and returns the error's text.
    ///
    /// # Errors
    /// As [`Peer::ask`], and for another answer.
    pub fn refuses(&mut self, command: &str, expected: i32) -> Result<String> {
        match self.ask(command)? {
            Observation::Error { code, message } if code == expected => Ok(message),
            found => bail!("{}: {command:.60}: {found:?}, expected error {expected}", self.label),
        }
    }

    /// The process, until it is reaped.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Sends a signal to this process.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // Not reaped yet, so the pid is still its own.
        Ok(kill(self.pid(), signal)?)
    }

    /// Kills it with SIGKILL, reaps it, and returns what it had said.
    ///
    /// # Errors
    /// When the system refuses, or the peer had ended by itself.
    pub fn kill(mut self) -> Result<Vec<Line>> {
        self.end_by_force()?;
        Ok(self.lines.iter().collect())
    }

    /// Kills it with SIGKILL, whatever it is at, and reaps it.
    ///
    /// # Errors
    /// When the system refuses, or the peer had ended by itself.
    pub fn end_by_force(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Err(self.failure("had ended early"));
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for a signal of its own making to end it, and reaps it.
    ///
    /// # Errors
    /// When it does not end in time, or otherwise.
    pub fn ends_by(mut self, signal: Signal, limit: Duration) -> Result<()> {
        match self.child.wait_timeout(limit)? {
            Some(status) if status.signal() == Some(signal as i32) => Ok(()),
            Some(_) => Err(self.failure(&format!("ended otherwise than by {signal}"))),
            None => bail!("{} was not ended by {signal} within {limit:?}", self.label),
        }
    }

    /// Ends its stdin, which asks it to leave.
    pub fn ask_to_leave(&mut self) {
        self.stdin = None;
    }

    /// Ends its stdin, waits for its end, and returns what it had said and not been asked for.
    ///
    /// # Errors
    /// When it does not end in time, or its exit status says that its side did not hold.
    pub fn finish(mut self) -> Result<Vec<Line>> {
        self.stdin = None;
        let mut rest = Vec::new();
        while let Some(line) = self.line_or_end()? {
            rest.push(line);
        }
        let status = self.wait()?;
        if status.success() {
            return Ok(rest);
        }
        let last = rest.last().map(|line| format!("; its last words: {:?}", line.said)).unwrap_or_default();
        Err(self.failure(&format!("failed{last}")))
    }

    fn line_or_end(&mut self) -> Result<Option<Line>> {
        match self.lines.recv_timeout(WATCHDOG) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.child.kill();
                Err(self.failure(&format!("did not end within {WATCHDOG:?}")))
            }
        }
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        match self.child.wait_timeout(WATCHDOG)? {
            Some(status) => Ok(status),
            None => bail!("{} did not end within {WATCHDOG:?}", self.label),
        }
    }

    /// An error that says how it ended, if it did, and what it wrote to stderr.
    fn failure(&mut self, what: &str) -> anyhow::Error {
        let Ok(Some(status)) = self.child.wait_timeout(Duration::from_secs(1)) else {
            return anyhow!("{} {what}", self.label);
        };
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let last = self.lines.try_iter().last().map(|line| format!("; its last words: {:?}", line.said));
        anyhow!("{} {what} ({status}){} {complaints}", self.label, last.unwrap_or_default())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stdin = None;
        // Both fail only when it is reaped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(thread) = self.listener.take() {
            let _ = thread.join();
        }
    }
}

fn parse(line: String) -> Said {
    if line == "READY" {
        return Said::Ready;
    }
    match serde_json::from_str(&line) {
        Ok(observation) => Said::Observed(observation),
        Err(_) => Said::Garbage(line),
    }
}
