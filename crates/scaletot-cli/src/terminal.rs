//! Output, Ctrl-C and errors.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use scaletot_core::progress::Bars;
use scaletot_core::text::printable;
use scaletot_pipeline::{Error, is_stop};
use serde::Serialize;

use crate::exit::{Exit, STOPPED};
use crate::signals;

/// Characters of a line of an error, and lines, at most: a table's header may be of any length.
const MAX_LINE: usize = 2000;
const MAX_LINES: usize = 30;

/// Where a command prints, and whether it was asked to stop.
#[derive(Debug)]
pub(crate) struct Terminal {
    bars: Arc<Bars>,
    /// Why a line of the result could not be printed.
    unwritten: Mutex<Option<io::Error>>,
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
        match writeln!(io::stdout(), "{line}") {
            // A reader that has gone away, such as `| head`, must not end the run.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
            _ => {}
        }
    }

    /// An error if a line could not be printed, for instance to a full disk.
    fn printed(&self) -> Result<()> {
        let error = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.map_or(Ok(()), |error| Err(error).context("cannot write to standard output"))
    }

    /// Prints a value as JSON, which is then all that the command prints.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<Exit> {
        self.json.store(true, Ordering::Relaxed);
        self.say(&serde_json::to_string_pretty(value).context("cannot write JSON")?);
        Ok(Exit::Done)
    }
}

/// Runs a command with progress bars that hear Ctrl-C, and prints what was left out or its error, if any.
pub(crate) fn main(run: impl FnOnce(&Terminal) -> Result<Exit>) -> ExitCode {
    let terminal =
        Terminal { bars: Arc::new(Bars::new()), unwritten: Mutex::new(None), json: AtomicBool::new(false) };
    let result = signals::listen(Arc::clone(&terminal.bars))
        .context("cannot listen for Ctrl-C")
        .and_then(|()| run(&terminal))
        .and_then(|exit| {
            if let Exit::LeftOut(what) = &exit {
                let line = format!("left out: {what}");
                if terminal.json.load(Ordering::Relaxed) { note(&line) } else { terminal.say(&line) }
            }
            terminal.printed()?;
            Ok(exit)
        });
    match result {
        Ok(exit) => ExitCode::from(&exit),
        Err(error) => {
            // What fails for another reason after the wish to stop is no stop.
            let stopped = error.chain().any(is_stop);
            note(&shown(&format!("{}: {}", if stopped { "stopped" } else { "error" }, causes(&error))));
            if let Some(step) = next_step(&error, stopped) {
                note(&step);
            }
            if stopped { ExitCode::from(STOPPED) } else { ExitCode::FAILURE }
        }
    }
}

/// An error as it is shown: without control characters, and cut where it is endless.
fn shown(error: &str) -> String {
    let mut lines = error.lines();
    let mut shown: Vec<String> = lines.by_ref().take(MAX_LINES).map(cut).collect();
    if lines.next().is_some() {
        shown.push("…".to_owned());
    }
    shown.join("\n")
}

/// A line without control characters, indented as it was.
fn cut(line: &str) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    format!("{}{}", " ".repeat(indent.min(80)), printable(line, MAX_LINE))
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
    let too_many = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(scaletot_teacher::Error::TooManyFailed { .. }))
            || matches!(
                cause.downcast_ref(),
                Some(Error::Teacher(scaletot_teacher::Error::TooManyFailed { .. }))
            )
    };
    if error.chain().any(too_many) {
        return Some("--max-failed says how large a share may fail; the same command asks about the failed users again".to_owned());
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
    fn an_endless_error_is_cut_and_commands_no_terminal() {
        let header = format!("no column `x`; the columns are {}", "a, ".repeat(1_000_000));
        assert!(shown(&header).chars().count() <= MAX_LINE);
        assert_eq!(shown("bad \u{1b}[2J value\n   | here"), "bad [2J value\n   | here");
        assert_eq!(shown(&"line\n".repeat(1000)).lines().count(), MAX_LINES + 1);
    }

    #[test]
    fn a_cause_is_told_once() {
        let error =
            anyhow::anyhow!("no such file").context("cannot read a.csv: no such file").context("the table");
        assert_eq!(causes(&error), "the table: cannot read a.csv: no such file");
    }
}
