//! Crates of the workspace write and rename through `scaletot_core::files`: what they did by themselves would not be synced, or
//! would follow a link.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

use std::fs;
use std::path::{Path, PathBuf};

/// What only `files` does. Files within a directory that is not in its place yet are written by `AtomicDir::write`.
const ALONE: [&str; 8] = [
    "fs::rename(",
    "fs::write(",
    "fs::copy(",
    "fs::hard_link(",
    "fs::create_dir",
    "File::create",
    "File::options(",
    "OpenOptions",
];

/// The sources below a directory.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("tests") || path.ends_with("tests.rs") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether a line has a name that does not only end so, as `AtomicFile::create` does.
fn names(line: &str, name: &str) -> bool {
    let before = |at: usize| line[..at].chars().next_back();
    line.match_indices(name).any(|(at, _)| before(at).is_none_or(|c| !c.is_alphanumeric()))
}

#[test]
fn nothing_is_written_past_the_atomic_files() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![];
    // Where this crate was downloaded alone, there are no others beside it.
    for entry in fs::read_dir(here.parent().unwrap()).unwrap() {
        let source = entry.unwrap().path().join("src");
        if source.is_dir() {
            sources(&source, &mut files);
        }
    }
    files.retain(|path| !path.starts_with(here.join("src/files")));
    let mut wrong = vec![];
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        // Tests, which stand at a file's end, may do as they please; so may examples in documentation.
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let lines = code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        let found = lines.filter(|(_, line)| ALONE.iter().any(|alone| names(line, alone)));
        wrong.extend(found.map(|(at, line)| format!("{}:{}: {}", path.display(), at + 1, line.trim())));
    }
    assert!(wrong.is_empty(), "use scaletot_core::files here:\n{}", wrong.join("\n"));
}
