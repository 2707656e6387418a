//! `scaletot plan`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use scaletot_pipeline::options::TeacherChoice;
use scaletot_pipeline::plan::{Asked, CHARACTERS_PER_TOKEN, Plan, PlanOptions};
use scaletot_pipeline::tasks::{Population, Task};
use scaletot_pipeline::{PipelineConfig, Split, causes, preflight};
use scaletot_teacher::{Price, Prices};
use serde::Serialize;

use super::init::preview;
use super::run::open;
use crate::args::source::{SourceArgs, min_populated, shell_word};
use crate::args::{DEFAULT_SEED, workers};
use crate::exit::Exit;
use crate::format::{columns, count, duration, percent};
use crate::terminal::Terminal;

/// Fewer labelled users among the reasoned ones than this are little for OSIPO.
const FEW_LABELS: usize = 100;

/// Count questions, tokens, cost and time before anything is asked
///
/// Nothing is asked and nothing is written. Shows how many users have enough fields, how many of them read alike, how many users the most
/// frequent profiles stand for, profiles and prompts as a teacher reads them, and bounds on what a run and a recording of everything ask.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Share of all users whom the teacher reasons about
    #[arg(long, value_name = "F", default_value_t = 0.2)]
    coverage: f64,
    /// Profiles with fewer populated fields are abstained on  [default: 3, or all where there are fewer]
    #[arg(long, value_name = "N")]
    min_populated: Option<usize>,
    /// Seconds that the teacher takes for one answer; by default what the recorded answers say, if the task has some
    #[arg(long, value_name = "S")]
    seconds_per_call: Option<f64>,
    /// Answers that are under way at a time: requests to a server; threads of a model in this process share its processors
    #[arg(long, value_name = "N", default_value = "1", value_parser = workers)]
    at_a_time: NonZeroUsize,
    /// Prices file, TOML: `currency`, and for each model `[models.NAME]` with `per_million_tokens`, `per_call`, `per_hour`
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Model of the prices file; not needed if it has one
    #[arg(long, value_name = "NAME", requires = "prices")]
    model: Option<String>,
    /// Teacher, by default the task's own: rules:FILE is checked, and the answers of replay:FILE tell the seconds for one answer
    #[arg(long, value_name = "TEACHER")]
    teacher: Option<TeacherChoice>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    task: &'a str,
    #[serde(flatten)]
    plan: &'a Plan,
    seconds_per_call: Option<f64>,
    run_seconds: Option<f64>,
    everybody_seconds: Option<f64>,
    labels: Option<&'a Labels>,
    refused: Option<&'a str>,
    teacher: Option<&'static str>,
    currency: Option<&'a str>,
    run_cost: Option<f64>,
    everybody_cost: Option<f64>,
}

/// Counts and shows.
pub(crate) fn run(args: &PlanArgs, terminal: &Terminal) -> Result<Exit> {
    if let Some(seconds) = args.seconds_per_call
        && !(seconds.is_finite() && seconds >= 0.0)
    {
        bail!("--seconds-per-call: expected a number of at least 0, found {seconds}");
    }
    let (task, population) = args.source.load()?;
    let fields = population.dataset.table().schema().fields().len();
    let options = PlanOptions::default()
        .with_coverage(args.coverage)
        .with_min_populated(min_populated(args.min_populated, fields))
        .with_levels(task.level_config());
    let plan = Plan::of(population.dataset.table(), &population.chain, &options)?;
    let teacher = Answers::of(args, &population)?;
    let seconds = args.seconds_per_call.or(teacher.seconds);
    let mut config = PipelineConfig::default();
    config.min_populated = options.min_populated;
    // A recording needs no outcomes, so a plan is made all the same.
    let labels = preflight(&population.dataset, &population.chain, &config, DEFAULT_SEED)
        .map(|split| Labels::of(&population, &split, &plan))
        .map_err(|error| causes(&error));
    let price = price(args)?;
    if let (Some((_, price)), None) = (&price, seconds)
        && price.per_hour > 0.0
    {
        bail!("a price per hour needs the seconds of an answer: pass --seconds-per-call");
    }
    let time = |asked: &Asked| seconds.map(|each| asked.seconds(each, args.at_a_time.get()));
    let cost = |asked: &Asked| price.as_ref().map(|(_, price)| asked.cost(price, seconds.unwrap_or(0.0)));
    if args.json {
        return terminal.json(&Printed {
            task: &task.name,
            plan: &plan,
            seconds_per_call: seconds,
            run_seconds: time(&plan.run),
            everybody_seconds: time(&plan.everybody),
            labels: labels.as_ref().ok(),
            refused: labels.as_ref().err().map(String::as_str),
            teacher: teacher.kind,
            currency: price.as_ref().map(|(currency, _)| currency.as_str()),
            run_cost: cost(&plan.run),
            everybody_cost: cost(&plan.everybody),
        });
    }
    tell_users(terminal, &task, &plan);
    terminal.say(&format!("\n{}", preview(&plan.preview, plan.preview.prompts.len())));
    tell_questions(terminal, args, &plan);
    terminal.say(&match &labels {
        Ok(labels) => labels.told(),
        Err(why) => format!("A run on this table is refused: {why}.\n"),
    });
    let line = |what: &str, asked: &Asked| {
        let mut row = vec![what.to_owned(), count(asked.questions), count(asked.tokens)];
        row.extend(time(asked).map(duration));
        row.extend(cost(asked).map(|cost| format!("{cost:.2}")));
        row
    };
    let mut header: Vec<String> = ["", "questions", "tokens"].map(str::to_owned).into();
    header.extend(seconds.map(|_| "time".to_owned()));
    header.extend(price.as_ref().map(|(currency, _)| currency.clone()));
    let rows = [header, line("run, at most", &plan.run), line("record everything", &plan.everybody)];
    terminal.say(&columns(&rows, true));
    let seconds = match seconds {
        Some(seconds) => format!("{seconds:.3} s an answer, {} at a time", args.at_a_time),
        None => "pass --seconds-per-call for the time".to_owned(),
    };
    let prices = if price.is_none() { "; pass --prices for the cost" } else { "" };
    terminal.say(&format!(
        "Tokens by {CHARACTERS_PER_TOKEN} characters each, a rule of thumb for English; {seconds}{prices}."
    ));
    terminal.say(match teacher.kind {
        None => "Nobody answers yet: the task names neither rules nor recorded answers, so a run wants --teacher.",
        Some("rules") => "The rules of the task answer at once and at no cost; tokens, time and cost are those of a language model in their place.",
        Some(_) => "Recorded answers answer at once and at no cost; tokens, time and cost are those of recording them.",
    });
    let mut given = args.source.as_given();
    given.extend(
        args.teacher.as_ref().map(|teacher| format!(" --teacher {}", shell_word(&teacher.to_string()))),
    );
    given.extend(args.min_populated.map(|fields| format!(" --min-populated {fields}")));
    if labels.is_ok() {
        let teacher = if teacher.kind.is_none() { " --teacher rules:FILE" } else { "" };
        terminal.say(&format!("\nTo run it:\n  scaletot run {given}{teacher} --coverage {}", args.coverage));
    }
    Ok(Exit::Done)
}

/// The teacher of a run, as far as a plan can tell.
struct Answers {
    /// `rules` or `replay`; none if there is none without --teacher.
    kind: Option<&'static str>,
    /// Of recorded answers, the seconds that one took.
    seconds: Option<f64>,
}

impl Answers {
    /// The teacher that was named, or the task's, whose files are read: a run would find late what is wrong with them.
    fn of(args: &PlanArgs, population: &Population) -> Result<Self> {
        if let Some(rules) = &population.rules {
            rules
                .rules(population.dataset.table().schema(), &population.chain)
                .context("the task's expert rules")?;
        }
        let kind = match &args.teacher {
            Some(TeacherChoice::Rules(_)) => Some("rules"),
            Some(TeacherChoice::Replay(_)) => Some("replay"),
            Some(live) => {
                bail!(
                    "--teacher: expected replay:FILE or rules:FILE, found `{live}`; of a live teacher pass --seconds-per-call"
                )
            }
            None if population.answers.is_some() => Some("replay"),
            None => population.rules.as_ref().map(|_| "rules"),
        };
        let opened = kind.map(|_| open(args.teacher.as_ref(), population)).transpose()?;
        Ok(Self { kind, seconds: opened.and_then(|opened| opened.seconds_per_answer) })
    }
}

/// Users with a known outcome, by what a run does with them.
#[derive(Serialize)]
struct Labels {
    train: usize,
    held_out: usize,
    /// Of the reasoned users, as many as their share among those to train on.
    reasoned: usize,
}

impl Labels {
    fn of(population: &Population, split: &Split, plan: &Plan) -> Self {
        let known =
            |rows: &[usize]| rows.iter().filter(|&&row| population.dataset.outcome(row).is_some()).count();
        let (train, held_out) = (known(&split.train), split.held_out.len());
        let reasoned = plan.reasoned_users.min(split.train.len());
        Self { train, held_out, reasoned: reasoned * train / split.train.len().max(1) }
    }

    fn told(&self) -> String {
        let Self { train, held_out, reasoned } = self;
        let few = match *reasoned < FEW_LABELS {
            true => format!(
                "; fewer than {FEW_LABELS} are little for OSIPO, and a run in which nobody is left for it goes on with the student of SFT"
            ),
            false => String::new(),
        };
        format!(
            "Known outcomes: {} users to train on, about {} of them reasoned about, and {} held out{few}.\n",
            count(*train as u64),
            count(*reasoned as u64),
            count(*held_out as u64)
        )
    }
}

/// The currency and the model's price.
fn price(args: &PlanArgs) -> Result<Option<(String, Price)>> {
    let Some(file) = &args.prices else { return Ok(None) };
    let prices = Prices::load(file).with_context(|| file.display().to_string())?;
    let names = || prices.models.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let price = match &args.model {
        Some(model) => prices.of(model).with_context(|| {
            format!("{}: expected a price of `{model}`, found those of {}", file.display(), names())
        })?,
        None if prices.models.len() == 1 => prices.models.values().next().context("one price")?,
        None => bail!("{} has prices of {}: choose one with --model", file.display(), names()),
    };
    Ok(Some((prices.currency.clone(), *price)))
}

fn tell_users(terminal: &Terminal, task: &Task, plan: &Plan) {
    let (users, eligible) = (count(plan.users as u64), count(plan.eligible as u64));
    terminal.say(&format!(
        "{}\n{users} users, {eligible} with at least {} populated fields; the others are abstained on\n\nUsers by populated fields:",
        task.title, plan.min_populated
    ));
    let share = |users: usize| percent(users as f64 / plan.users.max(1) as f64);
    let rows: Vec<Vec<String>> = plan
        .populated
        .iter()
        .filter(|point| point.users > 0)
        .map(|point| vec![point.fields.to_string(), count(point.users as u64), share(point.users)])
        .collect();
    terminal.say(&columns(&rows, true));
    terminal.say(&format!(
        "\n{} distinct profiles, as they are rendered. The most frequent ones, and the users they stand for:",
        count(plan.distinct_profiles as u64)
    ));
    let rows: Vec<Vec<String>> = plan
        .curve
        .iter()
        .map(|point| vec![count(point.profiles as u64), count(point.users as u64), percent(point.share)])
        .collect();
    terminal.say(&columns(&rows, true));
}

fn tell_questions(terminal: &Terminal, args: &PlanArgs, plan: &Plan) {
    terminal.say(&format!(
        "\nA profile has {} different prompts, of {:.0} characters on average and {} at most; a search asks {} of them at most.\n\
         With a coverage of {} the teacher reasons about {} users.\n",
        plan.prompts_per_profile,
        plan.mean_prompt,
        plan.longest_prompt,
        plan.questions_per_user,
        args.coverage,
        count(plan.reasoned_users as u64)
    ));
}
