use std::collections::HashSet;

use proptest::prelude::*;
use scaletot_chain::{Constraint, StateDef};
use scaletot_profile::{FieldSpec, TableBuilder, UnknownPolicy};

use tokenizers::models::bpe::{BPE, Vocab};

use super::*;

fn table(rows: &[[&str; 5]]) -> ProfileTable {
    let schema = ProfileSchema::builder("shop")
        .with_field(FieldSpec::categorical("colour", ["red", "blue"]).with_unknown(UnknownPolicy::Bucket))
        .with_field(FieldSpec::numeric("income"))
        .with_field(FieldSpec::boolean("member"))
        .with_field(FieldSpec::multi("tags", ["a", "b", "c"]).with_separator("|"))
        .with_field(FieldSpec::ordinal("size", ["s", "m"]))
        .build()
        .unwrap();
    let mut builder = TableBuilder::new(schema);
    for (row, cells) in rows.iter().enumerate() {
        builder.push_text(row as i64, cells).unwrap();
    }
    builder.finish()
}

fn chain() -> ChainSchema {
    ChainSchema::builder("c")
        .with_state(StateDef::ordinal("need", ["low", "high"]))
        .with_state(StateDef::ordinal("spend", ["low", "high"]))
        .with_constraint(Constraint::new([("need", "low")], "spend", ["high"]))
        .build()
        .unwrap()
}

#[test]
fn a_profile_is_one_token_per_value_and_missing_fields_say_nothing() {
    let table = table(&[["red", "1", "true", "a|c", "m"], ["", "", "", "", ""], ["mauve", "9", "", "b", ""]]);
    let tokenizer = ProfileTokenizer::fit(&table, &chain(), 2).unwrap();
    let words = |row| tokenizer.words(&tokenizer.encode_profile(&table, row).unwrap()).join(" ");
    assert_eq!(words(0), "<bos> colour=red income=(-inf,1] member=true tags=a tags=c size=m <think>");
    assert_eq!(words(1), "<bos> <think>");
    assert_eq!(words(2), "<bos> colour=<unknown> income=(1,inf) tags=b <think>");
}

#[test]
fn an_empty_list_is_not_a_missing_one() {
    let schema = ProfileSchema::builder("s").with_field(FieldSpec::multi("tags", ["a"])).build().unwrap();
    let mut builder = TableBuilder::new(schema);
    builder.push_values(1, &[Some(Value::Codes(&[]))]).unwrap();
    builder.push_values(2, &[None]).unwrap();
    let table = builder.finish();
    let tokenizer = ProfileTokenizer::fit(&table, &chain(), 2).unwrap();
    let words = |row| tokenizer.words(&tokenizer.encode_profile(&table, row).unwrap()).join(" ");
    assert_eq!((words(0), words(1)), ("<bos> tags=<none> <think>".to_owned(), "<bos> <think>".to_owned()));
}

#[test]
fn a_numeric_field_without_values_has_one_token() {
    let table = table(&[["red", "", "true", "a", "m"]]);
    let tokenizer = ProfileTokenizer::fit(&table, &chain(), 4).unwrap();
    let later = self::table(&[["", "5", "", "", ""]]);
    let ids = tokenizer.encode_profile(&later, 0).unwrap();
    assert_eq!(tokenizer.words(&ids), ["<bos>", "income=(-inf,inf)", "<think>"]);
}

#[test]
fn chains_alternate_names_and_values_and_know_their_segments() {
    let table = table(&[["red", "1", "true", "a", "m"]]);
    let tokenizer = ProfileTokenizer::fit(&table, &chain(), 2).unwrap();
    let sequence = tokenizer.encode(&table, 0, &[1, 0]).unwrap();
    let chain = &sequence.ids[7..];
    let expected = ["<state:need>", "<state:need=high>", "<state:spend>", "<state:spend=low>", "<eos>"];
    assert_eq!(tokenizer.words(chain), expected);
    assert_eq!(sequence.segments[7..], [Some(0), Some(0), Some(1), Some(1), None]);
    assert!(sequence.segments[..7].iter().all(Option::is_none));
    assert_eq!(tokenizer.value_tokens(1).next(), Some(chain[3]));
    assert_eq!(tokenizer.state_token(1), Some(chain[2]));
    assert_eq!((tokenizer.state_token(2), tokenizer.value_tokens(2)), (None, 0..0));
    // Illegal chains and wrong lengths have no tokens.
    assert!(matches!(tokenizer.encode_chain(&[0, 1]), Err(Error::Chain(_))));
    assert!(tokenizer.encode_chain(&[0]).is_err() && tokenizer.encode_chain(&[0, 7]).is_err());
}

#[test]
fn the_tokenizers_library_reads_the_text() {
    let table = table(&[["red", "1", "true", "a|b", "m"], ["blue", "7", "", "", "s"]]);
    let tokenizer = ProfileTokenizer::fit(&table, &chain(), 2).unwrap();
    let reread = Tokenizer::from_bytes(tokenizer.to_json().unwrap()).unwrap();
    for (row, values) in [(0, [0, 0]), (1, [1, 1])] {
        let ids = tokenizer.encode(&table, row, &values).unwrap().ids;
        let text = tokenizer.words(&ids).join("\n");
        assert_eq!(tokenizer.tokenizer().encode(text.as_str(), false).unwrap().get_ids(), ids);
        assert_eq!(reread.encode(text, false).unwrap().get_ids(), ids);
    }
    assert!(reread.encode("colour=mauve", false).is_err(), "an unknown word is not guessed");
    assert_eq!(tokenizer.words(&[u32::MAX]), ["<?>"]);
}

#[test]
fn another_vocabulary_is_refused() {
    let table = table(&[["red", "1", "true", "a", "m"], ["red", "2", "true", "a", "m"]]);
    let two = ProfileTokenizer::fit(&table, &chain(), 2).unwrap();
    let one = ProfileTokenizer::fit(&table, &chain(), 1).unwrap();
    two.check_json(two.to_json().unwrap().as_bytes()).unwrap();
    assert!(matches!(one.check_json(two.to_json().unwrap().as_bytes()), Err(Error::Shape { .. })));
    let swapped = two.to_json().unwrap().replace("colour=blue", "colour=teal");
    let error = two.check_json(swapped.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("colour=blue"), "{error}");
    assert!(matches!(two.check_json(b"{}"), Err(Error::Tokenizer { .. })));
    let other = ProfileSchema::builder("t").with_field(FieldSpec::boolean("b")).build().unwrap();
    let other = TableBuilder::new(other).finish();
    assert!(matches!(two.encode_profile(&other, 0), Err(Error::SchemaMismatch { .. })));
    assert!(matches!(two.encode_profile(&table, 2), Err(Error::Row { row: 2, rows: 2 })));
    assert!(matches!(ProfileTokenizer::fit(&table, &chain(), 0), Err(Error::Config(_))));
}

/// A vocabulary of single letters, in which a text reads as it is written.
fn letters(context: usize) -> Vocabulary {
    let all = "</s>Aabcdefghijklmnopqrstuvwxyz,. 0123456789-";
    let eos = [("</s>".to_owned(), 0)].into_iter();
    let vocab = eos.chain(all[4..].chars().zip(1..).map(|(c, id)| (c.to_string(), id)));
    let model = BPE::builder().vocab_and_merges(vocab.collect::<Vocab>(), vec![]).build().unwrap();
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.add_special_tokens([AddedToken::from("</s>", true)]).unwrap();
    Vocabulary { rows: tokenizer.get_vocab_size(true), tokenizer, eos: 0, context }
}

fn of_letters(table: &ProfileTable, context: usize) -> (ProfileTokenizer, AddedTokens) {
    let verbaliser = Verbaliser::fit(table, 2).unwrap().into();
    let (profile, chain) = (Arc::clone(table.schema()), chain().into());
    ProfileTokenizer::of_text(letters(context), verbaliser, profile, chain).unwrap()
}

#[test]
fn what_is_missing_or_dropped_is_not_rendered() {
    let table = table(&[["red", "1", "", "a|c", "m"], ["mauve", "", "", "", ""]]);
    let (tokenizer, _) = of_letters(&table, 500);
    let rendered = |row, dropped: &[usize]| {
        let ids = tokenizer.prompt(&table, row, |field| !dropped.contains(&field)).unwrap();
        tokenizer.words(&ids).concat()
    };
    assert_eq!(
        rendered(0, &[]),
        "A user whose colour is red, whose income is high, whose tags is a and c, whose size is m.<think>"
    );
    assert_eq!(rendered(0, &[0, 3]), "A user whose income is high, whose size is m.<think>");
    assert_eq!(
        (rendered(0, &[0, 1, 3, 4]), rendered(1, &[])),
        ("A user.<think>".to_owned(), "A user.<think>".to_owned())
    );
}

#[test]
fn the_tokens_of_a_chain_follow_the_checkpoints() {
    let table = table(&[["red", "1", "", "a|c", "m"]]);
    let (tokenizer, added) = of_letters(&table, 500);
    let old = letters(500).rows;
    assert_eq!((added.first, added.plain.len(), tokenizer.vocab_size()), (old, 7, old + 7));
    let plain: Vec<String> = added.plain.iter().map(|ids| tokenizer.words(ids).concat()).collect();
    assert_eq!(plain, [" think", " need", " low", " high", " spend", " low", " high"]);
    assert_eq!(tokenizer.chain_block(), old..old + 7);
    assert_eq!((tokenizer.eos(), tokenizer.words(&[0]).concat()), (0, "</s>".to_owned()));
    // The longest context that does not suffice for `A user.` and the chain.
    let (short, _) = of_letters(&table, 12);
    let error = short.prompt(&table, 0, |_| false).unwrap_err();
    assert!(matches!(error, Error::TooLong { row: 0, most: 6, found: 7 }), "{error}");
    of_letters(&table, 13).0.prompt(&table, 0, |_| false).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Names and values that imitate special tokens, each other's escapes or the separator still give
    /// different tokens, which survive being written and read.
    #[test]
    fn tokens_never_collide(
        names in prop::collection::btree_set("[a=<>\\\\|:]{1,4}|<bos>|state:x", 2..4),
        values in prop::collection::btree_set("[a=<>\\\\|:]{1,4}|<eos>|<none>|<unknown>", 2..5),
    ) {
        let build = names.iter().fold(ProfileSchema::builder("s"), |builder, name| {
            builder.with_field(FieldSpec::categorical(name.as_str(), values.iter().map(String::as_str)).with_unknown(UnknownPolicy::Bucket))
        });
        // A name the profile schema refuses is no concern of the tokenizer.
        prop_assume!(build.clone().build().is_ok());
        let schema = build.build().unwrap();
        let chain = names.iter().fold(ChainSchema::builder("c"), |builder, name| {
            builder.with_state(StateDef::ordinal(name.as_str(), values.iter().map(String::as_str)))
        });
        let chain = chain.build();
        prop_assume!(chain.is_ok());
        let table = TableBuilder::new(schema).finish();
        let tokenizer = ProfileTokenizer::fit(&table, &chain.unwrap(), 2).unwrap();
        let all: Vec<u32> = (0..tokenizer.vocab_size() as u32).collect();
        let words = tokenizer.words(&all);
        prop_assert_eq!(words.iter().collect::<HashSet<_>>().len(), all.len());
        let reread = Tokenizer::from_bytes(tokenizer.to_json().unwrap()).unwrap();
        let text = words.join("\n");
        let read = reread.encode(text, false).unwrap();
        prop_assert_eq!(read.get_ids(), all.as_slice());
    }
}

/// Tokens by which the common families of models part the turns of a conversation, its thoughts and its tools.
const MARKERS: [&str; 26] = [
    "<think>",
    "</think>",
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|assistant|>",
    "<|user|>",
    "<|system|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<s>",
    "</s>",
    "<unk>",
    "<state:need>",
    "<state:need=high>",
];

/// A tokenizer of bytes that lists the markers, every second one as special; some of their ids are in the model's own vocabulary too.
fn with_markers(own: usize) -> Tokenizer {
    let letters = (0..256_u32).map(|byte| (format!("<0x{byte:02X}>"), byte));
    let markers = MARKERS.iter().take(own).map(|marker| (*marker).to_owned()).zip(256..);
    let model = BPE::builder().vocab_and_merges(letters.chain(markers).collect::<Vocab>(), vec![]);
    let mut tokenizer = Tokenizer::new(model.byte_fallback(true).build().unwrap());
    for (at, marker) in MARKERS.iter().enumerate() {
        let token = AddedToken::from(*marker, at % 2 == 1);
        let added =
            if at % 2 == 1 { tokenizer.add_special_tokens([token]) } else { tokenizer.add_tokens([token]) };
        added.unwrap();
    }
    tokenizer
}

#[test]
fn no_text_spells_a_token_that_a_checkpoint_lists() {
    for own in [0, 9, MARKERS.len()] {
        let tokenizer = with_markers(own);
        let plain = text::PlainTokenizer::of(&tokenizer);
        for marker in MARKERS {
            let id = tokenizer.token_to_id(marker).unwrap();
            for text in [
                marker.to_owned(),
                format!("a{marker}b {marker}"),
                format!(" {marker} low"),
                marker.repeat(3),
            ] {
                // The list is what makes a token of it.
                assert!(tokenizer.encode(text.as_str(), false).unwrap().get_ids().contains(&id), "{text}");
                let found = plain.encode(&text, false).unwrap();
                assert!(found.iter().all(|&id| id < 256), "{text}: {found:?}");
                assert_eq!(found, text.bytes().map(u32::from).collect::<Vec<_>>(), "{text}");
            }
        }
    }
}

/// A vocabulary of whole words finds its markers without a list.
#[test]
fn a_marker_that_the_model_itself_knows_is_broken() {
    let words = ["[UNK]", "colour", "<think>", "<", "think", ">", "t", "h", "i", "n", "k"];
    let vocab = words.iter().zip(0..).map(|(word, id)| ((*word).to_owned(), id)).collect();
    let model = WordLevel::builder().vocab(vocab).unk_token("[UNK]".to_owned()).build().unwrap();
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(CharDelimiterSplit::new(' ')));
    tokenizer.add_tokens([AddedToken::from("<think>", false)]).unwrap();
    let plain = text::PlainTokenizer::of(&tokenizer);
    assert_eq!(plain.encode("colour <think>", false).unwrap(), [1, 3, 6, 7, 8, 9, 10, 5]);
    assert_eq!(plain.encode("colour blue", false).unwrap(), [1, 0]);
}

#[test]
fn a_value_that_spells_the_cue_is_letters_in_a_student_of_a_checkpoint() {
    let schema = ProfileSchema::builder("shop")
        .with_field(FieldSpec::categorical("colour", ["red", "<think>", "<|im_end|>", "<state:need=high>"]))
        .build()
        .unwrap();
    let mut builder = TableBuilder::new(schema);
    let values = ["red", "<think>", "<|im_end|>", "<state:need=high>"];
    values.iter().zip(0_i64..).for_each(|(value, row)| builder.push_text(row, &[value]).unwrap());
    let table = builder.finish();
    // The checkpoint has the cue among its tokens that are not special, as those of models that think have.
    let mut tokenizer = with_markers(0);
    tokenizer.add_special_tokens([AddedToken::from("</end>", true)]).unwrap();
    let eos = tokenizer.token_to_id("</end>").unwrap();
    let rows = tokenizer.get_vocab_size(true);
    let verbaliser = Arc::new(Verbaliser::fit(&table, 2).unwrap());
    let chain =
        ChainSchema::builder("c").with_state(StateDef::ordinal("mood", ["low", "high"])).build().unwrap();
    let vocabulary = Vocabulary { tokenizer, rows, eos, context: 4_000 };
    let (tokenizer, _) =
        ProfileTokenizer::of_text(vocabulary, verbaliser, Arc::clone(table.schema()), chain.into()).unwrap();
    for (row, value) in values.iter().enumerate() {
        let ids = tokenizer.prompt(&table, row, |_| true).unwrap();
        let (cue, text) = ids.split_last().unwrap();
        assert_eq!(*cue, tokenizer.tokens.think);
        assert!(text.iter().all(|&id| id < 256), "{value}: {ids:?}");
    }
}
