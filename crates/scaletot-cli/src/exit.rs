//! What the program ends with.

use std::process::ExitCode;

/// The exit codes, as `--help` tells them.
pub(crate) const CODES: &str = "\
Exit codes:
  0  done
  1  an error; what was done before it is kept
  2  the command line is not valid
  3  stopped on request (Ctrl-C); run the same command again to resume
  4  done, with users or row groups left out, or with an artifact that is not ready to serve; the last line says what and where it is listed";

/// How a command ended that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Done,
    /// Everything but what the text says.
    LeftOut(String),
}

/// Stopped on request.
pub(crate) const STOPPED: u8 = 3;

impl From<&Exit> for ExitCode {
    fn from(exit: &Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::LeftOut(_) => Self::from(4),
        }
    }
}
