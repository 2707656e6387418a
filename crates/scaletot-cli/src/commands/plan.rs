//! `scaletot plan`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use scaletot_pipeline::options::TeacherChoice;
use scaletot_pipeline::plan::{Asked, CHARACTERS_PER_TOKEN, Plan, PlanOptions};
use scaletot_pipeline::tasks::{Population, Task};
use scaletot_pipeline::teachers;
use scaletot_teacher::{Price, Prices};
use serde::Serialize;

use super::init::preview;
use crate::args::source::{SourceArgs, min_populated};
use crate::exit::Exit;
use crate::format::{columns, count, duration, percent};
use crate::terminal::Terminal;

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
    #[arg(long, value_name = "N", default_value = "1")]
    at_a_time: NonZeroUsize,
    /// Prices file, TOML: `currency`, and for each model `[models.NAME]` with `per_million_tokens`, `per_call`, `per_hour`
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Model of the prices file; not needed if it has one
    #[arg(long, value_name = "NAME", requires = "prices")]
    model: Option<String>,
    /// Teacher whose recorded answers tell the seconds for one answer: replay:FILE
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
    currency: Option<&'a str>,
    run_cost: Option<f64>,
    everybody_cost: Option<f64>,
}

/// Counts and shows.
pub(crate) fn run(args: &PlanArgs, terminal: &Terminal) -> Result<Exit> {
    if let Some(seconds) = args.seconds_per_call
        && !(seconds.is_finite() && seconds >= 0.0)
    {
        bail!("--seconds-per-call: expected a number of at least 0, got {seconds}");
    }
    let (task, population) = args.source.load()?;
    let fields = population.schema.fields().len();
    let options = PlanOptions::default()
        .with_coverage(args.coverage)
        .with_min_populated(min_populated(args.min_populated, fields))
        .with_levels(task.level_config());
    let plan = Plan::of(&population.profiles, &population.chain, &options)?;
    let seconds = match args.seconds_per_call {
        Some(seconds) => Some(seconds),
        None => recorded_seconds(args, &population)?,
    };
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
            currency: price.as_ref().map(|(currency, _)| currency.as_str()),
            run_cost: cost(&plan.run),
            everybody_cost: cost(&plan.everybody),
        });
    }
    tell_users(terminal, &task, &plan);
    terminal.say(&format!("\n{}", preview(&plan.preview, plan.preview.prompts.len())));
    tell_questions(terminal, args, &plan);
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
    let given = args.source.as_given();
    terminal.say(&format!("\nTo run it:\n  scaletot run {given} --coverage {}", args.coverage));
    Ok(Exit::Done)
}

/// What the recorded answers say of an answer's time: those that were named, or the task's.
fn recorded_seconds(args: &PlanArgs, population: &Population) -> Result<Option<f64>> {
    match &args.teacher {
        Some(choice @ TeacherChoice::Replay(_)) => {
            Ok(teachers::open(choice, &population.schema, &population.chain)?.seconds_per_answer)
        }
        Some(other) => {
            bail!("--teacher: expected replay:FILE, got `{other}`; of a live teacher pass --seconds-per-call")
        }
        None => match &population.answers {
            Some(answers) => Ok(answers.answers().context("the recorded answers")?.seconds_per_answer()),
            None => Ok(None),
        },
    }
}

/// The currency and the model's price.
fn price(args: &PlanArgs) -> Result<Option<(String, Price)>> {
    let Some(file) = &args.prices else { return Ok(None) };
    let prices = Prices::load(file).with_context(|| file.display().to_string())?;
    let names = || prices.models.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let price = match &args.model {
        Some(model) => prices.of(model).with_context(|| {
            format!("{}: expected a price of `{model}`, got those of {}", file.display(), names())
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
