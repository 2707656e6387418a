//! Output, Ctrl-C and errors.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use scaletot_core::Progress;
use scaletot_core::progress::Bars;
use scaletot_pipeline::Error;
use serde::Serialize;

use crate::exit::{Exit, STOPPED};

/// Where a command prints, and whether it was asked to stop.
#[derive(Debug)]
pub(crate) struct Terminal {
    bars: Arc<Bars>,
    /// Whether JSON was printed, which nothing else may stand beside.
    json: AtomicBool,
}

impl Terminal {
    /// The progress bars, which hear Ctrl-C.
    pub(crate) fn bars(&self) -> &Bars {
        &self.bars
    }

    /// Prints a line of the result.
    pub(crate) fn say(&self, line: &str) {
        say(line);
    }

    /// Prints a value as JSON, which is then all that the command prints.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<Exit> {
        self.json.store(true, Ordering::Relaxed);
        say(&serde_json::to_string_pretty(value).context("cannot write JSON")?);
        Ok(Exit::Done)
    }
}

/// Runs a command with progress bars that hear Ctrl-C, and prints what was left out or its error, if any.
pub(crate) fn main(run: impl FnOnce(&Terminal) -> Result<Exit>) -> ExitCode {
    let terminal = Terminal { bars: Arc::new(Bars::new()), json: AtomicBool::new(false) };
    let on_interrupt = Arc::clone(&terminal.bars);
    let result = ctrlc::set_handler(move || interrupt(&on_interrupt))
        .context("cannot listen for Ctrl-C")
        .and_then(|()| run(&terminal));
    match result {
        Ok(exit) => {
            if let Exit::LeftOut(what) = &exit {
                let line = format!("left out: {what}");
                if terminal.json.load(Ordering::Relaxed) { note(&line) } else { say(&line) }
            }
            ExitCode::from(&exit)
        }
        Err(error) => {
            let stopped = terminal.bars.stopped();
            note(&format!("{}: {}", if stopped { "stopped" } else { "error" }, causes(&error)));
            if let Some(step) = next_step(&error, stopped) {
                note(&step);
            }
            if stopped { ExitCode::from(STOPPED) } else { ExitCode::FAILURE }
        }
    }
}

/// Stops the work under way; asked a second time, ends the program at once.
fn interrupt(bars: &Bars) {
    if bars.stop() {
        // What stands under its final name is whole, so nothing is lost but the work in hand.
        std::process::exit(130);
    }
    note("stopping at the next safe point; press Ctrl-C again to stop at once");
}

/// Prints a line. A reader that has gone away, such as `| head`, must not end the run.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints a line that is not part of the result.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// What to type next, where the libraries' message cannot know it.
fn next_step(error: &anyhow::Error, stopped: bool) -> Option<String> {
    if stopped {
        return Some("run the same command again to resume".to_owned());
    }
    let feature = error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(Error::MissingFeature { feature, .. }) => Some(*feature),
        _ => None,
    })?;
    Some(format!(
        "build the program with it, in a checkout: cargo install --path crates/scaletot-cli --features {feature}"
    ))
}

/// An error and its causes, but for those that the message before them tells already.
fn causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_is_missing_comes_with_its_command() {
        let missing = Error::MissingFeature { what: "the backend `cuda`".to_owned(), feature: "cuda" };
        let step = next_step(&anyhow::Error::new(missing).context("the device"), false).unwrap();
        assert!(step.ends_with("cargo install --path crates/scaletot-cli --features cuda"), "{step}");
        assert_eq!(next_step(&anyhow::anyhow!("else"), false), None);
    }

    #[test]
    fn a_cause_is_told_once() {
        let error =
            anyhow::anyhow!("no such file").context("cannot read a.csv: no such file").context("the table");
        assert_eq!(causes(&error), "the table: cannot read a.csv: no such file");
    }
}
