//! The drafted profile schema.

use std::fmt::Write as _;

use super::DraftOptions;
use super::column::{ColumnUse, FieldDraft, FieldKind};
use super::table::{LIST_SEPARATOR, RawTable};
use super::text::{comment, key, quoted, strings};

/// More fields than this make long prompts.
pub(super) const MANY_FIELDS: usize = 20;

/// The schema's text.
pub(super) fn render(
    options: &DraftOptions,
    id: Option<&str>,
    columns: &[(String, ColumnUse)],
    table: &RawTable,
) -> String {
    let mut text = format!(
        "# What a profile of `{name}` is: drafted from {rows} rows{cut}, for you to edit.\n\
         #\n\
         # A field is rendered by its phrase, with the value, or the word for it, in the place of {{}}. A number is rendered as a level\n\
         # among all users: \"very low\", \"low\", \"moderate\", \"high\", \"very high\". `rendered = false` keeps a field out of\n\
         # the sentences, and an empty word a single value. `values` of an ordinal field stand from least to most. A value that is not\n\
         # listed is an error, unless unknown = \"bucket\".\n\
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
        Some(id) => _ = writeln!(text, "id = {}", quoted(id)),
        // Not a column: rows are numbered.
        None => text.push_str("# The table has no column with a value of its own in every row, so its rows are numbered.\nid = \"row number\"\n"),
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
        render_field(&mut text, field, table.is_cut);
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

fn render_field(text: &mut String, field: &FieldDraft, is_cut: bool) {
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
        _ = writeln!(text, "values = {}", strings(&field.values));
        if field.has_more_values || is_cut {
            text.push_str("# Values that are not listed count as one.\nunknown = \"bucket\"\n");
        }
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
