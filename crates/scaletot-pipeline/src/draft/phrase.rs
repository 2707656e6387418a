//! How a field is rendered: the phrase that its value stands in, and the words of single values.

use super::names::{essence, has, rendered};
use super::order::{Span, enumerated};

/// What a field's phrase depends on besides its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One of some values.
    Value,
    /// One of some ranges or levels.
    Level,
    /// A number, rendered as a level word.
    Number,
    /// Yes or no.
    Flag,
    /// Several values.
    Several,
}

/// A phrase, with `{}` where the value goes, and words for some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendering {
    pub(super) phrase: String,
    pub(super) words: Vec<(String, String)>,
}

/// Phrases by a word of the name, the first that fits.
const PHRASES: [(&[&str], &str); 18] = [
    (&["gender", "sex", "marital", "civil", "married"], "who is {}"),
    (&["zip", "zipcode", "postal", "postcode", "plz"], "in the postcode area {}"),
    (
        &[
            "city", "town", "village", "region", "state", "country", "province", "county", "location",
            "area", "market",
        ],
        "living in {}",
    ),
    (&["language", "lang", "locale"], "who speaks {}"),
    (&["device", "os", "platform", "browser", "handset"], "who uses {}"),
    (&["plan", "subscription", "package"], "on the plan {}"),
    (&["tier", "membership"], "in the tier {}"),
    (&["channel", "source", "campaign", "referrer", "medium"], "who came through {}"),
    (&["education", "edu"], "with the education {}"),
    (&["occupation", "job", "profession", "occ"], "with the occupation {}"),
    (
        &["interest", "interests", "hobby", "hobbies", "genre", "genres", "topics", "tags", "likes"],
        "interested in {}",
    ),
    (&["income", "salary", "wage"], "with the income {}"),
    (&["children", "kids", "dependents"], "with {} children"),
    (&["pets"], "with {} pets"),
    (&["cars", "vehicles"], "with {} cars"),
    (&["tenure"], "with a tenure of {}"),
    (&["brand"], "who prefers the brand {}"),
    (&["payment"], "who pays by {}"),
];

/// The phrase and the words of a field.
pub(super) fn rendering(name: &[String], shape: Shape, values: &[String]) -> Rendering {
    let essence = essence(name);
    let is_age = has(&essence, &["age", "alter"]);
    match shape {
        Shape::Flag => flag(name),
        Shape::Number if is_age && essence.len() == 1 => Rendering {
            phrase: "who is {}".to_owned(),
            words: [
                ("very low", "much younger than most"),
                ("low", "younger than most"),
                ("moderate", "of middle age"),
                ("high", "older than most"),
                ("very high", "much older than most"),
            ]
            .map(|(level, word)| (level.to_owned(), word.to_owned()))
            .into(),
        },
        Shape::Number => Rendering { phrase: number(name), words: Vec::new() },
        Shape::Value | Shape::Level | Shape::Several => {
            let phrase = values_phrase(&essence, shape, is_age);
            Rendering { phrase, words: words(values, &essence, is_age) }
        }
    }
}

fn values_phrase(essence: &[String], shape: Shape, is_age: bool) -> String {
    if is_age && shape == Shape::Level {
        return "aged {}".to_owned();
    }
    if has(essence, &["household", "hh", "family"]) && has(essence, &["size"]) {
        return "in a household of {}".to_owned();
    }
    let known = PHRASES.iter().find(|(words, _)| has(essence, words)).map(|(_, phrase)| (*phrase).to_owned());
    let named = rendered(essence).replace(['{', '}'], "");
    let named = if named.is_empty() { "value".to_owned() } else { named };
    known.unwrap_or_else(|| match shape {
        Shape::Several => format!("with {{}} as {named}"),
        _ => format!("whose {named} is {{}}"),
    })
}

/// "with a high income", "with a high number of orders".
fn number(name: &[String]) -> String {
    let named = rendered(name).replace(['{', '}'], "");
    let is_count = name.len() == 1 && named.len() > 3 && named.ends_with('s') && !named.ends_with("ss");
    match named.as_str() {
        "" => "with a {} value".to_owned(),
        _ if is_count => format!("with a {{}} number of {named}"),
        _ => format!("with a {{}} {named}"),
    }
}

/// A phrase that says the yes, and a word for the no.
fn flag(name: &[String]) -> Rendering {
    let drop = ["flag", "ind", "indicator"];
    let name: Vec<String> = name.iter().filter(|word| !drop.contains(&word.as_str())).cloned().collect();
    let (first, rest) = match name.split_first() {
        Some((first, rest)) if !rest.is_empty() => (first.as_str(), rendered(rest)),
        _ => ("", rendered(&name)),
    };
    let all = rendered(&name).replace(['{', '}'], "");
    let (yes, no) = match first {
        "is" | "was" => (format!("who is {rest}"), format!("who is not {rest}")),
        "has" | "have" | "with" => (format!("who has {rest}"), format!("who has no {rest}")),
        "owns" => (format!("who owns {rest}"), format!("who owns no {rest}")),
        "uses" => (format!("who uses {rest}"), format!("who uses no {rest}")),
        "wants" | "likes" => (format!("who {first} {rest}"), format!("who {first} no {rest}")),
        _ if all.ends_with("ed") || all.ends_with("active") => {
            (format!("who is {all}"), format!("who is not {all}"))
        }
        _ if all.is_empty() => ("with a yes".to_owned(), "with a no".to_owned()),
        // The value itself: "whose newsletter is yes".
        _ => return Rendering { phrase: format!("whose {all} is {{}}"), words: Vec::new() },
    };
    let clean = |text: String| text.replace(['{', '}'], "");
    Rendering { phrase: clean(yes), words: vec![("false".to_owned(), clean(no))] }
}

/// Words for values that would not read well as they are.
fn words(values: &[String], essence: &[String], is_age: bool) -> Vec<(String, String)> {
    let letters = |wanted: [(&str, &str); 4]| -> Option<Vec<(String, String)>> {
        let word = |value: &String| {
            let found = wanted.iter().find(|(short, _)| short.eq_ignore_ascii_case(value));
            found.map(|(_, word)| (value.clone(), (*word).to_owned()))
        };
        values.iter().map(word).collect()
    };
    if has(essence, &["gender", "sex"])
        && let Some(words) = letters([("m", "male"), ("f", "female"), ("d", "diverse"), ("x", "non-binary")])
    {
        return words;
    }
    values.iter().filter_map(|value| Some((value.clone(), word(value, is_age)?))).collect()
}

/// A value in words, where they are better.
fn word(value: &str, is_age: bool) -> Option<String> {
    if let Some((_, rest)) = enumerated(value) {
        return Some(word(rest, is_age).unwrap_or_else(|| rest.to_owned()));
    }
    if let Some(Span { low, high }) = Span::parse(value) {
        let more = if is_age { "older" } else { "more" };
        return match (low.is_finite(), high.is_finite()) {
            (true, false) if value.ends_with('+') => {
                Some(format!("{} or {more}", value.trim_end_matches('+').trim_end()))
            }
            (false, true) if value.starts_with('<') => {
                Some(format!("under {}", value.trim_start_matches(['<', '=']).trim_start()))
            }
            (true, false) if value.starts_with('>') => {
                Some(format!("over {}", value.trim_start_matches(['>', '=']).trim_start()))
            }
            _ => None,
        };
    }
    let is_code = value.contains('_') && !value.contains(' ');
    is_code.then(|| value.replace('_', " ").trim().to_owned()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::names::words as words_of;
    use super::*;

    fn phrase(name: &str, shape: Shape, values: &[&str]) -> (String, Vec<(String, String)>) {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        let Rendering { phrase, words } = rendering(&words_of(name), shape, &values);
        (phrase, words)
    }

    #[test]
    fn fields_read_well() {
        for (name, shape, expected) in [
            ("age_band", Shape::Level, "aged {}"),
            ("gender", Shape::Value, "who is {}"),
            ("household_size", Shape::Level, "in a household of {}"),
            ("homeCity", Shape::Value, "living in {}"),
            ("favourite_colour", Shape::Value, "whose favourite colour is {}"),
            ("income", Shape::Number, "with a {} income"),
            ("num_orders", Shape::Number, "with a {} number of orders"),
            ("orders", Shape::Number, "with a {} number of orders"),
            ("interests", Shape::Several, "interested in {}"),
            ("skills", Shape::Several, "with {} as skills"),
            ("newsletter", Shape::Flag, "whose newsletter is {}"),
            ("is_premium", Shape::Flag, "who is premium"),
            ("a{}b", Shape::Value, "whose a b is {}"),
        ] {
            assert_eq!(phrase(name, shape, &[]).0, expected, "{name}");
        }
    }

    #[test]
    fn values_read_well() {
        let word = |name, value| phrase(name, Shape::Level, &[value]).1.first().map(|(_, word)| word.clone());
        assert_eq!(word("age", "65+").as_deref(), Some("65 or older"));
        assert_eq!(word("kids", "3+").as_deref(), Some("3 or more"));
        assert_eq!(word("age", "<25").as_deref(), Some("under 25"));
        assert_eq!(word("age", "18-24"), None);
        assert_eq!(word("spend_class", "2) $100 - $200").as_deref(), Some("$100 - $200"));
        assert_eq!(word("job", "full_time").as_deref(), Some("full time"));
        assert_eq!(phrase("sex", Shape::Value, &["M", "F"]).1[1].1, "female");
        assert_eq!(phrase("sex", Shape::Value, &["M", "other"]).1, []);
        assert_eq!(
            phrase("has_pet", Shape::Flag, &[]).1,
            [("false".to_owned(), "who has no pet".to_owned())]
        );
    }
}
