//! What the programs share at the terminal.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::progress::Bars;

/// Runs a program with progress bars that hear Ctrl-C, and prints its error, if any.
#[allow(clippy::print_stderr, reason = "a program's output")]
pub fn main(run: impl FnOnce(&Bars) -> Result<()>) -> ExitCode {
    let bars = Arc::new(Bars::new());
    let on_interrupt = Arc::clone(&bars);
    let result = ctrlc::set_handler(move || on_interrupt.stop())
        .context("cannot listen for Ctrl-C")
        .and_then(|()| run(&bars));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line. A reader that has gone away, such as `| head`, must not end the run.
pub fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// An error and its causes, but for those that the message before them tells already.
fn causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        _ if said.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    })
}
