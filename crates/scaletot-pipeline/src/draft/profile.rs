//! The drafted profile schema.

use std::fmt::Write as _;

use super::DraftOptions;
use super::column::{ColumnUse, FieldDraft, FieldKind};
use super::id::UserId;
use super::table::{LIST_SEPARATOR, RawTable};
use super::text::{comment, key, quoted, strings};
use crate::tasks::ROW_NUMBER;

/// More fields than this make long prompts.
pub(super) const MANY_FIELDS: usize = 20;

/// The schema's text.
pub(super) fn render(
    options: &DraftOptions,
    id: &UserId,
    columns: &[(String, ColumnUse)],
    table: &RawTable,
) -> String {
    let mut text = format!(
        "# What a profile of `{name}` is: drafted from {rows} rows{cut}, for you to edit.\n\
         #\n\
         # A field is rendered by its phrase, with the value, or the word for it, in the place of {{}}. A number is rendered as a level\n\
         # among all users: \"very low\", \"low\", \"moderate\", \"high\", \"very high\". `rendered = false` keeps a field out of\n\
         # the sentences, and an empty word a single value. `values` of an ordinal field stand from least to most. With\n\
         # unknown = \"bucket\" all values that are not listed count as one, without it they are errors, also where users are served.\n\
         name = {quoted}\n\
         # A sentence begins with the subject: \"{subject} {example}\".\n\
         subject = {subject_quoted}\n",
        name = comment(&options.name),
        rows = table.rows,
        cut = if table.is_cut { " (the file has more)" } else { "" },
        quoted = quoted(&options.name),
        subject = comment(&options.subject),
        subject_quoted = quoted(options.subject.trim()),
        example = comment(&example(columns)),
    );
    match id {
        UserId::Column(id) => _ = writeln!(text, "id = {}", quoted(id)),
        UserId::Rows { why } => {
            _ = writeln!(text, "# Rows are numbered: {}.\nid = {}", comment(why), quoted(ROW_NUMBER));
        }
    }
    let left_out: Vec<String> = columns
        .iter()
        .filter_map(|(name, found)| match found {
            ColumnUse::LeftOut { reason, .. } => {
                Some(format!("#   {}: {}\n", comment(name), comment(reason)))
            }
            _ => None,
        })
        .collect();
    if !left_out.is_empty() {
        text.push_str("\n# Columns that are left out, and why:\n");
        text.extend(left_out);
    }
    let fields: Vec<&FieldDraft> = columns
        .iter()
        .filter_map(|(_, found)| if let ColumnUse::Field(field) = found { Some(field) } else { None })
        .collect();
    if fields.len() > MANY_FIELDS {
        let count = fields.len();
        _ = write!(text, "\n# {count} fields make long prompts: keep those that bear on the outcome.\n");
    }
    for field in fields {
        render_field(&mut text, field);
    }
    text
}

/// The first field's phrase, with a value.
fn example(columns: &[(String, ColumnUse)]) -> String {
    let field = columns
        .iter()
        .find_map(|(_, found)| if let ColumnUse::Field(field) = found { Some(field) } else { None });
    let Some(field) = field else { return String::new() };
    let value = field.values.first().map_or("high", String::as_str);
    let word = field.words.iter().find(|(of, _)| of == value).map_or(value, |(_, word)| word);
    field.phrase.replacen("{}", word, 1)
}

fn render_field(text: &mut String, field: &FieldDraft) {
    let percent = 100.0 * field.missing_share;
    let distinct = field.distinct;
    let kind = match field.kind {
        FieldKind::Categorical => "categorical",
        FieldKind::Ordinal => "ordinal",
        FieldKind::Numeric { .. } => "numeric",
        FieldKind::Boolean => "boolean",
        FieldKind::Multi { .. } => "multi",
    };
    _ = write!(
        text,
        "\n# {distinct} distinct values; missing for {percent:.1} % of the users.\n[[field]]\nname = {}\nkind = \"{kind}\"\n",
        quoted(&field.name)
    );
    if !field.values.is_empty() {
        // Users to be served have values that nobody had in training.
        _ = writeln!(text, "values = {}\nunknown = \"bucket\"", strings(&field.values));
    }
    if let FieldKind::Multi { separator } = field.kind {
        // Of lists no separator is read, but the values must not hold it.
        let separator = separator.unwrap_or(LIST_SEPARATOR);
        if separator != '|' {
            _ = writeln!(text, "separator = {}", quoted(&separator.to_string()));
        }
    }
    _ = writeln!(text, "phrase = {}", quoted(&field.phrase));
    if !field.missing_marks.is_empty() {
        _ = writeln!(text, "missing = {}", strings(&field.missing_marks));
    }
    if !field.words.is_empty() {
        let words: Vec<String> =
            field.words.iter().map(|(value, word)| format!("{} = {}", key(value), quoted(word))).collect();
        let one_line = format!("words = {{ {} }}\n", words.join(", "));
        if one_line.chars().count() <= 110 {
            text.push_str(&one_line);
        } else {
            _ = write!(text, "\n[field.words]\n{}\n", words.join("\n"));
        }
    }
}
