//! `scaletot completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print a completion script for a shell
///
/// For bash: `scaletot completions bash > ~/.local/share/bash-completion/completions/scaletot`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &CompletionsArgs) {
    let mut command = crate::Cli::command();
    clap_complete::generate(args.shell, &mut command, "scaletot", &mut std::io::stdout());
}
