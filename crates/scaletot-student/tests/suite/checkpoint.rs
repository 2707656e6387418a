//! Students that are published checkpoints: everything that other students do, and files that go back.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::checkpoint::{USERS, checkpoint, pretrained, rows, saved, student, student_of};
use crate::common::{batches_of, chain_schema, osipo, quick, records, sft, table, truth};
use burn::tensor::Device;
use safetensors::SafeTensors;
use scaletot_osipo::{Objective, OsipoLossConfig};
use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, ProfileTable, TableBuilder, Verbaliser};
use scaletot_student::decoder::TokenBatch;
use scaletot_student::{
    ChainReward, Inference, LoraConfig, LoraTarget, OsipoConfig, Sampling, SftConfig, Student,
};
use serde_json::json;

/// Each architecture, tied and not; the last has a tokenizer like those of real ones.
const ALL: [&str; 6] = ["llama", "llama3_tied", "llama_biased_linear", "qwen2", "qwen3", "qwen3_text"];

/// All of `names`; on lavapipe, where the training of one takes a minute, the last alone.
fn here<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let last =
        if std::env::var("BURN_DEVICE").is_ok_and(|device| device == "wgpu") { names.len() - 1 } else { 0 };
    names[last..].to_vec()
}

fn taught(student: &Student, table: &ProfileTable, config: &SftConfig) -> Student {
    sft(student, table, &records(table), config, 1, &()).unwrap().0
}

/// Share of users whose first state is the planted one.
fn right(student: &Student, table: &ProfileTable) -> f64 {
    let inference = student.infer(table, &rows(), &batches_of(16)).unwrap();
    rows().iter().filter(|&&row| inference.chain(row)[0] == truth(table, row)[0]).count() as f64
        / USERS as f64
}

/// The same chains for the same reasons, up to the order of additions.
fn close(a: &Inference, b: &Inference) -> bool {
    let [of_a, of_b] = [a, b].map(|inference| inference.signals().representation_values());
    a.chains().eq(b.chains()) && of_a.iter().zip(of_b).all(|(a, b)| (a - b).abs() < 1e-3)
}

/// A tensor of a saved student, row by row.
fn tensor(dir: &Path, name: &str) -> Option<Vec<Vec<f32>>> {
    let bytes = fs::read(dir.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor(name).ok()?;
    let values: Vec<f32> = view.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    Some(values.chunks(view.shape()[1]).map(<[f32]>::to_vec).collect())
}

/// `make_fixtures.py --check` loads what is left in `SCALETOT_SAVED`.
#[test]
fn a_checkpoint_learns_thinks_and_comes_back() {
    let all = table(USERS, 1);
    let kept = std::env::var_os("SCALETOT_SAVED").map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let root = kept.unwrap_or_else(|| temporary.path().to_path_buf());
    for name in here(&ALL) {
        let new = student(name, &all);
        let mut config = quick();
        (config.epochs, config.validation_share, config.field_dropout) = (40, 0.0, 0.05);
        let trained = taught(&new, &all, &config);
        let (before, after) = (right(&new, &all), right(&trained, &all));
        assert!(after > 0.9 && after > before, "{name}: {before} {after}");

        let inference = trained.infer(&all, &rows(), &batches_of(16)).unwrap();
        assert_eq!(inference.signals().representation_shape(), [3, new.shape().d_model]);
        assert_eq!(inference.signals().len(), USERS);
        assert!(inference.chains().all(|chain| chain_schema().is_legal(chain)));
        let one = trained.infer(&all, &rows(), &batches_of(1)).unwrap();
        assert!(one.chains().eq(inference.chains()), "{name}: padding changes nothing");
        let samples = trained.sample(&all, &rows(), 16, Sampling::at(2.0), 3).unwrap();
        assert!(samples.iter().all(|chain| chain_schema().is_legal(chain)));
        let beams = trained.beam(&all, &[0, 1], 2, 100).unwrap();
        assert_eq!(beams[0].len() as u128, chain_schema().legal_count());
        assert_eq!(trained.beam(&all, &[1], 2, 1).unwrap()[0][0].values, inference.chain(1));

        let dir = root.join(format!("student_{name}"));
        trained.save(&dir).unwrap();
        let loaded = Student::load(&dir, &Device::default()).unwrap();
        assert_eq!(loaded.infer(&all, &rows(), &batches_of(16)).unwrap(), inference, "{name}");
        assert_eq!(loaded.shape(), trained.shape());
        // The files are a checkpoint, of which the same student is made again.
        let mut ids = trained.tokenizer().encode(&all, 0, &truth(&all, 0)).unwrap().ids;
        let chain = trained.tokenizer().words(&ids[ids.len() - 8..]);
        let checkpoint = pretrained(&dir);
        let logits = |student: &Student| {
            let batch = TokenBatch::left_padded(&[ids.clone()], 0);
            student.model().logits(student.model().hidden(&batch).unwrap()).try_into_vec_as::<f32>().unwrap()
        };
        let verbaliser = Verbaliser::fit(&all, 4).unwrap();
        let again =
            Student::from_pretrained(&checkpoint, &verbaliser, all.schema(), &chain_schema()).unwrap();
        assert_eq!(logits(&again), logits(&trained));
        let text = format!("{}.", verbaliser.render(&all, 0));
        let logits: Vec<Vec<f32>> =
            logits(&trained).chunks(trained.shape().vocab_size).map(<[f32]>::to_vec).collect();
        let expected = json!({ "text": text, "chain": chain, "ids": ids, "logits": logits });
        fs::write(dir.join("expected.json"), expected.to_string()).unwrap();
        ids.truncate(ids.len() - 8);
        assert_eq!(checkpoint.encode(&text).unwrap(), ids);
    }
}

#[test]
fn osipo_aligns_a_checkpoint() {
    let all = table(USERS, 1);
    let student = student("qwen2", &all);
    let outcomes: Vec<_> = rows().iter().map(|&row| Some(f64::from(truth(&all, row)[2]) * 10.0)).collect();
    let dataset = Dataset::builder(all.clone()).with_outcomes(outcomes).build().unwrap();
    for objective in [OsipoConfig::default().loss.objective, Objective::Policy(Default::default())] {
        let mut config = OsipoConfig::default();
        config.loss = OsipoLossConfig::default().with_objective(objective);
        config.reward = ChainReward::TierAgreement;
        (config.epochs, config.batch_users, config.tiers, config.samples) = (2, 16, 3, 4);
        let (aligned, log) = osipo(&student, &dataset, &records(&all), &config, 1, &()).unwrap();
        assert!(log.users > 10 && log.epochs.len() == 2, "{log:?}");
        let dir = saved(&aligned);
        let loaded = Student::load(dir.path(), &Device::default()).unwrap();
        assert_eq!(
            loaded.infer(&all, &rows(), &batches_of(8)).unwrap(),
            aligned.infer(&all, &rows(), &batches_of(8)).unwrap()
        );
    }
}

/// The adapters and the chain's tokens learn; what is frozen stays as it was, to the bit.
#[test]
fn adapters_train_with_the_chains_tokens_alone() {
    let all = table(USERS, 1);
    // One projection without an adapter, to be seen to stay.
    let mut lora = LoraConfig::default();
    lora.targets.retain(|target| *target != LoraTarget::Key);
    for name in here(&["llama", "qwen3_text"]) {
        let base = student(name, &all);
        let adapted = base.with_lora(&lora, 5).unwrap();
        let (a, b) = (
            base.infer(&all, &rows(), &batches_of(40)).unwrap(),
            adapted.infer(&all, &rows(), &batches_of(40)).unwrap(),
        );
        assert!(close(&a, &b), "{name}: they change nothing yet");
        let mut config = quick();
        (config.epochs, config.weight_decay, config.validation_share) = (40, 0.1, 0.0);
        let trained = taught(&adapted, &all, &config);
        assert!(right(&trained, &all) > 0.9, "{name}: {}", right(&trained, &all));
        assert!(trained.model().has_lora());

        let (before, after) = (saved(&base), saved(&trained));
        let (first, count) = (base.tokenizer().state_token(0).unwrap() as usize, 10);
        // `<think>` is new only where the checkpoint had none.
        let new = if name == "llama" { first - 1..first + count } else { first..first + count };
        for weight in ["model.embed_tokens.weight", "lm_head.weight"] {
            let (Some(before), Some(after)) = (tensor(before.path(), weight), tensor(after.path(), weight))
            else {
                assert!(name == "qwen3_text" && weight == "lm_head.weight");
                continue;
            };
            assert_eq!(before.len(), base.shape().vocab_size);
            for (row, (before, after)) in before.iter().zip(&after).enumerate() {
                assert_eq!(before != after, new.contains(&row), "{name}: row {row} of {weight}");
            }
        }
        let layer = |part: &str| format!("model.layers.1.{part}.weight");
        for (part, changes) in
            [("self_attn.q_proj", true), ("mlp.up_proj", true), ("self_attn.k_proj", false)]
        {
            let (before, after) = (tensor(before.path(), &layer(part)), tensor(after.path(), &layer(part)));
            assert_eq!(before != after, changes, "{name}: {part}");
        }
        let loaded = Student::load(after.path(), &Device::default()).unwrap();
        let (a, b) = (
            trained.infer(&all, &rows(), &batches_of(8)).unwrap(),
            loaded.infer(&all, &rows(), &batches_of(8)).unwrap(),
        );
        assert!(close(&a, &b));
        // Adapters anew: the first ones and the tokens are merged.
        let again = trained.with_lora(&lora, 6).unwrap().infer(&all, &rows(), &batches_of(8)).unwrap();
        assert!(close(&a, &again));
    }
}

#[test]
fn a_profile_is_a_sentence_and_a_chain_its_own_tokens() {
    let all = table(USERS, 1);
    for (name, think, states) in [("llama", 40, 41), ("qwen3_text", 300, 302)] {
        let student = student(name, &all);
        let tokenizer = student.tokenizer();
        let sequence = tokenizer.encode(&all, 0, &[0, 1, 2]).unwrap();
        let at = sequence.ids.iter().position(|id| *id == think).unwrap();
        let sentence = tokenizer.tokenizer().decode(&sequence.ids[..at], true).unwrap();
        let said = Verbaliser::fit(&all, 4).unwrap().render(&all, 0);
        assert_eq!(sentence.replace(' ', ""), format!("{said}.").replace(' ', ""));
        let eos = if name == "llama" { "</s>" } else { "<|end|>" };
        let chain = ["taste", "taste=warm", "need", "need=high", "spend", "spend=much"];
        let mut expected = vec!["<think>".to_owned()];
        expected.extend(chain.map(|word| format!("<state:{word}>")));
        expected.push(eos.to_owned());
        assert_eq!(tokenizer.words(&sequence.ids[at..]), expected);
        assert_eq!(sequence.segments[at..at + 4], [None, Some(0), Some(0), Some(1)]);
        assert_eq!(tokenizer.words(&sequence.ids[..1])[0], if name == "llama" { "A" } else { "<s>" });
        // Ids go on where the checkpoint's end; spare rows are used first.
        let first = tokenizer.state_token(0).unwrap();
        assert_eq!((first, tokenizer.value_tokens(2)), (states, states + 7..states + 10));
        assert_eq!(tokenizer.vocab_size(), if name == "llama" { 51 } else { 320 });
        assert_eq!(student.shape().vocab_size, tokenizer.vocab_size());
    }
}

/// A new token begins as the mean of what it says; all others stay.
#[test]
fn new_tokens_begin_as_the_mean_of_their_words() {
    let all = table(USERS, 1);
    for (name, of_warm, old) in [("llama", vec![33], 40), ("qwen3_text", vec![], 302)] {
        let from = checkpoint(name, |_| ());
        let student = student_of(from.path(), &all).unwrap();
        let of_warm = match of_warm.is_empty() {
            // Without the token that is put before a text.
            true => pretrained(from.path()).encode(" warm").unwrap()[1..].to_vec(),
            false => of_warm,
        };
        let to = saved(&student);
        for weight in ["model.embed_tokens.weight", "lm_head.weight"] {
            let Some(found) = tensor(to.path(), weight) else { continue };
            let before = tensor(from.path(), weight).unwrap();
            assert_eq!(found[..old], before[..old]);
            let first = student.tokenizer().state_token(0).unwrap() as usize;
            let spare = (first + 10).min(before.len());
            assert_eq!(found[first + 10..], before[spare..], "the spare rows that are left");
            for (column, x) in found[first + 1].iter().enumerate() {
                let sum: f32 = of_warm.iter().map(|&id| before[id as usize][column]).sum();
                assert!((x - sum / of_warm.len() as f32).abs() < 1e-6, "{name}, {weight}, {column}");
            }
        }
    }
}

/// A value that spells a token of the chain, or one of the checkpoint's special ones, is letters.
#[test]
fn a_value_cannot_spell_a_special_token() {
    let schema = ProfileSchema::builder("s")
        .with_field(FieldSpec::categorical("colour", ["<state:taste=warm>", "<|end|>"]))
        .build()
        .unwrap();
    let mut builder = TableBuilder::new(schema);
    builder.push_text(1, &["<state:taste=warm>"]).unwrap();
    builder.push_text(2, &["<|end|>"]).unwrap();
    let all = builder.finish();
    let student = student("qwen3_text", &all);
    for row in 0..2 {
        let ids = student.tokenizer().encode_profile(&all, row).unwrap();
        assert!(ids[1..ids.len() - 1].iter().all(|id| (2..300).contains(id)), "{ids:?}");
    }
}
