//! A learner for tests: the mean outcome by age, with one user of outcome 1 added to each age.

use std::fs;
use std::path::Path;

use scaletot_ltv::{BaseLearner, BaseLoader, BaseModel, LearnerError, Sample};
use scaletot_profile::{ProfileSchema, ProfileTable, Value};

#[derive(Debug, Clone, Copy)]
pub(crate) struct ByAge;

/// Sum of outcomes and number of users by age code, the last of a missing age.
#[derive(Debug)]
struct Means(Vec<[f64; 2]>);

fn code(table: &ProfileTable, row: usize) -> usize {
    match table.value(row, 0) {
        Some(Value::Code(code)) => code as usize,
        _ => 4,
    }
}

impl BaseLearner for ByAge {
    fn name(&self) -> &str {
        "by-age"
    }

    fn fit(&self, sample: &Sample<'_>, _seed: u64) -> Result<Box<dyn BaseModel>, LearnerError> {
        let mut sums = vec![[0.0; 2]; 5];
        for &row in sample.rows() {
            let sum = &mut sums[code(sample.dataset().table(), row)];
            sum[0] += sample.dataset().outcome(row).ok_or("a row without an outcome")?;
            sum[1] += 1.0;
        }
        Ok(Box::new(Means(sums)))
    }
}

impl BaseModel for Means {
    fn predict(&self, table: &ProfileTable, rows: &[usize]) -> Result<Vec<f64>, LearnerError> {
        let mean = |&row: &usize| {
            let [sum, users] = self.0[code(table, row)];
            (sum + 1.0) / (users + 1.0)
        };
        Ok(rows.iter().map(mean).collect())
    }

    fn save(&self, directory: &Path) -> Result<(), LearnerError> {
        fs::create_dir(directory)?;
        Ok(fs::write(directory.join("means.json"), serde_json::to_string(&self.0)?)?)
    }
}

impl BaseLoader for ByAge {
    fn name(&self) -> &str {
        "by-age"
    }

    fn load(&self, directory: &Path, _schema: &ProfileSchema) -> Result<Box<dyn BaseModel>, LearnerError> {
        let text = fs::read_to_string(directory.join("means.json"))?;
        Ok(Box::new(Means(serde_json::from_str(&text)?)))
    }
}
