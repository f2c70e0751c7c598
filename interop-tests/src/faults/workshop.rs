//! Builds the peers of Rust, Python, C++ and C on a core with crash points.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::language::Language;
use crate::toolchain::{CPP_PEER, Peers, Workshop, compile_c};

/// The languages with crash points: those built on the core.
pub(super) const LANGUAGES: [&str; 4] = ["rust", "python", "cpp", "c"];

/// Prepares the peers of these languages. Languages whose tools are missing are left out, as in [`Peers::prepare`].
///
/// # Errors
/// As [`Peers::prepare`].
pub(super) fn prepare(languages: &[&'static Language]) -> Result<Peers> {
    Peers::prepare_as(languages, |workshop, language| {
        let folder = workshop.folder().join("crash");
        build(workshop, &folder)?;
        Ok(match language.name {
            "rust" => vec![folder.join("peer-rust")],
            "cpp" => vec![folder.join("peer-cpp")],
            "c" => vec![folder.join("peer-c")],
            "python" => {
                let path = format!("PYTHONPATH={}", folder.join("python").display());
                let program = workshop.root().join("interop-tests/peers/python/main.py");
                // -S: it starts twice as fast without the packages of this machine, and needs none.
                vec!["env".into(), path.into(), "python3".into(), "-S".into(), program]
            }
            other => bail!("{other} has no crash points; expected one of {}", LANGUAGES.join(", ")),
        })
    })
}

/// Builds all four at once, so that cargo builds the core once.
fn build(workshop: &Workshop, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build",
        "--quiet",
        "--lib",
        "--bin",
        "peer-rust",
        "--features",
        "interop-tests/crash-points",
    ]);
    cargo.args(
        ["interop-tests", "eshm-cpp", "eshm-capi", "eshm-py"].map(|package| format!("--package={package}")),
    );
    let products = ["peer-rust", "lib_eshm.so", "libeshm_cpp.a", "libeshm_capi.a"]
        .map(|name| workshop.programs().join(name));
    // They are copied because the next build of these packages replaces them.
    let mut copy = Command::new("cp");
    copy.args(products).arg(folder);
    let mut cpp = Command::new("c++");
    cpp.args(["-std=c++17", "-O1", "-I", "cpp/include"]);
    cpp.args(CPP_PEER.map(|name| format!("interop-tests/peers/cpp/{name}.cpp")));
    cpp.arg(folder.join("libeshm_cpp.a")).arg("-o").arg(folder.join("peer-cpp"));
    cpp.args(["-pthread", "-ldl", "-lm"]);
    let (library, peer) = (folder.join("libeshm_capi.a"), folder.join("peer-c"));
    let c = compile_c(workshop, &workshop.root().join("capi/include"), &library, &peer);
    let sources = [
        "Cargo.toml",
        "Cargo.lock",
        "core/Cargo.toml",
        "core/src",
        "capi",
        "cpp",
        "py",
        "interop-tests/peers",
    ];
    workshop.build("crash", &sources, &peer, &mut [cargo, copy, cpp, c])?;
    package(workshop.root(), folder)
}

/// Installs the Python package as a wheel would.
fn package(root: &Path, folder: &Path) -> Result<()> {
    let package = folder.join("python/eshm");
    fs::create_dir_all(&package)?;
    for file in fs::read_dir(root.join("py/python/eshm"))? {
        let file = file?.path();
        if file.is_file() {
            fs::copy(&file, package.join(file.file_name().context("a file has a name")?))?;
        }
    }
    let metadata = folder.join(format!("python/eshm-{}.dist-info", env!("CARGO_PKG_VERSION")));
    fs::create_dir_all(&metadata)?;
    let text = format!("Metadata-Version: 2.1\nName: eshm\nVersion: {}\n", env!("CARGO_PKG_VERSION"));
    fs::write(metadata.join("METADATA"), text)?;
    fs::copy(folder.join("lib_eshm.so"), package.join("_eshm.abi3.so"))?;
    Ok(())
}
