//! Scores from Parquet to Parquet.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use scaletot_core::Progress;
use scaletot_encoder::Precision;
use scaletot_pipeline::tasks::ROW_NUMBER;
use scaletot_pipeline::{OnError, Output, Scorer};
use scaletot_profile::{ReadOptions, read_parquet};

use super::population::{Case, Run, batches, bytes, finished_parts};

/// Stops when it is told to.
#[derive(Default)]
struct Stopper(AtomicBool);

impl Progress for Stopper {
    fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn every_user_is_scored_once_and_in_order() {
    let case = Case::new();
    case.users("day=1/a.parquet", 0, 1000, 300);
    case.users("day=2/a.parquet", 1000, 10, 300);
    case.users("day=2/none.parquet", 0, 0, 300);
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["007", "x", "12"]));
    case.write("texts.parquet", ids, vec![Some("Ulm"), None, Some("Bath")], 2);
    let nobody: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
    case.write("no-texts.parquet", nobody, vec![], 2);
    let summary = case.run(&Run { threads: 3, ..Run::default() }, &()).unwrap();
    assert_eq!((summary.files, summary.users, summary.scored), (5, 1013, 1013));
    for (name, text) in [("day=2/none.parquet", false), ("no-texts.parquet", true)] {
        let file = File::open(case.path("scores").join(name)).unwrap();
        let schema = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().schema().clone();
        assert_eq!(*schema.field(0).data_type() == arrow_schema::DataType::Utf8, text, "{name}");
    }
    for name in ["day=1/a.parquet", "day=2/a.parquet", "day=2/none.parquet", "texts.parquet"] {
        case.check(name);
    }
    // Ids 0, 10, 20 and so on have nothing.
    assert_eq!(summary.abstained, 101);
    assert!(summary.quarantined.is_empty() && !case.path("scores/.parts").exists());

    // Nothing is left to do, and nothing is touched.
    let before = bytes(&case.path("scores"));
    let again = case.score().unwrap();
    assert_eq!((again.users, again.scored), (1013, 0));
    assert_eq!(bytes(&case.path("scores")), before);
    assert!(again.left_over.is_empty());

    // Scores of users who are gone are not removed, but named.
    fs::remove_file(case.path("users/day=1/a.parquet")).unwrap();
    let without = case.score().unwrap();
    assert_eq!((without.users, without.left_over.as_slice()), (13, &[PathBuf::from("day=1/a.parquet")][..]));
    assert!(case.path("scores/day=1/a.parquet").exists());
}

#[test]
fn batches_in_memory_are_scored_as_files_are() {
    let case = Case::new();
    case.users("a.parquet", 0, 50, 20);
    case.score().unwrap();
    let scorer = Scorer::open(case.path("artifact")).unwrap();
    let users = batches(&case.path("users/a.parquet"));
    let scored: Vec<RecordBatch> = scorer.score_batches(users).map(Result::unwrap).collect();
    let files = batches(&case.path("scores/a.parquet"));
    let schema = files[0].schema();
    let joined = |batches: &[RecordBatch]| arrow_select::concat::concat_batches(&schema, batches).unwrap();
    assert_eq!(joined(&scored), joined(&files));
}

#[test]
fn all_columns_are_those_of_the_encoder() {
    let case = Case::new();
    case.users("a.parquet", 0, 40, 100);
    let columns = "sigma,value,p-positive,mu,q90,abstained,states,representation,representation-f16,representation-int8";
    case.run(&Run { columns, ..Run::default() }, &()).unwrap();
    let batch = &batches(&case.path("scores/a.parquet"))[0];
    let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    let expected = "user,sigma,value,p_positive,mu,q90,abstained,state.spend,representation,representation_f16,representation_int8";
    assert_eq!(names.join(","), expected);
    let users =
        read_parquet(case.path("users/a.parquet"), case.encoder.profile_schema(), &ReadOptions::new());
    let scores = case.encoder.score(&users.unwrap().profiles).unwrap();
    let list = |name: &str, row: usize| -> Vec<f32> {
        let column = batch.column_by_name(name).unwrap();
        let values = column.as_fixed_size_list().value(row);
        let values = arrow_cast(&values);
        values.as_primitive::<Float32Type>().values().to_vec()
    };
    for row in 1..10 {
        assert_eq!(list("state.spend", row), scores.posteriors[0].row(row).to_vec());
        let full = scores.representation.row(row).to_vec();
        assert_eq!(list("representation", row), full);
        let most = full.iter().fold(0f32, |most, x| most.max(x.abs()));
        for ((half, int8), full) in
            list("representation_f16", row).iter().zip(list("representation_int8", row)).zip(&full)
        {
            assert!((half - full).abs() <= full.abs() * 1e-3 + 1e-7);
            assert!((int8 - full / most * 127.0).abs() <= 0.5001);
        }
    }
    let quantiles = batch.column_by_name("q90").unwrap().as_primitive::<Float32Type>();
    let expected = scores.distribution_of(3).unwrap().quantile(0.9).unwrap();
    assert!(quantiles.is_null(0) && (f64::from(quantiles.value(3)) - expected).abs() <= 1e-4 * expected);
    assert!(batch.column_by_name("state.spend").unwrap().is_null(0) && scores.abstained[0]);
    assert!(batch.column_by_name("abstained").unwrap().as_boolean().value(0));
    let message = scaletot_pipeline::causes(
        &case.run(&Run { columns: "value,value", ..Run::default() }, &()).unwrap_err(),
    );
    assert!(message.contains("named twice"), "{message}");
    let message = "score".parse::<Output>().unwrap_err();
    assert!(message.contains("expected one of value, p-positive"), "{message}");
}

/// Numbers of any type as 32-bit floats.
fn arrow_cast(values: &ArrayRef) -> ArrayRef {
    use arrow_array::types::{Float16Type, Int8Type};
    let floats: arrow_array::Float32Array = match values.data_type() {
        arrow_schema::DataType::Float16 => {
            values.as_primitive::<Float16Type>().iter().map(|x| x.map(f32::from)).collect()
        }
        arrow_schema::DataType::Int8 => {
            values.as_primitive::<Int8Type>().iter().map(|x| x.map(f32::from)).collect()
        }
        _ => return values.clone(),
    };
    Arc::new(floats)
}

#[test]
fn a_stopped_run_resumes_and_ends_with_the_same_files() {
    let case = Case::new();
    case.users("a.parquet", 0, 40_000, 1000);
    case.users("b.parquet", 40_000, 40_000, 1000);
    case.score().unwrap();
    let whole = bytes(&case.path("scores"));
    fs::remove_dir_all(case.path("scores")).unwrap();
    let (mut runs, mut scored) = (0, 0);
    let last = loop {
        let stopping = Arc::new(Stopper::default());
        let stopper = Arc::clone(&stopping);
        let output = case.path("scores/.parts");
        let before = finished_parts(&output);
        let watch = std::thread::spawn(move || {
            // As Ctrl-C would, when some more parts are there.
            while finished_parts(&output) < before + 7 && !stopper.stopped() {
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
            stopper.0.store(true, Ordering::Relaxed);
        });
        let result = case.run(&Run::default(), &*stopping);
        stopping.0.store(true, Ordering::Relaxed);
        watch.join().unwrap();
        runs += 1;
        match result {
            Ok(summary) => break summary,
            Err(error) => {
                assert!(error.to_string().contains("the same call resumes"), "{error}");
                scored += 1;
            }
        }
        assert!(runs < 100);
    };
    assert!(scored > 0 && last.scored < 80_000, "{runs} runs, {} users in the last", last.scored);
    assert_eq!(last.users, 80_000);
    assert_eq!(bytes(&case.path("scores")), whole);
}

#[test]
fn a_bad_row_group_stops_the_run_or_is_left_out() {
    let case = Case::new();
    let towns: Vec<Option<&str>> = (0..50).map(|row| Some(if row == 23 { "Rome" } else { "Ulm" })).collect();
    case.write("bad.parquet", Arc::new(Int64Array::from_iter_values(0..50)), towns, 10);
    case.users("good.parquet", 100, 30, 10);
    let message = scaletot_pipeline::causes(&case.score().unwrap_err());
    assert_eq!(message.matches("bad.parquet").count(), 1, "{message}");
    for part in ["bad.parquet", "row group 2", "row 24", r#"found "Rome""#, "--on-error quarantine"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!case.path("scores/bad.parquet").exists());

    // The one row is left out, and nobody beside it.
    let summary = case.quarantine().unwrap();
    assert_eq!((summary.files, summary.users, summary.quarantined.len()), (2, 79, 1));
    assert_eq!((summary.quarantined[0].row_group, summary.quarantined[0].rows), (Some(2), 1));
    assert_eq!(summary.left_out_line(), "1 of 80 users");
    let ids: Vec<String> = case.found("bad.parquet").into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, (0..50).filter(|id| *id != 23).map(|id| id.to_string()).collect::<Vec<_>>());
    assert_eq!(case.quarantine().unwrap().scored, 0, "what may be left out again is kept");
    let listed = fs::read_to_string(case.path("scores/quarantine.json")).unwrap();
    assert!(listed.contains("Rome") && listed.contains("\"row_group\": 2"), "{listed}");

    // Repaired, the file is scored again, and nothing is left out any more.
    case.users("bad.parquet", 0, 50, 10);
    let summary = case.score().unwrap();
    assert_eq!((summary.users, summary.scored, summary.quarantined.len()), (80, 50, 0));
    case.check("bad.parquet");
    assert!(!case.path("scores/quarantine.json").exists());
}

#[test]
fn a_row_group_of_which_no_row_fits_is_left_out_whole_and_nobody_at_all_is_an_error() {
    let case = Case::new();
    let towns = |rows: std::ops::Range<usize>| {
        (rows.start..rows.end).map(|row| Some(if row < 10 { "Rome" } else { "Ulm" })).collect()
    };
    case.write("a.parquet", Arc::new(Int64Array::from_iter_values(0..30)), towns(0..30), 10);
    let summary = case.quarantine().unwrap();
    assert_eq!((summary.users, summary.left_out_line().as_str()), (20, "10 of 30 users"));
    assert_eq!(case.quarantine().unwrap().scored, 0);
    case.write("a.parquet", Arc::new(Int64Array::from_iter_values(0..10)), towns(0..10), 10);
    let message = scaletot_pipeline::causes(&case.quarantine().unwrap_err());
    assert!(message.contains("nobody could be scored") && message.contains("Rome"), "{message}");
    assert!(case.path("scores/quarantine.json").exists());

    // Of a CSV file likewise.
    fs::remove_file(case.path("users/a.parquet")).unwrap();
    fs::write(case.path("users/a.csv"), "user,town,income\n7,Ulm,3\n8,Rome,\n9,Bath,\n").unwrap();
    let csv = case.path("users/a.csv");
    let run =
        || Run { input: csv.to_str(), output: "other", on_error: OnError::Quarantine, ..Run::default() };
    let summary = case.run(&run(), &()).unwrap();
    assert_eq!((summary.users, summary.left_out_line().as_str()), (2, "1 of 3 users"));
    assert_eq!(case.run(&run(), &()).unwrap().quarantined.len(), 1);
}

#[test]
fn files_that_are_no_parquet_files_are_named() {
    let case = Case::new();
    case.users("a.parquet", 0, 10, 10);
    fs::write(case.path("users/torn.parquet"), b"PAR1 and no more").unwrap();
    let message = scaletot_pipeline::causes(&case.score().unwrap_err());
    assert!(message.contains("torn.parquet"), "{message}");
    let summary = case.quarantine().unwrap();
    assert_eq!((summary.users, summary.quarantined.len(), summary.quarantined[0].row_group), (10, 1, None));
    fs::remove_file(case.path("users/a.parquet")).unwrap();
    let message = scaletot_pipeline::causes(&case.quarantine().unwrap_err());
    assert!(message.contains("none of the 1 input files") && message.contains("torn.parquet"), "{message}");
}

#[test]
fn a_file_that_is_something_else_is_left_out_and_the_job_goes_on() {
    let case = Case::new();
    case.users("a.parquet", 0, 10, 10);
    fs::write(case.path("users/b.parquet"), "user,town,income\n7,Ulm,3\n").unwrap();
    let message = scaletot_pipeline::causes(&case.score().unwrap_err());
    assert!(message.contains("b.parquet: found text, such as CSV"), "{message}");
    let summary = case.quarantine().unwrap();
    assert_eq!((summary.users, summary.left_out_line().as_str()), (10, "1 of 2 files"));
    assert!(summary.quarantined[0].error.contains("found text, such as CSV"), "{:?}", summary.quarantined);
}

#[test]
fn rows_of_a_csv_file_that_are_ragged_or_repeat_an_id_cost_themselves_alone() {
    let case = Case::new();
    let table = b"user,town,income\n5,Ulm\n7,Ulm,3\n7,Ulm,4\n8,B\xe4th,1\n9,Bath,2\n";
    fs::write(case.path("users/a.csv"), table).unwrap();
    let csv = case.path("users/a.csv");
    let run = Run { input: csv.to_str(), on_error: OnError::Quarantine, ..Run::default() };
    let summary = case.run(&run, &()).unwrap();
    assert_eq!((summary.users, summary.left_out_line().as_str()), (2, "3 of 5 users"));
    let ids: Vec<String> = case.found("a.parquet").into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["7", "9"]);
}

#[test]
fn damaged_parts_and_outputs_are_made_again() {
    let case = Case::new();
    case.users("a.parquet", 0, 100, 10);
    case.score().unwrap();
    let whole = bytes(&case.path("scores"));
    let output = case.path("scores/a.parquet");
    let cut = &whole[&output][..whole[&output].len() / 2];
    fs::write(&output, cut).unwrap();
    fs::create_dir_all(case.path("scores/.parts/a.parquet")).unwrap();
    fs::write(case.path("scores/.parts/a.parquet/3.parquet"), cut).unwrap();
    assert_eq!(case.score().unwrap().scored, 100);
    assert_eq!(bytes(&case.path("scores")), whole);
}

#[test]
fn what_would_mix_or_replace_is_refused() {
    let case = Case::new();
    case.users("a.parquet", 0, 10, 10);
    // What was there before, read or not, is not written over.
    fs::create_dir(case.path("scores")).unwrap();
    fs::write(case.path("scores/a.parquet"), "notes").unwrap();
    for _ in 0..2 {
        let message = scaletot_pipeline::causes(&case.score().unwrap_err());
        assert!(message.contains("a.parquet holds no scores"), "{message}");
        assert_eq!(fs::read(case.path("scores/a.parquet")).unwrap(), b"notes");
    }
    fs::remove_file(case.path("scores/a.parquet")).unwrap();
    case.score().unwrap();
    fs::copy(case.path("users/a.parquet"), case.path("scores/a.parquet")).unwrap();
    assert!(scaletot_pipeline::causes(&case.score().unwrap_err()).contains("holds no scores"));
    fs::remove_file(case.path("scores/a.parquet")).unwrap();
    case.score().unwrap();
    let message = scaletot_pipeline::causes(
        &case.run(&Run { precision: Precision::Int8, ..Run::default() }, &()).unwrap_err(),
    );
    assert!(message.contains("precision: full there, int8 here"), "{message}");

    // The places of scores would be others.
    let others = case.path("others");
    fs::create_dir(&others).unwrap();
    fs::copy(case.path("users/a.parquet"), others.join("b.parquet")).unwrap();
    let message = scaletot_pipeline::causes(
        &case.run(&Run { input: others.join("*.parquet").to_str(), ..Run::default() }, &()).unwrap_err(),
    );
    assert!(message.contains("users below: "), "{message}");

    let held = File::create(case.path("scores/.lock")).unwrap();
    held.lock().unwrap();
    let message = scaletot_pipeline::causes(&case.score().unwrap_err());
    assert!(message.contains("another run"), "{message}");
    drop(held);

    // Scores below the users are no users.
    for _ in 0..2 {
        assert_eq!(case.run(&Run { output: "users/scores", ..Run::default() }, &()).unwrap().users, 10);
    }
    let message =
        scaletot_pipeline::causes(&case.run(&Run { output: "users", ..Run::default() }, &()).unwrap_err());
    assert!(message.contains("names a file outside of the output directory"), "{message}");
    assert_eq!(case.expected("a.parquet").len(), 10);
}

#[test]
fn users_without_ids_are_numbered_and_other_ids_are_named() {
    let case = Case::new();
    // As of an artifact whose table had no ids.
    let mut scorer = Scorer::open(case.path("artifact")).unwrap();
    case.users("a.parquet", 100, 50, 20);
    let batch = &batches(&case.path("users/a.parquet"))[0];
    let without = batch.project(&[0, 2]).unwrap();
    let message = scaletot_pipeline::causes(&scorer.score(&without).unwrap_err());
    assert!(message.contains("no column \"user\""), "{message}");
    scorer = scorer.with_id_column(ROW_NUMBER).unwrap();
    let scored = scorer.score(&without).unwrap();
    assert_eq!(scored.schema().field(0).name(), ROW_NUMBER);
    assert_eq!(scored.column(0).as_primitive::<Int64Type>().values()[..3], [1, 2, 3]);
    let error = scorer.with_id_column("town").unwrap_err();
    assert!(error.to_string().contains("town"), "{error}");

    // Through row groups the numbers go on.
    let numbered = || Run { id: Some(ROW_NUMBER), ..Run::default() };
    assert_eq!(case.run(&numbered(), &()).unwrap().users, 50);
    let ids = |column: &str| -> Vec<i64> {
        let of = |batch: RecordBatch| batch[column].as_primitive::<Int64Type>().values().to_vec();
        batches(&case.path("scores/a.parquet")).into_iter().flat_map(of).collect()
    };
    assert_eq!(ids(ROW_NUMBER), (1..=50).collect::<Vec<_>>());
    let message = scaletot_pipeline::causes(&case.score().unwrap_err());
    assert!(message.contains("id: row number there, user here") && message.contains("--fresh"), "{message}");
    let message = scaletot_pipeline::causes(
        &case.run(&Run { id: Some("customer"), fresh: true, ..Run::default() }, &()).unwrap_err(),
    );
    assert!(message.contains("--id names their column") && message.contains("the columns are"), "{message}");
    // Ids under another name than in training.
    let income = case.run(&Run { id: Some("user"), fresh: true, ..Run::default() }, &()).unwrap();
    assert_eq!(income.users, 50);
    assert_eq!(ids("user"), (100..150).collect::<Vec<_>>());
}

#[test]
fn a_run_that_scored_nobody_stands_in_nobodys_way() {
    let case = Case::new();
    case.write("a.parquet", Arc::new(Int64Array::from(vec![1, 2])), vec![Some("Rome"), None], 10);
    assert!(case.score().is_err());
    case.users("a.parquet", 0, 10, 10);
    let other = || Run { columns: "value,q50", ..Run::default() };
    assert_eq!(case.run(&other(), &()).unwrap().users, 10);
    fs::write(case.path("scores/notes.txt"), "mine").unwrap();
    let message = scaletot_pipeline::causes(&case.score().unwrap_err());
    assert!(message.contains("columns: value,q50 there, value here"), "{message}");
    assert_eq!(case.run(&Run { fresh: true, ..Run::default() }, &()).unwrap().scored, 10);
    assert!(case.path("scores/notes.txt").exists(), "what is no score stays");
}

#[test]
fn a_csv_file_is_scored_as_a_parquet_file_is() {
    let case = Case::new();
    fs::write(case.path("users/a.csv"), "user,town,income\n7,Ulm,3\n8,,\n9,Bath,\n").unwrap();
    let input = case.path("users/*.csv");
    let csv = || Run { input: input.to_str(), ..Run::default() };
    assert_eq!(case.run(&csv(), &()).unwrap().scored, 3);
    assert_eq!(case.run(&csv(), &()).unwrap().scored, 0, "what is scored is kept");
    let ids: Vec<String> = case.found("a.parquet").into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["7", "8", "9"]);
    assert!(!case.path("scores/.tables").exists());

    fs::write(case.path("users/a.csv"), "user,town,income\n7,Ulm,3\n8,Rome,\n").unwrap();
    let message = scaletot_pipeline::causes(&case.run(&csv(), &()).unwrap_err());
    assert!(
        message.contains("a.csv, row 2 (line 3)") && message.contains("unknown = \"bucket\""),
        "{message}"
    );
    case.users("a.parquet", 0, 10, 10);
    fs::write(case.path("users/a.csv"), "user,town,income\n7,Ulm,3\n").unwrap();
    let both = case.path("users/a.*");
    let message = scaletot_pipeline::causes(
        &case.run(&Run { input: both.to_str(), ..Run::default() }, &()).unwrap_err(),
    );
    assert!(message.contains("would both be a.parquet"), "{message}");
}

#[test]
fn the_directory_of_a_run_is_told_from_its_artifact() {
    let case = Case::new();
    let message = Scorer::open(&case.dir).unwrap_err().to_string();
    assert!(message.contains("found the directory of a run; its artifact is "), "{message}");
}
