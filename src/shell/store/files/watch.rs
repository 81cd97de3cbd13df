//! Watches a configuration folder and tells when its content is different, once it has come to rest.
//!
//! Editors write in place, or write aside and rename; deployments swap symbolic links. All of these end in an
//! event in the folder, after which the content decides: events that change nothing are not told. A file that
//! a link outside the folder leads to is seen at the next event only.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::Context;
use notify::RecursiveMode;
use notify::Watcher as _;
use sha2::Digest;

/// How long the folder must be quiet before it is read.
const SETTLE: Duration = Duration::from_millis(300);

/// Sub-folders whose files count: companies, and audio by company.
const DEPTH_MAX: usize = 3;

/// Keeps a folder watched until it is dropped.
pub struct Watcher {
    // Dropping it ends the events, and with them the thread.
    _events: notify::RecommendedWatcher,
}

/// Calls `changed` after each change of the content of `dir`, from a thread of its own.
///
/// # Errors
/// When the folder cannot be watched, or the thread cannot be started.
pub fn watch(dir: PathBuf, changed: impl Fn() + Send + 'static) -> anyhow::Result<Watcher> {
    // One waiting event is enough: what has happened is read from the folder.
    let (tell, told) = mpsc::sync_channel::<()>(1);
    let mut events = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error is taken as a change too: events may have been lost.
        if event.as_ref().map_or(true, |event| !event.kind.is_access()) {
            let _full_is_fine = tell.try_send(());
        }
    })
    .context("making a file watcher")?;
    let place = dir.display().to_string();
    events.watch(&dir, RecursiveMode::Recursive).with_context(|| format!("watching the folder {place}"))?;
    let mut known = fingerprint(&dir);
    let follow = move || {
        while told.recv().is_ok() {
            loop {
                match told.recv_timeout(SETTLE) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            let content = fingerprint(&dir);
            if content != known {
                known = content;
                changed();
            }
        }
    };
    std::thread::Builder::new()
        .name("config-watch".into())
        .spawn(follow)
        .context("starting the watching thread")?;
    Ok(Watcher { _events: events })
}

/// What a file is like: the hash of a text, the length and time of audio.
#[derive(PartialEq, Eq)]
enum Content {
    Text([u8; 32]),
    Audio(u64, Option<std::time::SystemTime>),
}

/// The content of a folder. What cannot be read is not there.
fn fingerprint(dir: &Path) -> BTreeMap<PathBuf, Content> {
    let mut content = BTreeMap::new();
    let mut folders = vec![(dir.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let Ok(about) = std::fs::metadata(&path) else { continue };
            let ending = path.extension().and_then(|ending| ending.to_str());
            if about.is_dir() {
                if depth + 1 < DEPTH_MAX {
                    folders.push((path, depth + 1));
                }
            } else if ending == Some("toml") {
                let text = std::fs::read(&path).unwrap_or_default();
                content.insert(path, Content::Text(sha2::Sha256::digest(text).into()));
            } else if ending == Some("wav") {
                content.insert(path, Content::Audio(about.len(), about.modified().ok()));
            }
        }
    }
    content
}
