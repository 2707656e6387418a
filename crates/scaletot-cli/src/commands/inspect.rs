//! `scaletot inspect`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::Args;
use scaletot_chain::ChainSchema;
use scaletot_core::files::{read, write_bytes};
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
    // Before work is done for it.
    args.html.as_deref().map_or(Ok(()), check_page)?;
    let mut kind = inspect::recognise(&args.path)?;
    if let (Kind::Run(directory), Some(_)) = (&kind, &args.user) {
        kind = Kind::Corpus(directory.join("corpus.jsonl"));
    }
    if args.user.is_some() && !matches!(kind, Kind::Corpus(_)) {
        bail!("--user: {} is no corpus", args.path.display());
    }
    let mut beside = Beside::default();
    let inspected = match &kind {
        Kind::Corpus(path) => corpus(args, path, &mut beside)?,
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
    let exit = beside.left_out.map_or(Exit::Done, Exit::LeftOut);
    if args.json {
        terminal.json(&inspected.json)?;
        return Ok(exit);
    }
    match &args.html {
        Some(file) => {
            let page = beside.page.unwrap_or_else(|| inspected.report.html());
            write_bytes(file, page + PAGE)?;
            terminal.say(&file.display().to_string());
        }
        None => terminal.say(&inspected.report.text()),
    }
    Ok(exit)
}

/// The end of a page that was written here.
const PAGE: &str = "<!-- written by scaletot inspect -->\n";

/// Bytes of a page at most that is written over.
const MAX_PAGE: u64 = 1 << 30;

/// Refuses to write over what is there, unless it is a page that was written here.
fn check_page(file: &Path) -> Result<()> {
    let Ok(found) = file.symlink_metadata() else { return Ok(()) };
    let is_page = found.is_file() && read(file, MAX_PAGE).is_ok_and(|page| page.ends_with(PAGE.as_bytes()));
    ensure!(
        is_page,
        "--html: {} is there, and no page of `scaletot inspect`, so it is not written over: name another file",
        file.display()
    );
    Ok(())
}

/// What there is of a corpus beside what is shown of it.
#[derive(Default)]
struct Beside {
    /// A page of its own.
    page: Option<String>,
    /// Lines that are damaged.
    left_out: Option<String>,
}

/// A corpus, one of its users, or the search about the user.
fn corpus(args: &InspectArgs, path: &Path, beside: &mut Beside) -> Result<Inspected> {
    let task = args.task.as_deref().map(Task::find).transpose()?;
    let named = match (&task, &args.chain_schema) {
        (Some(task), _) => Some(task.chain.chain_schema()?),
        (None, Some(file)) => Some(ChainSchema::load(file)?),
        (None, None) => None,
    };
    let schema = inspect::chain_schema(path, named)?;
    let (corpus, left_out) = inspect::undamaged(path, &schema)?;
    beside.left_out = left_out;
    let Some(user) = &args.user else { return inspect::corpus(path, &schema, &corpus) };
    let Some(task) = task else { return inspect::record(path, &schema, &corpus, user) };
    let population = task.load(args.data.as_deref())?;
    let opened = match &args.teacher {
        Some(choice) => teachers::open(choice, population.dataset.table().schema(), &population.chain)?,
        None => population.teacher()?,
    };
    let (inspected, html) =
        inspect::tree(path, &schema, &corpus, user, (&task, &population), opened.teacher)?;
    beside.page = Some(html);
    Ok(inspected)
}
