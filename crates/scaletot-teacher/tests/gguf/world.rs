//! A user, a chain schema and questions about the user.

use scaletot_chain::ChainSchema;
use scaletot_profile::{FieldSpec, ProfileSchema, ProfileTable, TableBuilder};
use scaletot_teacher::Question;

pub(crate) struct World {
    table: ProfileTable,
    chain: ChainSchema,
}

impl World {
    pub(crate) fn new() -> Self {
        let schema = ProfileSchema::builder("shop")
            .with_subject("A customer")
            .with_field(FieldSpec::boolean("owner").with_phrase("who owns the home"))
            .build()
            .unwrap();
        let mut rows = TableBuilder::new(schema);
        rows.push_text(1, &["yes"]).unwrap();
        let chain = ChainSchema::from_toml(
            "name = \"c\"\n[[state]]\nname = \"spend\"\nkind = \"ordinal\"\ndescription = \"d\"\n\
             cue = \"spending is\"\nvalues = [\"low\", \"high\"]\n",
        );
        Self { table: rows.finish(), chain: chain.unwrap() }
    }

    pub(crate) fn question<'a>(&'a self, prompt: &str, labels: &'a [String]) -> Question<'a> {
        Question::new(&self.chain, 0, &[], &self.table, 0).with_prompt(prompt).with_labels(labels)
    }
}

pub(crate) fn labels(labels: &[&str]) -> Vec<String> {
    labels.iter().map(ToString::to_string).collect()
}
