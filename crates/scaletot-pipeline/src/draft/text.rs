//! Texts for the drafted files.

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A TOML key: bare where it can be.
pub(super) fn key(text: &str) -> String {
    let bare = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { text.to_owned() } else { quoted(text) }
}

/// A TOML list of strings, broken into lines of about a hundred characters.
pub(super) fn strings(values: &[String]) -> String {
    const WIDTH: usize = 100;
    let line = one_line(values);
    if line.chars().count() <= WIDTH {
        return line;
    }
    let quoted: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    let mut lines = vec![String::from("   ")];
    for value in &quoted {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last + value.chars().count() > WIDTH && last > 3 {
            lines.push(String::from("   "));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(value);
            line.push(',');
        }
    }
    format!("[\n{}\n]", lines.join("\n"))
}

/// A TOML list of strings in one line, as an inline table wants it.
pub(super) fn one_line(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    format!("[{}]", quoted.join(", "))
}

/// A text as one line of a comment.
pub(super) fn comment(text: &str) -> String {
    text.split(|c: char| c.is_control()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Texts with commas between, or `none`.
pub(super) fn list(texts: &[String], none: &str) -> String {
    if texts.is_empty() { none.to_owned() } else { texts.join(", ") }
}

/// A number as it is written in a file: three significant digits, at least all before the point.
pub(super) fn short(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return "0".to_owned();
    }
    let digits = (2.0 - number.abs().log10().floor()).clamp(0.0, 9.0);
    let scale = 10f64.powf(digits);
    ((number * scale).round() / scale).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_read_back() {
        for text in ["plain", "a \"b\" \\ c", "tab\tand\u{1f}", "ü – 1", ""] {
            let table: toml::Table = toml::from_str(&format!("{} = {}", key(text), quoted(text))).unwrap();
            assert_eq!(table[text].as_str(), Some(text));
        }
        let many: Vec<String> = (0..60).map(|i| format!("value {i}")).collect();
        let table: toml::Table = toml::from_str(&format!("x = {}", strings(&many))).unwrap();
        assert_eq!(table["x"].as_array().unwrap().len(), 60);
        assert!(one_line(&many).starts_with("[\"value 0\", \"value 1\", "));
    }

    #[test]
    fn numbers_are_short() {
        for (number, expected) in
            [(1234.5678, "1235"), (0.012345, "0.0123"), (-2.5, "-2.5"), (0.0, "0"), (99.96, "100")]
        {
            assert_eq!(short(number), expected);
        }
    }
}
