//! Profiles and chains as token ids.
//!
//! The sequence of a user is `profile <think> <state 1> value … <state K> value <eos>`. A chain is one token per state and per
//! state value, and the values of a state have consecutive ids. The profile is read in one of two ways.
//!
//! In the vocabulary of the two schemas it is `<bos>` and one token per `field=value`. A language model's tokenizer would spend
//! ten tokens on what is one here, and a decoder that begins with nothing would have to learn that they belong together.
//! - A missing field has *no* token, so a sparse profile is a short one, and dropping a field in training
//!   makes exactly the profile that lacks it.
//! - A numeric field has one token per quantile bin, a multi-valued one a token per value (and one for "no
//!   value", which is not the same as missing), a field with an unknown bucket a token for the bucket.
//!
//! In the vocabulary of a published checkpoint, which knows English, it is the sentence that a [`Verbaliser`] renders, with the
//! special tokens that the checkpoint's tokenizer puts around a text. No value can spell a token of the checkpoint's own list. A missing or dropped field is not rendered. The tokens of the
//! chain are added to the vocabulary, under the same words.

mod chain;
mod layout;
pub(crate) mod library;
mod text;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use scaletot_chain::ChainSchema;
use scaletot_core::config::check;
use scaletot_profile::{FieldKind, ProfileSchema, ProfileTable, Quantiles, Value, Verbaliser};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::delimiter::CharDelimiterSplit;
use tokenizers::{AddedToken, Tokenizer};

use self::chain::{ChainTokens, Word};
use self::layout::{EOS, Layout, PAD, SPECIAL, THINK};
pub(crate) use self::text::AddedTokens;
use self::text::{PlainTokenizer, Text};
use crate::error::{Error, Result};

/// Between the tokens of a sequence that is written as text.
const SEPARATOR: char = '\n';

/// A sequence of tokens that knows its chain segments.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenSequence {
    /// Token ids.
    pub ids: Vec<u32>,
    /// For each token the step of the chain it belongs to, from 0: a state's name and its value. `None` for
    /// the profile and the special tokens.
    pub segments: Vec<Option<usize>>,
}

/// Turns profiles and chains of one pair of schemas into token ids.
///
/// ```
/// use scaletot_chain::{ChainSchema, StateDef};
/// use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
/// use scaletot_student::ProfileTokenizer;
///
/// let schema = ProfileSchema::builder("shop")
///     .with_field(FieldSpec::ordinal("age", ["18-34", "35+"]))
///     .with_field(FieldSpec::numeric("income"))
///     .build()?;
/// let mut builder = TableBuilder::new(schema);
/// builder.push_text(1, &["35+", "10"])?;
/// builder.push_text(2, &["", "90"])?;
/// let table = builder.finish();
/// let chain = ChainSchema::builder("spend").with_state(StateDef::ordinal("budget", ["low", "high"])).build()?;
///
/// let tokenizer = ProfileTokenizer::fit(&table, &chain, 2)?;
/// let sequence = tokenizer.encode(&table, 1, &[1])?;
/// let words = tokenizer.words(&sequence.ids);
/// assert_eq!(words, ["<bos>", "income=(10,inf)", "<think>", "<state:budget>", "<state:budget=high>", "<eos>"]);
/// assert_eq!(sequence.segments[3..5], [Some(0), Some(0)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ProfileTokenizer {
    profile: Arc<ProfileSchema>,
    chain: Arc<ChainSchema>,
    form: ProfileForm,
    tokens: ChainTokens,
    vocab_size: usize,
    tokenizer: Arc<Tokenizer>,
}

/// The vocabulary of a checkpoint.
pub(crate) struct Vocabulary {
    pub(crate) tokenizer: Tokenizer,
    /// Number of tokens that the checkpoint has an embedding for.
    pub(crate) rows: usize,
    /// What ends a chain.
    pub(crate) eos: u32,
    /// Number of tokens that the checkpoint can read at once.
    pub(crate) context: usize,
}

/// How profiles are read.
#[derive(Debug, Clone)]
enum ProfileForm {
    Fields(Layout),
    Text(Text),
}

impl ProfileTokenizer {
    /// Fits the bins of numeric fields to a table, at most `bins` each; everything else follows from the
    /// schemas.
    ///
    /// # Errors
    /// [`Error::Config`] for no bins, [`Error::Tokenizer`] if the vocabulary cannot be built.
    pub fn fit(table: &ProfileTable, chain: &ChainSchema, bins: usize) -> Result<Self> {
        check(bins > 0, "numeric_bins", "a positive number", bins)?;
        let schema = table.schema();
        let fit = |(field, kind): (usize, &FieldKind)| {
            let numbers = (0..table.len()).filter_map(|row| match table.value(row, field) {
                Some(Value::Number(x)) if x.is_finite() => Some(x),
                _ => None,
            });
            let mut numbers = numbers.peekable();
            if !matches!(kind, FieldKind::Numeric(_)) || numbers.peek().is_none() {
                return Ok(None);
            }
            Quantiles::fit(numbers, bins).map(Some)
        };
        let bins = schema.fields().iter().map(scaletot_profile::Field::kind).enumerate().map(fit);
        let bins = bins.collect::<Result<Vec<_>, _>>()?;
        Self::from_bins(Arc::clone(schema), chain.clone().into(), &bins)
    }

    /// The tokenizer with these bins, one entry per field.
    pub(crate) fn from_bins(
        profile: Arc<ProfileSchema>,
        chain: Arc<ChainSchema>,
        bins: &[Option<Quantiles>],
    ) -> Result<Self> {
        let (layout, mut words) = Layout::new(&profile, bins);
        let tokens = ChainTokens::new(&chain, words.len() as u32, THINK, EOS, PAD);
        words.extend(chain::words(&chain).into_iter().map(|Word { word, .. }| word));
        let tokenizer = Arc::new(word_level(&words)?);
        let (form, vocab_size) = (ProfileForm::Fields(layout), words.len());
        Ok(Self { profile, chain, form, tokens, vocab_size, tokenizer })
    }

    /// The tokenizer that reads profiles as text in the vocabulary of a checkpoint, to which it adds the tokens of the chain;
    /// gives which were added.
    pub(crate) fn of_text(
        checkpoint: Vocabulary,
        verbaliser: Arc<Verbaliser>,
        profile: Arc<ProfileSchema>,
        chain: Arc<ChainSchema>,
    ) -> Result<(Self, AddedTokens)> {
        let (expected, found) = (profile.hash(), verbaliser.schema_hash());
        if expected != found {
            return Err(Error::SchemaMismatch { what: "verbaliser", expected, found });
        }
        let Vocabulary { mut tokenizer, rows, eos, context } = checkpoint;
        let (tokens, added) = text::extend(&mut tokenizer, &chain, eos)?;
        // Embeddings are often padded to a round number of rows, which are used up first.
        let vocab_size = rows.max(added.first + added.plain.len());
        let known = if added.plain.is_empty() { tokens.block().end as usize } else { added.first };
        if known > rows {
            return Err(Error::Shape { what: "tokens of the checkpoint", expected: rows, found: known });
        }
        if let Some(&id) = added.plain.iter().flatten().find(|id| **id as usize >= rows) {
            return Err(Error::Token { id, vocab: rows });
        }
        // `<think>`, the chain and `<eos>`.
        let most = context.saturating_sub(2 * chain.len() + 2);
        let plain = PlainTokenizer::of(&tokenizer);
        let form = ProfileForm::Text(Text { verbaliser, most, plain });
        let tokenizer = Arc::new(tokenizer);
        Ok((Self { profile, chain, form, tokens, vocab_size, tokenizer }, added))
    }

    /// Number of tokens that the decoder knows; of a checkpoint some may have no word.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The schema of the profiles.
    #[must_use]
    pub fn profile_schema(&self) -> &Arc<ProfileSchema> {
        &self.profile
    }

    /// The schema of the chains.
    #[must_use]
    pub fn chain_schema(&self) -> &Arc<ChainSchema> {
        &self.chain
    }

    /// The same vocabulary as a `tokenizers` tokenizer, for other programs.
    ///
    /// The one of the schemas reads a sequence written as text with one token per line; [`words`](Self::words) joined by
    /// newlines is such a text. The one of a checkpoint is the checkpoint's own with the tokens of the chain, and takes special
    /// tokens that are written in a text for letters, until it is told otherwise (`set_encode_special_tokens`). Profiles are read without
    /// any token that a text could spell, those among them that are not marked as special.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// What the decoder reads before a chain: the profile and `<think>`.
    ///
    /// # Errors
    /// [`Error::SchemaMismatch`] for a table of another schema, [`Error::Row`] for a row that is not there; of a text
    /// [`Error::TooLong`] if the chain would not fit behind it into the model's context, and [`Error::Tokenizer`] if it cannot be
    /// encoded.
    pub fn encode_profile(&self, table: &ProfileTable, row: usize) -> Result<Vec<u32>> {
        self.check_table(table)?;
        self.check_rows(table, &[row])?;
        self.prompt(table, row, |_| true)
    }

    /// The chain: `<state 1> value … <state K> value <eos>`.
    ///
    /// # Errors
    /// [`Error::Chain`] if `values` is no legal chain of the schema.
    pub fn encode_chain(&self, values: &[u16]) -> Result<Vec<u32>> {
        self.chain.check_values(values)?;
        Ok(self.chain_tokens(values).chain([self.eos()]).collect())
    }

    /// The whole sequence of a user, with the chain segment of every token.
    ///
    /// # Errors
    /// As [`encode_profile`](Self::encode_profile) and [`encode_chain`](Self::encode_chain).
    pub fn encode(&self, table: &ProfileTable, row: usize, values: &[u16]) -> Result<TokenSequence> {
        let mut ids = self.encode_profile(table, row)?;
        let mut segments = vec![None; ids.len()];
        ids.extend(self.encode_chain(values)?);
        segments.extend((0..2 * values.len()).map(|token| Some(token / 2)));
        segments.push(None);
        Ok(TokenSequence { ids, segments })
    }

    /// The texts of token ids; one that is not in the vocabulary reads `<?>`.
    #[must_use]
    pub fn words(&self, ids: &[u32]) -> Vec<String> {
        let word = |&id| self.tokenizer.id_to_token(id).unwrap_or_else(|| "<?>".to_owned());
        ids.iter().map(word).collect()
    }

    /// Token of state `k`'s name, the decoder's cue to give the state's value; `None` if there is no such
    /// state.
    #[must_use]
    pub fn state_token(&self, k: usize) -> Option<u32> {
        (k < self.chain.len()).then(|| self.tokens.state(k))
    }

    /// Tokens of state `k`'s values, in the order of their codes; empty if there is no such state.
    #[must_use]
    pub fn value_tokens(&self, k: usize) -> Range<u32> {
        if k >= self.chain.len() {
            return 0..0;
        }
        let first = self.tokens.values(k);
        first..first + self.chain.domain_size(k) as u32
    }

    /// Writes `tokenizer.json` in the format of the `tokenizers` library.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Tokenizer`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(scaletot_core::files::write_bytes(path, self.to_json()?)?)
    }

    /// The content of `tokenizer.json`.
    pub(crate) fn to_json(&self) -> Result<String> {
        self.tokenizer.to_string(true).map_err(Error::tokenizers("write the vocabulary"))
    }

    /// Checks that a tokenizer file holds this vocabulary.
    pub(crate) fn check_json(&self, bytes: &[u8]) -> Result<()> {
        let other = library::call("read tokenizer.json", || Tokenizer::from_bytes(bytes))?;
        let (expected, found) = (self.vocab_size(), other.get_vocab_size(true));
        if found != expected {
            return Err(Error::Shape { what: "tokens in tokenizer.json", expected, found });
        }
        let ids: Vec<u32> = (0..expected as u32).collect();
        for (id, word) in ids.iter().zip(self.words(&ids)) {
            let found = other.token_to_id(&word);
            if found != Some(*id) {
                let found = found.map_or("none".to_owned(), |id| id.to_string());
                return Err(Error::tokenizer(format!("token `{word}`: expected id {id}, found {found}")));
            }
        }
        Ok(())
    }

    /// The bins of every field; none of a tokenizer that reads text.
    pub(crate) fn bins(&self) -> Vec<Option<Quantiles>> {
        match &self.form {
            ProfileForm::Fields(layout) => layout.bins(),
            ProfileForm::Text(_) => Vec::new(),
        }
    }

    /// Id of the token that ends a chain.
    pub(crate) fn eos(&self) -> u32 {
        self.tokens.eos
    }

    /// Id that fills the gaps of a batch.
    pub(crate) fn pad(&self) -> u32 {
        self.tokens.pad
    }

    /// The ids of the chain's own tokens.
    pub(crate) fn chain_block(&self) -> Range<usize> {
        let block = self.tokens.block();
        block.start as usize..block.end as usize
    }

    /// The profile and `<think>`, with only the fields that `keep`; `keep` is asked once per field that is not
    /// missing. The table and the row must have been checked.
    pub(crate) fn prompt(
        &self,
        table: &ProfileTable,
        row: usize,
        keep: impl FnMut(usize) -> bool,
    ) -> Result<Vec<u32>> {
        let mut ids = match &self.form {
            ProfileForm::Fields(layout) => layout.read(table, row, keep),
            ProfileForm::Text(text) => text.read(table, row, keep)?,
        };
        ids.push(self.tokens.think);
        Ok(ids)
    }

    /// `<state 1> value … <state K> value` without a check.
    pub(crate) fn chain_tokens<'a>(&'a self, values: &'a [u16]) -> impl Iterator<Item = u32> + 'a {
        let token =
            |(k, &value): (usize, &u16)| [self.tokens.state(k), self.tokens.values(k) + u32::from(value)];
        values.iter().enumerate().flat_map(token)
    }

    pub(crate) fn check_table(&self, table: &ProfileTable) -> Result<()> {
        let (expected, found) = (self.profile.hash(), table.schema().hash());
        if expected == found {
            return Ok(());
        }
        Err(Error::SchemaMismatch { what: "profile table", expected, found })
    }

    pub(crate) fn check_rows(&self, table: &ProfileTable, rows: &[usize]) -> Result<()> {
        match rows.iter().find(|&&row| row >= table.len()) {
            None => Ok(()),
            Some(&row) => Err(Error::Row { row, rows: table.len() }),
        }
    }
}

/// The vocabulary in the `tokenizers` library: whole words between separators, special tokens and state names
/// marked as special.
fn word_level(words: &[String]) -> Result<Tokenizer> {
    let fail = || Error::tokenizers("build the vocabulary");
    let ids = words.iter().enumerate().map(|(id, word)| (word.clone(), id as u32));
    // There is no token for unknown words: a text that holds one is an error, not a guess.
    let model =
        WordLevel::builder().vocab(ids.collect()).unk_token("<unk>".to_owned()).build().map_err(fail())?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(CharDelimiterSplit::new(SEPARATOR)));
    let special = words.iter().filter(|word| SPECIAL.contains(&word.as_str()) || is_state_name(word));
    let special = special.map(|word| AddedToken::from(word.clone(), true)).collect::<Vec<_>>();
    tokenizer.add_special_tokens(special).map_err(fail())?;
    if tokenizer.get_vocab_size(true) != words.len() {
        let (expected, found) = (words.len(), tokenizer.get_vocab_size(true));
        let message = format!("expected {expected} different tokens, found {found}");
        return Err(Error::tokenizer(message));
    }
    Ok(tokenizer)
}

/// `<state:NAME>`; a value's token holds `=`, which names escape.
fn is_state_name(word: &str) -> bool {
    word.starts_with("<state:") && !word.contains('=')
}

#[cfg(test)]
mod tests;
