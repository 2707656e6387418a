//! Files that we keep open to write to: locks, logs that grow. Never through a symbolic link, and regular files only.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use super::read::expect_regular;

/// Opens a file to read and write, or creates it; true if it was created.
pub(super) fn open_or_create(path: &Path) -> io::Result<(File, bool)> {
    open_with(path, OpenOptions::new().read(true).write(true))
}

/// Opens a file with some options, or creates it; true if it was created.
pub(super) fn open_with(path: &Path, options: &OpenOptions) -> io::Result<(File, bool)> {
    loop {
        match open_existing(path, options) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => return other.map(|file| (file, false)),
        }
        // A link that leads nowhere counts as a file here.
        match options.clone().create_new(true).open(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.symlink_metadata().is_ok() => {
                // Created by another since we looked, or a link.
            }
            other => return other.map(|file| (file, true)),
        }
    }
}

/// Opens a regular file that is there, not through a link.
pub(super) fn open_existing(path: &Path, options: &OpenOptions) -> io::Result<File> {
    // Where no flag refuses a link, it is looked for; and everywhere, for an error that says what there is.
    if path.symlink_metadata()?.is_symlink() {
        let message = "expected a file, found a symbolic link, which is not followed; remove it";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let file = no_follow(options.clone()).open(path)?;
    expect_regular(&file)?;
    Ok(file)
}

/// Without following a link, and without waiting for the other end of a pipe.
#[cfg(unix)]
fn no_follow(mut options: OpenOptions) -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

#[cfg(not(unix))]
fn no_follow(options: OpenOptions) -> OpenOptions {
    options
}
