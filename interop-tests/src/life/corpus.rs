//! Programs that once failed, or that represent a kind of failure: `interop-tests/corpus/life/*.life`. They run first.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::program::Program;

/// The folder.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/life")
}

/// Returns every program of the corpus with its file name, sorted by name.
///
/// # Errors
/// If a file cannot be read or is not a program.
pub fn programs() -> Result<Vec<(String, Program)>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder())?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "life"));
    files.sort();
    let named = |file: PathBuf| {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, read(&file)?))
    };
    files.into_iter().map(named).collect()
}

/// Reads the program in a file.
///
/// # Errors
/// If the file cannot be read or has an unknown step. The error names the file and the line.
pub fn read(file: &Path) -> Result<Program> {
    let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    text.parse().with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_corpus_is_a_program() {
        let programs = programs().unwrap();
        assert!(programs.len() >= 7, "{} programs", programs.len());
        assert!(programs.iter().all(|(_, program)| program.steps.len() > 2));
    }
}
