//! Profiles as text in the vocabulary of a checkpoint, which the tokens of the chain are added to.

use std::sync::Arc;

use scaletot_chain::ChainSchema;
use scaletot_profile::{ProfileTable, Verbaliser};
use tokenizers::{AddedToken, Model, Tokenizer};

use super::chain::{self, ChainTokens, THINK_WORD, Word};
use crate::error::{Error, Result};

/// How a profile is rendered.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) verbaliser: Arc<Verbaliser>,
    /// The most tokens that a profile may take, so that the chain still fits into the model's context.
    pub(super) most: usize,
}

impl Text {
    /// The sentence of a profile, of the fields that `keep`.
    pub(super) fn read(
        &self,
        tokenizer: &Tokenizer,
        table: &ProfileTable,
        row: usize,
        keep: impl FnMut(usize) -> bool,
    ) -> Result<Vec<u32>> {
        let ids = encode(tokenizer, &format!("{}.", self.verbaliser.render_only(table, row, keep)), true)?;
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
    let plain = new.iter().map(|word| encode(tokenizer, &format!(" {}", word.plain), false));
    let plain = plain.collect::<Result<Vec<_>>>()?;
    let tokens: Vec<AddedToken> = new.iter().map(|word| AddedToken::from(word.word.clone(), true)).collect();
    tokenizer.add_special_tokens(tokens).map_err(Error::tokenizers("add the chain's tokens"))?;
    // A value of a profile cannot spell a token of the chain: in a text they are letters like others.
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

fn encode(tokenizer: &Tokenizer, text: &str, add_special_tokens: bool) -> Result<Vec<u32>> {
    let encoded =
        tokenizer.encode_fast(text, add_special_tokens).map_err(Error::tokenizers("encode a text"))?;
    Ok(encoded.get_ids().to_vec())
}
