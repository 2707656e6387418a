//! Answers are those of a plain evaluation, however they are computed.

use std::path::PathBuf;
use std::sync::LazyLock;

use candle_core::quantized::GgmlDType;
use proptest::prelude::*;
use scaletot_teacher::gguf::{Gguf, GgufOptions};
use scaletot_teacher::{Question, Teacher};

use crate::reference::Reference;
use crate::tiny::{Tiny, vocabulary};
use crate::world::{World, labels};

const PROMPTS: [&str; 7] = [
    "this is",
    "this is 12. that is",
    "this is 12. this is",
    "this is high. that is",
    "this",
    "another one, wholly different",
    "this is high. this is low. this is",
];

fn label_set() -> Vec<String> {
    labels(&["low", "lower", "very low", "very high", "12"])
}

#[test]
fn answers_equal_a_plain_evaluation() {
    let plain = Tiny::default();
    let variants = [
        plain.clone(),
        Tiny { tied: false, bos: true, heads: 6, kv_heads: 3, seed: 2, ..plain.clone() },
        Tiny { dtype: GgmlDType::Q4_1, seed: 3, ..plain.clone() },
        Tiny { dtype: GgmlDType::Q8_0, kv_heads: 4, pre: "gpt-2", seed: 4, ..plain.clone() },
        Tiny { dtype: GgmlDType::F16, kv_heads: 1, layers: 3, seed: 5, ..plain.clone() },
        Tiny { rope_factor: 4.0, layers: 1, seed: 8, ..plain.clone() },
        Tiny { dtype: GgmlDType::Q5_0, layers: 1, seed: 6, ..plain.clone() },
        Tiny { dtype: GgmlDType::Q6K, layers: 1, head_dim: 64, feed_forward: 256, seed: 7, ..plain },
    ];
    let world = World::new();
    for (index, tiny) in variants.into_iter().enumerate() {
        // The plain evaluation is slow: all labels once, then two.
        let labels = if index == 0 { label_set() } else { labels(&["low", "very high"]) };
        let folder = tempfile::tempdir().unwrap();
        let path = tiny.write(folder.path());
        let model = Gguf::open(&path, GgufOptions::default()).unwrap();
        let mut reference = Reference::open(&tiny, &path);
        let questions: Vec<Question<'_>> =
            PROMPTS.iter().map(|prompt| world.question(prompt, &labels)).collect();
        for (question, answer) in questions.iter().zip(model.answer_batch(&questions)) {
            let answer = answer.unwrap();
            answer.check(model.model(), question).unwrap();
            for (label, &found) in labels.iter().zip(&answer.log_probs) {
                let mut tokens: Vec<u32> = Vec::new();
                if tiny.bos {
                    tokens.push(vocabulary().0.len() as u32 - 1);
                }
                tokens.extend(model.tokenize(&question.prompt).unwrap());
                let from = tokens.len();
                tokens.extend(model.tokenize(&format!(" {label}")).unwrap());
                let exact = reference.log_prob(&tokens, from);
                assert!(
                    (found - exact).abs() < 1e-4,
                    "{:?} {label:?}: {found}, exactly {exact}",
                    question.prompt
                );
            }
        }
    }
}

/// A model file and the answers to single questions with nothing kept: what all other ways must give, bit by bit.
struct Plain {
    _folder: tempfile::TempDir,
    path: PathBuf,
    answers: Vec<Vec<f64>>,
}

impl Plain {
    fn new(tiny: &Tiny) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = tiny.write(folder.path());
        let (world, labels) = (World::new(), label_set());
        let model = Gguf::open(&path, GgufOptions::default().with_cache_tokens(0)).unwrap();
        let answer = |prompt: &&str| model.answer(&world.question(prompt, &labels)).unwrap().log_probs;
        let answers = PROMPTS.iter().map(answer).collect();
        Self { _folder: folder, path, answers }
    }
}

/// Matrix products of few columns, where the kernels have paths of their own.
static SMALL: LazyLock<Plain> =
    LazyLock::new(|| Plain::new(&Tiny { heads: 2, kv_heads: 1, feed_forward: 32, ..Tiny::default() }));

/// Matrix products as deep as those of real models.
static WIDE: LazyLock<Plain> = LazyLock::new(|| {
    Plain::new(&Tiny { heads: 9, kv_heads: 3, head_dim: 64, layers: 1, feed_forward: 608, ..Tiny::default() })
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// No setting, order or grouping changes a bit of an answer.
    #[test]
    fn grouping_does_not_change_answers(
        threads in 1_usize..4,
        batch_tokens in prop::sample::select(vec![1_usize, 2, 7, 20, 512]),
        cache_tokens in prop::sample::select(vec![0_usize, 3, 20, 4096]),
        batches in prop::collection::vec(prop::collection::vec(0..PROMPTS.len(), 1..8), 1..4),
        wide in prop::bool::weighted(0.3),
    ) {
        let plain: &Plain = if wide { &WIDE } else { &SMALL };
        let options = GgufOptions::default()
            .with_threads(threads)
            .with_batch_tokens(batch_tokens)
            .with_cache_tokens(cache_tokens);
        let model = Gguf::open(&plain.path, options).unwrap();
        let (world, labels) = (World::new(), label_set());
        for batch in batches {
            let questions: Vec<Question<'_>> =
                batch.iter().map(|&i| world.question(PROMPTS[i], &labels)).collect();
            for (&i, answer) in batch.iter().zip(model.answer_batch(&questions)) {
                prop_assert_eq!(&answer.unwrap().log_probs, &plain.answers[i]);
            }
        }
    }
}

#[test]
fn callers_are_served_together_and_alike() {
    let (world, labels, expected) = (World::new(), label_set(), &SMALL.answers);
    let model = Gguf::open(&SMALL.path, GgufOptions::default()).unwrap();
    std::thread::scope(|scope| {
        for start in 0..4 {
            let (model, world, labels) = (&model, &world, &labels);
            scope.spawn(move || {
                for i in (0..PROMPTS.len()).cycle().skip(start).take(40) {
                    let answer = model.answer(&world.question(PROMPTS[i], labels)).unwrap();
                    assert_eq!(answer.log_probs, expected[i]);
                }
            });
        }
    });
}

#[test]
fn what_is_shared_is_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny::default().write(folder.path());
    let model = Gguf::open(&path, GgufOptions::default()).unwrap();
    let one = labels(&["low", "high"]);
    let prompt = "this is";
    let tokens = model.tokenize(prompt).unwrap().len() as u64;
    // Both labels are one token: the model is not run on them.
    let first = model.score(prompt, &one).unwrap();
    assert_eq!((first.tokens, model.usage().tokens), (tokens, tokens));
    // The same again takes as many tokens by the answer's count, and none is computed.
    assert_eq!(model.score(prompt, &one).unwrap(), first);
    assert_eq!((model.usage().tokens, model.usage().passes), (tokens, 1));
    // Two labels of several tokens share " ve", "ry" and then part: " low" and " high" are not run.
    let two = labels(&["very low", "very high"]);
    let answer = model.score(prompt, &two).unwrap();
    assert_eq!((answer.tokens, model.usage().tokens), (tokens + 2, tokens + 2));
    // A longer prompt costs what is new.
    let longer = "this is low";
    assert_eq!(model.score(longer, &one).unwrap().tokens, tokens + 1);
    assert_eq!(model.usage().tokens, tokens + 3);
    assert!(model.usage().time > std::time::Duration::ZERO);
}

#[test]
fn cutting_at_the_label_does_not_change_tokens() {
    let folder = tempfile::tempdir().unwrap();
    for pre in ["smollm", "gpt-2"] {
        let path = Tiny { pre, ..Tiny::default() }.write(folder.path());
        let model = Gguf::open(&path, GgufOptions::default()).unwrap();
        for prompt in PROMPTS {
            for label in ["low", "very high", "12", "$5 or more", "'s"] {
                let mut parts = model.tokenize(prompt).unwrap();
                parts.extend(model.tokenize(&format!(" {label}")).unwrap());
                assert_eq!(parts, model.tokenize(&format!("{prompt} {label}")).unwrap(), "{prompt} {label}");
            }
        }
        // "12" is a merge, but smollm cuts every digit off first.
        let digits = model.tokenize("12").unwrap().len();
        assert_eq!(digits, if pre == "smollm" { 2 } else { 1 });
        // Control tokens in text are text.
        assert!(model.tokenize("<|end|>").unwrap().len() > 1);
    }
}

/// A batch under way ends when nobody waits for it, and the model answers others as before.
#[test]
fn a_stop_is_heard_within_a_batch() {
    use std::time::{Duration, Instant};

    let (world, labels) = (World::new(), label_set());
    // A token a pass, each of which takes its time.
    let folder = tempfile::tempdir().unwrap();
    let options = GgufOptions::default().with_batch_tokens(1).with_cache_tokens(0);
    let model = Gguf::open(Tiny::default().write(folder.path()), options).unwrap();
    let expected = model.answer(&world.question(PROMPTS[0], &labels)).unwrap().log_probs;
    let began = Instant::now();
    let stopped = || began.elapsed() > Duration::from_millis(20);
    let prompts: Vec<String> = (0..400).map(|i| format!("{i} {}", PROMPTS[0])).collect();
    let questions: Vec<Question<'_>> =
        prompts.iter().map(|prompt| world.question(prompt, &labels).with_stop(&stopped)).collect();
    let answers = model.answer_batch(&questions);
    assert!(answers.iter().all(|answer| matches!(answer, Err(scaletot_teacher::Error::Stopped))));
    let again = model.answer(&world.question(PROMPTS[0], &labels)).unwrap();
    assert_eq!(again.log_probs, expected);
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
}
