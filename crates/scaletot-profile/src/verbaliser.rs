//! Profiles in words.

use serde::{Deserialize, Serialize};

use crate::cell::Value;
use crate::error::{Error, Result};
use crate::field::{Domain, Field, FieldKind};
use crate::levels::{LevelConfig, Levels};
use crate::sentence::{one_line, within_phrase, within_sentence};
use crate::table::ProfileTable;
use scaletot_core::ContentHash;

/// Renders profiles as plain English: the schema's subject, then one phrase per field that is not missing.
///
/// Language models, small ones most of all, judge "a very low income" better than `11250.0`; so a number is rendered as the
/// level it has among the users the verbaliser was fitted on, by its rank among theirs: see [`LevelRule`](crate::LevelRule), also for what
/// happens to a number that many users share.
///
/// A schema's categories may themselves have been read from data, so a value is never more than a part of one sentence:
/// control characters, line breaks and invisible characters are removed, and so is every mark that could end the sentence (but
/// for the point of `1.5` and `a.m`); long wordings are cut. A value cannot add a sentence of its own to a prompt. Nor can it end a turn
/// of a chat or begin a model's thought: markers such as `<|im_end|>`, `[INST]`, `</s>`, `<think>`, `Human:` and `###` lose the characters
/// that make them one, in whatever family of models; `<35K`, `[18,25)` and `#1` stay.
///
/// ```
/// use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder, Verbaliser};
///
/// let schema = ProfileSchema::builder("shop")
///     .with_subject("A customer")
///     .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]).with_phrase("aged {}").with_word("55+", "55 or older"))
///     .with_field(FieldSpec::numeric("income").with_phrase("with a {} income"))
///     .with_field(FieldSpec::boolean("owner").with_phrase("who owns the home"))
///     .build()?;
/// let mut builder = TableBuilder::new(schema);
/// builder.push_text(1, &["55+", "12000", "yes"])?;
/// builder.push_text(2, &["", "30000", "no"])?;
/// builder.push_text(3, &["35-54", "90000", ""])?;
/// let table = builder.finish();
///
/// let verbaliser = Verbaliser::fit(&table, 3)?;
/// assert_eq!(verbaliser.render(&table, 0), "A customer aged 55 or older, with a low income, who owns the home");
/// assert_eq!(verbaliser.render(&table, 1), "A customer with a moderate income");
/// assert_eq!(verbaliser.render(&table, 2), "A customer aged 35-54, with a high income");
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verbaliser {
    schema_hash: ContentHash,
    /// Per field; `None` unless the field is numeric and has a value to fit on.
    levels: Vec<Option<Levels>>,
}

impl Verbaliser {
    /// Fits the levels of the numeric fields: 2 ("low", "high") to 5 ("very low" … "very high") `levels`, given as a number or as a
    /// [`LevelConfig`].
    ///
    /// # Errors
    /// [`Error::Config`] for another number of levels.
    pub fn fit(table: &ProfileTable, levels: impl Into<LevelConfig>) -> Result<Self> {
        let config = levels.into();
        config.words()?;
        let fields = table.schema().fields().iter().enumerate();
        let levels = fields.map(|(index, field)| match field.kind() {
            FieldKind::Numeric(_) => Levels::fit(table, index, config),
            _ => Ok(None),
        });
        Ok(Self { schema_hash: table.schema().hash(), levels: levels.collect::<Result<_>>()? })
    }

    /// The hash of the schema it was fitted for.
    #[must_use]
    pub fn schema_hash(&self) -> ContentHash {
        self.schema_hash
    }

    /// Whether `table` has the schema it was fitted for.
    ///
    /// # Errors
    /// [`Error::OtherSchema`] if it has not.
    pub fn check(&self, table: &ProfileTable) -> Result<()> {
        let found = table.schema().hash();
        if found == self.schema_hash {
            return Ok(());
        }
        Err(Error::OtherSchema { expected: self.schema_hash, found })
    }

    /// The profile in `row` as a sentence without its full stop. Missing fields, fields that the schema does not render
    /// ([`FieldSpec::with_rendered`](crate::FieldSpec::with_rendered)), unknown categories that have no wording, and values whose wording
    /// is empty are left out; where nothing is left, the subject remains.
    ///
    /// The table must have the schema it was fitted for ([`Self::check`]); of another one, numbers that have no levels
    /// are left out.
    ///
    /// # Panics
    /// If there is no such row, as indexing a slice does.
    #[must_use]
    pub fn render(&self, table: &ProfileTable, row: usize) -> String {
        self.render_only(table, row, |_| true)
    }

    /// As [`Self::render`], but only with the fields that `keep` takes: what is rendered of a profile that lacks the others. `keep` is
    /// called once per field that would be rendered, with its index, in order.
    ///
    /// # Panics
    /// If there is no such row, as indexing a slice does.
    #[must_use]
    pub fn render_only(
        &self,
        table: &ProfileTable,
        row: usize,
        mut keep: impl FnMut(usize) -> bool,
    ) -> String {
        let mut sentence = one_line(table.schema().subject(), usize::MAX);
        let mut separator = " ";
        for (_, phrase) in self.phrases(table, row).filter(|(field, _)| keep(*field)) {
            sentence.push_str(separator);
            sentence.push_str(&phrase);
            separator = ", ";
        }
        sentence
    }

    /// The indices of the fields that [`Self::render`] renders of the profile in `row`: what a reader of the sentence can know.
    ///
    /// # Panics
    /// If there is no such row, as indexing a slice does.
    #[must_use]
    pub fn rendered(&self, table: &ProfileTable, row: usize) -> Vec<usize> {
        self.phrases(table, row).map(|(field, _)| field).collect()
    }

    /// The fields that are rendered, and their phrases.
    fn phrases<'a>(
        &'a self,
        table: &'a ProfileTable,
        row: usize,
    ) -> impl Iterator<Item = (usize, String)> + 'a {
        let fields = table.schema().fields().iter().enumerate().filter(|(_, field)| field.is_rendered());
        fields.filter_map(move |(index, field)| {
            Some((index, self.phrase(index, field, table.value(row, index)?)?))
        })
    }

    fn phrase(&self, index: usize, field: &Field, value: Value<'_>) -> Option<String> {
        let wording = match (field.kind(), value) {
            (FieldKind::Categorical(domain) | FieldKind::Ordinal(domain), Value::Code(code)) => {
                wording(domain, code)?
            }
            (FieldKind::Numeric(_), Value::Number(number)) => {
                let level = self.levels.get(index)?.as_ref()?.word(number)?;
                field.word(level).unwrap_or(level).to_owned()
            }
            (FieldKind::Boolean, Value::Flag(flag)) => return flag_phrase(field, flag),
            (FieldKind::Multi(multi), Value::Codes(codes)) => enumerate(
                &codes.iter().filter_map(|&code| wording(multi.domain(), code)).collect::<Vec<_>>(),
            )?,
            _ => return None,
        };
        finish_phrase(field, &wording)
    }
}

fn wording(domain: &Domain, code: u32) -> Option<String> {
    let label = domain.label(code)?;
    match domain.word(label) {
        Some(word) => Some(word.to_owned()),
        None if domain.bucket() == Some(code) => None,
        None => Some(label.to_owned()),
    }
}

fn flag_phrase(field: &Field, flag: bool) -> Option<String> {
    let word = field.word(if flag { "true" } else { "false" });
    match field.phrase() {
        // A phrase without a `{}` for the value is that of the yes; a no is rendered only where a wording is given.
        Some(phrase) if !phrase.contains("{}") => {
            let text = word.map(within_sentence).or_else(|| flag.then(|| one_line(phrase, usize::MAX)))?;
            (!text.is_empty()).then_some(text)
        }
        _ => finish_phrase(field, word.unwrap_or(if flag { "yes" } else { "no" })),
    }
}

fn finish_phrase(field: &Field, wording: &str) -> Option<String> {
    let wording = within_sentence(wording);
    if wording.is_empty() {
        return None;
    }
    Some(match field.phrase() {
        Some(phrase) => within_phrase(phrase, &wording),
        None => {
            let name = within_sentence(field.name()).replace('_', " ");
            within_phrase("{}", &format!("whose {name} is {wording}"))
        }
    })
}

/// "a", "a and b", "a, b and c".
fn enumerate(items: &[String]) -> Option<String> {
    let items: Vec<String> =
        items.iter().map(|item| within_sentence(item)).filter(|item| !item.is_empty()).collect();
    let (last, others) = items.split_last()?;
    if others.is_empty() { Some(last.clone()) } else { Some(format!("{} and {last}", others.join(", "))) }
}
