//! Renaming that does not replace, and renaming that exchanges.

use std::io;
use std::path::Path;

/// Gives `from` the name `to`, unless there is something of that name: then the error is of kind `AlreadyExists`.
pub(super) fn to_new(from: &Path, to: &Path) -> io::Result<()> {
    match flagged(from, to, Flag::NoReplace) {
        Some(result) => result,
        // Not in one step where the system has no such call: another may come between.
        None if to.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        None => std::fs::rename(from, to),
    }
}

/// Exchanges what is at two paths in one step; false if the system or the file system cannot.
pub(super) fn exchange(a: &Path, b: &Path) -> io::Result<bool> {
    flagged(a, b, Flag::Exchange).map_or(Ok(false), |result| result.map(|()| true))
}

#[derive(Clone, Copy)]
enum Flag {
    NoReplace,
    Exchange,
}

/// `None` where it is not supported.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn flagged(from: &Path, to: &Path, flag: Flag) -> Option<io::Result<()>> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    let flags = match flag {
        Flag::NoReplace => RenameFlags::NOREPLACE,
        Flag::Exchange => RenameFlags::EXCHANGE,
    };
    match renameat_with(CWD, from, CWD, to, flags).map_err(io::Error::from) {
        // Kernels before 3.15, and file systems that do not know the flag or keep the two in different layers.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput | io::ErrorKind::CrossesDevices
            ) =>
        {
            None
        }
        result => Some(result),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn flagged(_: &Path, _: &Path, _: Flag) -> Option<io::Result<()>> {
    None
}
