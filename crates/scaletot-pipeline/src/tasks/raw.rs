//! The table of the `KuaiRand` tasks from the files as they are published.
//!
//! The logs hold one event per video shown. What was logged before 25 April 2022 is history; the outcomes are taken over the fourteen
//! days from then on, to 8 May:
//!
//! | column | meaning |
//! | --- | --- |
//! | `history_len` | events before 25 April |
//! | `low_activity` | 1 if `history_len` is at most 14, else 0 |
//! | `lt14_days` | distinct dates with an event from 25 April to 8 May |
//! | `lt14_views` | events from 25 April to 8 May |
//! | `lt14_play_s` | sum of `play_time_ms` over them, in seconds |
//!
//! The users are those of the user table, each once. A user without an event before 25 April has `history_len` 0 and so is of low
//! activity; one without an event from then on has outcomes of 0. Users who are in a log only have no profile and are left out.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Context, Result, bail};
use csv::{Reader, StringRecord, Writer};

use super::file::open;

/// First date of the outcomes, as the logs write it.
const FROM: u32 = 20_220_425;
/// A user with more events before the window is not of low activity.
const LOW_ACTIVITY: u64 = 14;
/// Columns that are added to the user table.
const DERIVED: [&str; 5] = ["history_len", "low_activity", "lt14_days", "lt14_views", "lt14_play_s"];
/// Columns whose integers the user table writes as floats where some are missing, by their beginning.
const CODES: &str = "onehot_feat";

/// What the logs say about one user.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Activity {
    history: u64,
    /// One bit per day of the window.
    days: u16,
    views: u64,
    play_ms: f64,
}

/// The user table with the derived columns, as CSV with one line per user, in the published order.
pub(super) fn kuairand(users: &Path, logs: &[impl AsRef<Path>]) -> Result<Vec<u8>> {
    let mut activity = HashMap::new();
    for log in logs {
        let log = log.as_ref();
        add_log(open(log)?, &mut activity).with_context(|| log.display().to_string())?;
    }
    derive(open(users)?, &activity).with_context(|| users.display().to_string())
}

/// Adds the events of one log, reading one after the other.
fn add_log(source: impl Read, activity: &mut HashMap<i64, Activity>) -> Result<()> {
    let mut reader = Reader::from_reader(source);
    let header = reader.headers()?.clone();
    let user = position(&header, "user_id")?;
    let date = position(&header, "date")?;
    let play = position(&header, "play_time_ms")?;
    let mut record = StringRecord::new();
    let mut row = 0;
    while reader.read_record(&mut record)? {
        row += 1;
        let cell = |column| Cell { header: &header, record: &record, column, row };
        let id: i64 = cell(user).parse("a user id, an integer", |_| true)?;
        let date =
            cell(date).parse("a date such as 20220425", |date| (19_000_101..=99_991_231).contains(date))?;
        let entry = activity.entry(id).or_default();
        if date < FROM {
            entry.history += 1;
        } else if let Some(day) = day(date) {
            entry.days |= 1 << day;
            entry.views += 1;
            entry.play_ms +=
                cell(play).parse("milliseconds, at least 0", |ms: &f64| ms.is_finite() && *ms >= 0.0)?;
        }
    }
    Ok(())
}

/// The day of the window, from 0; `None` outside of it.
fn day(date: u32) -> Option<u32> {
    match date {
        FROM..=20_220_430 => Some(date - FROM),
        20_220_501..=20_220_508 => Some(date - 20_220_501 + 6),
        _ => None,
    }
}

/// Copies the user table with the derived columns at the end.
fn derive(source: impl Read, activity: &HashMap<i64, Activity>) -> Result<Vec<u8>> {
    let mut reader = Reader::from_reader(source);
    let header = reader.headers()?.clone();
    let user = position(&header, "user_id")?;
    let codes: Vec<bool> = header.iter().map(|column| column.starts_with(CODES)).collect();
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(header.iter().chain(DERIVED))?;
    let mut record = StringRecord::new();
    let mut row = 0;
    while reader.read_record(&mut record)? {
        row += 1;
        let cell = Cell { header: &header, record: &record, column: user, row };
        let id: i64 = cell.parse("a user id, an integer", |_| true)?;
        let seen = activity.get(&id).copied().unwrap_or_default();
        for (cell, is_code) in record.iter().zip(&codes) {
            // The profile schema lists codes as integers.
            let cell = if *is_code { cell.strip_suffix(".0").unwrap_or(cell) } else { cell };
            writer.write_field(cell)?;
        }
        let derived = [
            seen.history.to_string(),
            u8::from(seen.history <= LOW_ACTIVITY).to_string(),
            seen.days.count_ones().to_string(),
            seen.views.to_string(),
            (seen.play_ms / 1000.0).to_string(),
        ];
        writer.write_record(derived)?;
    }
    writer.into_inner().context("the table in memory")
}

fn position(header: &StringRecord, column: &str) -> Result<usize> {
    header.iter().position(|name| name == column).with_context(|| {
        format!("no column `{column}`; the columns are {}", header.iter().collect::<Vec<_>>().join(", "))
    })
}

/// One cell of the row that is being read.
struct Cell<'a> {
    header: &'a StringRecord,
    record: &'a StringRecord,
    column: usize,
    row: usize,
}

impl Cell<'_> {
    fn parse<T: FromStr>(&self, expected: &str, is_good: impl Fn(&T) -> bool) -> Result<T> {
        let text = self.record.get(self.column).unwrap_or_default();
        match text.trim().parse() {
            Ok(value) if is_good(&value) => Ok(value),
            _ => {
                let column = self.header.get(self.column).unwrap_or_default();
                bail!("row {}, column `{column}`: expected {expected}, found {text:?}", self.row)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "user_id,video_id,date,hourmin,time_ms,is_click,play_time_ms,duration_ms";

    fn log(events: &[(i64, u32, &str)]) -> String {
        events.iter().fold(format!("{LOG}\n"), |text, (user, date, play)| {
            format!("{text}{user},7,{date},1600,1650873600000,1,{play},87433\n")
        })
    }

    #[test]
    fn events_are_history_or_outcome_by_their_date() {
        let mut activity = HashMap::new();
        let events = [
            (3, 20_220_408, "9000"),
            (3, 20_220_424, "9000"),
            (3, 20_220_425, "1500"),
            (3, 20_220_425, "250.0"),
            (3, 20_220_430, "0"),
            (3, 20_220_501, "1000"),
            (3, 20_220_508, "1000"),
            (3, 20_220_509, "1000"),
            (5, 20_220_423, "1"),
        ];
        add_log(log(&events[..4]).as_bytes(), &mut activity).unwrap();
        add_log(log(&events[4..]).as_bytes(), &mut activity).unwrap();
        let days = 1 | 1 << 5 | 1 << 6 | 1 << 13;
        assert_eq!(activity[&3], Activity { history: 2, days, views: 5, play_ms: 3750.0 });
        assert_eq!(activity[&5], Activity { history: 1, ..Activity::default() });
    }

    #[test]
    fn users_are_those_of_the_user_table() {
        let seen = Activity { history: 15, days: 0b101, views: 3, play_ms: 1250.0 };
        let activity = HashMap::from([(2, seen), (99, seen)]);
        let users = "user_id,fans_user_num_range,onehot_feat0,onehot_feat4\n2,\"[10,100)\",1,2.0\n8,0,0,\n";
        let table = String::from_utf8(derive(users.as_bytes(), &activity).unwrap()).unwrap();
        assert_eq!(
            table,
            "user_id,fans_user_num_range,onehot_feat0,onehot_feat4,history_len,low_activity,lt14_days,lt14_views,lt14_play_s\n\
             2,\"[10,100)\",1,2,15,0,2,3,1.25\n\
             8,0,0,,0,1,0,0,0\n"
        );
    }

    #[test]
    fn bad_cells_are_named() {
        let refusal = |text: String| add_log(text.as_bytes(), &mut HashMap::new()).unwrap_err().to_string();
        let good = (3, 20_220_425, "1");
        assert_eq!(
            refusal(log(&[good, (3, 20_220_426, "-1")])),
            r#"row 2, column `play_time_ms`: expected milliseconds, at least 0, found "-1""#
        );
        assert_eq!(
            refusal(log(&[(3, 425, "1")])),
            r#"row 1, column `date`: expected a date such as 20220425, found "425""#
        );
        assert!(refusal("user_id,play_time_ms\n".to_owned()).starts_with("no column `date`"));
        assert!(refusal(format!("{LOG}\n3,7\n")).contains("8 fields"));
    }
}
