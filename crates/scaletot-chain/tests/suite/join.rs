//! Records find the rows of their users.

use proptest::prelude::*;
use scaletot_chain::{
    Chain, ChainRecord, ChainSchema, Corpus, CorpusHeader, Error, Reason, StateDef, Verdict,
};
use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder, UserId};

fn schema() -> ChainSchema {
    ChainSchema::builder("s").with_state(StateDef::ordinal("a", ["x", "y"])).build().unwrap()
}

fn dataset(ids: &[UserId]) -> Dataset {
    let schema = ProfileSchema::builder("s").with_field(FieldSpec::numeric("n")).build().unwrap();
    let mut table = TableBuilder::new(schema);
    ids.iter().for_each(|id| table.push_text(id.clone(), &["1"]).unwrap());
    Dataset::from(table.finish())
}

fn record(user: UserId) -> ChainRecord {
    ChainRecord::new(user, Verdict::Accepted).with_best(Some(Chain::certain(&schema(), &[1]).unwrap()))
}

fn corpus(users: &[UserId]) -> Corpus {
    let dataset = dataset(&[UserId::Int(0)]);
    let header = CorpusHeader::new(dataset.table().schema().hash(), &schema(), "t", 1);
    Corpus::new(header, users.iter().cloned().map(record).collect(), &schema()).unwrap()
}

#[test]
fn records_come_in_the_order_of_their_rows() {
    let ids: Vec<UserId> = ["a", "7", "007", "b"].map(UserId::from).to_vec();
    let (dataset, corpus) = (dataset(&ids), corpus(&["b".into(), "007".into(), "a".into()]));
    let joined = corpus.join(&dataset).unwrap();
    assert_eq!((joined.rows(), joined.len(), joined.is_empty()), (&[0, 2, 3][..], 3, false));
    for (row, record) in joined.iter() {
        assert_eq!(joined.dataset().table().id(row), record.user);
    }
    assert_eq!((joined.header(), joined.corpus()), (corpus.header(), &corpus));
}

#[test]
fn only_accepted_records_are_accepted() {
    let mut records = vec![record(UserId::Int(4)), record(UserId::Int(5)), record(UserId::Int(6))];
    records[1] = ChainRecord::new(UserId::Int(5), Verdict::Abstained { reason: Reason::NoEvidence });
    let header = corpus(&[]).header().clone();
    let corpus = Corpus::new(header, records, &schema()).unwrap();
    let dataset = dataset(&[6, 5, 4].map(UserId::Int));
    let joined = corpus.join(&dataset).unwrap();
    assert_eq!(joined.accepted().map(|(row, _)| row).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn a_user_who_is_not_there_is_named() {
    for (ids, user) in [
        (vec![UserId::Int(1), UserId::Int(2)], UserId::Int(3)),
        // An integer and a text are never the same id.
        (vec![UserId::Int(1), UserId::Int(2)], UserId::from("1")),
        (vec![UserId::from("1"), UserId::from("2")], UserId::Int(1)),
        (vec![], UserId::Int(1)),
    ] {
        let (corpus, dataset) = (corpus(std::slice::from_ref(&user)), dataset(&ids));
        let error = corpus.join(&dataset).unwrap_err().to_string();
        let users = ids.len();
        assert_eq!(error, format!("user {user} is not among the {users} users of the dataset"));
    }
}

#[test]
fn a_corpus_in_memory_is_checked_like_a_file() {
    let header = corpus(&[]).header().clone();
    let twice = vec![record(UserId::Int(1)), record(UserId::Int(2)), record(UserId::Int(1))];
    let error = Corpus::new(header.clone(), twice, &schema()).unwrap_err();
    assert_eq!(error.to_string(), "user 1 has more than one record");
    let wrong = record(UserId::Int(1)).with_posterior(vec![vec![0.5, 0.25]]);
    assert!(matches!(Corpus::new(header, vec![wrong], &schema()), Err(Error::InRecord { .. })));
}

proptest! {
    #[test]
    fn every_record_is_beside_its_user(
        ids in prop::collection::hash_set(any::<i64>(), 1..40).prop_map(Vec::from_iter),
        chosen in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut users: Vec<UserId> = chosen.iter().map(|at| UserId::Int(*at.get(&ids))).collect();
        let mut seen = std::collections::HashSet::new();
        users.retain(|user| seen.insert(user.clone()));
        let dataset = dataset(&ids.into_iter().map(UserId::Int).collect::<Vec<_>>());
        let corpus = corpus(&users);
        let joined = corpus.join(&dataset).unwrap();
        prop_assert_eq!(joined.len(), users.len());
        prop_assert!(joined.rows().is_sorted());
        for (row, record) in joined.iter() {
            prop_assert_eq!(&dataset.table().id(row), &record.user);
        }
    }
}
