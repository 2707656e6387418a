//! Which label a token or a text stands for.

use super::scoring::Endpoint;

/// What a token may become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Matched {
    /// One label.
    One(usize),
    /// Any of several that begin alike: the generated text with the token, and the labels.
    Several(String, Vec<usize>),
    None,
}

/// The labels, of those `among`, that a text which goes on from `generated` with `token` can become. A completion goes on with a
/// space; a reply in a chat need not, and may be capitalised.
pub(super) fn matched(
    endpoint: Endpoint,
    labels: &[String],
    among: &[usize],
    generated: &str,
    token: &str,
) -> Matched {
    if token.is_empty() {
        // The end of the text, as some servers print it.
        let ended = |label: &usize| text_of(endpoint, &labels[*label]) == generated;
        return among.iter().copied().find(ended).map_or(Matched::None, Matched::One);
    }
    // Vocabularies mark spaces in ways of their own.
    let token = token.replace(['Ġ', '▁'], " ");
    let text = format!("{generated}{token}");
    let fold = |text: &str| match endpoint {
        Endpoint::Completions => text.to_owned(),
        Endpoint::Chat => text.trim_start().to_lowercase(),
    };
    let text = fold(&text);
    if text.trim().is_empty() {
        // A lone space goes on to any label.
        let open = text.is_empty() || endpoint == Endpoint::Chat || text != " ";
        return if open { Matched::None } else { Matched::Several(text, among.to_vec()) };
    }
    let whole = |label: usize| text_of(endpoint, &labels[label]);
    // Named in full, and perhaps more; the longest such label.
    let full = among.iter().copied().filter(|&label| is_or_begins(&text, &whole(label)));
    let full = full.max_by_key(|&label| labels[label].len());
    let mut open: Vec<usize> =
        among.iter().copied().filter(|&label| whole(label).starts_with(text.as_str())).collect();
    if let Some(label) = full.filter(|label| !open.contains(label)) {
        open.push(label);
    }
    match &open[..] {
        [] => Matched::None,
        [one] => Matched::One(*one),
        _ => Matched::Several(text, open),
    }
}

/// A label as a text goes on with it.
fn text_of(endpoint: Endpoint, label: &str) -> String {
    match endpoint {
        Endpoint::Completions => format!(" {label}"),
        Endpoint::Chat => label.to_lowercase(),
    }
}

/// The label that an answer begins with; the longest, where one begins another. Case does not count, nor do space and marks
/// around it (quotes, asterisks, back-ticks and the like), a thought that was ended before it, or `Answer:`.
pub(super) fn named(labels: &[String], text: &str) -> Option<usize> {
    let text = text.to_lowercase();
    let text = match text.trim_start().strip_prefix("<think>") {
        Some(thought) => thought.split_once("</think>").map_or("", |(_, answer)| answer),
        None => text.as_str(),
    };
    let text = without_marks(text);
    let text = without_marks(text.strip_prefix("answer").map_or(text, |rest| {
        let rest = without_marks(rest);
        rest.strip_prefix(':').or_else(|| rest.strip_prefix("is ")).unwrap_or(text)
    }));
    let begins = |label: &usize| {
        let label = labels[*label].to_lowercase();
        // A label that begins with a mark itself is found as it is.
        is_or_begins(text, without_marks(&label))
    };
    (0..labels.len()).filter(begins).max_by_key(|label| labels[*label].len())
}

/// What is left of a text after space and marks of emphasis or quotation.
fn without_marks(text: &str) -> &str {
    let is_mark = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '"' | '\''
                    | '`'
                    | '*'
                    | '_'
                    | '#'
                    | '>'
                    | '('
                    | '['
                    | '“'
                    | '”'
                    | '„'
                    | '‘'
                    | '’'
                    | '«'
                    | '»'
            )
    };
    text.trim_start_matches(is_mark)
}

/// Whether a text is a label, or goes on after it with something that is no part of a word.
fn is_or_begins(text: &str, label: &str) -> bool {
    text.strip_prefix(label).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<String> {
        ["low", "very low", "very high", "high", "highest"].map(str::to_owned).to_vec()
    }

    #[test]
    fn tokens_are_told_apart_or_left_open() {
        let all: Vec<usize> = (0..5).collect();
        let on =
            |generated: &str, token: &str| matched(Endpoint::Completions, &labels(), &all, generated, token);
        assert_eq!(on("", " low"), Matched::One(0));
        assert_eq!(on("", "Ġlow"), Matched::One(0));
        assert_eq!(on("", " lo"), Matched::One(0));
        assert_eq!(on("", " very"), Matched::Several(" very".into(), vec![1, 2]));
        assert_eq!(on(" very", " high"), Matched::One(2));
        assert_eq!(on("", " high"), Matched::Several(" high".into(), vec![3, 4]));
        assert_eq!(on(" high", "est"), Matched::One(4));
        assert_eq!(on(" high", "."), Matched::One(3));
        assert_eq!((on(" high", ""), on(" very", "")), (Matched::One(3), Matched::None));
        assert_eq!(on("", " "), Matched::Several(" ".into(), all.clone()));
        for other in ["low", " lowly", " the", "", "\n"] {
            assert_eq!(on("", other), Matched::None, "{other:?}");
        }
        let chat = |token: &str| matched(Endpoint::Chat, &labels(), &all, "", token);
        assert_eq!((chat("Low"), chat(" low")), (Matched::One(0), Matched::One(0)));
        assert!(matches!(chat("Very"), Matched::Several(..)));
    }

    #[test]
    fn answers_begin_with_a_label() {
        let found = |text: &str| named(&labels(), text);
        assert_eq!(found(" Very low."), Some(1));
        assert_eq!(found("highest"), Some(4));
        assert_eq!(found("high, I think"), Some(3));
        assert_eq!(found("lower"), None);
        assert_eq!(found("I say low"), None);
        for quoted in [
            "\"Very low\"",
            "**very low**",
            "`very low`",
            "“Very low”",
            "_very low_",
            "Answer: **Very low**",
            "the answer",
        ] {
            assert_eq!(found(quoted), (quoted != "the answer").then_some(1), "{quoted}");
        }
        assert_eq!(found("<think>\nhigh?\n</think>\n\nlow"), Some(0));
        assert_eq!((found("<think> low"), found("answer"), found("\"\"")), (None, None, None));
        assert_eq!(named(&["'n' roll".to_owned(), "answer".to_owned()], "**'n' roll"), Some(0));
        assert_eq!(named(&["answer".to_owned()], "answer"), Some(0));
    }
}
