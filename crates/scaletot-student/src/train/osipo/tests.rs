use burn::tensor::Device;
use scaletot_chain::{Chain, ChainRecord, ChainSchema, Constraint, StateDef, Verdict};
use scaletot_profile::{FieldSpec, ProfileSchema, ProfileTable, Segments, TableBuilder, UserId};

use super::*;
use crate::config::StudentConfig;

fn student() -> (Student, ProfileTable) {
    let schema = ProfileSchema::builder("s")
        .with_field(FieldSpec::categorical("a", ["x", "y"]))
        .with_field(FieldSpec::categorical("b", ["x", "y"]))
        .build()
        .unwrap();
    let mut builder = TableBuilder::new(schema);
    for (id, cells) in [["x", "y"], ["", "x"], ["", ""], ["y", ""]].iter().enumerate() {
        builder.push_text(id as i64, cells).unwrap();
    }
    let table = builder.finish();
    let chain = ChainSchema::builder("c")
        .with_state(StateDef::ordinal("p", ["0", "1"]))
        .with_state(StateDef::ordinal("q", ["0", "1", "2"]))
        .with_constraint(Constraint::new([("p", "0")], "q", ["2"]))
        .build()
        .unwrap();
    let config =
        StudentConfig { d_model: 8, n_layers: 2, n_heads: 2, n_kv_heads: 1, d_ff: 8, ..Default::default() };
    (Student::new(&config, &table, &chain, 5, &Device::default()).unwrap(), table)
}

/// Training and decoding must be about the same policy.
#[test]
fn log_probs_are_those_of_the_decoder() {
    let (student, table) = student();
    let rows = [0, 1, 2, 3];
    let decoded = student.beam(&table, &rows, 4, 5).unwrap();
    let chains = rows.iter().zip(&decoded).flat_map(|(&row, of_user)| of_user.iter().map(move |c| (row, c)));
    let chains: Vec<(usize, &crate::ScoredChain)> = chains.collect();
    let asked: Vec<(usize, &[u16])> = chains.iter().map(|(row, c)| (*row, c.values.as_slice())).collect();
    assert_eq!(asked.len(), 20);
    for batch in [1, 4] {
        let log_probs = log_probs::on_host(&student, student.model(), &table, &asked, batch).unwrap();
        for (log_probs, (_, chain)) in log_probs.chunks(2).zip(&chains) {
            assert!((f64::from(log_probs[0] + log_probs[1]) - chain.log_prob).abs() < 1e-4);
        }
    }
}

/// The probabilities of all legal chains of a user sum to 1.
#[test]
fn legal_chains_share_all_probability() {
    let (student, table) = student();
    let legal: Vec<Vec<u16>> = student.chain_schema().legal_chains().collect();
    assert_eq!(legal.len(), 5);
    for row in 0..4 {
        let asked: Vec<(usize, &[u16])> = legal.iter().map(|c| (row, c.as_slice())).collect();
        let log_probs = log_probs::on_host(&student, student.model(), &table, &asked, 5).unwrap();
        let sum: f32 = log_probs.chunks(2).map(|chain| (chain[0] + chain[1]).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
}

#[test]
fn a_set_has_each_chain_once_and_the_searchs_entropies() {
    let (student, _) = student();
    let schema = student.chain_schema();
    let chain = |values: &[u16]| Chain::certain(schema, values).unwrap();
    let record = ChainRecord::new(UserId::Int(0), Verdict::Accepted)
        .with_best(Some(chain(&[1, 2])))
        .with_runners_up(vec![chain(&[1, 0]), chain(&[1, 2])])
        .with_entropy_before(vec![0.5, 0.25]);
    let segments = Segments::all(4);
    let set = CandidateSet::new(2, &record, 3.0, &segments, 1).unwrap();
    assert_eq!(set.chains, [[1, 2], [1, 0]]);
    assert_eq!(set.entropies, [0.5, 0.25]);
    // Without a posterior, the best chain's last distribution stands in.
    assert_eq!(set.outcome_state, [0.0, 0.0, 1.0]);
    let without = record.clone().with_entropy_before(vec![]);
    assert_eq!(CandidateSet::new(2, &without, 3.0, &segments, 1).unwrap().entropies, [0.0, 0.0]);
}

fn candidates(row: usize, outcome: f64, chains: &[[u16; 2]]) -> CandidateSet {
    CandidateSet {
        fitted_as: None,
        row,
        user_segment: row % 2,
        outcome,
        chains: chains.iter().map(|c| c.to_vec()).collect(),
        entropies: vec![0.5; 2],
        outcome_state: if outcome > 0.0 { vec![0.0, 0.0, 1.0] } else { vec![1.0, 0.0, 0.0] },
        advantages: vec![],
        reference: vec![],
        sampled: vec![],
    }
}

#[test]
fn samples_join_only_where_chains_do_not_differ_in_the_last_state() {
    let (student, table) = student();
    let mut sets = [candidates(0, 1.0, &[[1, 2], [0, 0]]), candidates(1, 0.0, &[[1, 1], [0, 1]])];
    let config = OsipoConfig::default();
    let helped = add_samples(&student, &table, &mut sets, &config, 3).unwrap();
    assert_eq!(sets[0].chains.len(), 2);
    assert_eq!(helped, usize::from(sets[1].chains.len() > 2));
    assert!(sets[1].chains.iter().all(|chain| student.chain_schema().is_legal(chain)));
    let distinct: std::collections::HashSet<_> = sets[1].chains.iter().collect();
    assert_eq!(distinct.len(), sets[1].chains.len());
}

#[test]
fn held_out_users_do_not_move_the_rewards() {
    let mut train: Vec<CandidateSet> =
        (0..8).map(|row| candidates(row, if row < 4 { 0.0 } else { 9.0 }, &[[1, 2], [0, 0]])).collect();
    let mut other = train.clone();
    let mut few = vec![candidates(0, 0.0, &[[1, 2], [0, 0]])];
    let mut many = vec![candidates(0, 0.0, &[[1, 2], [0, 0]]), candidates(1, 900.0, &[[1, 2], [0, 0]])];
    for reward in [ChainReward::default(), ChainReward::TierAgreement] {
        let config = OsipoConfig { reward, ..Default::default() };
        RewardModel::fit(&mut train, &mut few, 3, 1, &config).unwrap();
        RewardModel::fit(&mut other, &mut many, 3, 1, &config).unwrap();
        assert_eq!(train, other);
        assert_eq!(few[0].advantages, many[0].advantages);
        // A user with nothing spent is better explained by the chain that ends low.
        assert!(train[0].advantages[1] > train[0].advantages[0]);
        assert!(train[7].advantages[0] > train[7].advantages[1]);
        assert!(few[0].advantages[1] > few[0].advantages[0]);
        assert!(train.iter().all(CandidateSet::is_decided));
    }
}
