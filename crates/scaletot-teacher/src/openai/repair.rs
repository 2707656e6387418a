//! JSON as some servers write it, made JSON.

/// What stands for minus infinity, which JSON does not have: no log-probability is as low.
const LOWEST: &str = "-1e308";
/// What stands for infinity and for what is no number.
const NONE: &str = "1e308";

/// A log-probability as it was before [`repaired`].
pub(super) fn log_prob(read: f64) -> f64 {
    match read {
        ..-1e300 => f64::NEG_INFINITY,
        1e300.. => f64::NAN,
        read => read,
    }
}

/// The text without a byte-order mark and the comments that gateways send to keep a connection open (lines that begin with `:`).
pub(super) fn without_comments(text: &str) -> &str {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while rest.starts_with(':') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
    }
    rest
}

/// The text with what JSON does not have in its place: `-Infinity`, `Infinity` and `NaN` (Python writes them) become numbers, a lone
/// surrogate and a raw control character in a string one that stands for none. `None` if there is nothing of it.
pub(super) fn repaired(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut whole = String::with_capacity(text.len());
    let (mut at, mut copied, mut quoted) = (0, 0, false);
    while at < bytes.len() {
        // What to put in the place of how many bytes; what is right stays.
        let (length, put) = match (quoted, bytes[at]) {
            (_, b'"') => {
                quoted = !quoted;
                (1, None)
            }
            (false, b'-') if bytes[at..].starts_with(b"-Infinity") => ("-Infinity".len(), Some(LOWEST)),
            (false, b'I') if bytes[at..].starts_with(b"Infinity") => ("Infinity".len(), Some(NONE)),
            (false, b'N') if bytes[at..].starts_with(b"NaN") => ("NaN".len(), Some(NONE)),
            (true, b'\\') => match (escaped(bytes, at), escaped(bytes, at + 6)) {
                (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => (12, None),
                (Some(0xd800..0xe000), _) => (6, Some("\\ufffd")),
                (Some(_), _) => (6, None),
                (None, _) => (2, None),
            },
            (true, 0..0x20) => (1, Some(" ")),
            _ => (1, None),
        };
        if let Some(put) = put {
            whole.extend([&text[copied..at], put]);
            copied = at + length;
        }
        at += length;
    }
    (copied > 0).then(|| whole + &text[copied..])
}

/// The unit of UTF-16 that is escaped there.
fn escaped(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_json_does_not_have_is_replaced() {
        let read = |text: &str| serde_json::from_str::<Value>(&repaired(text).unwrap()).unwrap();
        assert_eq!(log_prob(read("[-Infinity]")[0].as_f64().unwrap()), f64::NEG_INFINITY);
        for none in ["NaN", "Infinity"] {
            assert!(log_prob(read(&format!("[{none}]"))[0].as_f64().unwrap()).is_nan());
        }
        assert_eq!(read(r#"["\ud83d"]"#)[0], "\u{fffd}");
        assert_eq!(read(r#"["\ud83dx\udc00\ud83d\ude00"]"#)[0], "\u{fffd}x\u{fffd}😀");
        assert_eq!(read("[\"a\nb\"]")[0], "a b");
        for sound in [
            r#"{"-Infinity":"\\u-Infinity \"-Infinity\" \ud83d\ude00é\n"}"#,
            "{}",
            "",
            "[1]\n",
            "\"\\",
            "\"\\u12",
        ] {
            assert_eq!(repaired(sound), None, "{sound}");
        }
        assert_eq!(log_prob(-9999.0), -9999.0);
    }

    #[test]
    fn comments_before_an_answer_are_skipped() {
        assert_eq!(without_comments(": PROCESSING\n\n: MORE\r\n\n{}"), "{}");
        assert_eq!(without_comments("\u{feff} \n{}"), "{}");
        assert_eq!(without_comments(": nothing"), "");
    }

    proptest! {
        #[test]
        fn what_is_json_stays_and_nothing_breaks_it(text in any::<String>(), other in "[-\\\\\"u0-9dDInfityaN ]{0,60}") {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(repaired(&json), None);
            if let Some(once) = repaired(&other) {
                prop_assert_eq!(repaired(&once), None);
            }
        }
    }
}
