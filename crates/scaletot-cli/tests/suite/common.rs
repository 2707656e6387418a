//! Runs the program and makes small tables.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the program did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// Its output, if it is done.
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out
    }

    /// Its error, if it failed.
    pub(crate) fn failed(self) -> String {
        assert_eq!(self.code, 1, "{}\n{}", self.out, self.err);
        self.err
    }

    /// Its output as JSON.
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.done()).unwrap()
    }
}

/// The program, to be run in `dir`.
pub(crate) fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scaletot"));
    command.current_dir(dir);
    command
}

/// Runs the program in `dir`; arguments are separated by blanks.
pub(crate) fn scaletot(dir: &Path, arguments: &str) -> Ran {
    Ran::of(&program(dir).args(arguments.split_whitespace()).output().unwrap())
}

pub(crate) const USERS: usize = 120;

/// Writes `users.csv`: one user in ten is blank, one in seven has no known outcome.
pub(crate) fn users(dir: &Path) -> PathBuf {
    let mut csv = String::from("user,age_band,income,member,interests,channel,joined,ltv_30d\n");
    for i in 0..USERS {
        let outcome = if i % 7 == 3 { String::new() } else { format!("{}", (i % 3) * (i % 5)) };
        if i % 10 == 9 {
            writeln!(csv, "u{i:04},,,,,,2024-01-02,{outcome}").unwrap();
            continue;
        }
        let age = ["18-34", "35-54", "55+"][i % 3];
        let income = if i % 4 == 0 { "-999".to_owned() } else { format!("{}", 1000 + 37 * (i % 29)) };
        let interests = ["garden;books", "sports", ""][i % 3];
        let channel = ["web", "store", "market"][i % 3];
        let joined = i % 28 + 1;
        writeln!(
            csv,
            "u{i:04},{age},{income},{},{interests},{channel},2024-01-{joined:02},{outcome}",
            i % 2 == 0
        )
        .unwrap();
    }
    let path = dir.join("users.csv");
    fs::write(&path, csv).unwrap();
    path
}
