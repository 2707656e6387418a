//! A small synthetic population: every kind of field, missing values, outcomes of which most are 0, and signals of two states.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaletot_chain::Signals;
use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, ProfileTable, TableBuilder};

/// Users in all.
pub(crate) const USERS: usize = 240;
/// Values of the two states.
pub(crate) const STATES: [usize; 2] = [3, 4];
/// Width of the representation.
pub(crate) const WIDTH: usize = 5;

/// What is known of the users.
pub(crate) struct World {
    pub(crate) table: ProfileTable,
    pub(crate) outcomes: Vec<Option<f64>>,
    pub(crate) groups: Vec<usize>,
    /// `[USERS, 3 + 4]`, row-major.
    pub(crate) marginals: Vec<f32>,
    /// `[USERS, WIDTH]`, row-major.
    pub(crate) representations: Vec<f32>,
    /// Rows to learn from, ascending, some of them without an outcome.
    pub(crate) train: Vec<usize>,
    /// Rows that predictions are for, ascending.
    pub(crate) test: Vec<usize>,
}

/// The profile schema of the world.
pub(crate) fn schema() -> ProfileSchema {
    ProfileSchema::builder("world")
        .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55-64", "65+"]))
        .with_field(FieldSpec::categorical("channel", ["shop", "web", "app"]))
        .with_field(FieldSpec::numeric("income"))
        .with_field(FieldSpec::boolean("owner"))
        .with_field(FieldSpec::multi("interests", ["sport", "garden", "music"]))
        .with_field(FieldSpec::numeric("never_known"))
        .build()
        .unwrap()
}

/// The world.
pub(crate) fn world() -> World {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let mut rows = TableBuilder::new(schema());
    let (mut outcomes, mut groups) = (Vec::new(), Vec::new());
    let (mut marginals, mut representations) = (Vec::new(), Vec::new());
    let mut uniform = move || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    for user in 0..USERS {
        let wealth = uniform();
        let pick = |values: &[&str], x: f64| {
            values[((x * values.len() as f64) as usize).min(values.len() - 1)].to_owned()
        };
        let age = pick(&["18-34", "35-54", "55-64", "65+"], 0.6 * wealth + 0.4 * uniform());
        let channel = if uniform() < 0.1 { String::new() } else { pick(&["shop", "web", "app"], uniform()) };
        let income = if uniform() < 0.2 {
            String::new()
        } else {
            format!("{:.0}", 1000.0 * (wealth + 0.5 * uniform()))
        };
        let owner = if uniform() < 0.15 {
            ""
        } else if uniform() < wealth {
            "yes"
        } else {
            "no"
        };
        let interests = pick(&["", "sport", "garden|music", "sport|music"], uniform());
        rows.push_text(user as i64, &[&age, &channel, &income, owner, &interests, ""]).unwrap();
        let buys = uniform() < 0.2 + 0.5 * wealth;
        let outcome = if buys { (100.0 * (4.0 * wealth * uniform()).exp()).round() / 100.0 } else { 0.0 };
        outcomes.push((uniform() < 0.7).then_some(outcome));
        groups.push(user / 2);
        for size in STATES {
            let centre = wealth * (size - 1) as f64 + 0.6 * uniform();
            let weights: Vec<f64> = (0..size).map(|v| (-(v as f64 - centre).powi(2)).exp()).collect();
            let sum: f64 = weights.iter().sum();
            marginals.extend(weights.iter().map(|w| (w / sum) as f32));
        }
        representations
            .extend((0..WIDTH).map(|i| ((wealth - 0.5) * (i as f64 - 1.5) + 0.5 * uniform()) as f32));
    }
    let (train, test) = (0..USERS).partition(|row| row % 4 != 3);
    World { table: rows.finish(), outcomes, groups, marginals, representations, train, test }
}

impl World {
    /// The users to learn from, rows 0 to 179.
    pub(crate) fn dataset(&self, groups: bool) -> Dataset {
        let all = Dataset::builder(self.table.clone()).with_outcomes(self.outcomes.clone());
        let all = if groups { all.with_groups(self.groups.clone()) } else { all };
        all.build().unwrap().select(&self.train).unwrap()
    }

    /// The users that predictions are for, rows 0 to 59.
    pub(crate) fn new_users(&self) -> ProfileTable {
        self.table.select(&self.test).unwrap()
    }

    /// The signals of the users of `rows`, as rows 0 and so on.
    pub(crate) fn signals(&self, rows: &[usize]) -> Signals {
        let of = |values: &[f32], width: usize| -> Vec<f32> {
            rows.iter().flat_map(|row| &values[row * width..(row + 1) * width]).copied().collect()
        };
        let marginals = of(&self.marginals, STATES.iter().sum());
        let representations = of(&self.representations, WIDTH);
        let rows = (0..rows.len()).collect();
        Signals::new(rows, STATES.to_vec(), marginals, [1, WIDTH], representations).unwrap()
    }
}
