//! Profiles in a vocabulary of their own: where each field's tokens lie in it.

use scaletot_profile::{FieldKind, ProfileSchema, ProfileTable, Quantiles, Value};

use super::chain::{THINK_WORD, escaped};

/// Ids of the four special tokens.
pub(super) const PAD: u32 = 0;
pub(super) const BOS: u32 = 1;
pub(super) const THINK: u32 = 2;
pub(super) const EOS: u32 = 3;

/// Texts of the special tokens, by id.
pub(super) const SPECIAL: [&str; 4] = ["<pad>", "<bos>", THINK_WORD, "<eos>"];

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

/// The special tokens, then the fields in schema order; the tokens of the chain come after them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    fields: Vec<FieldTokens>,
}

impl Layout {
    /// The layout with the words of its tokens by id; `bins[f]` are the bins of field `f` if it is numeric.
    pub(super) fn new(profile: &ProfileSchema, bins: &[Option<Quantiles>]) -> (Self, Vec<String>) {
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
        (Self { fields }, words)
    }

    /// `<bos>` and the fields that are not missing and that `keep`.
    pub(super) fn read(
        &self,
        table: &ProfileTable,
        row: usize,
        mut keep: impl FnMut(usize) -> bool,
    ) -> Vec<u32> {
        let mut ids = Vec::with_capacity(self.fields.len() + 2);
        ids.push(BOS);
        for (index, field) in self.fields.iter().enumerate() {
            if let Some(value) = table.value(row, index)
                && keep(index)
            {
                field.push(value, &mut ids);
            }
        }
        ids
    }

    /// The bins of every field.
    pub(super) fn bins(&self) -> Vec<Option<Quantiles>> {
        self.fields.iter().map(|field| field.bins.clone()).collect()
    }
}

impl FieldTokens {
    /// Appends the tokens of one value.
    fn push(&self, value: Value<'_>, out: &mut Vec<u32>) {
        match value {
            Value::Code(code) => out.push(self.first + code),
            Value::Number(x) => {
                out.push(self.first + self.bins.as_ref().map_or(0, |bins| bins.bin(x)) as u32);
            }
            Value::Flag(flag) => out.push(self.first + u32::from(flag)),
            Value::Codes([]) => out.extend(self.empty),
            Value::Codes(codes) => out.extend(codes.iter().map(|code| self.first + code)),
        }
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
