//! What the programs share at the terminal.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use scaletot_core::progress::Bars;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

/// Runs a program with progress bars that hear Ctrl-C, and prints its error, if any.
#[allow(clippy::print_stderr, reason = "a program's output")]
pub fn main<E: Into<Box<dyn Error + Send + Sync>>>(run: impl FnOnce(&Bars) -> Result<(), E>) -> ExitCode {
    let bars = Arc::new(Bars::new());
    let heard = Arc::clone(&bars);
    let result = Signals::new([SIGINT])
        .map(|mut signals| {
            std::thread::spawn(move || {
                signals.forever().for_each(|_| {
                    heard.stop();
                });
            });
        })
        .map_err(Into::into)
        .and_then(|()| run(&bars).map_err(Into::into));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", scaletot_core::causes(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line. A reader that has gone away, such as `| head`, must not end the run.
pub fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
