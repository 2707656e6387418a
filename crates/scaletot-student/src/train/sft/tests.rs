use burn::tensor::Device;
use rand::RngExt;
use scaletot_chain::{ChainSchema, StateDef};
use scaletot_profile::{FieldSpec, ProfileSchema, ProfileTable, TableBuilder};

use super::example::Example;
use super::loss::SftBatch;
use super::*;
use crate::config::StudentConfig;
use crate::seeds;

fn student() -> (Student, ProfileTable) {
    let schema = ProfileSchema::builder("s")
        .with_field(FieldSpec::categorical("a", ["x", "y"]))
        .with_field(FieldSpec::categorical("b", ["x", "y"]))
        .build()
        .unwrap();
    let mut builder = TableBuilder::new(schema);
    builder.push_text(1, &["x", "y"]).unwrap();
    builder.push_text(2, &["", "x"]).unwrap();
    builder.push_text(3, &["", ""]).unwrap();
    let table = builder.finish();
    let chain = ChainSchema::builder("c")
        .with_state(StateDef::ordinal("p", ["0", "1"]))
        .with_state(StateDef::ordinal("q", ["0", "1", "2"]))
        .build()
        .unwrap();
    let config =
        StudentConfig { d_model: 8, n_layers: 2, n_heads: 2, n_kv_heads: 1, d_ff: 8, ..Default::default() };
    (Student::new(&config, &table, &chain, 5, &Device::default()).unwrap(), table)
}

fn example(row: usize, weight: f64) -> Example {
    let targets = vec![vec![0.25, 0.75], vec![0.0, 0.5, 0.5]];
    Example { row, values: vec![1, 2], targets, weight }
}

fn batch(student: &Student, table: &ProfileTable, examples: &[Example]) -> SftBatch {
    let prompts =
        examples.iter().map(|e| student.tokenizer().prompt(table, e.row, |_| true).unwrap()).collect();
    SftBatch::new(student.tokenizer(), &examples.iter().collect::<Vec<_>>(), prompts)
}

/// The loss against the formula, from the logits of the whole sequence, in f64.
#[test]
fn the_loss_is_the_cross_entropy_of_the_chain_tokens() {
    use crate::decoder::TokenBatch;
    let (student, table) = student();
    let example = example(0, 2.5);
    let ids = student.tokenizer().encode(&table, 0, &example.values).unwrap().ids;
    let vocab = student.tokenizer().vocab_size();
    let hidden = student.model().hidden(&TokenBatch::left_padded(&[&ids], 0)).unwrap();
    let logits = student.model().logits(hidden).try_into_vec_as::<f64>().unwrap();
    let log_prob = |before: usize, id: usize| {
        let row = &logits[before * vocab..(before + 1) * vocab];
        row[id] - row.iter().map(|x| x.exp()).sum::<f64>().ln()
    };
    // <bos> a=x b=y <think> p 1 q 2 <eos>
    assert_eq!(ids.len(), 9);
    let hard = |position: usize| -log_prob(position - 1, ids[position] as usize);
    let soft = |position: usize, k: usize| -> f64 {
        let first = student.tokenizer().value_tokens(k).start as usize;
        -example.targets[k]
            .iter()
            .enumerate()
            .map(|(v, p)| p * log_prob(position - 1, first + v))
            .sum::<f64>()
    };
    let values = [soft(5, 0), soft(7, 1)];
    let all = hard(4) + values[0] + hard(6) + values[1] + hard(8);
    let loss = batch(&student, &table, std::slice::from_ref(&example)).loss(student.model(), None).unwrap();
    assert!((loss.all - all / 5.0).abs() < 1e-5, "{} {}", loss.all, all / 5.0);
    assert!((loss.values - values.iter().sum::<f64>() / 2.0).abs() < 1e-5);
    assert!((loss.loss.into_scalar::<f64>() - loss.all).abs() < 1e-6);
    assert_eq!(loss.weight, 2.5);
}

/// Padding has no part in the loss: a batch is the weighted mean of its users alone.
#[test]
fn a_batch_is_the_weighted_mean_of_its_users() {
    let (student, table) = student();
    let users = [example(0, 0.5), example(1, 1.0), example(2, 1.5)];
    let alone =
        users.clone().map(|user| batch(&student, &table, &[user]).loss(student.model(), None).unwrap().all);
    let expected = (0.5 * alone[0] + alone[1] + 1.5 * alone[2]) / 3.0;
    let together = batch(&student, &table, &users).loss(student.model(), None).unwrap();
    assert!((together.all - expected).abs() < 1e-5, "{} {expected}", together.all);
    assert!((alone[0] - alone[2]).abs() > 1e-4, "the users differ");
}

/// Nor in the gradient.
#[test]
fn padding_does_not_reach_the_gradient() {
    use burn::module::Module;
    use burn::optim::GradientsParams;
    let (student, table) = student();
    let model = student.model().clone().train();
    let gradient = |users: &[Example]| {
        let loss = batch(&student, &table, users).loss(&model, None).unwrap().loss;
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let mut flat = Flat { gradients, values: vec![] };
        model.visit(&mut flat);
        flat.values
    };
    let (short, long) = (example(2, 1.0), example(0, 1.0));
    let mean: Vec<f32> = gradient(std::slice::from_ref(&short))
        .iter()
        .zip(gradient(std::slice::from_ref(&long)))
        .map(|(a, b)| (a + b) / 2.0)
        .collect();
    let together = gradient(&[short, long]);
    let far = together.iter().zip(&mean).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far < 1e-5, "{far}");
    assert!(together.iter().any(|g| g.abs() > 1e-3));
}

struct Flat {
    gradients: burn::optim::GradientsParams,
    values: Vec<f32>,
}

impl burn::module::ModuleVisitor for Flat {
    fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<burn::tensor::Tensor<D>>) {
        let gradient = self.gradients.get::<D>(param.id).unwrap();
        self.values.extend(gradient.try_into_vec_as::<f32>().unwrap());
    }
}

#[test]
fn field_dropout_drops_fields_at_its_rate() {
    let (student, table) = student();
    let users: Vec<Example> = vec![example(0, 1.0); 400];
    let users: Vec<&Example> = users.iter().collect();
    let fields = |rate: f64| {
        let mut kept = 0;
        let mut rng = seeds::numbered(1, 1);
        let mut keep = |_: usize| rate == 0.0 || rng.random::<f64>() >= rate;
        for user in &users {
            kept += student.tokenizer().prompt(&table, user.row, &mut keep).unwrap().len() - 2;
        }
        kept as f64 / 800.0
    };
    assert_eq!(fields(0.0), 1.0);
    assert_eq!(fields(1.0), 0.0);
    assert!((fields(0.3) - 0.7).abs() < 0.05);
    // The batch uses the same draws.
    let loss = |rate: f64| {
        let config = SftConfig { field_dropout: rate, micro_batch: Some(400), ..SftConfig::default() };
        let run = Run { student: &student, table: &table, config: &config, train: &[], held_out: &[] };
        let parts = run.parts(&users, &mut seeds::numbered(1, 1)).unwrap();
        assert_eq!(parts.len(), 1);
        parts[0].loss(student.model(), None).unwrap().all
    };
    let empty = vec![example(2, 1.0)];
    let nothing = batch(&student, &table, &empty).loss(student.model(), None).unwrap().all;
    assert!((loss(1.0) - nothing).abs() < 1e-4);
    assert!((loss(0.0) - nothing).abs() > 1e-3);
}
