//! What the program ends with.

use std::process::ExitCode;

/// The exit codes, as `--help` tells them.
pub(crate) const CODES: &str = "\
Exit codes:
    0  done
    1  an error; what was done before it is kept, and the message says what to do
    2  the command line is not valid
    3  stopped on request (Ctrl-C, SIGTERM, SIGHUP); run the same command again to resume
    4  done, but for what the last line names: users about whom the teacher failed, row groups or files that could not be read, an artifact that is not \
ready to serve
  130  stopped at once, by a second request; run the same command again to resume";

/// How a command ended that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Done,
    /// Everything but what the text says.
    LeftOut(String),
}

/// The command line is not valid.
pub(crate) const NOT_VALID: u8 = 2;

/// Stopped on request.
pub(crate) const STOPPED: u8 = 3;

/// Stopped at once, by a second request.
pub(crate) const AT_ONCE: u8 = 130;

impl From<&Exit> for ExitCode {
    fn from(exit: &Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::LeftOut(_) => Self::from(4),
        }
    }
}
