//! The processes of a measurement: pinned, watched, and gone when the runner is.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// A program, with the arguments that always come first.
#[derive(Clone, Debug)]
pub struct Program(pub Vec<String>);

impl Program {
    /// This one.
    pub fn this(first: &str) -> Result<Self> {
        let path = std::env::current_exe()?.into_os_string().into_string();
        Ok(Program(vec![path.map_err(|path| anyhow!("{} is not UTF-8", path.display()))?, first.to_owned()]))
    }

    /// The command that runs it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.0[0]);
        command.args(&self.0[1..]);
        command
    }
}

/// The processors that this process may use.
pub fn allowed() -> Result<Vec<usize>> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let processors: Vec<_> =
        (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect();
    ensure!(!processors.is_empty(), "this process may use no processor");
    Ok(processors)
}

/// Two of them for the two processes, on different cores where there are any; the only one, if there is no other.
pub fn two_of(allowed: &[usize]) -> Vec<usize> {
    let &[.., first, last] = allowed else { return allowed.to_vec() };
    let elsewhere = allowed.iter().rev().find(|&&cpu| core(cpu) != core(last));
    vec![elsewhere.copied().unwrap_or(first), last]
}

fn core(processor: usize) -> Option<String> {
    std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu{processor}/topology/core_cpus_list")).ok()
}

/// A running process. Dropping it ends it.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    deadline: Instant,
}

impl Process {
    /// Starts a process on these processors, with a limited time to live.
    pub fn start(mut command: Command, processors: &[usize], limit: Duration) -> Result<Self> {
        let mut bound = CpuSet::new();
        processors.iter().try_for_each(|&processor| bound.set(processor))?;
        let alarm = limit.as_secs() as u32 + 1;
        let setup = move || {
            sched_setaffinity(Pid::from_raw(0), &bound)?;
            // Should the runner be killed, so is this; should it forget this one, it ends by itself.
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            nix::unistd::alarm::set(alarm);
            Ok(())
        };
        // SAFETY: the closure makes system calls only, and does not allocate.
        unsafe { command.pre_exec(setup) };
        // An error is one line.
        command.env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut errors = child.stderr.take().context("no stderr")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Ends with the stream, or with the process being dropped.
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            // What is not UTF-8 is not worth the failure.
            let _ = errors.read_to_string(&mut text);
            text
        });
        let stdin = child.stdin.take();
        Ok(Process { child, stdin, lines, stderr: Some(stderr), deadline: Instant::now() + limit })
    }

    /// Waits for a line that begins so.
    pub fn expect_line(&mut self, start: &str) -> Result<()> {
        loop {
            match self.line()? {
                Some(line) if line.starts_with(start) => return Ok(()),
                Some(_) => {}
                None => return Err(self.failure(&format!("it ended before it said {start}"))),
            }
        }
    }

    /// Lets it pass its gate.
    pub fn let_go(&mut self) -> Result<()> {
        let stdin = self.stdin.as_mut().context("no stdin")?;
        stdin.write_all(b"\n").context("opening its gate")
    }

    /// Waits for the end of the process; what else it has said. Sleeps meanwhile, to leave the cores alone.
    pub fn finish(mut self) -> Result<Vec<String>> {
        drop(self.stdin.take());
        let mut lines = Vec::new();
        while let Some(line) = self.line()? {
            lines.push(line);
        }
        let status = self.child.wait()?;
        match (status.success(), status.signal()) {
            (true, _) => Ok(lines),
            (_, Some(libc::SIGALRM)) => Err(self.failure("it ran out of time")),
            _ => Err(self.failure(&format!("it ended with {status}"))),
        }
    }

    /// The next line; `None` at the end.
    fn line(&mut self) -> Result<Option<String>> {
        match self.lines.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(self.failure("it ran out of time")),
        }
    }

    fn failure(&mut self, what: &str) -> anyhow::Error {
        self.end();
        let said = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let said: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = &said[said.len().saturating_sub(3)..];
        if last.is_empty() { anyhow!("{what}") } else { anyhow!("{what}: {}", last.join(" | ")) }
    }

    fn end(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// The files that have this in their names: removed when it is dropped, should a killed process have left any.
pub struct Leftovers<'a>(pub &'a str);

impl Drop for Leftovers<'_> {
    fn drop(&mut self) {
        for directory in ["/dev/shm", "/tmp/iceoryx2/nodes", "/tmp/iceoryx2/services"] {
            let Ok(entries) = std::fs::read_dir(directory) else { continue };
            for entry in entries.flatten() {
                if entry.file_name().to_string_lossy().contains(self.0) {
                    // A file or a directory, or gone by now.
                    let _ =
                        std::fs::remove_file(entry.path()).or_else(|_| std::fs::remove_dir_all(entry.path()));
                }
            }
        }
    }
}
