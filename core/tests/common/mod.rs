//! Helpers of all tests: names whose files are removed at the end, waits, and child processes.
#![allow(dead_code, reason = "not every test file uses everything")]
#![allow(clippy::disallowed_types, reason = "counters of the tests themselves")]

#[cfg(feature = "tokio")]
pub mod aio;
pub mod descriptor;
pub mod legacy;
pub mod place;

use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// The time after which a test fails. It is long, for a loaded machine. Only a test that fails waits this long.
pub const WATCHDOG: Duration = Duration::from_secs(30);

/// A segment name that no other test uses. Its file is removed at the end.
pub struct Name {
    name: String,
    owner: u32,
}

impl Name {
    pub fn new(test: &str) -> Name {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Name { name: format!("test-{test}-{pid}-{count}"), owner: pid }
    }

    pub fn path(&self) -> PathBuf {
        format!("/dev/shm/eshm_{}", self.name).into()
    }

    /// Returns whether a file has the name.
    pub fn exists(&self) -> bool {
        self.path().symlink_metadata().is_ok()
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if self.owner == std::process::id() {
            let _ = std::fs::remove_file(self.path()).or_else(|_| std::fs::remove_dir(self.path()));
        }
    }
}

/// Polls until `look` returns something, for events that nobody signals.
pub fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < WATCHDOG, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// Runs `work` on a thread of its own and returns its result. `None`: it has not ended within `limit`.
pub fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || drop(done.send(work())));
    result.recv_timeout(limit).ok()
}

/// Another process of this test program, which runs one scenario of its test `child`.
///
/// It reports lines on its standard output, and reads lines from its standard input.
pub struct Child {
    process: std::process::Child,
    lines: mpsc::Receiver<String>,
}

const SCENARIO: &str = "ESHM_TEST_SCENARIO";
const SEGMENT: &str = "ESHM_TEST_SEGMENT";
/// Marks the lines of a scenario among those of the test harness.
const MARK: &str = "child says: ";

/// Returns the command of this test program. `ESHM_TEST_RUNNER` runs programs of another architecture, such as QEMU.
fn this_program() -> Command {
    let program = std::env::current_exe().unwrap();
    let runner = std::env::var("ESHM_TEST_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    let Some(first) = words.next() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(words).arg(program);
    command
}

impl Child {
    pub fn start(scenario: &str, segment: &str) -> Child {
        Child::start_with(scenario, segment, &[])
    }

    /// As `start`, with additional environment variables.
    pub fn start_with(scenario: &str, segment: &str, variables: &[(&str, &str)]) -> Child {
        let mut process = this_program()
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .envs([(SCENARIO, scenario), (SEGMENT, segment)])
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (said, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(line) = line.strip_prefix(MARK) {
                    let _ = said.send(line.to_owned());
                }
            }
        });
        Child { process, lines }
    }

    pub fn pid(&self) -> i32 {
        self.process.id() as i32
    }

    /// Returns the next line of the child.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(WATCHDOG).expect("the child should have said something")
    }

    /// Returns the next line, if the child has reported one.
    pub fn try_line(&self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    #[track_caller]
    pub fn expect(&self, line: &str) {
        assert_eq!(self.line(), line);
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Kills the process, and waits until it has ended.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.process.wait().unwrap();
    }

    /// Waits until the process has ended by itself, and returns its status.
    pub fn ended(mut self) -> ExitStatus {
        drop(self.process.stdin.take());
        poll("the child's end", || self.process.try_wait().unwrap())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Neither does anything if the process was waited for before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the scenario of this process and its segment, if it is a [`Child`].
pub fn scenario() -> Option<(String, String)> {
    Some((std::env::var(SCENARIO).ok()?, std::env::var(SEGMENT).ok()?))
}

/// Reports a line. For a child.
pub fn say(line: impl Display) {
    // The harness has begun a line without an end.
    println!("\n{MARK}{line}");
    std::io::stdout().flush().unwrap();
}

/// Waits for the next line of the parent. Ends the process if the parent is gone. For a child.
pub fn told() -> String {
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line).unwrap() == 0 {
        std::process::exit(0);
    }
    line.trim_end().to_owned()
}
