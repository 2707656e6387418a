//! The drafted task.

use std::fmt::Write as _;

use super::DraftOptions;
use super::column::ColumnUse;
use super::id::UserId;
use super::text::{comment, quoted, strings};

/// The task's text.
pub(super) fn render(
    options: &DraftOptions,
    id: &UserId,
    outcome: &str,
    columns: &[(String, ColumnUse)],
    missing: &[String],
) -> String {
    let name = &options.name;
    let leaks: Vec<String> = columns
        .iter()
        .filter(|(_, found)| matches!(found, ColumnUse::LeftOut { is_leak: true, .. }))
        .map(|(column, _)| column.clone())
        .collect();
    let mut text = format!(
        "# What is predicted for whom: drafted, for you to edit. docs/task-file.md of the ScaleToT repository lists every key.\n\
         name = {quoted}\n\
         title = {title}\n\
         # A finite number of at least 0; an empty cell, NA, NaN, null and alike are not known.\n\
         outcome = {outcome}\n\
         unit = \"units\"\n\
         # Paths are relative to this file.\n\
         profile = {profile}\n\
         chain = {chain}\n\
         # The teacher that answers unless another one is given with --teacher.\n\
         rules = {rules}\n\
         # answers = {answers}    # once `scaletot record` has written them\n",
        quoted = quoted(name),
        title = quoted(&format!("{} of {name}", comment(outcome))),
        outcome = quoted(outcome),
        profile = quoted(&format!("{name}.profile.toml")),
        chain = quoted(&format!("{name}.chain.toml")),
        rules = quoted(&format!("{name}.rules.toml")),
        answers = quoted(&comment(&format!("{name}.answers.jsonl.gz"))),
    );
    match &options.segment {
        Some(segment) => _ = writeln!(text, "# Coverage is spread over segments, and users are compared within them.\nsegment = {}", quoted(segment)),
        None => text.push_str("# segment = \"COLUMN\"   # coverage is spread over segments, and users are compared within them\n"),
    }
    if !missing.is_empty() {
        _ = writeln!(
            text,
            "# Cells of the columns named here that mean nothing is known.\nmissing = {}",
            strings(missing)
        );
    }
    text.push_str(
        "# group = \"COLUMN\"     # users with the same value stay in one fold: a household, a company\n",
    );
    if leaks.is_empty() {
        text.push_str("# leaks = [\"COLUMN\"]   # columns that give the outcome away: no profile schema may have them\n");
    } else {
        _ = writeln!(
            text,
            "# These give the outcome away, by their names: no profile schema may have them.\nleaks = {}",
            strings(&leaks)
        );
    }
    _ = write!(text, "\n[source]\ntable = {}\n", quoted(&options.table));
    if let UserId::Rows { why } = id {
        _ = write!(text, "# Rows are numbered: {}.\nnumbered = true\n", comment(why));
    }
    text.push_str(
        "\n# Who takes part; everybody unless set.\n# [keep]\n# column = \"COLUMN\"\n# equals = 1\n",
    );
    text
}
