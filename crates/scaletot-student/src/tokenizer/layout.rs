//! Where each field's and state's tokens lie in the vocabulary.

use scaletot_chain::ChainSchema;
use scaletot_profile::{FieldKind, ProfileSchema, Quantiles, Value};

/// Ids of the four special tokens.
pub(crate) const PAD: u32 = 0;
pub(crate) const BOS: u32 = 1;
pub(crate) const THINK: u32 = 2;
pub(crate) const EOS: u32 = 3;

/// Texts of the special tokens, by id.
pub(crate) const SPECIAL: [&str; 4] = ["<pad>", "<bos>", "<think>", "<eos>"];

/// Tokens of one profile field.
#[derive(Debug, Clone, PartialEq)]
struct FieldTokens {
    first: u32,
    /// Bins of a numeric field; `None` for other kinds, and for a numeric field without a value to fit bins
    /// on, which has one token.
    bins: Option<Quantiles>,
    /// Token of a multi-valued field that is known to hold no value.
    empty: Option<u32>,
}

/// Tokens of one state: its name, then its values without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
struct StateTokens {
    name: u32,
    values: u32,
}

/// The vocabulary: special tokens, then fields, then states, each in schema order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    fields: Vec<FieldTokens>,
    states: Vec<StateTokens>,
    words: Vec<String>,
}

impl Layout {
    /// `bins[f]` are the bins of field `f` if it is numeric.
    pub(super) fn new(profile: &ProfileSchema, chain: &ChainSchema, bins: &[Option<Quantiles>]) -> Self {
        let mut words: Vec<String> = SPECIAL.map(str::to_owned).to_vec();
        let mut fields = Vec::with_capacity(profile.fields().len());
        for (index, field) in profile.fields().iter().enumerate() {
            let first = words.len() as u32;
            let name = escaped(field.name());
            let mut empty = None;
            let bins = bins.get(index).cloned().flatten();
            if let Some(domain) = field.kind().domain() {
                words.extend(domain.values().iter().map(|value| format!("{name}={}", escaped(value))));
                // The bucket's code follows the last value's.
                words.extend(domain.bucket().map(|_| format!("{name}=<unknown>")));
            }
            match field.kind() {
                FieldKind::Numeric(_) => {
                    words.extend(intervals(bins.as_ref()).map(|text| format!("{name}={text}")));
                }
                FieldKind::Boolean => words.extend(["false", "true"].map(|flag| format!("{name}={flag}"))),
                FieldKind::Multi(_) => {
                    empty = Some(words.len() as u32);
                    words.push(format!("{name}=<none>"));
                }
                _ => {}
            }
            fields.push(FieldTokens { first, bins, empty });
        }
        let mut states = Vec::with_capacity(chain.len());
        for state in chain.states() {
            let name = escaped(state.name());
            states.push(StateTokens { name: words.len() as u32, values: words.len() as u32 + 1 });
            words.push(format!("<state:{name}>"));
            words.extend(state.values().iter().map(|value| format!("<state:{name}={}>", escaped(value))));
        }
        Self { fields, states, words }
    }

    /// The tokens' texts, by id.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// Appends the tokens of one value.
    pub(super) fn push(&self, field: usize, value: Value<'_>, out: &mut Vec<u32>) {
        let tokens = &self.fields[field];
        match value {
            Value::Code(code) => out.push(tokens.first + code),
            Value::Number(x) => {
                out.push(tokens.first + tokens.bins.as_ref().map_or(0, |bins| bins.bin(x)) as u32);
            }
            Value::Flag(flag) => out.push(tokens.first + u32::from(flag)),
            Value::Codes([]) => out.extend(tokens.empty),
            Value::Codes(codes) => out.extend(codes.iter().map(|code| tokens.first + code)),
        }
    }

    /// Token of state `k`'s name.
    pub(super) fn state(&self, k: usize) -> u32 {
        self.states[k].name
    }

    /// Token of the first value of state `k`.
    pub(super) fn values(&self, k: usize) -> u32 {
        self.states[k].values
    }

    /// The bins of every field.
    pub(super) fn bins(&self) -> Vec<Option<Quantiles>> {
        self.fields.iter().map(|field| field.bins.clone()).collect()
    }
}

/// The bins as intervals, which are closed above.
fn intervals(bins: Option<&Quantiles>) -> impl Iterator<Item = String> {
    let cuts = bins.map(Quantiles::cuts).unwrap_or_default().to_vec();
    (0..=cuts.len()).map(move |bin| match (bin.checked_sub(1).map(|b| cuts[b]), cuts.get(bin)) {
        (None, None) => "(-inf,inf)".to_owned(),
        (None, Some(high)) => format!("(-inf,{high}]"),
        (Some(low), None) => format!("({low},inf)"),
        (Some(low), Some(high)) => format!("({low},{high}]"),
    })
}

/// Escapes what the token texts are built of, so that no two tokens share a text, no text holds the
/// separator, and no value can spell a special token.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '=' => out.push_str("\\e"),
            '<' => out.push_str("\\l"),
            '>' => out.push_str("\\g"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out
}
