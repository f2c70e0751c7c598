//! The table of languages, and the pairings that follow from it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::legacy;
use crate::toolchain::{self, Workshop};

/// One language's peer program.
pub struct Language {
    /// Its name, as `--pairing` and `--json` have it.
    pub name: &'static str,
    /// A command that succeeds where the language's tools are installed.
    pub probe: &'static [&'static str],
    /// The command that installs them on Debian and Ubuntu.
    pub install: &'static str,
    /// Builds the peer program, and returns the command that runs it.
    pub prepare: fn(&Workshop) -> Result<Vec<PathBuf>>,
}

/// Every language: to add one, write its peer and its line.
#[rustfmt::skip]
pub const LANGUAGES: &[Language] = &[
    Language { name: "rust", probe: &["cargo", "--version"], install: "apt-get install cargo", prepare: toolchain::rust },
    Language { name: "python", probe: &["python3", "-c", "import ensurepip, venv"], install: "apt-get install python3 python3-venv", prepare: toolchain::python },
    Language { name: "cpp", probe: &["c++", "--version"], install: "apt-get install g++", prepare: toolchain::cpp },
    Language { name: "c", probe: &["cc", "--version"], install: "apt-get install gcc", prepare: toolchain::c },
    Language { name: "go", probe: &["go", "version"], install: "apt-get install golang-go", prepare: toolchain::go },
];

/// Variants of languages of the table: their endpoints in event loops. Each is paired with every language and every
/// variant in both roles, but not with ESHM 1.x, since its library is that of the language.
#[rustfmt::skip]
pub const VARIANTS: &[Language] = &[
    Language { name: "python-asyncio", probe: &["python3", "-c", "import ensurepip, venv"], install: "apt-get install python3 python3-venv", prepare: toolchain::python_asyncio },
    Language { name: "rust-tokio", probe: &["cargo", "--version"], install: "apt-get install cargo", prepare: toolchain::rust_tokio },
    Language { name: "cpp-asio", probe: &["c++", "-E", "-include", "asio/version.hpp", "-x", "c++", "/dev/null"], install: "apt-get install g++ libasio-dev", prepare: toolchain::cpp_asio },
    Language { name: "go-poller", probe: &["go", "version"], install: "apt-get install golang-go", prepare: toolchain::go_poller },
];

impl Language {
    /// Every language with its variants, and the stand-ins of ESHM 1.x.
    pub fn every() -> impl Iterator<Item = &'static Language> {
        LANGUAGES.iter().chain(VARIANTS).chain(legacy::VERSIONS)
    }

    /// The language of this name.
    ///
    /// # Errors
    /// When the table has none.
    pub fn named(name: &str) -> Result<&'static Language> {
        match Language::every().find(|language| language.name == name) {
            Some(language) => Ok(language),
            None => bail!("no language {name:?}; expected one of {}", names()),
        }
    }
}

/// The place of a language in a table.
fn place(table: &[Language], language: &Language) -> Option<usize> {
    table.iter().position(|one| one.name == language.name)
}

fn names() -> String {
    Language::every().map(|language| language.name).collect::<Vec<_>>().join(", ")
}

/// Which language is the master and which is the slave.
#[derive(Clone, Copy)]
pub struct Pairing {
    /// The language of the process that starts as the master.
    pub master: &'static Language,
    /// The language of the process that starts as the slave.
    pub slave: &'static Language,
}

impl Pairing {
    /// Every master with every slave.
    pub fn all() -> Vec<Pairing> {
        let pair = |master| LANGUAGES.iter().map(move |slave| Pairing { master, slave });
        LANGUAGES.iter().flat_map(pair).collect()
    }

    /// Each variant with every language, in both roles, then with every variant.
    fn with_variants() -> impl Iterator<Item = Pairing> {
        let languages = VARIANTS.iter().flat_map(|variant| {
            LANGUAGES.iter().flat_map(move |other| {
                [Pairing { master: variant, slave: other }, Pairing { master: other, slave: variant }]
            })
        });
        let pair = |master| VARIANTS.iter().map(move |slave| Pairing { master, slave });
        languages.chain(VARIANTS.iter().flat_map(pair))
    }

    /// Every pairing of languages and variants, without ESHM 1.x.
    pub fn ours() -> Vec<Pairing> {
        Pairing::all().into_iter().chain(Pairing::with_variants()).collect()
    }

    /// Every master with every slave, and each of ours with each version of ESHM 1.x.
    pub fn every() -> impl Iterator<Item = Pairing> {
        Pairing::ours().into_iter().chain(legacy::pairings())
    }

    /// Whether both are variants.
    pub fn is_of_variants(&self) -> bool {
        [self.master, self.slave].into_iter().all(|one| place(VARIANTS, one).is_some())
    }

    /// Whether the short form runs every scenario with it: two languages, or `python-asyncio` and a language.
    pub fn is_whole(&self) -> bool {
        let whole = |one| place(VARIANTS, one).is_none() || one.name == "python-asyncio";
        whole(self.master) && whole(self.slave) && !self.is_of_variants()
    }

    /// A number that differs among the pairings of a variant, so that its scenarios can be shared among them.
    pub fn turn(&self) -> usize {
        let [master, slave] = [self.master, self.slave].map(|one| place(VARIANTS, one));
        let other = if master.is_some() { self.slave } else { self.master };
        let other = place(LANGUAGES, other).or(slave).unwrap_or_default();
        master.or(slave).unwrap_or_default() + other + if master.is_some() { 0 } else { 2 }
    }

    /// Whether one of the two is ESHM 1.x.
    pub fn is_legacy(&self) -> bool {
        legacy::is_old(self.master) || legacy::is_old(self.slave)
    }

    /// As a name of a test can have it: `rust_to_python`.
    pub fn test_name(&self) -> String {
        format!("{}_to_{}", self.master.name, self.slave.name).replace(['-', '.'], "_")
    }
}

impl fmt::Display for Pairing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} master, {} slave", self.master.name, self.slave.name)
    }
}

impl FromStr for Pairing {
    type Err = anyhow::Error;

    /// Reads `master:slave`.
    fn from_str(words: &str) -> Result<Self> {
        let Some((master, slave)) = words.split_once(':') else {
            bail!("the pairing is {words:?}; expected master:slave, such as rust:python");
        };
        Ok(Pairing { master: Language::named(master)?, slave: Language::named(slave)? })
    }
}
