//! Servers and workers, as processes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cases::Transport;

/// How the programs of a language are started.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The server's command line.
    pub server: Vec<String>,
    /// The client's.
    pub client: Vec<String>,
}

impl Programs {
    /// Those in Rust, in this directory.
    pub fn rust(directory: &std::path::Path) -> Self {
        let path = |name: &str| vec![directory.join(name).display().to_string()];
        Programs { server: path("users-server"), client: path("users") }
    }

    /// Those in Python, by this interpreter.
    pub fn python(interpreter: &std::path::Path) -> Self {
        let module = |name: &str| {
            vec![interpreter.display().to_string(), "-m".into(), format!("users_service.{name}")]
        };
        Programs { server: module("server"), client: module("client") }
    }
}

/// A process that is ended with its owner.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn start(command: &[String], arguments: &[&str]) -> anyhow::Result<Self> {
        let child = Command::new(&command[0])
            .args(&command[1..])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", command[0]))?;
        Ok(Process(child))
    }

    fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.0.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked first, so that segments are removed. It may be gone already.
        let _ = kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM);
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            match self.0.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                _ => return,
            }
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Usage {
    /// User and system time.
    pub cpu_seconds: f64,
    /// The most memory that it had at a time, in bytes, with the shared pages that it has touched.
    pub peak_bytes: u64,
}

impl Usage {
    fn of(pid: u32) -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // After the name, which is in parentheses and may contain anything.
        let fields: Vec<&str> =
            stat.rsplit_once(')').context("/proc/PID/stat")?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        let ticks = ticks(11).zip(ticks(12)).map(|(user, system)| user + system).context("/proc/PID/stat")?;
        let per_second = sysconf(SysconfVar::CLK_TCK)?.context("CLK_TCK")? as f64;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse()?;
        Ok(Usage { cpu_seconds: ticks / per_second, peak_bytes: kib << 10 })
    }
}

/// A server of one transport.
#[derive(Debug)]
pub struct Server {
    process: Process,
    /// What it says its address is.
    pub address: String,
}

impl Server {
    /// Starts it, and waits until it serves.
    ///
    /// # Errors
    /// That it does not.
    pub fn start(
        programs: &Programs,
        transport: Transport,
        segment: &str,
        capacity: usize,
    ) -> anyhow::Result<Self> {
        let capacity = capacity.to_string();
        let arguments = [
            "--transport",
            transport.name(),
            "--eshm-name",
            segment,
            "--eshm-clients",
            "2",
            "--eshm-capacity",
            &capacity,
        ];
        let mut process = Process::start(&programs.server, &arguments)?;
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().context("its output")?).read_line(&mut line)?;
        let ready = line
            .strip_prefix("READY ")
            .with_context(|| format!("{} said {line:?}, not READY", programs.server.join(" ")))?;
        let addresses: Value = serde_json::from_str(ready)?;
        let address = addresses[transport.name()].as_str().context("READY without the address")?.to_owned();
        Ok(Server { process, address })
    }

    /// What it has used.
    ///
    /// # Errors
    /// That it is gone.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        self.process.usage()
    }
}

/// A client that does as it is told.
#[derive(Debug)]
pub struct Worker {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    process: Process,
}

impl Worker {
    /// Starts it.
    ///
    /// # Errors
    /// That it cannot be started.
    pub fn start(programs: &Programs, transport: Transport, address: &str) -> anyhow::Result<Self> {
        let arguments = ["--transport", transport.name(), "--address", address, "worker"];
        let mut process = Process::start(&programs.client, &arguments)?;
        let input = process.0.stdin.take().context("its input")?;
        let output = BufReader::new(process.0.stdout.take().context("its output")?);
        Ok(Worker { input, output, process })
    }

    /// Has it do something.
    ///
    /// # Errors
    /// What it says went wrong; that it is gone.
    pub fn ask<T: DeserializeOwned>(&mut self, op: &str, params: &impl Serialize) -> anyhow::Result<T> {
        writeln!(self.input, "{}", json!({ "op": op, "params": params }))?;
        self.input.flush()?;
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "the worker ended during {op}");
        let mut answer: Value =
            serde_json::from_str(&line).with_context(|| format!("the worker said {line:?}"))?;
        match answer.get_mut("ok") {
            Some(ok) => Ok(serde_json::from_value(ok.take())?),
            None => bail!("{op}: {}", answer["error"]),
        }
    }

    /// What it has used.
    ///
    /// # Errors
    /// That it is gone.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        self.process.usage()
    }
}
