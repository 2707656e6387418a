//! What would be asked, and how much of it, before anything is.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use scaletot_profile::{ProfileTable, UserId};
use serde::Serialize;

use super::Reasoner;
use crate::error::Result;
use crate::teacher::Teacher;

/// One user's profile as the teacher reads it, and every prompt that a search about the user may ask; made by
/// [`Reasoner::preview`]. Prints as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Preview {
    /// The user.
    pub user: UserId,
    /// Populated profile fields.
    pub populated: usize,
    /// Populated fields that it takes for the user to be reasoned about.
    pub min_populated: usize,
    /// The profile in words.
    pub profile: String,
    /// Names of the fields that the words are of.
    pub rendered: Vec<String>,
    /// The prompts, in the order of the states.
    pub prompts: Vec<PromptPreview>,
}

/// A prompt and the labels of which one continues it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PromptPreview {
    /// Name of the state that is asked.
    pub state: String,
    /// The states that the prompt tells, with their values.
    pub given: Vec<(String, String)>,
    /// The prompt.
    pub prompt: String,
    /// The state's labels.
    pub labels: Vec<String>,
    /// Whether the answer is at hand, in memory or in a file, so that asking computes nothing.
    pub held: bool,
}

/// How many prompts searches about some users may ask; made by [`Reasoner::count_prompts`]. Prints as a sentence.
///
/// ```
/// use std::time::Duration;
/// use scaletot_teacher::PromptCount;
///
/// let mut count = PromptCount::default();
/// (count.users, count.prompts, count.distinct, count.held) = (400, 18_000, 9_300, 300);
/// assert_eq!(count.to_ask(), 9_000);
/// assert_eq!(count.time(0.2), Duration::from_secs(1_800));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PromptCount {
    /// Users who would be asked about.
    pub users: usize,
    /// Users with too few populated fields to be asked about.
    pub skipped: usize,
    /// Prompts of all these users, equal ones counted again for each.
    pub prompts: u64,
    /// Distinct prompts.
    pub distinct: usize,
    /// Of the distinct prompts: those whose answer is at hand, in memory or in a file.
    pub held: usize,
    /// Characters of the prompts and labels that are left to ask; English has about four to a token.
    pub characters: u64,
}

impl PromptCount {
    /// Distinct prompts that the model has to answer.
    #[must_use]
    pub fn to_ask(&self) -> usize {
        self.distinct - self.held.min(self.distinct)
    }

    /// How long the model takes for them at that many seconds for an answer, as
    /// [`Recorder::seconds_per_answer`](crate::Recorder::seconds_per_answer) tells it after the first few.
    #[must_use]
    pub fn time(&self, seconds_per_answer: f64) -> Duration {
        Duration::try_from_secs_f64(self.to_ask() as f64 * seconds_per_answer).unwrap_or(Duration::MAX)
    }
}

impl fmt::Display for PromptCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { users, skipped, prompts, distinct, held, characters } = self;
        write!(
            f,
            "{users} users have {prompts} prompts, {distinct} of them distinct; {held} are answered already, {} are left to \
             ask ({characters} characters)",
            self.to_ask()
        )?;
        if *skipped > 0 { write!(f, "; {skipped} users have too few populated fields") } else { Ok(()) }
    }
}

impl fmt::Display for Preview {
    /// The profile, and for each state the first of its prompts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, populated, min_populated, profile, .. } = self;
        writeln!(f, "user {user}, {populated} populated fields")?;
        if populated < min_populated {
            writeln!(f, "too few to be reasoned about: at least {min_populated} are required")?;
        }
        writeln!(f, "profile: {profile}")?;
        for of_state in self.prompts.chunk_by(|a, b| a.state == b.state) {
            let [first, others @ ..] = of_state else { continue };
            writeln!(f, "\n{}: {}", first.state, first.labels.join(" | "))?;
            writeln!(f, "  {}", first.prompt)?;
            if !others.is_empty() {
                let given: Vec<&str> = first.given.iter().map(|(name, _)| name.as_str()).collect();
                writeln!(f, "  and {} more with other values of {}", others.len(), given.join(", "))?;
            }
        }
        Ok(())
    }
}

impl Reasoner<'_> {
    /// The profile of one user in words, and every prompt that a search about the user may ask, with its labels. Nothing is
    /// asked.
    ///
    /// # Errors
    ///
    /// As [`all_questions`](Self::all_questions).
    pub fn preview(&self, table: &ProfileTable, row: usize) -> Result<Preview> {
        let questions = self.all_questions(table, row)?;
        let states = self.chain().states();
        let prompts = questions.into_iter().map(|question| {
            let given = states[question.state].depends_on().iter().filter_map(|&parent| {
                let (state, code) = (states.get(parent)?, *question.path.get(parent)?);
                Some((state.name().to_owned(), state.values().get(usize::from(code))?.clone()))
            });
            PromptPreview {
                state: question.state_name().to_owned(),
                given: given.collect(),
                labels: question.labels.to_vec(),
                held: self.teacher.holds(&question),
                prompt: question.prompt,
            }
        });
        Ok(Preview {
            user: table.id(row),
            populated: table.populated(row),
            min_populated: self.min_populated,
            profile: self.prompter.profile(table, row),
            rendered: self.prompter.rendered(table, row),
            prompts: prompts.collect(),
        })
    }

    /// Counts the prompts that searches about these users may ask, whatever their strategy, and those whose answers are at
    /// hand: what [`record_all`](Self::record_all) has to ask. Nothing is asked.
    ///
    /// ```
    /// use scaletot_chain::{ChainSchema, StateDef};
    /// use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder, Verbaliser};
    /// use scaletot_teacher::{LabelAnswer, Prompter, Question, Reasoner, Recorder, Result, Teacher};
    ///
    /// struct Model;
    /// impl Teacher for Model {
    ///     fn model(&self) -> &str { "model" }
    ///     fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
    ///         Ok(LabelAnswer::new(vec![-1.0; question.labels.len()], 20))
    ///     }
    /// }
    ///
    /// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::boolean("owner")).build()?;
    /// let mut users = TableBuilder::new(schema);
    /// for (id, owner) in [(1, "yes"), (2, "no"), (3, "yes"), (4, "")] {
    ///     users.push_text(id, &[owner])?;
    /// }
    /// let table = users.finish();
    /// let chain = ChainSchema::builder("shopper")
    ///     .with_state(StateDef::ordinal("need", ["low", "high"]))
    ///     .with_state(StateDef::ordinal("spend", ["low", "high"]).with_depends_on(["need"]))
    ///     .build()?;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("answers.jsonl.gz");
    /// let recorder = Recorder::open(Model, &path)?;
    /// let reasoner = Reasoner::builder(&recorder, Prompter::new(table.schema(), chain, Verbaliser::fit(&table, 5)?)?).build()?;
    ///
    /// println!("{}", reasoner.preview(&table, 0)?);
    /// let rows = [0, 1, 2, 3];
    /// let before = reasoner.count_prompts(&table, &rows)?;
    /// // Two kinds of profile, each with one prompt about the need and two about the spending.
    /// assert_eq!((before.users, before.skipped, before.prompts, before.distinct), (3, 1, 9, 6));
    /// reasoner.record_all(&table, &rows[..1], &recorder, 1, &())?;
    /// let after = reasoner.count_prompts(&table, &rows)?;
    /// assert_eq!((after.held, after.to_ask()), (3, 3));
    /// println!("{after}, {:?}", after.time(recorder.seconds_per_answer().unwrap_or(0.0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`all_questions`](Self::all_questions).
    pub fn count_prompts(&self, table: &ProfileTable, rows: &[usize]) -> Result<PromptCount> {
        self.check(table, rows)?;
        let asks = self.asks()?;
        let mut count = PromptCount::default();
        let (mut profiles, mut prompts) = (HashSet::new(), HashSet::new());
        for &row in rows {
            if table.populated(row) < self.min_populated {
                count.skipped += 1;
                continue;
            }
            count.users += 1;
            count.prompts += asks.len() as u64;
            // Equal profiles have equal prompts.
            if !profiles.insert(self.prompter.profile(table, row)) {
                continue;
            }
            for question in self.questions(asks, table, row) {
                if !prompts.insert(question.key(self.teacher.model())) {
                    continue;
                }
                if self.teacher.holds(&question) {
                    count.held += 1;
                } else {
                    let labels: usize = question.labels.iter().map(|label| label.chars().count()).sum();
                    count.characters += (question.prompt.chars().count() + labels) as u64;
                }
            }
        }
        count.distinct = prompts.len();
        Ok(count)
    }
}
