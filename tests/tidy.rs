//! The shape of the source: every file says what it is for, and imports point one way.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Which module may import which; read it bottom-up. A module that is missing here fails the test.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("shell", &["switch", "sip", "sdp", "media", "model", "time", "rand"]),
    ("switch", &["sip", "sdp", "media", "model", "time", "rand"]),
    ("sip", &["time", "rand"]),
    ("media", &["time", "rand"]),
    ("sdp", &[]),
    ("model", &[]),
    ("time", &[]),
    ("rand", &[]),
];

/// Modules of `switch` that decide and know of no call: they may import each other only as written here.
const LEAVES: &[(&str, &[&str])] = &[
    ("hours", &["holidays"]),
    ("holidays", &[]),
    ("negotiate", &["format", "secrecy", "webrtc"]),
    ("format", &[]),
    ("secrecy", &["webrtc"]),
    ("webrtc", &[]),
    ("say", &[]),
    ("ports", &[]),
    ("location", &[]),
    ("queue", &[]),
    ("event", &[]),
];

#[test]
fn imports_point_one_way_and_every_file_says_what_it_is_for() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in rust_files(&src) {
        let path = file.strip_prefix(&src).expect("it lies below").display().to_string();
        let text = fs::read_to_string(&file).expect("it was listed");
        if !text.starts_with("//! ") {
            wrong.push(format!("{path}: the first line should say what the file is for (//! …)"));
        }
        if text.contains("super::super") {
            wrong.push(format!("{path}: write the path from `crate::`"));
        }
        if text.contains("use crate::{") {
            wrong.push(format!("{path}: one module a line, no `use crate::{{…}}`"));
        }
        let mut parts = path.split(['/', '.']);
        let module = parts.next().unwrap_or_default();
        if module == "lib" || module == "main" {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{path}: add `{module}` to MAY_IMPORT"));
            continue;
        };
        wrong.extend(
            imports(&text, "crate::")
                .filter(|import| *import != module && !allowed.contains(import))
                .map(|import| format!("{path}: `{module}` may not import `{import}`")),
        );
        let leaf = parts.next().unwrap_or_default();
        if module == "switch"
            && let Some((_, friends)) = LEAVES.iter().find(|(name, _)| *name == leaf)
        {
            wrong.extend(
                imports(&text, "crate::switch::")
                    .filter(|import| *import != leaf && !friends.contains(import))
                    .map(|import| format!("{path}: the leaf `{leaf}` may not import `switch::{import}`")),
            );
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// No path of a developer's machine is written anywhere.
#[test]
fn no_file_names_somebodys_machine() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["src", "tests", "benches", "sipp-scenarios", "config", "fuzz/fuzz_targets"];
    let mut wrong = Vec::new();
    for place in places {
        for file in files(&root.join(place)) {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let home = concat!("/", "work/");
            if text.contains(home) || text.contains(concat!("/", "root/")) {
                wrong.push(file.display().to_string());
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The names that follow `prefix` in the text.
fn imports<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(prefix).map(|(at, found)| {
        let rest = &text[at + found.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    files(dir).into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs")).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .map(|entry| entry.expect("a readable folder").path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}
