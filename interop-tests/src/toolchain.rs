//! Builds the peer programs with what is on the machine: cargo, python3, compilers of C++ and C, go.
//!
//! Each language is built as an outside user would: the C++ and C peers against an installed prefix, the Python peer
//! from the installed wheel. A stamp over the sources makes a repeat instant; a lock lets several test programs
//! ask at once.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};

use crate::language::Language;

/// Where things lie.
pub struct Workshop {
    /// The repository.
    root: PathBuf,
    /// Cargo's output folder.
    target: PathBuf,
    /// The folder of the running build's programs, such as `target/debug`.
    programs: PathBuf,
}

/// The languages that this machine can run: the command of each peer program.
#[derive(Default)]
pub struct Peers {
    commands: BTreeMap<&'static str, Vec<PathBuf>>,
}

impl Peers {
    /// Prepares `languages`; those whose tools are missing are named on stderr, and left out.
    ///
    /// # Errors
    /// When a build fails, or a language is missing although `ESHM_REQUIRE=all` says that none may be.
    pub fn prepare(languages: &[&'static Language]) -> Result<Peers> {
        Peers::prepare_as(languages, |workshop, language| (language.prepare)(workshop))
    }

    /// As [`Peers::prepare`], with other programs than those of the table: `build` makes one and returns its command.
    pub(crate) fn prepare_as(
        languages: &[&'static Language],
        build: impl Fn(&Workshop, &Language) -> Result<Vec<PathBuf>>,
    ) -> Result<Peers> {
        let workshop = Workshop::find()?;
        let required = env::var_os("ESHM_REQUIRE").is_some_and(|value| value == "all");
        let mut peers = Peers::default();
        for language in Language::every().filter(|one| languages.iter().any(|other| other.name == one.name)) {
            if !present(language) {
                let message = format!("{} is missing: install it with `{}`", language.name, language.install);
                ensure!(!required, "{message} (ESHM_REQUIRE=all)");
                eprintln!("{message}; its pairings are skipped");
                continue;
            }
            let command = build(&workshop, language)
                .with_context(|| format!("the {} peer cannot be built", language.name))?;
            peers.commands.insert(language.name, command);
        }
        Ok(peers)
    }

    /// The same peers, but for one language's, which is this command.
    #[must_use]
    pub fn replaced(mut self, language: &Language, command: &[&str]) -> Peers {
        self.commands.insert(language.name, command.iter().map(PathBuf::from).collect());
        self
    }

    /// A command that runs this language's peer, if the language is there.
    pub fn command(&self, language: &Language) -> Option<Command> {
        let (program, arguments) = self.commands.get(language.name)?.split_first()?;
        let mut command = Command::new(program);
        command.args(arguments);
        Some(command)
    }
}

/// Whether a language's tools are on this machine.
pub fn present(language: &Language) -> bool {
    let (program, arguments) = language.probe.split_first().expect("a probe has a program");
    let mut probe = Command::new(program);
    probe.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

impl Workshop {
    /// Finds the folders from the running program: `target/debug/matrix`, or `target/debug/deps/echo-…`.
    ///
    /// # Errors
    /// When the program lies nowhere near a workspace.
    pub fn find() -> Result<Workshop> {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate is not in a workspace")?;
        let program = env::current_exe()?;
        let mut programs = program.parent().context("the program has no folder")?;
        if programs.ends_with("deps") {
            programs = programs.parent().context("the program's folder has no parent")?;
        }
        let target = programs.parent().context("the programs' folder has no parent")?;
        Ok(Workshop { root: root.to_owned(), target: target.to_owned(), programs: programs.to_owned() })
    }

    /// The repository.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the running build's programs.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// The folder of everything that is built here and not by cargo.
    pub fn folder(&self) -> PathBuf {
        self.target.join("interop")
    }

    /// Runs `steps` unless they succeeded already on the same `sources`; prints what is being done.
    pub(crate) fn build(
        &self,
        what: &str,
        sources: &[&str],
        product: &Path,
        steps: &mut [Command],
    ) -> Result<()> {
        let folder = self.folder();
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join(format!("{what}.lock")))?;
        let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        let stamp = folder.join(format!("{what}.stamp"));
        let state = format!("{:016x}\n", fingerprint(&self.root, sources)?);
        if product.exists() && fs::read_to_string(&stamp).is_ok_and(|found| found == state) {
            return Ok(());
        }
        let since = Instant::now();
        eprintln!("preparing {what} …");
        for step in steps {
            run(step.current_dir(&self.root))?;
        }
        ensure!(product.exists(), "{} was not made", product.display());
        fs::write(stamp, state)?;
        eprintln!("prepared {what} in {:.1} s", since.elapsed().as_secs_f64());
        Ok(())
    }
}

/// Runs one step; what it says is this program's progress, on stderr.
fn run(step: &mut Command) -> Result<()> {
    let status = step.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("{step:?} ended with {status}"),
        Err(error) => bail!("{step:?} does not start: {error}"),
    }
}

/// A number that changes when a file below one of the paths does.
fn fingerprint(root: &Path, paths: &[&str]) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        add(&root.join(path), &mut hasher).with_context(|| format!("{path} cannot be read"))?;
    }
    Ok(hasher.finish())
}

fn add(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    path.hash(hasher);
    if !path.is_dir() {
        fs::read(path)?.hash(hasher);
        return Ok(());
    }
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    entries.retain(|path| !made(path));
    entries.sort();
    entries.iter().try_for_each(|entry| add(entry, hasher))
}

/// Whether something is a product among the sources, as Python's builds leave them.
fn made(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folders =
        ["__pycache__", "target", "build", "dist", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache"];
    folders.contains(&name) || [".egg-info", ".so", ".pyc"].iter().any(|ending| name.ends_with(ending))
}

/// Cargo builds the Rust peer along with this crate's programs and tests.
///
/// # Errors
/// When it is not there.
pub fn rust(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    let peer = workshop.programs.join("peer-rust");
    ensure!(
        peer.exists(),
        "{} is missing; build it with `cargo build -p interop-tests --bins`",
        peer.display()
    );
    Ok(vec![peer])
}

/// The Rust peer, which awaits in tokio.
///
/// # Errors
/// When it is not there.
pub fn rust_tokio(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    let mut command = rust(workshop)?;
    command.push("--tokio".into());
    Ok(command)
}

/// The wheel, installed by pip into a virtual environment of its own.
///
/// # Errors
/// When a step fails.
pub fn python(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    let environment = workshop.folder().join("venv");
    let interpreter = environment.join("bin/python");
    let mut create = Command::new("python3");
    create.args(["-m", "venv", "--clear"]).arg(&environment);
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "./py"]);
    workshop.build(
        "python",
        &["Cargo.toml", "Cargo.lock", "core/Cargo.toml", "core/src", "py"],
        &interpreter,
        &mut [create, install],
    )?;
    Ok(vec![interpreter, workshop.root.join("interop-tests/peers/python/main.py")])
}

/// The Python peer, which awaits in an event loop.
///
/// # Errors
/// When a step fails.
pub fn python_asyncio(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    let mut command = python(workshop)?;
    command.push("--asyncio".into());
    Ok(command)
}

/// The source files of the C++ peer.
pub(crate) const CPP_PEER: [&str; 9] =
    ["main", "commands", "flood", "journal", "ledger", "life", "observe", "payload", "traffic"];

/// Those of the C peer.
const C_PEER: [&str; 10] =
    ["main", "bytes", "commands", "flood", "journal", "ledger", "life", "observe", "payload", "traffic"];

/// The C++ peer, compiled as an outside user would: against the installed prefix, with nothing of the source
/// tree on the include path.
///
/// # Errors
/// When a step fails.
pub fn cpp(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    let prefix = workshop.folder().join("prefix");
    let peer = workshop.folder().join("peer-cpp");
    let mut install = Command::new(workshop.root.join("scripts/install.sh"));
    install.args(["--only", "c++", "--prefix"]).arg(&prefix);
    let compile = compile_cpp(workshop, &prefix, &peer);
    workshop.build("cpp", CPP_SOURCES, &peer, &mut [install, compile])?;
    Ok(vec![peer])
}

/// The C++ peer, whose waits are operations of standalone Asio.
///
/// # Errors
/// When a step fails.
pub fn cpp_asio(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    cpp(workshop)?;
    let peer = workshop.folder().join("peer-cpp-asio");
    let mut compile = compile_cpp(workshop, &workshop.folder().join("prefix"), &peer);
    compile.arg("-DPEER_ASIO");
    workshop.build("cpp-asio", CPP_SOURCES, &peer, &mut [compile])?;
    Ok(vec![peer])
}

/// What the C++ peer is made of.
pub(crate) const CPP_SOURCES: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "core/Cargo.toml",
    "core/src",
    "cpp",
    "scripts/install.sh",
    "interop-tests/peers/cpp",
];

/// The command that makes the C++ peer of what is installed under `prefix`.
pub(crate) fn compile_cpp(workshop: &Workshop, prefix: &Path, peer: &Path) -> Command {
    let sources = workshop.root.join("interop-tests/peers/cpp");
    let mut compile = Command::new("c++");
    compile.args(["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror"]);
    compile.arg("-I").arg(prefix.join("include"));
    compile.args(CPP_PEER.map(|name| sources.join(name).with_extension("cpp")));
    compile.arg(prefix.join("lib/libeshm_cpp.a")).arg("-o").arg(peer).args(["-pthread", "-ldl"]);
    compile
}

/// The C peer, compiled as an outside user would, as [`cpp`], and the example of the first exchange.
///
/// # Errors
/// When a step fails.
pub fn c(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    let prefix = workshop.folder().join("prefix");
    let peer = workshop.folder().join("peer-c");
    let mut install = Command::new(workshop.root.join("scripts/install.sh"));
    install.args(["--only", "c", "--prefix"]).arg(&prefix);
    let (headers, library) = (prefix.join("include"), prefix.join("lib/libeshm.a"));
    let mut hello = Command::new("cc");
    hello.arg("-I").arg(&headers).arg("capi/examples/hello.c").arg(&library).arg("-o");
    hello.arg(workshop.folder().join("hello-c")).args(["-pthread", "-ldl", "-lm"]);
    let mut compile = compile_c(workshop, &headers, &library, &peer);
    compile.args(["-Wall", "-Wextra", "-Werror"]);
    workshop.build("c", C_SOURCES, &peer, &mut [install, hello, compile])?;
    Ok(vec![peer])
}

/// What the C peer is made of.
pub(crate) const C_SOURCES: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "core/Cargo.toml",
    "core/src",
    "capi",
    "scripts/install.sh",
    "scripts/install_capi.sh",
    "interop-tests/peers/c",
];

/// The command that makes the C peer with a folder of headers and a library.
pub(crate) fn compile_c(workshop: &Workshop, headers: &Path, library: &Path, peer: &Path) -> Command {
    let sources = workshop.root.join("interop-tests/peers/c");
    let mut compile = Command::new("cc");
    // The peer needs POSIX besides: pwrite, poll, getline.
    compile.args(["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O2", "-I"]).arg(headers);
    // Its files are those of the C++ peer, and one more.
    compile.args(C_PEER.map(|name| sources.join(name).with_extension("c")));
    compile.arg(library).arg("-o").arg(peer).args(["-pthread", "-ldl", "-lm"]);
    compile
}

/// The Go peer, a module of its own that requires the package's, and the package's demo.
///
/// # Errors
/// When a step fails.
pub fn go(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    let peer = workshop.folder().join("peer-go");
    let build = |module: &str, package: &str, product: &Path| {
        let mut build = Command::new("go");
        build.arg("-C").arg(workshop.root.join(module)).args(["build", "-o"]).arg(product).arg(package);
        build
    };
    let mut steps = [
        build("go", "./examples/hello", &workshop.folder().join("hello-go")),
        build("interop-tests/peers/go", ".", &peer),
    ];
    workshop.build("go", &["go", "interop-tests/peers/go"], &peer, &mut steps)?;
    Ok(vec![peer])
}

/// The Go peer, whose goroutines wait in the poller of the runtime.
///
/// # Errors
/// When a step fails.
pub fn go_poller(workshop: &Workshop) -> Result<Vec<PathBuf>> {
    let mut command = go(workshop)?;
    command.push("--poller".into());
    Ok(command)
}
