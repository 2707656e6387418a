//! `scaletot init`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use scaletot_core::files::{AtomicFile, DirLock};
use scaletot_pipeline::draft::{ColumnUse, Draft, DraftOptions, FieldKind, RawTable};
use scaletot_pipeline::plan::{Plan, PlanOptions, Preview};
use scaletot_pipeline::tasks::Task;
use serde::Serialize;

use crate::args::source::shell_word;
use crate::exit::Exit;
use crate::format::{columns, percent};
use crate::terminal::Terminal;

/// Draft a profile schema, a chain schema, rules and a task from a table, for you to edit
///
/// Looks at the values and names of the columns: kinds, levels in order, marks for missing values, a phrase for each field. Columns that are
/// no static profile are left out, and the schema says why. What is written runs as it is, and is a first draft: the chain's states are
/// generic, and the rules are guesses from names. Files that are there are not overwritten without --force.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Table of users: .parquet, .csv or .csv.gz
    #[arg(value_name = "TABLE")]
    table: PathBuf,
    /// Directory for the files
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Name of the schemas and files  [default: the table's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Column of the user ids; found by its values unless given
    #[arg(long, value_name = "COL")]
    id: Option<String>,
    /// Column of the realised value, at least 0; found by its name unless given
    #[arg(long, value_name = "COL")]
    outcome: Option<String>,
    /// Column of the user segments
    #[arg(long, value_name = "COL")]
    segment: Option<String>,
    /// Whom a row describes, as a sentence begins
    #[arg(long, value_name = "TEXT", default_value = "A user")]
    subject: String,
    /// Columns that are no profile fields
    #[arg(long, value_name = "COL,COL,...", value_delimiter = ',')]
    exclude: Vec<String>,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    rows: usize,
    is_cut: bool,
    id: Option<&'a str>,
    why_numbered: Option<&'a str>,
    outcome: &'a str,
    files: Vec<String>,
    columns: Vec<PrintedColumn<'a>>,
    preview: &'a Preview,
    next: [String; 2],
}

/// One column in JSON.
#[derive(Serialize)]
struct PrintedColumn<'a> {
    name: &'a str,
    r#use: &'static str,
    kind: Option<&'static str>,
    values: Option<&'a [String]>,
    missing: Option<f64>,
    reason: Option<&'a str>,
}

/// Writes the files and shows what they make of the table.
pub(crate) fn run(args: &InitArgs, terminal: &Terminal) -> Result<Exit> {
    let table = RawTable::read(&args.table)?;
    let draft = Draft::of(&table, &options(args)?).map_err(|error| {
        let table = args.table.display();
        anyhow!(
            "{table}: {error} (--id COL, --outcome COL and --exclude COL,COL say what a table does not tell)"
        )
    })?;
    let files = write(args, &draft)?;
    let task_file = files.last().context("the task was written")?;
    let look = |failed: &str| {
        format!(
            "the files are written, but {failed}: edit them, or say more with the options of `scaletot init`, and --force"
        )
    };
    let population = Task::read(task_file)
        .and_then(|task| task.load(None))
        .with_context(|| look("the table does not fit them"))?;
    let options = PlanOptions::default().with_min_populated(1);
    let plan = Plan::of(population.dataset.table(), &population.chain, &options)
        .with_context(|| look("no prompts can be made of them"))?;
    let task = shell_word(&task_file.to_string_lossy());
    let next = [format!("scaletot plan --task {task}"), format!("scaletot run --task {task}")];
    if args.json {
        return terminal.json(&Printed {
            rows: table.rows,
            is_cut: table.is_cut,
            id: draft.id(),
            why_numbered: draft.why_numbered(),
            outcome: draft.outcome(),
            files: files.iter().map(|file| file.display().to_string()).collect(),
            columns: draft.columns().iter().map(|(name, found)| printed(name, found)).collect(),
            preview: &plan.preview,
            next,
        });
    }
    tell(terminal, args, &table, &draft);
    terminal.say(&format!("\n{}", preview(&plan.preview, 1)));
    terminal.say("\nWritten:");
    files.iter().for_each(|file| terminal.say(&format!("  {}", file.display())));
    terminal.say("\nEdit them: the states of the chain first, which are generic. Then see what a run would ask, and run it:");
    next.iter().for_each(|command| terminal.say(&format!("  {command}")));
    Ok(Exit::Done)
}

fn options(args: &InitArgs) -> Result<DraftOptions> {
    let stem = || {
        let name = args.table.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ends = [".csv.gz", ".csv", ".parquet"];
        let lower = name.to_ascii_lowercase();
        let end = ends.iter().find(|end| lower.ends_with(*end)).map_or(0, |end| end.len());
        name[..name.len() - end].to_owned()
    };
    let name = args.name.clone().unwrap_or_else(stem);
    ensure!(
        !name.contains(['/', '\\']),
        "--name: expected a name without a directory, found `{name}`; --out is the directory"
    );
    let mut options =
        DraftOptions::new(name).with_subject(&args.subject).with_table(path_from(&args.out, &args.table)?);
    (options.id, options.outcome, options.segment) =
        (args.id.clone(), args.outcome.clone(), args.segment.clone());
    options.excluded.clone_from(&args.exclude);
    Ok(options)
}

/// The table's path as a file in `out` names it: relative where the table lies in or below it.
fn path_from(out: &Path, table: &Path) -> Result<String> {
    let table = table.canonicalize().with_context(|| format!("cannot find {}", table.display()))?;
    let relative = out.canonicalize().ok().and_then(|out| table.strip_prefix(out).ok().map(Path::to_owned));
    let path = relative.unwrap_or(table);
    path.to_str().map(str::to_owned).with_context(|| format!("{}: expected a path in UTF-8", path.display()))
}

/// Writes the four files, the task last; nothing if one of them is there and must not be overwritten.
fn write(args: &InitArgs, draft: &Draft) -> Result<Vec<PathBuf>> {
    let name = options(args)?.name;
    let texts = [
        ("profile", draft.profile_schema()),
        ("chain", draft.chain_schema()),
        ("rules", draft.rules()),
        ("task", draft.task()),
    ];
    // `./users.task.toml` would only be longer.
    let out = if args.out == Path::new(".") { Path::new("") } else { &args.out };
    let files = texts.map(|(kind, text)| (out.join(format!("{name}.{kind}.toml")), text));
    // Two at once would leave files of both.
    let _lock = DirLock::acquire(&args.out)?.without_trace();
    let there = |file: &Path| file.symlink_metadata().is_ok();
    if let Some((file, _)) = files.iter().find(|(file, _)| !args.force && there(file)) {
        bail!("{} is there already: --force overwrites it, --name and --out write elsewhere", file.display());
    }
    for (file, text) in &files {
        let written = AtomicFile::create(file).and_then(|mut new| {
            new.write_all(text.as_bytes()).map_err(|source| new.error(source))?;
            if args.force { new.commit() } else { new.commit_new() }
        });
        written?;
    }
    Ok(files.map(|(file, _)| file).into())
}

/// What each column is.
fn tell(terminal: &Terminal, args: &InitArgs, table: &RawTable, draft: &Draft) {
    let more = if table.is_cut { " (the first of the file)" } else { "" };
    let id = draft.id().map_or_else(|| "none".to_owned(), |id| format!("`{id}`"));
    let numbered = draft.why_numbered().map_or_else(String::new, |why| {
        format!("\nRows are numbered: {why}. If a column holds ids, make them unique, or name it with --id.")
    });
    terminal.say(&format!(
        "{}: {} rows{more}, {} columns; user id {id}, outcome `{}`{numbered}\n\nFields of the profile:",
        args.table.display(),
        table.rows,
        table.columns.len(),
        draft.outcome()
    ));
    let rows: Vec<Vec<String>> = draft
        .fields()
        .map(|field| {
            let values = match (&field.kind, field.values.len()) {
                (FieldKind::Numeric { .. } | FieldKind::Boolean, _) => String::new(),
                (_, 0..=4) => field.values.join(", "),
                (_, n) => format!("{}, {}, … ({n} values)", field.values[0], field.values[1]),
            };
            vec![
                field.name.clone(),
                kind(&field.kind).to_owned(),
                format!("missing {}", percent(field.missing_share)),
                values,
            ]
        })
        .collect();
    terminal.say(&columns(&rows, false));
    if draft.has_many_fields() {
        terminal
            .say(&format!("{} fields make long prompts: keep those that bear on the outcome.", rows.len()));
    }
    let left_out: Vec<Vec<String>> = draft
        .columns()
        .iter()
        .filter_map(|(name, found)| match found {
            ColumnUse::LeftOut { reason, .. } => Some(vec![name.clone(), reason.clone()]),
            _ => None,
        })
        .collect();
    if !left_out.is_empty() {
        terminal.say(&format!("\nLeft out:\n{}", columns(&left_out, false)));
    }
}

/// Profiles as they are rendered, and the first prompts.
pub(super) fn preview(preview: &Preview, prompts: usize) -> String {
    let mut lines = vec!["Profiles as they are rendered:".to_owned()];
    for profile in &preview.profiles {
        let alike = match profile.users {
            1 => String::new(),
            2 => " and another".to_owned(),
            users => format!(" and {} others", users - 1),
        };
        let (user, populated) = (&profile.user, profile.populated);
        lines.push(format!("  {user}{alike} ({populated} fields): {}", profile.text));
    }
    for prompt in preview.prompts.iter().take(prompts) {
        lines.push(format!("\nThe prompt about `{}` (one of {}):", prompt.state, prompt.values.join(", ")));
        lines.push(format!("  {}", prompt.prompt));
    }
    lines.join("\n")
}

fn kind(kind: &FieldKind) -> &'static str {
    match kind {
        FieldKind::Categorical => "categorical",
        FieldKind::Ordinal => "ordinal",
        FieldKind::Numeric { .. } => "numeric",
        FieldKind::Boolean => "boolean",
        FieldKind::Multi { .. } => "multi",
        _ => "other",
    }
}

fn printed<'a>(name: &'a str, found: &'a ColumnUse) -> PrintedColumn<'a> {
    let plain = |r#use| PrintedColumn { name, r#use, kind: None, values: None, missing: None, reason: None };
    match found {
        ColumnUse::Field(field) => PrintedColumn {
            kind: Some(kind(&field.kind)),
            values: Some(&field.values),
            missing: Some(field.missing_share),
            ..plain("field")
        },
        ColumnUse::LeftOut { reason, .. } => PrintedColumn { reason: Some(reason), ..plain("left out") },
        ColumnUse::Id => plain("id"),
        ColumnUse::Outcome => plain("outcome"),
        _ => plain("other"),
    }
}
