//! `scaletot inspect`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use scaletot_chain::ChainSchema;
use scaletot_core::files::write_bytes;
use scaletot_pipeline::options::TeacherChoice;
use scaletot_pipeline::tasks::Task;
use scaletot_pipeline::teachers;

use crate::exit::Exit;
use crate::inspect::{self, Inspected, Kind};
use crate::terminal::Terminal;

/// Look into what was written: a corpus, an artifact, a student, a value model, results, recorded answers, scores, a run
///
/// What it is is told by its content. Of a corpus: verdicts by reason, entropy per state before and after refinement, example chains; with
/// --user one user's chain, and with --task the search about the user as a tree. Of an artifact: schemas, heads, gate and readiness, the
/// transfer report, whether its canaries pass, footprint.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The file or directory
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// User of the corpus whose chain is shown
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Task that the corpus is of, a file or a shipped one: its table, schemas and teacher draw the search of --user as a tree
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// The task's table, where it does not come with the task
    #[arg(long, value_name = "FILE", requires = "task")]
    data: Option<PathBuf>,
    /// Teacher of the corpus, where it is not the task's: replay:FILE, gguf:FILE, rules:FILE or openai:URL#MODEL
    #[arg(long, value_name = "TEACHER", requires = "task")]
    teacher: Option<TeacherChoice>,
    /// Chain schema of the corpus, where no artifact or student lies beside it
    #[arg(long, value_name = "FILE", conflicts_with = "task")]
    chain_schema: Option<PathBuf>,
    /// Write a page for a browser, and print nothing but its name
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "html")]
    json: bool,
}

/// Looks, and shows.
pub(crate) fn run(args: &InspectArgs, terminal: &Terminal) -> Result<Exit> {
    let mut kind = inspect::recognise(&args.path)?;
    if let (Kind::Run(directory), Some(_)) = (&kind, &args.user) {
        kind = Kind::Corpus(directory.join("corpus.jsonl"));
    }
    if args.user.is_some() && !matches!(kind, Kind::Corpus(_)) {
        bail!("--user: {} is no corpus", args.path.display());
    }
    let mut page = None;
    let inspected = match &kind {
        Kind::Corpus(path) => corpus(args, path, &mut page)?,
        Kind::Artifact(path) => inspect::artifact(path)?,
        Kind::Student(path) => inspect::student(path)?,
        Kind::ValueModel(path) => inspect::value_model(path)?,
        Kind::Results(path) => inspect::results(path)?,
        Kind::Evaluation(path) => inspect::evaluation(path)?,
        Kind::Recording(path) => inspect::recording(path)?,
        Kind::Transfer(path) => inspect::transfer(path)?,
        Kind::Scores(path) => inspect::scores(path)?,
        Kind::Run(path) => inspect::run(path)?,
    };
    if args.json {
        return terminal.json(&inspected.json);
    }
    match &args.html {
        Some(file) => {
            let page = page.unwrap_or_else(|| inspected.report.html());
            write_bytes(file, page)?;
            terminal.say(&file.display().to_string());
        }
        None => terminal.say(&inspected.report.text()),
    }
    Ok(Exit::Done)
}

/// A corpus, one of its users, or the search about the user.
fn corpus(args: &InspectArgs, path: &std::path::Path, page: &mut Option<String>) -> Result<Inspected> {
    let task = args.task.as_deref().map(Task::find).transpose()?;
    let named = match (&task, &args.chain_schema) {
        (Some(task), _) => Some(task.chain.chain_schema()?),
        (None, Some(file)) => Some(ChainSchema::load(file)?),
        (None, None) => None,
    };
    let schema = inspect::chain_schema(path, named)?;
    let Some(user) = &args.user else { return inspect::corpus(path, &schema) };
    let Some(task) = task else { return inspect::record(path, &schema, user) };
    let population = task.load(args.data.as_deref())?;
    let opened = match &args.teacher {
        Some(choice) => teachers::open(choice, population.dataset.table().schema(), &population.chain)?,
        None => population.teacher()?,
    };
    let (inspected, html) = inspect::tree(path, &schema, user, (&task, &population), opened.teacher)?;
    *page = Some(html);
    Ok(inspected)
}
