//! An artifact and Parquet files of users to score.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use scaletot_chain::{ChainSchema, StateDef};
use scaletot_core::Progress;
use scaletot_encoder::{ArtifactInfo, EncoderConfig, FrozenEncoder, Heads, Precision};
use scaletot_pipeline::{FileJob, OnError, Output, ScoreSummary, Scorer};
use scaletot_profile::{FieldSpec, ProfileSchema, ReadOptions, TableBuilder, read_parquet};

/// A directory with an artifact and files of users.
pub(super) struct Case {
    pub(super) dir: tempfile::TempDir,
    pub(super) encoder: FrozenEncoder,
}

/// What differs between runs.
pub(super) struct Run<'a> {
    pub(super) input: Option<&'a str>,
    pub(super) output: &'a str,
    pub(super) columns: &'a str,
    pub(super) precision: Precision,
    pub(super) threads: usize,
    pub(super) on_error: OnError,
    pub(super) id: Option<&'a str>,
    pub(super) fresh: bool,
}

impl Default for Run<'_> {
    fn default() -> Self {
        Self {
            input: None,
            output: "scores",
            columns: "value",
            precision: Precision::Full,
            threads: 2,
            on_error: OnError::Stop,
            id: None,
            fresh: false,
        }
    }
}

const TOWNS: [&str; 3] = ["Ulm", "Bath", "Lyon"];

impl Case {
    pub(super) fn new() -> Self {
        let schema = ProfileSchema::builder("score")
            .with_id_column("user")
            .with_field(FieldSpec::categorical("town", TOWNS))
            .with_field(FieldSpec::numeric("income"))
            .build()
            .unwrap();
        let mut table = TableBuilder::new(schema);
        for id in 0..30i64 {
            table.push_text(id, &[TOWNS[id as usize % 3], &id.to_string()]).unwrap();
        }
        let chain = ChainSchema::builder("score")
            .with_state(StateDef::ordinal("spend", ["low", "high"]))
            .build()
            .unwrap();
        let heads = Heads::new(true, vec![2], 3);
        let encoder =
            FrozenEncoder::with_random_weights(&EncoderConfig::default(), &table.finish(), &chain, heads, 3)
                .unwrap();
        let dir = tempfile::tempdir().unwrap();
        encoder.save(dir.path().join("artifact"), ArtifactInfo::new()).unwrap();
        fs::create_dir(dir.path().join("users")).unwrap();
        Self { dir, encoder }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file of users `first..` in row groups of so many; every fifth has no town, and no income either if its id is even.
    pub(super) fn users(&self, name: &str, first: i64, users: i64, group: usize) {
        let ids = first..first + users;
        let town = |id: i64| (id % 5 != 0).then(|| TOWNS[id as usize % 3]);
        let towns: Vec<Option<&str>> = ids.clone().map(town).collect();
        self.write(name, Arc::new(Int64Array::from_iter_values(ids)), towns, group);
    }

    pub(super) fn write(&self, name: &str, ids: ArrayRef, towns: Vec<Option<&str>>, group: usize) {
        let income = |row: usize| (!row.is_multiple_of(10)).then_some(row as i64 % 31);
        let incomes: Int64Array = (0..towns.len()).map(income).collect();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group));
        self.write_as(name, ids, towns, incomes, properties.build());
    }

    /// The same with incomes and properties of the file's own.
    pub(super) fn write_as(
        &self,
        name: &str,
        ids: ArrayRef,
        towns: Vec<Option<&str>>,
        incomes: Int64Array,
        properties: WriterProperties,
    ) {
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("income", Arc::new(incomes) as ArrayRef, true),
            ("user", ids, false),
            ("town", Arc::new(StringArray::from(towns)), true),
        ])
        .unwrap();
        let path = self.path("users").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut writer =
            ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    pub(super) fn run(
        &self,
        run: &Run<'_>,
        progress: &dyn Progress,
    ) -> scaletot_pipeline::Result<ScoreSummary> {
        let mut scorer = Scorer::open(self.path("artifact"))?.with_precision(run.precision)?.with_outputs(
            &run.columns.split(',').map(|name| name.parse().unwrap()).collect::<Vec<Output>>(),
        )?;
        if let Some(id) = run.id {
            scorer = scorer.with_id_column(id)?;
        }
        let input = run.input.map_or(self.path("users/**/*.parquet"), PathBuf::from);
        let job = FileJob::new([input.to_str().unwrap()], self.path(run.output))
            .with_threads(run.threads.try_into().unwrap())
            .with_on_error(run.on_error)
            .with_fresh(run.fresh);
        scorer.score_files(&job, progress)
    }

    pub(super) fn score(&self) -> scaletot_pipeline::Result<ScoreSummary> {
        self.run(&Run::default(), &())
    }

    pub(super) fn quarantine(&self) -> scaletot_pipeline::Result<ScoreSummary> {
        self.run(&Run { on_error: OnError::Quarantine, ..Run::default() }, &())
    }

    /// What the encoder says of a file of users.
    pub(super) fn expected(&self, name: &str) -> Vec<(String, Option<f32>)> {
        let path = self.path("users").join(name);
        let users = read_parquet(path, self.encoder.profile_schema(), &ReadOptions::new()).unwrap().profiles;
        let scores = self.encoder.score(&users).unwrap();
        let value = |row: usize| scores.value_of(row).map(|value| value as f32);
        (0..users.len()).map(|row| (users.id(row).to_string(), value(row))).collect()
    }

    /// What a file of scores says.
    pub(super) fn found(&self, name: &str) -> Vec<(String, Option<f32>)> {
        let mut found = vec![];
        for batch in batches(&self.path("scores").join(name)) {
            let values = batch.column_by_name("value").unwrap().as_primitive::<Float32Type>().clone();
            let ids = batch.column_by_name("user").unwrap().clone();
            for row in 0..batch.num_rows() {
                let id = match ids.as_primitive_opt::<Int64Type>() {
                    Some(ids) => ids.value(row).to_string(),
                    None => ids.as_string::<i32>().value(row).to_owned(),
                };
                found.push((id, values.is_valid(row).then(|| values.value(row))));
            }
        }
        found
    }

    pub(super) fn check(&self, name: &str) {
        let (found, expected) = (self.found(name), self.expected(name));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.0, expected.0);
            let near = |(a, b): (f32, f32)| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
            assert!(found.1.is_some() == expected.1.is_some(), "{found:?} {expected:?}");
            assert!(found.1.zip(expected.1).is_none_or(near), "{found:?} {expected:?}");
        }
    }
}

pub(super) fn batches(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

/// All files below a directory with their bytes.
pub(super) fn bytes(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(bytes(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

/// How many parts of a scoring run are whole.
pub(super) fn finished_parts(parts: &Path) -> usize {
    let Ok(directories) = fs::read_dir(parts) else { return 0 };
    let inner = directories.flatten().filter_map(|entry| fs::read_dir(entry.path()).ok()).flatten().flatten();
    inner.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "parquet")).count()
}
