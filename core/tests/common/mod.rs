//! What the tests have in common: names that clean up after themselves, and child processes.
#![allow(dead_code, reason = "not every test file uses everything")]
#![allow(clippy::disallowed_types, reason = "counters of the tests themselves")]

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

/// How long anything may take before a test gives up: generous, for a loaded machine. Nothing waits this long
/// unless it fails.
pub const WATCHDOG: Duration = Duration::from_secs(30);

/// A segment name that no other test uses. What lies under it is removed at the end.
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

    /// Whether anything lies under the name.
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

/// Looks until there is something to be seen, which nobody signals.
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

/// What `work` returns, on a thread of its own; `None` if it is still at it after `limit`.
pub fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || drop(done.send(work())));
    result.recv_timeout(limit).ok()
}

/// Another process: this test program once more, playing one of the scenarios of its test named `child`.
///
/// It says lines on its standard output, and is told lines on its standard input.
pub struct Child {
    process: std::process::Child,
    lines: mpsc::Receiver<String>,
}

const SCENARIO: &str = "ESHM_TEST_SCENARIO";
const SEGMENT: &str = "ESHM_TEST_SEGMENT";
/// Tells what a scenario says from what the test harness prints.
const MARK: &str = "child says: ";

/// Starts this test program. `ESHM_TEST_RUNNER`: what runs programs of a foreign architecture, such as QEMU.
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

    /// As `start`, with these environment variables too.
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

    /// The next line that the child says.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(WATCHDOG).expect("the child should have said something")
    }

    /// The next line, if the child has said one.
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

    /// Kills it, and waits until it is gone.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.process.wait().unwrap();
    }

    /// How it ends by itself.
    pub fn ended(mut self) -> ExitStatus {
        drop(self.process.stdin.take());
        poll("the child's end", || self.process.try_wait().unwrap())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended, and been waited for, before: then neither does anything.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The scenario that this process is to play, and on which segment, if it is a [`Child`].
pub fn scenario() -> Option<(String, String)> {
    Some((std::env::var(SCENARIO).ok()?, std::env::var(SEGMENT).ok()?))
}

/// In a child: says a line.
pub fn say(line: impl Display) {
    // The harness leaves its own line unfinished.
    println!("\n{MARK}{line}");
    std::io::stdout().flush().unwrap();
}

/// In a child: waits for the next line that it is told. Ends the process if its parent is gone.
pub fn told() -> String {
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line).unwrap() == 0 {
        std::process::exit(0);
    }
    line.trim_end().to_owned()
}
