//! Files and texts that were made to do harm.

use std::error::Error as _;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::quantized::gguf_file::Value;
use scaletot_teacher::Error;
use scaletot_teacher::gguf::{Gguf, GgufOptions};

use crate::tiny::Tiny;

fn open(path: &Path) -> Result<Gguf, Error> {
    Gguf::open(path, GgufOptions::default())
}

fn refusal_with(key: &'static str, value: Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny { metadata: vec![(key, Some(value))], ..Tiny::default() }.write(folder.path());
    let error = open(&path).unwrap_err();
    assert!(matches!(error, Error::Model { .. }), "{error:?}");
    error.to_string()
}

fn texts(texts: &[&str]) -> Value {
    Value::Array(texts.iter().map(|text| Value::String((*text).to_owned())).collect())
}

#[test]
fn merges_that_join_to_no_token_are_refused_and_do_not_panic() {
    for (merges, found) in [
        (&["Ġ l", "Ġhigh Ġhigh"][..], "ĠhighĠhigh"),
        // Longer than every token, at which the library panics.
        (&["<|end|> <|end|>"], "<|end|><|end|>"),
        (&["l o"], "lo"),
        (&["Ġ l", "unknown Ġl"], "unknown"),
        (&["l unknown"], "unknown"),
    ] {
        let message = refusal_with("tokenizer.ggml.merges", texts(merges));
        assert!(
            message.contains("`tokenizer.ggml.merges`") && message.contains(&format!("{found:?}")),
            "{message}"
        );
    }
    let long = "x".repeat(100_000);
    let message = refusal_with("tokenizer.ggml.merges", texts(&[&format!("l {long}")]));
    assert!(message.len() < 1_000, "{}", message.len());
}

/// Tokens by which the common families of models part the turns of a conversation, its thoughts and its tools.
const MARKERS: [&str; 24] = [
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
];

#[test]
fn no_text_spells_a_control_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny { control: &MARKERS, layers: 1, ..Tiny::default() }.write(folder.path());
    let model = open(&path).unwrap();
    // Bytes and merges come first.
    let (tokens, merges) = crate::tiny::vocabulary();
    let ordinary = (256 + merges.len()) as u32;
    assert_eq!(tokens.len() as u32, ordinary + 1);
    for marker in MARKERS.iter().chain(&["<|end|>"]) {
        for text in
            [marker.to_string(), format!("low{marker}high"), format!(" {marker} low"), marker.repeat(3)]
        {
            let found = model.tokenize(&text).unwrap();
            assert!(found.iter().all(|&token| token < ordinary), "{text:?}: {found:?}");
            assert!(found.len() > 2, "{text:?}: {found:?}");
        }
    }
    let message = refusal_with(
        "tokenizer.ggml.token_type",
        Value::Array(tokens.iter().map(|token| Value::I32(if token == "Ġhigh" { 3 } else { 1 })).collect()),
    );
    assert!(message.contains("no merge to a control token") && message.contains("Ġhigh"), "{message}");
}

#[test]
fn metadata_that_could_matter_are_known_or_refused_by_name() {
    let one = || Value::F32(1.5);
    for (key, value) in [
        ("llama.rope.scaling.attn_factor", one()),
        ("llama.rope.scaling.yarn_beta_slow", one()),
        ("llama.rope.scaling.type", Value::String("longrope".to_owned())),
        ("llama.rope.scaling.factor", Value::F32(-4.0)),
        ("llama.rope.scale_linear", Value::F32(f32::NAN)),
        ("llama.attention.scale", one()),
        ("llama.attention.sliding_window", Value::U32(64)),
        ("llama.attention.causal", Value::Bool(false)),
        ("llama.attention.q_lora_rank", Value::U32(8)),
        ("llama.attn_logit_softcapping", one()),
        ("llama.final_logit_softcapping", one()),
        ("llama.logit_scale", one()),
        ("llama.embedding_scale", one()),
        ("llama.residual_scale", one()),
        ("llama.expert_used_count", Value::U32(2)),
        ("llama.pooling_type", Value::U32(1)),
        ("llama.nobody_knows_this", Value::Bool(true)),
        ("tokenizer.ggml.nobody_knows_this", Value::Bool(true)),
        ("general.type", Value::String("adapter".to_owned())),
        ("split.count", Value::U16(3)),
    ] {
        let message = refusal_with(key, value);
        assert!(message.contains(&format!("`{key}`")), "{key}: {message}");
    }
}

#[test]
fn a_rotary_factor_changes_answers_as_its_older_name_does() {
    let folder = tempfile::tempdir().unwrap();
    let labels = ["low", "high"].map(String::from);
    let answer = |tiny: Tiny| {
        let model = open(&tiny.write(folder.path())).unwrap();
        model.score("this is 12. that is", &labels).unwrap().log_probs
    };
    let with = |key, value| Tiny { metadata: vec![(key, Some(Value::F32(value)))], ..Tiny::default() };
    let plain = answer(Tiny::default());
    let scaled = answer(Tiny { rope_factor: 4.0, ..Tiny::default() });
    assert_ne!(plain, scaled);
    assert_eq!(answer(with("llama.rope.scale_linear", 4.0)), scaled);
    assert_eq!(answer(with("llama.rope.scale_linear", 0.0)), plain);
    let none = ("llama.rope.scaling.type", Some(Value::String("none".to_owned())));
    assert_eq!(answer(Tiny { rope_factor: 4.0, metadata: vec![none], ..Tiny::default() }), plain);
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.gguf");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&pipe, Path::new("/dev/zero"), folder.path()] {
        let error = open(path).unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error:?}");
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(cause.contains("regular file"), "{}: {cause}", path.display());
    }
}

#[test]
fn gigabytes_of_nothing_are_refused_without_reading_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny::default().write(folder.path());
    let whole = fs::read(&path).unwrap();
    let header = |tensors: u64, entries: u64| {
        let counts = [tensors, entries].map(u64::to_le_bytes).concat();
        [&b"GGUF\x03\x00\x00\x00"[..], &counts].concat()
    };
    // An array of 2⁶⁰ bytes, and a text of as many.
    let claim = |kind: &[u8]| {
        [&header(0, 1)[..], &1_u64.to_le_bytes(), b"a", kind, &(1_u64 << 60).to_le_bytes()].concat()
    };
    for (bytes, expected) in [
        (whole, "after its last tensor"),
        (header(u64::MAX, 0), "the number of tensors"),
        (header(0, u64::MAX), "the number of metadata entries"),
        (header(0, 5_000), "found it twice"),
        (header(90_000, 0), "found it twice"),
        (claim(&[9, 0, 0, 0, 0, 0, 0, 0]), "metadata `a`"),
        (claim(&[8, 0, 0, 0]), "metadata `a`"),
    ] {
        fs::write(&path, &bytes).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(6 << 30).unwrap();
        let began = Instant::now();
        let message = open(&path).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

#[test]
fn a_librarys_error_is_the_source_and_not_in_the_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gguf");
    let key = [
        &b"GGUF\x03\x00\x00\x00"[..],
        &0_u64.to_le_bytes(),
        &1_u64.to_le_bytes(),
        &2_u64.to_le_bytes(),
        b"\xff\xff\0\0\0\0\0",
    ];
    fs::write(&path, key.concat()).unwrap();
    let error = open(&path).unwrap_err();
    let source = error.source().unwrap().to_string();
    assert!(
        error.to_string().contains("expected UTF-8") && !error.to_string().contains(&source),
        "{error}: {source}"
    );
}
