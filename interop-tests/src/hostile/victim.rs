//! The attacked programs: each language's peer, under AddressSanitizer where the language has it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::corpus::{self, Image};
use crate::Observation;
use crate::peer::Peer;
use crate::segment::Segment;
use crate::toolchain::{self, Workshop};

/// The victim's connect timeout for a segment that is not initialised.
const CONNECT_MS: u64 = 20;
/// The time that a call may take beyond its timeout. It is long, for a loaded machine: the test looks for a
/// call that never returns.
const ALLOWANCE: Duration = Duration::from_secs(10);
/// The error code after which a segment must be unchanged.
const FOREIGN: i32 = -3;

/// A kind of victim.
pub struct Kind {
    /// The name.
    pub name: &'static str,
    /// A command that succeeds if its tools are installed, and the command that installs them.
    pub needs: (&'static [&'static str], &'static str),
    prepare: fn(&Workshop) -> Result<Vec<PathBuf>>,
}

/// All kinds of victims.
pub const KINDS: &[Kind] = &[
    Kind { name: "rust-asan", needs: (&["cargo", "--version"], "apt-get install cargo"), prepare: rust },
    Kind { name: "cpp-asan", needs: (&["c++", "--version"], "apt-get install g++"), prepare: cpp },
    Kind { name: "c-asan", needs: (&["cc", "--version"], "apt-get install gcc"), prepare: c },
    Kind {
        name: "python",
        needs: (&["python3", "-c", "import ensurepip, venv"], "apt-get install python3 python3-venv"),
        prepare: toolchain::python,
    },
    Kind { name: "go", needs: (&["go", "version"], "apt-get install golang"), prepare: toolchain::go },
];

impl Kind {
    /// Returns whether its tools are installed.
    pub fn is_present(&self) -> bool {
        let (probe, _) = self.needs;
        let output = Command::new(probe[0]).args(&probe[1..]).output();
        output.is_ok_and(|output| output.status.success())
    }

    /// Builds the program, and returns the command that runs it.
    ///
    /// # Errors
    /// When a step fails.
    pub fn prepare(&self, workshop: &Workshop) -> Result<Vec<PathBuf>> {
        (self.prepare)(workshop).with_context(|| format!("the victim {} cannot be built", self.name))
    }
}

/// Builds the Rust peer and its core with AddressSanitizer, using the stable compiler.
fn rust(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    let target = workshop.folder().join("asan");
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let peer = target.join(&triple).join("debug/peer-rust");
    let mut build = Command::new("cargo");
    // RUSTC_BOOTSTRAP: the sanitizer is not stable yet. With a target, the flags are not those of macros.
    build.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    build.args(["build", "--package", "interop-tests", "--bin", "peer-rust", "--target", &triple]);
    build.arg("--target-dir").arg(&target);
    let sources = ["Cargo.toml", "Cargo.lock", "core/Cargo.toml", "core/src", "interop-tests/peers/rust"];
    workshop.build("rust-asan", &sources, &peer, &mut [build])?;
    Ok(vec![peer])
}

/// AddressSanitizer and UndefinedBehaviorSanitizer, for C++ and C.
const FLAGS: &str = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer";

/// Builds the C++ peer and the C++ facade with [`FLAGS`]. The core is built without them.
fn cpp(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    let (folder, peer) = (workshop.folder().join("cpp-asan"), workshop.folder().join("peer-cpp-asan"));
    let prefix = folder.join("prefix");
    let mut install = Command::new(workshop.root().join("scripts/install.sh"));
    install.env("CARGO_TARGET_DIR", &folder).env("CXXFLAGS", FLAGS).env("LDFLAGS", FLAGS);
    install.args(["--only", "c++", "--debug", "--prefix"]).arg(&prefix);
    let mut compile = toolchain::compile_cpp(workshop, &prefix, &peer);
    compile.args(FLAGS.split(' '));
    workshop.build("cpp-asan", toolchain::CPP_SOURCES, &peer, &mut [install, compile])?;
    Ok(vec![peer])
}

/// The C peer under [`FLAGS`]; the library in it is not, but what it copies to the peer goes through a `memcpy` that is
/// checked.
fn c(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    // This also installs the library.
    toolchain::c(workshop)?;
    let (prefix, peer) = (workshop.folder().join("prefix"), workshop.folder().join("peer-c-asan"));
    let (headers, library) = (prefix.join("include"), prefix.join("lib/libeshm.a"));
    let mut compile = toolchain::compile_c(workshop, &headers, &library, &peer);
    compile.args(FLAGS.split(' '));
    workshop.build("c-asan", toolchain::C_SOURCES, &peer, &mut [compile])?;
    Ok(vec![peer])
}

/// A running victim.
pub struct Victim<'a> {
    command: &'a [PathBuf],
    peer: Peer,
    /// The duration of the longest call.
    pub slowest: Duration,
}

impl<'a> Victim<'a> {
    /// Starts one.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(command: &'a [PathBuf]) -> Result<Victim<'a>> {
        let (program, arguments) = command.split_first().context("a command has a program")?;
        let mut process = Command::new(program);
        process.args(arguments).args(["slave", "unused", "commands"]);
        process.args(["--timeout-ms", &CONNECT_MS.to_string()]);
        let mut peer = Peer::start("the victim".to_owned(), process)?;
        // The first call does not include the start of the process.
        peer.ask("payload 1 1 16")?;
        Ok(Victim { command, peer, slowest: Duration::ZERO })
    }

    /// Ends the process, and starts another.
    ///
    /// # Errors
    /// If the new process does not start.
    pub fn replace(&mut self) -> Result<()> {
        self.peer = Victim::start(self.command)?.peer;
        Ok(())
    }

    /// Makes a call that may wait for `limit`. Any answer is accepted, but there must be one.
    ///
    /// # Errors
    /// If it crashed, hung, took too long, or reported an error that no segment content can cause.
    pub fn call(&mut self, call: &str, limit: Duration) -> Result<Observation> {
        let since = Instant::now();
        let answer = self.peer.ask(call)?;
        let took = since.elapsed();
        self.slowest = self.slowest.max(took);
        ensure!(took < limit + ALLOWANCE, "{call:.40} took {took:?}, and was to take {limit:?}");
        if let Observation::Error { code, message } = &answer {
            // Excludes invalid arguments (-1), a closed or forked endpoint (-14, -18), and a panic (-99).
            ensure!(
                matches!(code, -3..=-2 | -13..=-10 | -17..=-15 | -19),
                "{call:.40}: error {code}, {message}"
            );
        }
        Ok(answer)
    }

    /// Opens a segment. Returns the error code if that fails.
    ///
    /// # Errors
    /// As [`Victim::call`].
    pub fn open(&mut self, segment: &Segment, role: &str) -> Result<Result<(), i32>> {
        let open = format!("open {role} {}", hex::encode(segment.name()));
        match self.call(&open, Duration::from_secs(1))? {
            Observation::Error { code, .. } => Ok(Err(code)),
            _ => Ok(Ok(())),
        }
    }

    /// Attaches to an image and, if that succeeds, makes every call. Returns whether it attached.
    ///
    /// # Errors
    /// As [`Victim::call`], and if a refused image was changed.
    pub fn try_image(&mut self, segment: &Segment, image: &Image, role: &str) -> Result<bool> {
        corpus::plant(segment, &image.bytes)?;
        let opened = self.open(segment, role)?;
        match opened {
            Ok(()) => {
                for (call, limit) in CALLS {
                    self.call(call, Duration::from_millis(*limit))?;
                }
            }
            Err(FOREIGN) => ensure!(segment.bytes()? == image.bytes, "it was refused, and is not as it was"),
            Err(_) => {}
        }
        // A slave's close leaves the file. A master's close removes it.
        let _ = std::fs::remove_file(segment.path());
        Ok(opened.is_ok())
    }

    /// Ends the process in the regular way.
    ///
    /// # Errors
    /// If it does not end, or a sanitizer reported an error.
    pub fn finish(self) -> Result<Duration> {
        self.peer.finish()?;
        Ok(self.slowest)
    }
}

/// The calls that are made on an image, each with its timeout in milliseconds.
#[rustfmt::skip]
const CALLS: &[(&str, u64)] = &[
    ("state", 0), ("try-read", 0), ("read 2", 2), ("try-recv", 0), ("recv 2", 2), ("recv 2", 2), ("recv 2", 2),
    ("write 0102", 0), ("send 01 2", 2), ("try-send -", 0), ("send 00112233445566778899001122334455667788990011223344556677889900112233445566778899001122334455667788990011223344556677889900 2", 2),
    ("try-send 0011", 0), ("recv 2", 2), ("read 2", 2), ("state", 0), ("close", 0),
];
