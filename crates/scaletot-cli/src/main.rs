//! The program `scaletot`. What it does is in the library crates; here are the command line, the terminal and the exit codes.

mod args;
mod commands;
mod exit;
mod format;
mod inspect;
mod signals;
mod terminal;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use scaletot_teacher::without_credentials;

use crate::commands::completions::CompletionsArgs;
use crate::commands::demo::DemoArgs;
use crate::commands::evaluate::EvaluateArgs;
use crate::commands::init::InitArgs;
use crate::commands::inspect::InspectArgs;
use crate::commands::plan::PlanArgs;
use crate::commands::record::RecordArgs;
use crate::commands::run::RunArgs;
use crate::commands::score::ScoreArgs;

/// Lifetime value for users who have no history
///
/// A language model reasons about a small share of the users; a student learns from its chains, and a light encoder serves everybody else.
/// Begin with `scaletot demo`, which needs no data and no network.
#[derive(Debug, Parser)]
#[command(name = "scaletot", version, after_help = exit::CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole method on the table that comes with the program
    Demo(DemoArgs),
    /// Draft schemas, rules and a task from a table, for you to edit
    Init(InitArgs),
    /// Count questions, tokens, cost and time before anything is asked
    Plan(Box<PlanArgs>),
    Record(Box<RecordArgs>),
    /// Run the whole method on your table: reason, train, distil, score everybody, evaluate
    Run(Box<RunArgs>),
    /// Score users with an artifact, from Parquet or CSV to Parquet
    Score(ScoreArgs),
    /// Compare reasoning, its transfer and strong baselines at every number of labels
    Evaluate(Box<EvaluateArgs>),
    /// Look into what was written: a corpus, an artifact, a student, a value model, results, scores, a run
    Inspect(InspectArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

fn main() -> ExitCode {
    // The exit codes stand below the help of every command.
    let command = Cli::command().mut_subcommands(|command| command.after_help(exit::CODES));
    let cli = match command.try_get_matches().and_then(|found| Cli::from_arg_matches(&found)) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // It quotes what was given, and that may be a server's address with a password.
            let text = without_credentials(&error.render().to_string());
            // A closed terminal is no reason to end otherwise.
            let _ = std::io::stderr().write_all(text.as_bytes());
            return ExitCode::from(exit::NOT_VALID);
        }
        Err(error) => error.exit(),
    };
    terminal::main(|terminal| match &cli.command {
        Command::Demo(args) => commands::demo::run(args, terminal),
        Command::Init(args) => commands::init::run(args, terminal),
        Command::Plan(args) => commands::plan::run(args, terminal),
        Command::Record(args) => commands::record::run(args, terminal),
        Command::Run(args) => commands::run::run(args, terminal),
        Command::Score(args) => commands::score::run(args, terminal),
        Command::Evaluate(args) => commands::evaluate::run(args, terminal),
        Command::Inspect(args) => commands::inspect::run(args, terminal),
        Command::Completions(args) => commands::completions::run(args, terminal),
    })
}

#[cfg(test)]
mod tests {
    use super::{Cli, CommandFactory};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
