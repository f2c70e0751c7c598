//! Where and with what a run was made.

use std::process::Command;
use std::time::SystemTime;

use serde::Serialize;

use crate::placement::Placements;
use crate::rivals::Rival;

/// What the report says of itself.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// When the run began, in UTC.
    pub date: String,
    /// The processor's name.
    pub cpu: String,
    /// The two in use, of how many.
    pub processors: String,
    /// Name and release.
    pub kernel: String,
    /// The compilers and interpreters.
    pub compilers: Vec<String>,
    /// Of this repository.
    pub commit: String,
    /// When the run began: what others did on this machine is in the figures.
    pub load: String,
    /// Where the processors were: the limit in each placement, and its share.
    pub placements: String,
    /// How often, and how long.
    pub effort: String,
}

impl Machine {
    /// Looks around.
    pub fn look(processors: &[usize], interpreters: &[String], effort: String) -> Self {
        let compilers = [("rustc", "--version"), ("c++", "--version"), ("go", "version")];
        let interpreters = interpreters.iter().map(|tool| (tool.as_str(), "--version"));
        let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
        let processors: Vec<_> = processors.iter().map(usize::to_string).collect();
        let online = std::thread::available_parallelism().map_or(0, usize::from);
        Machine {
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            cpu: cpu(),
            processors: format!("{} of {online}", processors.join(" and ")),
            kernel: kernel(),
            compilers: (compilers.into_iter().chain(interpreters))
                .map(|(tool, question)| said(tool, &[question]))
                .filter(|answer| !answer.is_empty())
                .collect(),
            commit: if changed { format!("{commit} with changes") } else { commit },
            load: first_words("/proc/loadavg", 3),
            placements: String::new(),
            effort,
        }
    }

    /// Adds what only the run could tell.
    pub fn with_placements(mut self, placements: &Placements) -> Self {
        let shares = placements.shares();
        // The rest are accidents: something else had the processors.
        let placements = shares.iter().filter(|&&(_, share)| share >= 0.01);
        let said = placements.map(|(limit, share)| format!("{limit:.0} ns {:.0} %", share * 100.0));
        self.placements = said.collect::<Vec<_>>().join(", ");
        self
    }
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn kernel() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| String::new(),
        |name| format!("{} {}", name.sysname().display(), name.release().display()),
    )
}

fn first_words(path: &str, count: usize) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().take(count).collect::<Vec<_>>().join(" ")
}

/// The first line that a program says; nothing if it cannot be asked.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

/// The version of a rival: that of its package in our lock file, or the kernel's.
pub fn version(rival: &Rival) -> String {
    let Some(package) = rival.package else { return kernel() };
    let entry = format!("name = \"{package}\"\nversion = \"");
    let (_, rest) = include_str!("../Cargo.lock").split_once(&entry).unwrap_or_default();
    rest.split('"').next().unwrap_or_default().to_owned()
}
