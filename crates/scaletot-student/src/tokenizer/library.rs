//! The `tokenizers` library on files and texts of others.
//!
//! Its parsers index and unwrap, so that a file that contradicts itself can make it panic, when the file is read or when a text is encoded. Every
//! call on such a file goes through here and ends in an error.

use std::collections::HashMap;
use std::path::Path;

use scaletot_core::guard::guarded;
use scaletot_core::text::printable;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokenizers::Tokenizer;

use crate::error::{Cause, Error, Result};

/// What is looked at before the library sees a `tokenizer.json`.
#[derive(Deserialize)]
struct File {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    merges: Option<Vec<Merge>>,
    vocab: Vocabulary,
    continuing_subword_prefix: Option<String>,
}

/// A merge, in the newer form or the older one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Line(String),
}

/// Tokens with their ids; models without merges have others.
#[derive(Deserialize)]
#[serde(untagged)]
enum Vocabulary {
    Ids(HashMap<String, u32>),
    Other(IgnoredAny),
}

/// The tokenizer of a `tokenizer.json`, with none of the padding and truncation that a file keeps of the call that it was last used for.
pub(crate) fn from_json(bytes: &[u8], path: &Path) -> Result<Tokenizer> {
    check_merges(bytes).map_err(|message| Error::corrupt(path, message))?;
    let read = || {
        let mut tokenizer = Tokenizer::from_bytes(bytes)?;
        tokenizer.with_padding(None).with_truncation(None)?;
        Ok::<_, Cause>(tokenizer)
    };
    guarded(read).map_err(Error::unusable(path))?.map_err(Error::unusable(path))
}

/// Refuses merges of tokens that are not in the vocabulary or join to none that is: the library panics at one that joins to more than the
/// longest token. What is no file of merges is left to the library.
fn check_merges(bytes: &[u8]) -> Result<(), String> {
    let Ok(File { model }) = serde_json::from_slice::<File>(bytes) else { return Ok(()) };
    let (Some(merges), Vocabulary::Ids(ids)) = (model.merges, model.vocab) else { return Ok(()) };
    let prefix = model.continuing_subword_prefix.unwrap_or_default();
    for merge in &merges {
        let (first, second) = match merge {
            Merge::Pair(first, second) => (first.as_str(), second.as_str()),
            Merge::Line(line) => match line.split_once(' ') {
                Some(pair) => pair,
                None => continue,
            },
        };
        let wrong = |expected: &str, found: &str| {
            let [merge, found] = [&format!("{first} {second}"), found].map(|text| printable(text, 100));
            Err(format!("`model.merges`: expected {expected}, found {found:?} in the merge {merge:?}"))
        };
        if let Some(missing) = [first, second].into_iter().find(|token| !ids.contains_key(*token)) {
            return wrong("tokens of `model.vocab`", missing);
        }
        let Some(rest) = second.strip_prefix(&prefix) else {
            return wrong("a second token that begins with `model.continuing_subword_prefix`", second);
        };
        let joined = format!("{first}{rest}");
        if !ids.contains_key(&joined) {
            return wrong("merges that join to a token of `model.vocab`", &joined);
        }
    }
    Ok(())
}

/// The tokens of a text; with those that the tokenizer puts around it, if `special`.
pub(crate) fn encode(tokenizer: &Tokenizer, text: &str, special: bool) -> Result<Vec<u32>> {
    let encode = || tokenizer.encode_fast(text, special).map(|encoded| encoded.get_ids().to_vec());
    call("encode a text", encode)
}

/// A call of the library that is not to panic.
pub(crate) fn call<T>(action: &str, call: impl FnOnce() -> Result<T, Cause>) -> Result<T> {
    guarded(call).map_err(|panic| Error::tokenizers(action)(panic.into()))?.map_err(Error::tokenizers(action))
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn refusal(vocab: &str, merges: &str, prefix: &str) -> String {
        let json = format!(
            r#"{{"version": "1.0", "added_tokens": [], "model": {{"type": "BPE", "continuing_subword_prefix": {prefix},
                "vocab": {vocab}, "merges": {merges}}}}}"#
        );
        let error = from_json(json.as_bytes(), Path::new("some/tokenizer.json")).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
        error.to_string()
    }

    #[test]
    fn merges_that_contradict_the_vocabulary_are_refused_and_do_not_panic() {
        for (vocab, merges, prefix, expected) in [
            (r#"{"a": 0, "b": 1}"#, r#"[["a", "b"]]"#, "null", "join to a token"),
            (r#"{"a": 0, "b": 1}"#, r#"["a b"]"#, "null", "join to a token"),
            (r#"{"a": 0, "ab": 1}"#, r#"[["a", "b"]]"#, "null", "tokens of `model.vocab`"),
            (r#"{"a": 0, "é": 1, "aé": 2}"#, r#"[["a", "é"]]"#, r##""#""##, "continuing_subword_prefix"),
            (r###"{"a": 0, "##b": 1}"###, r###"[["a", "##b"]]"###, r###""##""###, "join to a token"),
        ] {
            let message = refusal(vocab, merges, prefix);
            assert!(message.contains("some/tokenizer.json: `model.merges`"), "{message}");
            assert!(message.contains(expected), "{message}");
        }
        let long = "x".repeat(100_000);
        let message = refusal(&format!(r#"{{"{long}": 0}}"#), &format!(r#"[["{long}", "{long}"]]"#), "null");
        assert!(message.len() < 1_000, "{}", message.len());
    }

    #[test]
    fn what_is_no_tokenizer_is_an_error_with_its_cause() {
        for bytes in [
            &b""[..],
            b"{}",
            b"[1]",
            b"{\"model\": 3}",
            b"\xff\xfe",
            br#"{"model": {"type": "BPE", "vocab": [], "merges": 3}}"#,
        ] {
            let error = from_json(bytes, Path::new("tokenizer.json")).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }) && error.source().is_some(), "{error:?}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(from_json(deep.as_bytes(), Path::new("tokenizer.json")).is_err());
    }

    #[test]
    fn panics_of_the_library_become_errors() {
        let error =
            call("encode a text", || -> Result<(), Cause> { panic!("index out of range") }).unwrap_err();
        assert_eq!(error.to_string(), "tokenizer: cannot encode a text");
        assert!(error.source().unwrap().to_string().contains("index out of range"));
    }
}
