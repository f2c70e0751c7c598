//! Where and with what a run was made.

use std::process::Command;

use serde::Serialize;

/// What the report says of itself.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// In UTC.
    pub date: String,
    /// The processor, and how many there are.
    pub cpu: String,
    /// Its release.
    pub kernel: String,
    /// Compiler and interpreter.
    pub versions: Vec<String>,
    /// Of this repository.
    pub commit: String,
    /// The load when the run began.
    pub load: String,
}

impl Machine {
    /// Looks around.
    pub fn look(python: Option<&str>) -> Self {
        let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let mut versions = vec![said("rustc", &["--version"])];
        versions.extend(python.map(|python| said(python, &["--version"])));
        versions.retain(|version| !version.is_empty());
        let words = |path: &str, count: usize| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.split_whitespace().take(count).collect::<Vec<_>>().join(" ")
        };
        Machine {
            date: said("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
            cpu: format!("{}, {cores} processors", cpu()),
            kernel: words("/proc/sys/kernel/osrelease", 1),
            versions,
            commit: if changed { format!("{commit} with changes") } else { commit },
            load: words("/proc/loadavg", 3),
        }
    }
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// What a program says, or nothing.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
