//! Text from outside, made fit for a terminal, a log and an error message.

/// The text with at most `most` characters and none that does more than to be seen.
///
/// Control characters (with them the escape codes that move a cursor, colour a terminal or set its title), line breaks and tabs,
/// and characters that are invisible or turn the direction of writing around become one space for a run of them. What is cut ends
/// with `…`, which counts; spaces at both ends go.
///
/// ```
/// use scaletot_core::text::printable;
///
/// assert_eq!(printable("all good\u{1b}[2K\r\nerror", 100), "all good [2K error");
/// assert_eq!(printable("a\u{202e}b", 100), "a b");
/// assert_eq!(printable("0123456789", 5), "0123…");
/// ```
#[must_use]
pub fn printable(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let (mut count, mut space) = (0, false);
    for c in text.chars() {
        if c == ' ' || is_hidden(c) {
            space = count > 0;
            continue;
        }
        if count + usize::from(space) >= most {
            // Something has to go, and with it the last character if there is no room for the mark.
            if count == most {
                shown.pop();
            }
            if most > 0 {
                shown.push('…');
            }
            return shown;
        }
        if std::mem::take(&mut space) {
            shown.push(' ');
            count += 1;
        }
        shown.push(c);
        count += 1;
    }
    shown
}

/// Whether a character is not seen, or changes how others are.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_is_left_as_it_is() {
        for text in ["", "plain", "a b", "größer – 数値 🙂"] {
            assert_eq!(printable(text, text.chars().count()), text);
        }
        assert_eq!(printable("  a \t\n b  ", 9), "a b");
        assert_eq!((printable("abc", 1), printable("abc", 0)), ("…".to_owned(), String::new()));
        assert_eq!(printable("a b", 2), "a…");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_and_nothing_is_longer_than_asked(text in any::<String>(), most in 0_usize..40) {
            let shown = printable(&text, most);
            prop_assert!(shown.chars().count() <= most);
            prop_assert!(!shown.chars().any(|c| c != ' ' && is_hidden(c)));
            prop_assert_eq!(printable(&shown, most), shown);
        }
    }
}
