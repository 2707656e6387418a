//! Texts of a server, made fit to be shown and kept.
//!
//! A server, or a proxy before it, may send back what it was sent: the API key in a refusal, in a token, in a redirect. Whatever
//! it says goes through here before it gets into an error, and with it into logs, corpora and terminals. What it quotes of a prompt is
//! found in the same way, where its own words are looked for.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use scaletot_core::text::printable;

use crate::credentials::without_credentials;

/// Characters of a server's text that are shown.
const SHOWN: usize = 400;
/// Characters of it that are looked at.
const READ: usize = 8 << 10;
/// A part of a secret of so many characters is taken out; a shorter secret is taken out whole.
const PART: usize = 8;
/// A part of a text of so many characters is a quotation, and no accident.
const QUOTED: usize = 16;
/// An encoded form of a secret that is shorter is found in any text.
const MIN_ENCODED: usize = 4;
/// How often escapes are resolved: an error may quote another, that quotes a third.
const DEPTH: usize = 3;
/// What stands for a secret that was taken out.
const MARK: &str = "[secret]";

/// Takes secrets out of texts.
pub(super) struct Sanitiser {
    /// Parts of the secrets in all their forms, folded, by their lengths.
    parts: BTreeMap<usize, HashSet<Vec<u8>>>,
    /// Length of a part.
    part: usize,
}

impl Sanitiser {
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = Self { parts: BTreeMap::new(), part: PART };
        for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
            all.add(secret);
            let mut encoded = vec![hex(secret.as_bytes())];
            // Within a longer text, such as `user:key`, a secret begins at any of the three places of a group.
            for shift in 0..3 {
                let core = base64_core(secret.as_bytes(), shift);
                encoded.extend([core.replace('+', "-").replace('/', "_"), core]);
            }
            encoded.iter().filter(|form| form.len() >= MIN_ENCODED).for_each(|form| all.add(form));
        }
        all
    }

    /// One that finds quotations of these texts, and nothing encoded.
    pub(super) fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = Self { parts: BTreeMap::new(), part: QUOTED };
        // What is shorter may stand in any text.
        texts.into_iter().filter(|text| text.len() >= PART).for_each(|text| all.add(text));
        all
    }

    /// Both as it is and as it is read where escapes are resolved.
    fn add(&mut self, form: &str) {
        for times in 0..=DEPTH {
            let form: Vec<u8> = folded(form, times).into_iter().map(|unit| unit.byte).collect();
            let length = form.len().min(self.part);
            if length > 0 {
                self.parts.entry(length).or_default().extend(form.windows(length).map(<[u8]>::to_vec));
            }
        }
    }

    /// The text on one line of at most [`SHOWN`] characters, without control characters, secrets and credentials of addresses.
    pub(super) fn clean(&self, text: &str) -> String {
        // Secrets go before anything is cut, so that no cut leaves the beginning of one.
        let end = text.char_indices().nth(READ).map_or(text.len(), |(at, _)| at);
        let text = &text[..end];
        printable(&without_credentials(&self.without(text, MARK)), SHOWN)
    }

    /// The text with a mark in the place of each secret.
    pub(super) fn without(&self, text: &str, mark: &str) -> String {
        // Which bytes of the text are of a secret, whether a backslash in it escapes or is itself of the key.
        let mut secret = vec![false; text.len()];
        for times in 0..=DEPTH {
            let units = folded(text, times);
            let bytes: Vec<u8> = units.iter().map(|unit| unit.byte).collect();
            for (&length, parts) in &self.parts {
                for (at, _) in bytes.windows(length).enumerate().filter(|(_, part)| parts.contains(*part)) {
                    let found = units[at].begin..units[at + length - 1].end;
                    if length > 2 || is_apart(text, &found) {
                        secret[found].fill(true);
                    }
                }
            }
        }
        let mut shown = String::with_capacity(text.len());
        let mut within = false;
        for (at, c) in text.char_indices() {
            match (secret[at], within) {
                (true, false) => shown.push_str(mark),
                (true, true) => {}
                (false, _) => shown.push(c),
            }
            within = secret[at];
        }
        shown
    }
}

/// Whether a part of a text is no part of a word: a letter or two are found in any.
fn is_apart(text: &str, part: &Range<usize>) -> bool {
    !text[..part.start].ends_with(char::is_alphanumeric)
        && !text[part.end..].starts_with(char::is_alphanumeric)
}

/// A character as it is compared, and the bytes of the text that stand for it.
struct Unit {
    byte: u8,
    begin: usize,
    end: usize,
}

/// The text as it is compared: in lower case, without white space and what is not seen, and with escapes resolved so many times.
/// Characters beyond ASCII are all alike, since no key holds one.
fn folded(text: &str, times: usize) -> Vec<Unit> {
    let unit = |(begin, c): (usize, char)| Unit { byte: as_byte(c), begin, end: begin + c.len_utf8() };
    let mut units: Vec<Unit> = text.char_indices().map(unit).collect();
    for _ in 0..times {
        units = resolved(units);
    }
    units.retain(|unit| !unit.byte.is_ascii_whitespace() && !unit.byte.is_ascii_control());
    units.iter_mut().for_each(|unit| unit.byte.make_ascii_lowercase());
    units
}

/// Escapes as what they stand for.
fn resolved(units: Vec<Unit>) -> Vec<Unit> {
    let bytes: Vec<u8> = units.iter().map(|unit| unit.byte).collect();
    let mut all = Vec::with_capacity(units.len());
    let mut at = 0;
    while at < units.len() {
        let (byte, length) = escape(&bytes[at..]).unwrap_or((bytes[at], 1));
        all.push(Unit { byte, begin: units[at].begin, end: units[at + length - 1].end });
        at += length;
    }
    all
}

/// An ASCII character, a space for what is not seen, and one byte for all others.
fn as_byte(c: char) -> u8 {
    match c {
        c if c.is_ascii() => c as u8,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => b' ',
        c if c.is_whitespace() || c.is_control() => b' ',
        _ => 0xff,
    }
}

/// An escape at the beginning of a text, of JSON, an address or a page: what it stands for, and its length.
fn escape(text: &[u8]) -> Option<(u8, usize)> {
    let number = |digits: &[u8], radix: u32| {
        let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
        char::from_u32(code).map(as_byte)
    };
    match text {
        [b'%', rest @ ..] => Some((number(rest.get(..2)?, 16).filter(u8::is_ascii)?, 3)),
        // As Rust prints what cannot be seen.
        [b'\\', b'u', b'{', rest @ ..] => {
            let digits = rest.iter().take(8).position(|byte| *byte == b'}')?;
            Some((number(&rest[..digits], 16)?, digits + 4))
        }
        [b'\\', b'u', rest @ ..] => Some((number(rest.get(..4)?, 16)?, 6)),
        [b'\\', b'x', rest @ ..] => Some((number(rest.get(..2)?, 16)?, 4)),
        [b'\\', b'n' | b'r' | b't' | b'b' | b'f', ..] => Some((b' ', 2)),
        [b'\\', c, ..] if c.is_ascii() => Some((*c, 2)),
        [b'&', b'#', rest @ ..] => {
            let digits = rest.iter().take(8).position(|byte| *byte == b';')?;
            let byte = match &rest[..digits] {
                [b'x' | b'X', digits @ ..] => number(digits, 16)?,
                digits => number(digits, 10)?,
            };
            Some((byte, digits + 3))
        }
        [b'&', ..] => {
            ENTITIES.iter().find(|(name, _)| text.starts_with(name)).map(|(name, c)| (*c, name.len()))
        }
        _ => None,
    }
}

const ENTITIES: [(&[u8], u8); 5] =
    [(b"&amp;", b'&'), (b"&lt;", b'<'), (b"&gt;", b'>'), (b"&quot;", b'"'), (b"&apos;", b'\'')];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digits of base64 that these bytes determine alone, if `shift` others stand before them in their group.
fn base64_core(bytes: &[u8], shift: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bit = |at: usize| {
        let byte = bytes.get((at / 8).checked_sub(shift)?)?;
        Some(usize::from(byte >> (7 - at % 8) & 1))
    };
    let digits = (8 * (shift + bytes.len())).div_ceil(6);
    let digit = |at: usize| (6 * at..6 * at + 6).try_fold(0, |all, at| Some(2 * all + bit(at)?));
    (0..digits).filter_map(digit).map(|digit| char::from(DIGITS[digit])).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "sk-proj-4fT9/zQ+1\"xY\\7w_Lm";

    #[test]
    fn base64_is_that_of_the_standard() {
        assert_eq!(base64_core(b"foobar", 0), "Zm9vYmFy");
        // `xfoobar` is `eGZvb2Jhcg==`, `xyfoobar` is `eHlmb29iYXI=`.
        assert_eq!(base64_core(b"foobar", 1), "Zvb2Jhc");
        assert_eq!(base64_core(b"foobar", 2), "mb29iYX");
    }

    #[test]
    fn a_key_is_taken_out_in_every_form() {
        let sanitiser = Sanitiser::new([KEY]);
        let json = serde_json::to_string(KEY).unwrap();
        let unicode: String = KEY.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        let percent: String = KEY.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let some_percent = KEY.replace('/', "%2F").replace('+', "%2b").replace('"', "%22");
        let spaced: String = KEY.chars().map(|c| format!("{c}\u{1b}\u{200b}\n ")).collect();
        let entities: String = KEY.chars().map(|c| format!("&#{};", u32::from(c))).collect();
        let quoted = serde_json::to_string(&serde_json::to_string(&json).unwrap()).unwrap();
        let twice = percent.replace('%', "%25");
        let hidden: String =
            KEY.chars().map(|c| format!("{c}\\u200b\\n")).collect::<String>().replace("\\\\", "\\\\\\");
        // `Bearer ` and the key, and `user:` and the key, in base64.
        let forms = [
            KEY.to_owned(),
            format!("Bearer {KEY}"),
            json,
            unicode,
            percent,
            entities,
            quoted,
            twice,
            hidden,
            format!("{:?}", KEY.chars().map(|c| format!("{c}\u{200b}")).collect::<String>()),
            some_percent,
            spaced,
            KEY.to_uppercase(),
            hex(KEY.as_bytes()),
            base64_core(format!("Bearer {KEY}").as_bytes(), 0),
            base64_core(format!("user:{KEY}").as_bytes(), 0).replace('+', "-").replace('/', "_"),
        ];
        for form in forms {
            let shown = sanitiser.clean(&format!("<< {form} >>"));
            assert!(shown.starts_with("<< ") && shown.ends_with(">>"), "{form}: {shown}");
            assert!(shown.contains(MARK) && shown.len() < 40, "{form}: {shown}");
        }
        assert_eq!(sanitiser.clean("bad key sk-proj-4f…Lm"), "bad key [secret]…Lm");
        assert_eq!(sanitiser.clean("a plain text, 100 % of it \\ here"), "a plain text, 100 % of it \\ here");
    }

    #[test]
    fn short_secrets_go_whole_and_none_leaves_texts_as_they_are() {
        assert_eq!(Sanitiser::new(["abc"]).clean("xabcx ab c b"), "x[secret]x [secret] b");
        assert_eq!(
            Sanitiser::new(["x"]).clean("expected x, found `x`"),
            "expected [secret], found `[secret]`"
        );
        for plain in ["a key of one letter garbles no message", "YQ== 61 &#97; %61"] {
            let shown = Sanitiser::new(["z"]).clean(plain);
            assert_eq!(shown, plain);
        }
        assert_eq!(Sanitiser::new([]).clean("http://u:p@h \u{7}x"), "http://[credentials]@h x");
        assert_eq!(Sanitiser::new([""]).clean("x"), "x");
    }

    proptest! {
        /// Wherever a text is cut, and whatever part of the key it holds.
        #[test]
        fn no_part_of_eight_characters_is_left(
            key in "[!-~]{8,60}", from in 0_usize..60, length in 8_usize..60, before in "[ a-z]{0,500}", after in "[ -~]{0,40}",
        ) {
            let from = from.min(key.len() - 8);
            let part = &key[from..(from + length).min(key.len())];
            let shown = Sanitiser::new([key.as_str()]).clean(&format!("{before}{part}{after}"));
            for at in 0..=part.len() - 8 {
                let window = &part[at..at + 8];
                prop_assert!(!shown.contains(window) || before.contains(window) || MARK.contains(window), "{}", shown);
            }
            prop_assert!(shown.chars().count() <= SHOWN);
        }
    }
}
