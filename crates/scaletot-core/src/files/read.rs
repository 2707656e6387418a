//! Reading what somebody else wrote: regular files only, and never more than the caller can hold.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use super::FileError;

/// Opens a regular file for reading; symbolic links are followed.
///
/// A pipe without a writer would block for ever and a device such as `/dev/zero` has no end, so neither is opened.
///
/// # Errors
/// If the path leads to no regular file, or the system refuses.
pub fn open(path: impl AsRef<Path>) -> Result<File, FileError> {
    let path = path.as_ref();
    let file = nonblocking().open(path).map_err(FileError::at("open", path))?;
    expect_regular(&file).map_err(FileError::at("open", path))?;
    Ok(file)
}

/// An error for what is no regular file.
pub(super) fn expect_regular(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.is_file() {
        return Ok(());
    }
    let found = if metadata.is_dir() { "a directory" } else { "a pipe, socket or device" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("expected a regular file, found {found}")))
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// As [`open`], and if the file is longer: of its bytes none is read if it is so when it is opened, and `most` if it grows.
pub fn read(path: impl AsRef<Path>, most: u64) -> Result<Vec<u8>, FileError> {
    let path = path.as_ref();
    let file = open(path)?;
    let too_long = |length: u64| {
        let message = format!("expected at most {most} bytes, found {length}");
        FileError::new("read", path, io::Error::new(io::ErrorKind::FileTooLarge, message))
    };
    let length = file.metadata().map_err(FileError::at("read", path))?.len();
    if length > most {
        return Err(too_long(length));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(FileError::at("read", path))?;
    if bytes.len() as u64 > most {
        return Err(too_long(bytes.len() as u64));
    }
    Ok(bytes)
}

/// Reads a regular file of at most `most` bytes as text.
///
/// # Errors
/// As [`read`], and if it is not UTF-8.
pub fn read_to_string(path: impl AsRef<Path>, most: u64) -> Result<String, FileError> {
    let path = path.as_ref();
    String::from_utf8(read(path, most)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("expected text in UTF-8, found other bytes from byte {at} on");
        FileError::new("read", path, io::Error::new(io::ErrorKind::InvalidData, message))
    })
}

/// Options by which opening a pipe does not wait for its writer; regular files do not notice.
#[cfg(unix)]
fn nonblocking() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    options.read(true).custom_flags(flags.bits().cast_signed());
    options
}

#[cfg(not(unix))]
fn nonblocking() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    options
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fs;

    use super::*;

    fn cause(error: &FileError) -> String {
        error.source().unwrap().to_string()
    }

    #[test]
    fn files_are_read_up_to_the_limit_and_not_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "four").unwrap();
        assert_eq!(read_to_string(&path, 4).unwrap(), "four");
        let error = read(&path, 3).unwrap_err();
        assert_eq!(cause(&error), "expected at most 3 bytes, found 4");
        fs::write(&path, b"ab\xff").unwrap();
        assert!(cause(&read_to_string(&path, 9).unwrap_err()).contains("from byte 2"));
        // Refused by its length alone: nothing of a sparse file of a terabyte is read.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(cause(&read(&path, 1 << 20).unwrap_err()).contains("found 1099511627776"));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        assert!(cause(&open(dir.path()).unwrap_err()).contains("found a directory"));
        assert_eq!(open(dir.path().join("none")).unwrap_err().source.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/zero"), Path::new("/dev/null")] {
            assert!(cause(&read(path, 10).unwrap_err()).contains("pipe, socket or device"), "{path:?}");
        }
        // A link is as good as what it leads to.
        fs::write(dir.path().join("file"), "a").unwrap();
        std::os::unix::fs::symlink(dir.path().join("file"), dir.path().join("link")).unwrap();
        assert_eq!(read(dir.path().join("link"), 10).unwrap(), b"a");
    }
}
