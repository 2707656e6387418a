//! Puts a question about a user into words.

use std::sync::Arc;

use scaletot_chain::ChainSchema;
use scaletot_core::ContentHash;
use scaletot_core::config::ConfigError;
use scaletot_profile::{ProfileSchema, ProfileTable, Verbaliser};

use crate::error::Result;
use crate::question::Question;

/// The version of the prompt's wording. Recorded answers name it: another wording is another question.
pub const PROMPT_FORMAT: u32 = 1;

/// Writes prompts: the profile in words, the states that the asked one depends on as sentences, and the asked
/// state's cue.
///
/// ```text
/// A customer aged 45-54, with a moderate household income. This customer's need for groceries is high.
/// Overall, this customer's spending capacity is
/// ```
///
/// (one line, without a space at its end). The label continues it, so that a small base model only has to complete
/// a plain sentence; letters, digits and chat templates as answers were measured to be worse. Only the states in
/// `depends_on` are given, so that equal prompts come up again and are asked once.
///
/// Profile text is data: control characters and line breaks become spaces, so a field's value cannot start a new
/// line or turn of a conversation. Equal profiles and paths give equal prompts.
#[derive(Debug, Clone)]
pub struct Prompter {
    profile_schema: ContentHash,
    chain: Arc<ChainSchema>,
    verbaliser: Verbaliser,
}

impl Prompter {
    /// A prompter for users of one profile schema and one chain schema.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if the verbaliser was fitted on another profile schema.
    pub fn new(profile: &ProfileSchema, chain: ChainSchema, verbaliser: Verbaliser) -> Result<Self> {
        let profile_schema = profile.hash();
        if verbaliser.schema_hash() != profile_schema {
            let expected = format!("one fitted on profile schema {profile_schema}");
            return Err(ConfigError::new("verbaliser", expected, verbaliser.schema_hash()).into());
        }
        Ok(Self { profile_schema, chain: Arc::new(chain), verbaliser })
    }

    /// The chain schema.
    #[must_use]
    pub fn chain(&self) -> &Arc<ChainSchema> {
        &self.chain
    }

    /// The hash of the profile schema that tables must have.
    #[must_use]
    pub fn profile_schema(&self) -> ContentHash {
        self.profile_schema
    }

    /// What renders profiles.
    #[must_use]
    pub fn verbaliser(&self) -> &Verbaliser {
        &self.verbaliser
    }

    /// Checks that a table has the prompter's schema.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) naming both schemas.
    pub fn check(&self, table: &ProfileTable) -> Result<()> {
        let found = table.schema().hash();
        if found == self.profile_schema {
            return Ok(());
        }
        Err(ConfigError::new("table", format!("one with profile schema {}", self.profile_schema), found)
            .into())
    }

    /// The profile of one user in words, on one line, without a full stop.
    #[must_use]
    pub fn profile(&self, table: &ProfileTable, row: usize) -> String {
        plain(&self.verbaliser.render(table, row))
    }

    /// The names of the fields that [`profile`](Self::profile) renders: the populated ones, but for values that the
    /// schema gives no words (an empty wording, an unknown category, a plain no).
    #[must_use]
    pub fn rendered(&self, table: &ProfileTable, row: usize) -> Vec<String> {
        let fields = table.schema().fields();
        self.verbaliser
            .rendered(table, row)
            .into_iter()
            .map(|field| fields[field].name().to_owned())
            .collect()
    }

    /// The prompt about `state` for one user, given the values of the states before it (`path`, as codes; only
    /// those that `state` depends on are read).
    #[must_use]
    pub fn prompt(&self, table: &ProfileTable, row: usize, state: usize, path: &[u16]) -> String {
        self.continue_profile(&self.profile(table, row), state, path)
    }

    /// The question about `state` for one user, given the values of the states before it, with its prompt.
    ///
    /// ```
    /// use scaletot_chain::{ChainSchema, StateDef};
    /// use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder, Verbaliser};
    /// use scaletot_teacher::Prompter;
    ///
    /// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::boolean("owner")).build()?;
    /// let mut users = TableBuilder::new(schema);
    /// users.push_text(1, &["yes"])?;
    /// let table = users.finish();
    /// let chain = ChainSchema::builder("shopper").with_state(StateDef::ordinal("need", ["low", "high"])).build()?;
    /// let prompter = Prompter::new(table.schema(), chain, Verbaliser::fit(&table, 5)?)?;
    /// let question = prompter.question(&table, 0, 0, &[]);
    /// assert_eq!(question.labels, ["low", "high"]);
    /// assert!(question.prompt.ends_with("Overall, this user's need is"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn question<'a>(
        &'a self,
        table: &'a ProfileTable,
        row: usize,
        state: usize,
        path: &'a [u16],
    ) -> Question<'a> {
        self.question_of(&self.profile(table, row), table, row, state, path)
    }

    /// As [`question`](Self::question), with a profile that [`profile`](Self::profile) rendered before.
    pub(crate) fn question_of<'a>(
        &'a self,
        profile: &str,
        table: &'a ProfileTable,
        row: usize,
        state: usize,
        path: &'a [u16],
    ) -> Question<'a> {
        let prompt = self.continue_profile(profile, state, path);
        Question::new(&self.chain, state, path, table, row).with_prompt(prompt)
    }

    fn continue_profile(&self, profile: &str, state: usize, path: &[u16]) -> String {
        let mut prompt = profile.trim_end_matches('.').to_owned();
        prompt.push('.');
        let Some(asked) = self.chain.states().get(state) else { return prompt };
        for &parent in asked.depends_on() {
            let given = self.chain.states().get(parent).zip(path.get(parent));
            let Some((cue, value)) =
                given.and_then(|(state, &code)| Some((state.cue(), state.values().get(code as usize)?)))
            else {
                continue;
            };
            prompt.push(' ');
            prompt.push_str(&plain(&capitalised(cue)));
            prompt.push(' ');
            prompt.push_str(&plain(value));
            prompt.push('.');
        }
        prompt.push_str(" Overall, ");
        prompt.push_str(&plain(asked.cue()));
        prompt
    }
}

/// One line without control characters, with single spaces between words and none at the ends.
fn plain(text: &str) -> String {
    let separators = |c: char| c.is_whitespace() || c.is_control();
    text.split(separators).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn capitalised(text: &str) -> String {
    let mut letters = text.trim_start().chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
