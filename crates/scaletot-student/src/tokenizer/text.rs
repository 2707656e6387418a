//! Profiles as text in the vocabulary of a checkpoint, which the tokens of the chain are added to.

use std::collections::BTreeMap;
use std::sync::Arc;

use scaletot_chain::ChainSchema;
use scaletot_profile::{ProfileTable, Verbaliser};
use tokenizers::{AddedToken, AddedVocabulary, Model, Tokenizer};

use super::chain::{self, ChainTokens, THINK_WORD, Word};
use super::library::{call, encode};
use crate::error::{Error, Result};

/// How a profile is rendered.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) verbaliser: Arc<Verbaliser>,
    /// The most tokens that a profile may take, so that the chain still fits into the model's context.
    pub(super) most: usize,
    pub(super) plain: PlainTokenizer,
}

/// A checkpoint's tokenizer to which no word of a text is more than its letters.
///
/// A file lists tokens that are looked for in a text before anything else: those of conversations (`<|im_end|>`), of thoughts (`<think>`),
/// of tools. Some are marked as special and can be told to be left alone, others cannot. A value of a profile must spell none of them.
#[derive(Debug, Clone)]
pub(super) struct PlainTokenizer {
    tokenizer: Arc<Tokenizer>,
    /// The listed tokens of more than one letter, by id.
    markers: Arc<BTreeMap<u32, String>>,
}

impl PlainTokenizer {
    /// Without the tokens that a tokenizer lists now.
    pub(super) fn of(tokenizer: &Tokenizer) -> Self {
        let listed = tokenizer.get_added_tokens_decoder().into_iter().map(|(id, token)| (id, token.content));
        let markers = listed.filter(|(_, content)| content.chars().nth(1).is_some()).collect();
        let mut tokenizer = tokenizer.clone();
        tokenizer.with_added_vocabulary(AddedVocabulary::new());
        Self { tokenizer: tokenizer.into(), markers: Arc::new(markers) }
    }

    /// The tokens of a text; with those that the tokenizer puts around it, if `special`.
    pub(super) fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let mut text = text.to_owned();
        for (id, marker) in &*self.markers {
            // A vocabulary of whole words holds its markers too, and finds them without the list.
            if text.contains(marker) && encode(&self.tokenizer, &text, false)?.contains(id) {
                text = text.replace(marker, &broken(marker));
            }
        }
        let present: Vec<&u32> =
            self.markers.iter().filter(|(_, marker)| text.contains(*marker)).map(|(id, _)| id).collect();
        if !present.is_empty() {
            let found = encode(&self.tokenizer, &text, false)?;
            if let Some(id) = present.into_iter().find(|id| found.contains(id)) {
                let message =
                    format!("expected a text that spells no token of the model's own, found token {id}");
                return Err(Error::tokenizer(message));
            }
        }
        encode(&self.tokenizer, &text, special)
    }
}

/// A marker with blanks between its letters.
fn broken(marker: &str) -> String {
    let letters: Vec<String> = marker.chars().map(String::from).collect();
    letters.join(" ")
}

impl Text {
    /// The sentence of a profile, of the fields that `keep`.
    pub(super) fn read(
        &self,
        table: &ProfileTable,
        row: usize,
        keep: impl FnMut(usize) -> bool,
    ) -> Result<Vec<u32>> {
        let ids = self.plain.encode(&format!("{}.", self.verbaliser.render_only(table, row, keep)), true)?;
        // A text that is cut would lose whole fields without a word of it.
        if ids.len() > self.most {
            return Err(Error::TooLong { row, most: self.most, found: ids.len() });
        }
        Ok(ids)
    }
}

/// Tokens that a checkpoint did not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddedTokens {
    /// The first one's id; the others follow without a gap.
    pub(crate) first: usize,
    /// For each the tokens of its name or value in plain text; may be none.
    pub(crate) plain: Vec<Vec<u32>>,
}

/// Adds the tokens of the chain that are not in the vocabulary yet. Those of the states must have consecutive ids then.
pub(super) fn extend(
    tokenizer: &mut Tokenizer,
    chain: &ChainSchema,
    eos: u32,
) -> Result<(ChainTokens, AddedTokens)> {
    let states = chain::words(chain);
    let think = Word { word: THINK_WORD.to_owned(), plain: "think".to_owned() };
    let all = || std::iter::once(&think).chain(&states);
    let new: Vec<&Word> = all().filter(|word| tokenizer.token_to_id(&word.word).is_none()).collect();
    // As a word within a running text, which begins with its blank in most vocabularies.
    let letters = PlainTokenizer::of(tokenizer);
    let plain = new.iter().map(|word| letters.encode(&format!(" {}", word.plain), false));
    let plain = plain.collect::<Result<Vec<_>>>()?;
    let tokens: Vec<AddedToken> = new.iter().map(|word| AddedToken::from(word.word.clone(), true)).collect();
    call("add the chain's tokens", || tokenizer.add_special_tokens(tokens))?;
    // In other programs too, as far as the library goes: there a text cannot spell a token that is marked as special.
    tokenizer.set_encode_special_tokens(true);

    for Word { word, .. } in &new {
        let id = tokenizer.token_to_id(word).unwrap_or_default();
        // The library counts the words of a vocabulary, whose ids may have gaps.
        if let Some(other) = tokenizer.get_model().id_to_token(id) {
            return Err(Error::tokenizer(format!(
                "token `{word}`: expected an id of its own, found {id}, which is `{other}`"
            )));
        }
    }
    let id = |word: &str| {
        tokenizer.token_to_id(word).ok_or_else(|| Error::tokenizer(format!("no token `{word}`")))
    };
    let first = states.first().map_or(Ok(0), |word| id(&word.word))?;
    for (expected, Word { word, .. }) in (first..).zip(&states) {
        let found = id(word)?;
        if found != expected {
            return Err(Error::tokenizer(format!(
                "token `{word}`: expected id {expected}, after the one before it, found {found}"
            )));
        }
    }
    let added = AddedTokens { first: new.first().map_or(Ok(0), |word| id(&word.word))? as usize, plain };
    Ok((ChainTokens::new(chain, first, id(THINK_WORD)?, eos, eos), added))
}
