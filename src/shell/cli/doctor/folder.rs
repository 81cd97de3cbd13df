//! The data folder: that it can be written, and that nothing in it comes from the future.

use std::fs;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use crate::shell::cli::doctor::Finding;
use crate::shell::cli::doctor::Verdict;
use crate::shell::cli::doctor::finding;

/// As much as the first line of a journal, so that a full disk is noticed.
const PROBE_BYTES: usize = 4096;

/// Clocks of file servers may be a little ahead.
const AHEAD: Duration = Duration::from_secs(120);

/// Files that are looked at of each folder.
const FILES_MAX: usize = 1000;

/// Whether the folder is there, or can be made, and takes a file: one is written and removed.
pub(super) fn data(data: &Path) -> Finding {
    let at = data.ancestors().find(|folder| folder.exists());
    // A relative path that begins with nothing begins here.
    let at = at.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shown = data.display();
    match probe(at) {
        Ok(()) if at == data => finding("data", Verdict::Ok, format!("{shown} can be written"), ""),
        Ok(()) => finding("data", Verdict::Ok, format!("{shown} will be made in {}", at.display()), ""),
        Err(error) => {
            let remedy = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "give the user that the daemon runs as the right to write there (`chown`), or choose another with `data`"
                }
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space there",
                io::ErrorKind::ReadOnlyFilesystem => {
                    "mount it for writing, or choose another folder with `data`"
                }
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                    "remove the file that is in the way, or choose another folder with `data`"
                }
                _ => "choose another folder with `data`",
            };
            finding("data", Verdict::Error, format!("{} cannot be written: {error}", at.display()), remedy)
        }
    }
}

fn probe(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is no folder"));
    }
    let path = folder.join(format!(".doctor-{}", std::process::id()));
    let written = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(&[0; PROBE_BYTES]).and_then(|()| file.sync_all()));
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(error) => {
            let _ = fs::remove_file(&path);
            Err(error)
        }
        Ok(()) => fs::remove_file(&path),
    }
}

/// A file of these folders that was written later than it is: the clock is behind, and calls would be recorded before
/// those that are over.
pub(super) fn from_the_future(folders: &[&Path], now: SystemTime) -> Option<PathBuf> {
    let of = |folder: &&Path| fs::read_dir(folder).into_iter().flatten().take(FILES_MAX);
    folders.iter().flat_map(of).filter_map(Result::ok).find_map(|entry| {
        let written = entry.metadata().and_then(|meta| meta.modified()).ok()?;
        (written > now + AHEAD).then(|| entry.path())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_takes_no_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let inside = |name: &str| dir.path().join(name);
        fs::write(inside("file"), "in the way").unwrap();
        std::os::unix::fs::symlink("/proc/self", inside("no-room")).unwrap();
        for (path, verdict) in [
            (dir.path().to_owned(), Verdict::Ok),
            (inside("a/b/c"), Verdict::Ok),
            (inside("file"), Verdict::Error),
            (inside("file/data"), Verdict::Error),
            (inside("no-room"), Verdict::Error),
        ] {
            let found = data(&path);
            assert_eq!(found.verdict, verdict, "{found:?}");
            assert_eq!(found.remedy.is_empty(), verdict == Verdict::Ok);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left behind");
    }

    #[test]
    fn a_clock_that_is_behind_is_found_by_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("journal"), "x").unwrap();
        let written = fs::metadata(dir.path().join("journal")).unwrap().modified().unwrap();
        let found = |now| from_the_future(&[dir.path(), Path::new("/nowhere")], now);
        assert_eq!(found(written), None);
        assert_eq!(found(written - Duration::from_secs(3600)), Some(dir.path().join("journal")));
    }
}
