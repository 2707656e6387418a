//! The drafted rules: a guess where a field's name tells a direction, and blanks to fill in everywhere else.

use std::fmt::Write as _;

use super::DraftOptions;
use super::chain::{OUTCOME, STATES};
use super::column::{FieldDraft, FieldKind};
use super::names::{has, words};
use super::text::{comment, key, one_line, quoted, short};

/// Values that a blank rule lists at most.
const MAX_LISTED: usize = 12;

/// A guess: words of a name, the state that such a field bears on, whether more of it is more, and why.
type Guess = (&'static [&'static str], &'static str, bool, &'static str);

const GUESSES: [Guess; 10] = [
    (
        &["income", "salary", "wage", "wealth", "affluence"],
        "spending_capacity",
        true,
        "income is what can be spent",
    ),
    (&["education", "edu"], "spending_capacity", true, "education tends to go with income"),
    (
        &["discount", "discounts", "coupon", "coupons", "promo", "promotions"],
        "price_sensitivity",
        true,
        "who uses offers looks at prices",
    ),
    (
        &["recency", "inactive", "dormant", "since"],
        "engagement",
        false,
        "who has not come for long has less use for it",
    ),
    (
        &[
            "tenure",
            "loyalty",
            "tier",
            "membership",
            "member",
            "plan",
            "subscription",
            "subscribed",
            "premium",
            "vip",
        ],
        "retention",
        true,
        "who has committed stays",
    ),
    (
        &["register", "registered", "registration", "account", "months", "years"],
        "retention",
        true,
        "who has been here for long stays",
    ),
    (
        &["visits", "sessions", "logins", "activity", "active", "opens", "clicks", "frequency", "orders"],
        "engagement",
        true,
        "who comes often has use for it",
    ),
    (&["household", "hh", "family", "children", "kids"], "engagement", true, "larger households need more"),
    (&["age"], "retention", true, "older users change less often"),
    (&["newsletter", "optin", "app"], "engagement", true, "who signs up is interested"),
];

/// The rules' text.
pub(super) fn render(options: &DraftOptions, fields: &[FieldDraft]) -> String {
    let mut text = format!(
        "# Expert rules for `{name}`: a first draft, for you to edit.\n\
         #\n\
         # A rule adds log-odds to the values of a state where everything in `when` (profile fields) and `after` (earlier states it depends\n\
         # on) holds; the answer is the softmax of the sums. +0.7 doubles the odds of a value, +1.4 makes them four times as high. A missing\n\
         # field meets no condition. Guesses are made from the fields' names: change what is wrong. Zeros are blanks to fill in: until then\n\
         # such a rule only says that the field was looked at.\n\
         name = {quoted}\n",
        name = comment(&options.name),
        quoted = quoted(&format!("{}-rules", options.name)),
    );
    for field in fields {
        let name = words(&field.name);
        let guess = GUESSES.iter().find(|(wanted, ..)| has(&name, wanted));
        match guess.zip(conditions(field)) {
            Some(((_, state, more, why), ends)) => render_guess(&mut text, field, (state, *more, why), &ends),
            None => render_blank(&mut text, field),
        }
    }
    text.push_str("\n# ---- what follows from earlier states ----\n");
    for (state, after, sign) in [
        ("price_sensitivity", "spending_capacity", -1.0),
        ("retention", "engagement", 1.0),
        ("retention", "price_sensitivity", -0.5),
        (OUTCOME, "engagement", 1.0),
        (OUTCOME, "spending_capacity", 0.7),
        (OUTCOME, "retention", 0.7),
    ] {
        for (value, direction) in [("low", -1.0), ("high", 1.0)] {
            let add = additions(state, sign * direction);
            _ = write!(
                text,
                "\n[[rule]]\nstate = \"{state}\"\nafter = {{ {after} = \"{value}\" }}\nadd = {add}\n"
            );
        }
    }
    text
}

/// Log-odds that shift a state up or down, by their size.
fn additions(state: &str, by: f64) -> String {
    let pairs: Vec<(&str, f64)> = if STATES.contains(&state) {
        vec![("low", -by), ("high", by)]
    } else {
        vec![("very low", -by), ("low", -0.5 * by), ("high", 0.5 * by), ("very high", by)]
    };
    let pairs: Vec<String> =
        pairs.into_iter().map(|(value, add)| format!("{} = {add:?}", key(value))).collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// The conditions that hold of those who have little, and much, of an ordered field.
fn conditions(field: &FieldDraft) -> Option<[String; 2]> {
    let name = key(&field.name);
    match field.kind {
        FieldKind::Ordinal => {
            let ends = (field.values.len() / 3).max(1);
            let of = |values: &[String]| format!("{{ {name} = {} }}", one_line(values));
            Some([of(&field.values[..ends]), of(&field.values[field.values.len() - ends..])])
        }
        FieldKind::Numeric { lower, upper } if lower <= upper => {
            let (lower, upper) = (short(lower), short(upper));
            let ordered = lower.parse::<f64>().ok()? <= upper.parse::<f64>().ok()?;
            ordered.then(|| {
                [
                    format!("{{ {name} = {{ below = {lower} }} }}"),
                    format!("{{ {name} = {{ at_least = {upper} }} }}"),
                ]
            })
        }
        FieldKind::Boolean => Some([format!("{{ {name} = false }}"), format!("{{ {name} = true }}")]),
        _ => None,
    }
}

fn render_guess(text: &mut String, field: &FieldDraft, guess: (&str, bool, &str), ends: &[String; 2]) {
    let (state, more, why) = guess;
    _ = write!(text, "\n# ---- {} ----\n", comment(&field.name));
    for (when, direction) in ends.iter().zip([-1.0, 1.0]) {
        let by = if more { direction } else { -direction };
        let (add, note) = (additions(state, by), quoted(&format!("a guess: {why}")));
        _ = write!(text, "\n[[rule]]\nstate = \"{state}\"\nwhen = {when}\nadd = {add}\nnote = {note}\n");
    }
}

/// A rule without an effect, to be filled in.
fn render_blank(text: &mut String, field: &FieldDraft) {
    let name = key(&field.name);
    let condition = match field.kind {
        FieldKind::Boolean => "true".to_owned(),
        FieldKind::Numeric { upper, .. } => format!("{{ at_least = {} }}", short(upper)),
        _ => {
            let listed = field.values.len().min(MAX_LISTED);
            one_line(&field.values[..listed])
        }
    };
    _ = write!(
        text,
        "\n# ---- {} ----\n\n[[rule]]\nstate = \"engagement\"\nwhen = {{ {name} = {condition} }}\nadd = {{ low = 0.0, high = 0.0 }}\n\
         note = \"a blank: fill in, for some of the values\"\n",
        comment(&field.name)
    );
}
