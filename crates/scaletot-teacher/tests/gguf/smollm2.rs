//! `SmolLM2-135M-Instruct` in `Q4_1` against llama.cpp (`tests/fixtures/smollm2_llama_cpp.py`). The model file is 94 MiB
//! and not part of this repository: the tests read its path from `SCALETOT_GGUF` and are skipped without it.

use std::sync::OnceLock;

use proptest::prelude::*;
use scaletot_teacher::Teacher;
use scaletot_teacher::gguf::{Gguf, GgufOptions};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    file_sha256: String,
    texts: Vec<Text>,
    questions: Vec<Asked>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    tokens: Vec<u32>,
}

#[derive(Deserialize)]
struct Asked {
    prompt: String,
    labels: Vec<String>,
    log_probs_f32: Vec<f64>,
    log_probs_q4_1: Vec<f64>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../fixtures/smollm2_llama_cpp.json")).unwrap()
}

fn model() -> Option<&'static Gguf> {
    static MODEL: OnceLock<Option<Gguf>> = OnceLock::new();
    let open = || match std::env::var("SCALETOT_GGUF") {
        Ok(path) => Some(Gguf::open(path, GgufOptions::default()).unwrap()),
        Err(_) => {
            eprintln!("skipped: SCALETOT_GGUF does not name SmolLM2-135M-Instruct.Q4_1.gguf");
            None
        }
    };
    MODEL.get_or_init(open).as_ref()
}

#[test]
fn tokens_are_those_of_llama_cpp() {
    let Some(model) = model() else { return };
    let fixture = fixture();
    assert!(
        model.model().ends_with(&fixture.file_sha256[..12]),
        "the fixture is for another file than {}",
        model.model()
    );
    for Text { text, tokens } in fixture.texts {
        assert_eq!(model.tokenize(&text).unwrap(), tokens, "{text:?}");
    }
}

#[test]
fn log_probabilities_are_those_of_llama_cpp() {
    let Some(model) = model() else { return };
    let (mut worst_f32, mut worst_q4) = (0.0_f64, 0.0_f64);
    for Asked { prompt, labels, log_probs_f32, log_probs_q4_1 } in fixture().questions {
        let answer = model.score(&prompt, &labels).unwrap();
        for (i, found) in answer.log_probs.iter().enumerate() {
            worst_f32 = worst_f32.max((found - log_probs_f32[i]).abs());
            worst_q4 = worst_q4.max((found - log_probs_q4_1[i]).abs());
        }
    }
    eprintln!("largest difference to llama.cpp: {worst_f32:.1e} (f32 weights), {worst_q4:.1e} (Q4_1)");
    // The same arithmetic, in another order.
    assert!(worst_f32 < 1e-4, "{worst_f32}");
    // llama.cpp rounds activations to 8 bits before it multiplies by quantised weights; we do not.
    assert!(worst_q4 < 0.5, "{worst_q4}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Prompt and label may be tokenised apart.
    #[test]
    fn cutting_at_the_label_does_not_change_tokens(
        prompt in "[A-Za-z0-9,.'$éß日 -]{0,30}[A-Za-z0-9.,'%é日]",
        label in "[A-Za-z0-9$'(é日][A-Za-z0-9 -]{0,12}",
    ) {
        if let Some(model) = model() {
            let mut parts = model.tokenize(&prompt).unwrap();
            parts.extend(model.tokenize(&format!(" {label}")).unwrap());
            prop_assert_eq!(parts, model.tokenize(&format!("{prompt} {label}")).unwrap());
        }
    }
}
