//! `scaletot completions`.

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::exit::Exit;
use crate::terminal::Terminal;

/// Print a completion script for a shell
///
/// For bash: `scaletot completions bash > ~/.local/share/bash-completion/completions/scaletot`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &CompletionsArgs, terminal: &Terminal) -> Result<Exit> {
    let mut command = crate::Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "scaletot", &mut script);
    terminal.say(String::from_utf8(script).context("the script")?.trim_end());
    Ok(Exit::Done)
}
