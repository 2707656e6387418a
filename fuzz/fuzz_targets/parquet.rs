//! Whatever a file holds, reading it as Parquet, whole or group by group, gives the same profiles or an error.
#![no_main]

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use libfuzzer_sys::fuzz_target;
use scaletot_fuzz::profiles;
use scaletot_profile::{Error, Loaded, ParquetProfiles, ProfileSchema, ReadOptions, read_parquet};

static SCHEMA: LazyLock<ProfileSchema> = LazyLock::new(profiles::schema);
static OPTIONS: LazyLock<ReadOptions> = LazyLock::new(profiles::options);
static PATH: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("scaletot-fuzz-{}.parquet", std::process::id())));
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// A few bytes may honestly say that a value comes a milliard times; to read them all would take its time.
const MOST_ROWS: usize = 100_000;

fuzz_target!(
    init: {
        // The decoder may panic; the library turns that into an error. The hook that is there aborts before it could.
        panic::set_hook(Box::new(|panic| *LAST_PANIC.lock().unwrap() = panic.to_string()));
    },
    |data: &[u8]| {
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| check(data))) {
            eprintln!("{}", LAST_PANIC.lock().unwrap());
            panic::resume_unwind(panic);
        }
    }
);

fn check(data: &[u8]) {
    scaletot_fuzz::overwrite(&PATH, data).unwrap();
    let Ok(file) = ParquetProfiles::open(&*PATH, &SCHEMA, &OPTIONS) else { return };
    let groups = (0..file.row_groups()).filter(|&group| file.rows_of(group).unwrap() <= MOST_ROWS);
    let groups: Vec<_> = groups.map(|group| read_group(&file, group)).collect();
    if file.rows() > MOST_ROWS {
        return;
    }
    let Ok(whole) = read_parquet(&*PATH, &SCHEMA, &OPTIONS) else { return };
    assert_eq!(whole.profiles.len(), file.rows());
    let mut first = 0;
    for batch in groups.into_iter().flat_map(Result::unwrap) {
        for row in 0..batch.profiles.len() {
            assert_eq!(says(&batch, row), says(&whole, first + row), "row {}", first + row);
        }
        first += batch.profiles.len();
    }
    assert_eq!(first, whole.profiles.len());
}

fn read_group(file: &ParquetProfiles, group: usize) -> Result<Vec<Loaded>, Error> {
    let batches: Vec<Loaded> = file.row_group(group)?.collect::<Result<_, _>>()?;
    let rows: usize = batches.iter().map(|batch| batch.profiles.len()).sum();
    assert_eq!(Some(rows), file.rows_of(group));
    Ok(batches)
}

/// Everything that was read in a row.
fn says(loaded: &Loaded, row: usize) -> impl PartialEq + std::fmt::Debug {
    let Loaded { profiles, attributes, .. } = loaded;
    let fields = 0..profiles.schema().fields().len();
    let further = (
        attributes.number("spend").unwrap()[row],
        &attributes.text("tier").unwrap()[row],
        attributes.flag("active").unwrap()[row],
    );
    (profiles.id(row), fields.map(|field| profiles.value(row, field)).collect::<Vec<_>>(), further)
}
