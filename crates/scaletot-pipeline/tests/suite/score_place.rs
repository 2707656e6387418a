//! What `score` notices of its inputs and outputs, and what it leaves alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use scaletot_pipeline::causes;

use super::population::{Case, Run, batches, bytes};

/// Users whose incomes leave no trace in the file's length and directory, as some writers' defaults do.
fn users(case: &Case, incomes: impl Fn(i64) -> i64) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(20));
    let ids = Arc::new(Int64Array::from_iter_values(0..60));
    let towns = (0..60).map(|row| Some(["Ulm", "Bath", "Lyon"][row % 3])).collect();
    let incomes = Int64Array::from_iter_values((0..60).map(incomes));
    case.write_as("a.parquet", ids, towns, incomes, properties.build());
    fs::read(case.path("users/a.parquet")).unwrap()
}

/// A Parquet file's directory with its length.
fn directory(file: &[u8]) -> (usize, &[u8]) {
    let length = u32::from_le_bytes(file[file.len() - 8..file.len() - 4].try_into().unwrap()) as usize;
    (file.len(), &file[file.len() - 8 - length..])
}

#[test]
fn a_value_that_is_corrected_in_place_is_scored_again() {
    let case = Case::new();
    let before = users(&case, |row| row % 31);
    case.score().unwrap();
    assert_eq!(case.score().unwrap().scored, 0);
    let after = users(&case, |row| if row == 41 { 3 } else { row % 31 });
    assert_eq!(directory(&before), directory(&after), "nothing but a page tells the difference");
    assert_ne!(before, after);
    assert_eq!(case.score().unwrap().scored, 60);
    case.check("a.parquet");

    // So is one of a CSV file, which is known by its own bytes.
    let (input, csv) = (case.path("users/b.csv"), case.path("users/*.csv"));
    let run = || Run { input: csv.to_str(), output: "others", ..Run::default() };
    fs::write(&input, "user,town,income\n7,Ulm,3\n").unwrap();
    assert_eq!(case.run(&run(), &()).unwrap().scored, 1);
    fs::write(&input, "user,town,income\n7,Ulm,8\n").unwrap();
    assert_eq!(case.run(&run(), &()).unwrap().scored, 1);
}

#[test]
fn any_byte_of_the_scores_that_changes_is_noticed() {
    let case = Case::new();
    case.users("a.parquet", 0, 60, 20);
    case.score().unwrap();
    let whole = bytes(&case.path("scores"));
    let output = case.path("scores/a.parquet");
    let good = &whole[&output];
    let pages = good.len() - directory(good).1.len();
    let damaged = |what: &str, edited: &[u8]| {
        fs::write(&output, edited).unwrap();
        let summary = case.score().map_err(|error| causes(&error)).unwrap();
        assert_eq!(summary.scored, 60, "{what}");
        assert!(bytes(&case.path("scores")) == whole, "{what}");
    };
    // Pages, and the directory, in which some changes make the file unreadable and others make it one of somebody else.
    for at in
        (0..pages).step_by(pages / 12).chain((pages..good.len()).step_by(9)).chain(good.len() - 8..good.len())
    {
        let mut edited = good.clone();
        edited[at] ^= 1;
        damaged(&format!("byte {at}"), &edited);
    }
    // What was made of them is in a string of text, which is tried in every digit.
    let text = good.windows(9).position(|window| window == b"settings\"").unwrap();
    for at in text..text + 40 {
        let mut edited = good.clone();
        edited[at] ^= 1;
        damaged(&format!("byte {at} of the origin"), &edited);
    }
    let half = good.len() / 2;
    damaged("zeros", &vec![0; good.len()]);
    damaged("zeros at the end", &[&good[..half], &vec![0; good.len() - half][..]].concat());
    damaged("zeros at the beginning", &[&vec![0; half][..], &good[half..]].concat());
    damaged("cut", &good[..half]);
    // Emptied, swapped or gone.
    case.users("b.parquet", 100, 60, 20);
    case.score().unwrap();
    fs::write(&output, "").unwrap();
    assert_eq!(case.score().unwrap().scored, 60);
    fs::copy(case.path("scores/b.parquet"), &output).unwrap();
    assert_eq!(case.score().unwrap().scored, 60);
    fs::remove_file(&output).unwrap();
    assert_eq!(case.score().unwrap().scored, 60);
    case.check("a.parquet");
}

#[test]
fn a_part_that_was_changed_is_not_put_into_the_scores() {
    let case = Case::new();
    case.users("a.parquet", 0, 40, 20);
    let towns = vec![Some("Rome")];
    case.write("b.parquet", Arc::new(Int64Array::from(vec![100])), towns, 20);
    // The damaged second file leaves what is scored of the first, or its whole scores.
    let one = Run { threads: 1, ..Run::default() };
    assert!(case.run(&one, &()).is_err());
    let parts: Vec<PathBuf> =
        bytes(&case.path("scores")).into_keys().filter(|path| is_parquet(path)).collect();
    for part in parts {
        let mut edited = fs::read(&part).unwrap();
        edited[6] ^= 1;
        fs::write(&part, edited).unwrap();
    }
    case.users("b.parquet", 100, 1, 20);
    case.run(&one, &()).unwrap();
    case.check("a.parquet");
    case.check("b.parquet");
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "parquet")
}

#[test]
fn what_no_run_has_written_is_not_written_over() {
    let case = Case::new();
    case.users("a.parquet", 0, 10, 10);
    case.score().unwrap();
    let refused = |case: &Case| causes(&case.score().unwrap_err());
    // Somebody's file in the place of scores that were there.
    fs::write(case.path("scores/a.parquet"), "mine").unwrap();
    assert!(refused(&case).contains("holds no scores"), "{}", refused(&case));
    assert_eq!(fs::read(case.path("scores/a.parquet")).unwrap(), b"mine");

    for name in ["score.json", "quarantine.json"] {
        let scores = tempfile::tempdir().unwrap();
        let output = scores.path().to_str().unwrap();
        fs::write(scores.path().join(name), r#"{"tennis": [6, 4]}"#).unwrap();
        let message = causes(&case.run(&Run { output, ..Run::default() }, &()).unwrap_err());
        assert!(message.contains(name) && message.contains("is not written over"), "{message}");
        assert_eq!(fs::read(scores.path().join(name)).unwrap(), br#"{"tennis": [6, 4]}"#);
    }
}

/// Scores of other settings whose settings file is gone are scores of somebody.
#[test]
fn scores_of_other_settings_are_not_written_over_where_nothing_tells_the_settings() {
    let case = Case::new();
    case.users("a.parquet", 0, 10, 10);
    case.score().unwrap();
    fs::remove_file(case.path("scores/score.json")).unwrap();
    let other = || Run { columns: "value,q50", ..Run::default() };
    let message = causes(&case.run(&other(), &()).unwrap_err());
    assert!(message.contains("no scores of a run with these settings"), "{message}");
    assert_eq!(case.score().unwrap().scored, 0);
}

#[cfg(unix)]
#[test]
fn nothing_is_written_or_removed_through_a_link() {
    use std::os::unix::fs::symlink;

    let case = Case::new();
    case.users("a.parquet", 0, 40, 20);
    case.users("day=1/b.parquet", 0, 40, 20);
    let elsewhere = case.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    case.score().unwrap();
    fs::copy(case.path("scores/a.parquet"), elsewhere.join("mine.parquet")).unwrap();
    fs::write(elsewhere.join(".a.parquet.part"), "mine").unwrap();
    let before = bytes(&elsewhere);
    for name in [".parts", ".tables", "day=1", "a.parquet", "score.json", ".scores.sha256"] {
        let scores = tempfile::tempdir().unwrap();
        let output = scores.path().to_str().unwrap();
        symlink(&elsewhere, scores.path().join(name)).unwrap();
        let message = causes(&case.run(&Run { output, ..Run::default() }, &()).unwrap_err());
        assert!(message.contains(name), "{name}: {message}");
        let fresh = case.run(&Run { output, fresh: true, ..Run::default() }, &());
        assert!(bytes(&elsewhere) == before, "{name}: {fresh:?}");
    }
}

#[test]
fn starting_over_removes_what_kills_leave_and_nothing_else() {
    let case = Case::new();
    case.users("a.parquet", 0, 40, 20);
    case.score().unwrap();
    let whole = bytes(&case.path("scores"));
    let put = |name: &str, text: &str| {
        let path = case.path("scores").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    let parts = [".parts/gone.parquet/0.parquet", ".parts/gone.parquet/.1.parquet.part", ".tables/c.parquet"];
    let left = parts.map(|name| put(name, "half"));
    let foreign = ["notes.txt", ".parts/notes.txt", "day=2/mine.parquet"].map(|name| put(name, "mine"));
    case.run(&Run { fresh: true, ..Run::default() }, &()).unwrap();
    assert!(left.iter().all(|path| !path.exists()));
    let mut expected: BTreeMap<PathBuf, Vec<u8>> = whole;
    expected.extend(foreign.map(|path| (path, b"mine".to_vec())));
    let found = bytes(&case.path("scores"));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(found == expected);
}

#[test]
fn starting_over_leaves_files_of_somebody_else_and_helps_where_ours_are_damaged() {
    let case = Case::new();
    case.users("a.parquet", 0, 40, 20);
    case.score().unwrap();
    let whole = bytes(&case.path("scores"));
    let fresh = || case.run(&Run { fresh: true, ..Run::default() }, &());
    for (name, foreign) in [
        ("score.json", &b"{\"tennis\": [6, 4]}"[..]),
        ("quarantine.json", b"[\"tennis\"]"),
        (".scores.sha256", b"shopping: milk"),
    ] {
        let path = case.path("scores").join(name);
        fs::write(&path, foreign).unwrap();
        let before = bytes(&case.path("scores"));
        let message = causes(&fresh().unwrap_err());
        assert!(message.contains(name) && message.contains("is not written over"), "{message}");
        let same = |(path, bytes): (&PathBuf, &Vec<u8>)| path.ends_with(".lock") || before[path] == *bytes;
        assert!(bytes(&case.path("scores")).iter().all(same), "{name}: nothing is removed");
        match whole.get(&path) {
            Some(good) => fs::write(&path, good).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    // A file of somebody else's in the place of scores that were there.
    let path = case.path("scores/a.parquet");
    fs::copy(case.path("users/a.parquet"), &path).unwrap();
    let message = causes(&fresh().unwrap_err());
    assert!(message.contains("holds no scores"), "{message}");
    assert_eq!(fs::read(&path).unwrap(), fs::read(case.path("users/a.parquet")).unwrap());
    fs::remove_file(&path).unwrap();
    // Damaged ones of ours.
    fresh().unwrap();
    let settings = case.path("scores/score.json");
    let good = fs::read(&settings).unwrap();
    for bad in [good[..good.len() - 9].to_vec(), vec![], vec![0; good.len()]] {
        fs::write(&settings, bad).unwrap();
        let message = causes(&case.score().unwrap_err());
        assert!(message.contains("--fresh"), "{message}");
        assert_eq!(fresh().unwrap().scored, 40);
        assert!(bytes(&case.path("scores")) == whole);
    }
}

#[test]
fn scores_are_listed_with_their_hashes_as_other_programs_do() {
    let case = Case::new();
    case.users("day=1/a.parquet", 0, 10, 10);
    case.score().unwrap();
    let listed = fs::read_to_string(case.path("scores/.scores.sha256")).unwrap();
    let hash = scaletot_core::ContentHash::of_file(case.path("scores/day=1/a.parquet")).unwrap();
    assert_eq!(listed, format!("{hash}  day=1/a.parquet\n"));
    let rows: usize = batches(&case.path("scores/day=1/a.parquet")).iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 10);
}

#[test]
fn gigabytes_that_are_no_table_are_refused_before_they_are_read() {
    let case = Case::new();
    fs::create_dir_all(case.path("users")).unwrap();
    for name in ["a.parquet", "b.csv"] {
        let path = case.path(&format!("users/{name}"));
        // A sparse file: to hash it would take minutes.
        fs::File::create(&path).unwrap().set_len(256 << 30).unwrap();
        let began = std::time::Instant::now();
        let error = case.run(&Run { input: path.to_str(), ..Run::default() }, &()).unwrap_err();
        assert!(causes(&error).contains(name), "{}", causes(&error));
        assert!(began.elapsed().as_secs() < 20, "{name}: {:?}", began.elapsed());
        fs::remove_file(path).unwrap();
    }
}
