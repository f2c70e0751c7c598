//! The layers of the core, as ARCHITECTURE.md draws them: read from the `use` lines and paths of its sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest layer to the highest. A file or folder of `core/src` uses only those before it, and itself.
const LAYERS: &[&[&str]] = &[
    &["sys"],
    &["role", "peer_state", "error", "text"],
    &["wait"],
    &["segment"],
    &["channel"],
    &["peer"],
    &["api"],
    &["raw"],
    &["aio"],
    &["fuzzing", "lib"],
];
/// The most lines of a file, its tests not counted, and of a function.
const MOST_LINES: usize = 450;
const MOST_LINES_OF_A_FUNCTION: usize = 60;

struct Source {
    /// The path below `core/src`, without `.rs` and `/mod`.
    module: String,
    lines: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn collect(folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = path.strip_prefix(root()).unwrap().with_extension("");
            let module = module.to_str().unwrap().trim_end_matches("/mod").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            sources.push(Source { module, lines: text.lines().map(str::to_owned).collect() });
        }
    }
}

/// All files, without those that hold tests and models only.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(&root(), &mut sources);
    sources.retain(|source| {
        !["tests", "models"].iter().any(|name| source.module.split('/').any(|part| part == *name))
    });
    assert!(sources.len() > 40, "only {} files", sources.len());
    sources
}

impl Source {
    fn layer(&self) -> &str {
        self.module.split('/').next().unwrap()
    }

    /// The lines before the tests at the file's end.
    fn code(&self) -> &[String] {
        let end = self.lines.iter().position(|line| line.starts_with("#[cfg(test)]"));
        &self.lines[..end.unwrap_or(self.lines.len())]
    }

    /// Returns the modules that the code names, outside of comments: what stands after `crate::` and `super::`, as paths
    /// below `core/src`, with at most this number of parts.
    fn uses(&self, parts: usize) -> BTreeSet<String> {
        let code = self.code().iter().filter(|line| !line.trim_start().starts_with("//"));
        code.flat_map(|line| self.paths(line)).map(|path| first_parts(&path, parts)).collect()
    }

    /// Returns the paths in one line.
    fn paths(&self, line: &str) -> Vec<String> {
        let after_crate = line.match_indices("crate::").map(|(at, word)| tail(&line[at + word.len()..]));
        // `super::super::` is found once, at its first `super::`.
        let first_super = line
            .match_indices("super::")
            .filter(|(at, _)| !line[..*at].ends_with("super::"))
            .map(|(at, _)| &line[at..]);
        let above = first_super.map(|path| {
            let count = path.split("super::").take_while(|part| part.is_empty()).count();
            let own: Vec<&str> = self.module.split('/').collect();
            let parent = own[..own.len().saturating_sub(count)].join("/");
            format!("{parent}/{}", tail(&path[count * "super::".len()..]))
        });
        after_crate.chain(above).collect()
    }
}

/// Returns the path at the start of the text, with `/` between its parts.
fn tail(text: &str) -> String {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    text[..end.unwrap_or(text.len())].trim_matches(':').replace("::", "/")
}

fn first_parts(path: &str, count: usize) -> String {
    path.split('/').filter(|part| !part.is_empty()).take(count).collect::<Vec<_>>().join("/")
}

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|layers| layers.contains(&layer))
}

#[test]
fn every_file_belongs_to_a_layer() {
    for source in sources() {
        assert!(rank(source.layer()).is_some(), "{} is in no layer", source.module);
    }
}

#[test]
fn no_layer_uses_one_above_it() {
    let mut wrong = Vec::new();
    for source in sources() {
        let own = rank(source.layer()).unwrap();
        for used in source.uses(1) {
            // What is exported at the root, such as `crate::Error`, belongs to the top.
            if rank(&used).is_none_or(|rank| rank > own) && source.layer() != "lib" {
                wrong.push(format!("{} uses {used}", source.module));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that run up:\n{}", wrong.join("\n"));
}

/// The parts of one layer do not use each other in a circle, either.
#[test]
fn no_circle_within_a_layer() {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let own = first_parts(&source.module, 2);
        // What a layer exports at its root is not followed to the file that has it.
        let used = source.uses(2).into_iter().filter(|used| {
            let name = used.split('/').nth(1).unwrap_or_default();
            let is_module = name.starts_with(|c: char| c.is_ascii_lowercase());
            is_module && used.split('/').next() == Some(source.layer()) && *used != own
        });
        uses.entry(own.clone()).or_default().extend(used);
    }
    // Removes what uses nothing, again and again: what stays is in a circle, or uses one.
    loop {
        let done: Vec<String> = uses
            .iter()
            .filter(|(_, used)| !used.iter().any(|used| uses.contains_key(used)))
            .map(|(module, _)| module.clone())
            .collect();
        if done.is_empty() {
            break;
        }
        done.iter().for_each(|module| {
            uses.remove(module);
        });
    }
    assert!(uses.is_empty(), "circles: {uses:#?}");
}

#[test]
fn no_file_and_no_function_is_too_long() {
    let mut wrong = Vec::new();
    for source in sources() {
        let code = source.code();
        if code.len() > MOST_LINES {
            wrong.push(format!("{} has {} lines", source.module, code.len()));
        }
        let mut start = None;
        for (at, line) in code.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let text = line.trim_start();
            let is_function = text.starts_with("fn ")
                || ["pub", "const fn", "unsafe fn", "extern \"C\" fn"]
                    .iter()
                    .any(|word| text.starts_with(word))
                    && text.contains("fn ");
            if is_function && !text.ends_with(';') {
                start = Some((at, indent));
            } else if let Some((first, its)) = start
                && indent == its
                && text.starts_with('}')
            {
                let lines = at - first + 1;
                if lines > MOST_LINES_OF_A_FUNCTION {
                    wrong.push(format!("{}:{}: a function of {lines} lines", source.module, first + 1));
                }
                start = None;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
