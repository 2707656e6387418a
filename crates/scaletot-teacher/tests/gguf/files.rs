//! Files and questions that cannot be used give errors that say why.

use std::fs;
use std::path::Path;

use candle_core::quantized::gguf_file::Value;
use proptest::prelude::*;
use scaletot_teacher::gguf::{Gguf, GgufOptions};
use scaletot_teacher::{Error, Teacher};

use crate::tiny::Tiny;
use crate::world::{World, labels};

fn refusal(path: &Path) -> String {
    match Gguf::open(path, GgufOptions::default()) {
        Ok(_) => panic!("opened"),
        Err(error @ Error::Model { .. }) => {
            let message = error.to_string();
            assert!(message.contains(&path.display().to_string()), "{message}");
            message
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn refusal_of(tiny: &Tiny) -> String {
    let folder = tempfile::tempdir().unwrap();
    refusal(&tiny.write(folder.path()))
}

#[test]
fn files_that_are_not_gguf() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gguf");
    for (bytes, expected) in [
        (&b""[..], "fewer than 4 bytes"),
        (b"PK\x03\x04 a zip file", "not a GGUF file"),
        (b"GGUF\x03\x00\x00", "truncated: the version"),
        (b"GGUF\x01\x00\x00\x00", "version 2 or 3, found 1"),
        (b"GGUF\x00\x00\x00\x03", "big-endian"),
        (
            b"GGUF\x03\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            "truncated",
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        let message = refusal(&path);
        assert!(message.contains(expected), "{message}");
    }
    let missing = Gguf::open(folder.path().join("none.gguf"), GgufOptions::default());
    assert!(matches!(missing, Err(Error::Io { .. })));
    let options = GgufOptions::default().with_threads(0);
    assert!(matches!(Gguf::open(&path, options), Err(Error::Config(_))));
}

#[test]
fn models_that_are_not_supported() {
    let plain = Tiny::default();
    let with = |key, value| Tiny { metadata: vec![(key, value)], ..Tiny::default() };
    let text = |text: &str| Some(Value::String(text.to_owned()));
    let cases = [
        (
            with("general.architecture", text("gemma3")),
            "architecture `gemma3` is not supported; supported: `llama`",
        ),
        (with("general.architecture", None), "general.architecture"),
        (with("general.alignment", Some(Value::U32(0))), "general.alignment"),
        (with("llama.block_count", None), "llama.block_count"),
        (with("llama.block_count", Some(Value::U32(3))), "tensor `blk.2.attn_norm.weight` is missing"),
        (with("llama.block_count", Some(Value::U32(1))), "tensor `blk.1."),
        (
            with("llama.feed_forward_length", Some(Value::U32(95))),
            "expected dimensions [95, 64], found [96, 64]",
        ),
        (with("llama.expert_count", Some(Value::U32(8))), "experts"),
        (with("tokenizer.ggml.model", text("llama")), "tokenizer `llama`"),
        (with("tokenizer.ggml.pre", text("qwen2")), "pre-tokenizer `qwen2`"),
        (with("tokenizer.ggml.pre", None), "`smollm`"),
        (with("tokenizer.ggml.tokens", Some(Value::Array(vec![Value::I32(3)]))), "an array of strings"),
        (
            with("tokenizer.ggml.merges", Some(Value::Array(vec![Value::String("ab".to_owned())]))),
            "two tokens",
        ),
        (with("tokenizer.ggml.token_type", Some(Value::Array(vec![Value::I32(4)]))), "token_type"),
        (
            Tiny { bos: true, ..with("tokenizer.ggml.bos_token_id", Some(Value::U32(100_000))) },
            "tokenizer.ggml.bos_token_id",
        ),
        (
            Tiny { without: Some("output_norm.weight"), ..plain.clone() },
            "tensor `output_norm.weight` is missing",
        ),
        (Tiny { extra: Some("blk.0.attn_q.bias"), ..plain.clone() }, "`blk.0.attn_q.bias` is not part of"),
        (Tiny { extra: Some("rope_freqs.weight"), ..plain }, "`rope_freqs.weight` is not part of"),
    ];
    for (tiny, expected) in cases {
        let message = refusal_of(&tiny);
        assert!(message.contains(expected), "expected {expected:?} in: {message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a file is cut, the error says that it is truncated; nothing panics.
    #[test]
    fn cut_files_are_refused(share in 0.0_f64..1.0) {
        let folder = tempfile::tempdir().unwrap();
        let path = Tiny::default().write(folder.path());
        let whole = fs::read(&path).unwrap();
        // The last bytes may be padding after the last tensor.
        let keep = (share * (whole.len() - 32) as f64) as usize;
        fs::write(&path, &whole[..keep]).unwrap();
        let message = refusal(&path);
        prop_assert!(message.contains("truncated") || keep < 4, "{}", message);
    }

    /// Damaged headers are refused or read as something that can be run; nothing panics or takes memory without
    /// end.
    #[test]
    fn damaged_headers_do_not_panic(at in 0_usize..12_000, bytes in prop::array::uniform8(any::<u8>()), n in 1_usize..9) {
        let folder = tempfile::tempdir().unwrap();
        let path = Tiny { layers: 1, ..Tiny::default() }.write(folder.path());
        let mut whole = fs::read(&path).unwrap();
        let at = at % (whole.len() - 8);
        whole[at..at + n].copy_from_slice(&bytes[..n]);
        fs::write(&path, &whole).unwrap();
        match Gguf::open(&path, GgufOptions::default()) {
            Ok(model) => {
                let answer = model.score("this is", &labels(&["low", "very high"]));
                prop_assert!(answer.is_err() || answer.unwrap().log_probs.len() == 2);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny::default().write(folder.path());
    let mut whole = fs::read(&path).unwrap();
    let end = whole.len();
    whole[end - 64..end - 60].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &whole).unwrap();
    assert!(refusal(&path).contains("expected finite numbers, found NaN"));
}

#[test]
fn questions_that_cannot_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny { context: 12, ..Tiny::default() }.write(folder.path());
    let model = Gguf::open(&path, GgufOptions::default()).unwrap();
    assert!(model.model().starts_with("tiny-sha256-"), "{}", model.model());
    assert_eq!(model.context_length(), 12);
    let world = World::new();
    let good = labels(&["low", "high"]);
    let blank = labels(&["low", " "]);
    let long = "a prompt of more than twelve tokens";
    let cases = [
        ("this is", &good, None),
        ("this is", &blank, Some("label \" \" has none")),
        ("", &good, Some("at least one token")),
        (long, &good, Some("at most 12 tokens")),
        ("that is", &good, None),
    ];
    let questions: Vec<_> = cases.iter().map(|(prompt, labels, _)| world.question(prompt, labels)).collect();
    // A question that cannot be asked leaves the others of its batch alone.
    for ((prompt, labels, expected), answer) in cases.iter().zip(model.answer_batch(&questions)) {
        match (expected, answer) {
            (None, Ok(answer)) => assert_eq!(answer, model.score(prompt, labels).unwrap()),
            (Some(expected), Err(error)) => {
                let message = error.to_string();
                assert!(message.contains(expected) && message.contains("spend"), "{message}");
                assert!(model.score(prompt, labels).unwrap_err().to_string().contains(expected));
            }
            (expected, answer) => panic!("{prompt:?}: {expected:?} {answer:?}"),
        }
    }
    assert!(model.answer_batch(&[]).is_empty());
}
