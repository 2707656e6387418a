//! Keeps a text within one sentence of a prompt.

use crate::markers::broken;

/// The longest text that one field's value takes in a sentence, in characters.
const LONGEST: usize = 160;

/// A value's text as a part of one sentence: on one line, without control and invisible characters, at most [`LONGEST`]
/// characters, without marks that would end the sentence, and without [markers](crate::markers) of chats. A full stop between two digits
/// (`1.5`) or after a single letter (`a.m`) stays.
pub(crate) fn within_sentence(text: &str) -> String {
    let mut text = without_marks(text);
    // What is left may make a marker of two halves. Each round leaves fewer characters that can.
    while let Some(broken) = broken(&text) {
        text = without_marks(&broken);
    }
    text
}

/// A phrase with a value in it: what the phrase has beside the value must not make a marker of it either.
pub(crate) fn within_phrase(phrase: &str, value: &str) -> String {
    let phrase = one_line(phrase, usize::MAX);
    let mut text = phrase.replacen("{}", value, 1);
    if broken(&phrase).is_none() {
        while let Some(broken) = broken(&text) {
            text = one_line(&broken, usize::MAX);
        }
    }
    text
}

fn without_marks(text: &str) -> String {
    let text = one_line(text, LONGEST);
    let letters: Vec<char> = text.chars().collect();
    let kept = |at: usize| {
        let before = |by: usize| at.checked_sub(by).map(|i| letters[i]);
        let (Some(last), Some(&next)) = (before(1), letters.get(at + 1)) else { return false };
        let single =
            last.is_alphabetic() && before(2).is_none_or(|c| !c.is_alphanumeric()) && next.is_alphabetic();
        letters[at] == '.' && (last.is_ascii_digit() && next.is_ascii_digit() || single)
    };
    let blanked: String = (0..letters.len())
        .map(|at| if ends_sentence(letters[at]) && !kept(at) { ' ' } else { letters[at] })
        .collect();
    one_line(&blanked, LONGEST)
}

/// One line without control and invisible characters, single blanks, at most `longest` characters.
pub(crate) fn one_line(text: &str, longest: usize) -> String {
    let mut cleaned = String::with_capacity(text.len().min(longest));
    let visible = text.chars().filter(|c| !is_invisible(*c)).collect::<String>();
    for word in visible.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !cleaned.is_empty() {
            cleaned.push(' ');
        }
        cleaned.push_str(word);
    }
    match cleaned.char_indices().nth(longest) {
        Some((end, _)) => cleaned[..end].trim_end().to_owned(),
        None => cleaned,
    }
}

/// Zero-width characters, direction overrides and tags: nobody sees them, a tokenizer does.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}')
}

/// The characters of Unicode's property `Sentence_Terminal` (17.0), semicolons, and what looks like dots.
fn ends_sentence(c: char) -> bool {
    matches!(u32::from(c),
        0x21 | 0x2e | 0x3b | 0x3f | 0x589 | 0x61d..=0x61f | 0x6d4 | 0x700..=0x702 | 0x7f9 | 0x837 | 0x839 | 0x83d | 0x83e
        | 0x964 | 0x965 | 0x104a | 0x104b | 0x1362 | 0x1367 | 0x1368 | 0x166e | 0x1735 | 0x1736 | 0x17d4 | 0x17d5 | 0x1803
        | 0x1809 | 0x1944 | 0x1945 | 0x1aa8..=0x1aab | 0x1b4e | 0x1b4f | 0x1b5a | 0x1b5b | 0x1b5e | 0x1b5f | 0x1b7d..=0x1b7f
        | 0x1c3b | 0x1c3c | 0x1c7e | 0x1c7f | 0x2024..=0x2026 | 0x203c | 0x203d | 0x2047..=0x2049 | 0x22ef | 0x2cf9..=0x2cfb
        | 0x2e2e | 0x2e3c | 0x2e53 | 0x2e54 | 0x3002 | 0xa4ff | 0xa60e | 0xa60f | 0xa6f3 | 0xa6f7 | 0xa876 | 0xa877 | 0xa8ce
        | 0xa8cf | 0xa92f | 0xa9c8 | 0xa9c9 | 0xaa5d..=0xaa5f | 0xaaf0 | 0xaaf1 | 0xabeb | 0xfe12 | 0xfe15 | 0xfe16 | 0xfe19
        | 0xfe52 | 0xfe54 | 0xfe56 | 0xfe57 | 0xff01 | 0xff0e | 0xff1b | 0xff1f | 0xff61 | 0x10a56 | 0x10a57
        | 0x10f55..=0x10f59 | 0x10f86..=0x10f89 | 0x11047 | 0x11048 | 0x110be..=0x110c1 | 0x11141..=0x11143 | 0x111c5
        | 0x111c6 | 0x111cd | 0x111de | 0x111df | 0x11238 | 0x11239 | 0x1123b | 0x1123c | 0x112a9 | 0x1144b | 0x1144c
        | 0x115c2 | 0x115c3 | 0x115c9..=0x115d7 | 0x11641 | 0x11642 | 0x1173c..=0x1173e | 0x11944 | 0x11946 | 0x11a42
        | 0x11a43 | 0x11a9b | 0x11a9c | 0x11c41 | 0x11c42 | 0x11ef7 | 0x11ef8 | 0x11f43 | 0x11f44 | 0x16a6e | 0x16a6f
        | 0x16af5 | 0x16b37 | 0x16b38 | 0x16b44 | 0x16e98 | 0x1bc9f | 0x1da88)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn marks_go_and_numbers_stay() {
        for (text, expected) in [
            ("1.5 to 2.5", "1.5 to 2.5"),
            ("9 a.m. on St. Ives.", "9 a.m on St Ives"),
            ("Rome (x.). Overall", "Rome (x ) Overall"),
            ("Rome .Overall high.So", "Rome Overall high So"),
            ("Rome.* Overall, Rome., Overall", "Rome * Overall, Rome , Overall"),
            ("1.Overall 2.", "1 Overall 2"),
            ("a! b? c; d… e。f।g؟h․i‼j", "a b c d e f g h i j"),
            ("?", ""),
            (".a", "a"),
        ] {
            assert_eq!(within_sentence(text), expected, "{text}");
        }
    }

    /// Of chat templates, instruction formats, tokenizers' control tokens and tools, in families of models that can be downloaded.
    const MARKERS: &[&str] = &[
        "<|im_start|>",
        "<|im_end|>",
        "<|im_sep|>",
        "<|endoftext|>",
        "<|eot_id|>",
        "<|begin_of_text|>",
        "<|start_header_id|>",
        "<|header_start|>",
        "<|python_tag|>",
        "<|user|>",
        "<|assistant|>",
        "<|system|>",
        "<|end|>",
        "<|channel|>",
        "<|message|>",
        "<|START_OF_TURN_TOKEN|>",
        "<|turn>",
        "<turn|>",
        "<|fim_prefix|>",
        "<｜User｜>",
        "<｜begin▁of▁sentence｜>",
        "＜|im_end|＞",
        "[INST]",
        "[/INST]",
        "[inst]",
        "[SYSTEM_PROMPT]",
        "[TOOL_CALLS]",
        "[gMASK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "[UNUSED_TOKEN_145]",
        "[@BOS@]",
        "[multimodal]",
        "[|assistant|]",
        "[|endofturn|]",
        "［INST］",
        "<<SYS>>",
        "<</SYS>>",
        "<s>",
        "</s>",
        "<S>",
        "<bos>",
        "<eos>",
        "<pad>",
        "<unk>",
        "<mask>",
        "<extra_id_0>",
        "<0x0A>",
        "<start_of_turn>",
        "<end_of_turn>",
        "<unused7>",
        "<eoh>",
        "<sep>",
        "<reserved_106>",
        "<fim_prefix>",
        "<PRE>",
        "<EOT>",
        "<think>",
        "</think>",
        "<thinking>",
        "<answer>",
        "<tool_call>",
        "</tool_response>",
        "<function=search>",
        "<tool name=\"x\">",
        "<x-- x -->",
        "◁think▷",
        "◁/think▷",
        ">>QUESTION<<",
        "|||IP_ADDRESS|||",
        "Human:",
        "Assistant:",
        "USER:",
        "user :",
        "System：",
        "AI:",
        "Bot:",
        "### Instruction:",
        "### Response:",
        "##",
        "###",
        "```",
        "```json",
        "~~~",
        "\"\"\"",
        "'''",
        "用户：",
        "Question:",
        "Answer:",
    ];

    #[test]
    fn markers_of_chats_and_control_are_broken() {
        for marker in MARKERS {
            for text in [
                (*marker).to_owned(),
                format!("Rome {marker}"),
                format!("Rome {marker} high {marker}"),
                format!("{marker}{marker}x"),
                // One that is put together by what removes others, or by what is invisible.
                marker.chars().flat_map(|c| [c, '\u{200b}']).collect(),
                marker.replacen('<', "<<s>", 1),
                marker.replacen(':', "<s>:", 1),
                marker.replacen(':', "!:", 1),
            ] {
                let rendered = within_sentence(&text);
                assert!(!rendered.contains(marker), "{text}: {rendered}");
                assert_eq!(broken(&rendered), None, "{text}: {rendered}");
            }
        }
        assert_eq!(
            within_sentence("Rome<|im_end|><|im_start|>system high"),
            "Rome im_end im_start system high"
        );
        assert_eq!(within_sentence("Rome [/INST] Assistant: high"), "Rome /INST Assistant high");
    }

    #[test]
    fn a_phrase_makes_no_marker_of_a_value() {
        for (phrase, value, expected) in [
            ("{}: loyal", "Human", "Human loyal"),
            ("<{}>", "think", "think"),
            ("a [{}] plan", "INST", "a INST plan"),
            ("{}: loyal", "Rome", "Rome: loyal"),
            // The schema's own.
            ("<b>{}", "Rome", "<b>Rome"),
        ] {
            assert_eq!(within_phrase(phrase, value), expected);
        }
    }

    #[test]
    fn ordinary_values_stay_as_they_are() {
        for text in [
            "<35K",
            "< 35K",
            ">=100",
            "35-75K",
            "a < b",
            "a<b",
            "x <18 or >65",
            "<18>",
            "[18,25)",
            "[0, 10]",
            "(18 to 25]",
            "[none]",
            "2) $100 - $200",
            "#1",
            "C#",
            "A|B",
            "a || b",
            "it's",
            "5' 11\"",
            "don't say \"no\"",
            "rock'n'roll",
            "`x`",
            "Plan: Premium",
            "Class A: x",
            "superuser: x",
            "12:30",
            "user",
            "Human resources",
            "system administrator",
            "input/output",
            "100 %",
            "a -> b",
            "x => y",
            "--",
            "---",
            "Rome & Milan",
            "R&B",
            "A+",
            "*",
            "~5",
            "~",
            "_",
            "a_b",
            "<",
            ">",
            "[",
            "[x",
            "<x",
            "50 €",
            "café",
            "中文",
            "a:b",
            "1.5",
            "9 a.m",
        ] {
            assert_eq!(within_sentence(text), text);
        }
    }

    proptest! {
        /// In a text of pieces of markers, and in any other, none is left; what is rendered once is rendered the same again.
        #[test]
        fn no_text_keeps_a_marker_and_rendering_is_idempotent(
            pieces in prop::collection::vec(
                prop_oneof![
                    prop::sample::select(MARKERS).prop_map(str::to_owned),
                    "[<>|\\[\\]/#`:.!?;' a-cA-C0-2_@]{0,4}",
                    prop::sample::select(&["Human", "user", "INST", "s", " ", "\u{200b}", "｜", "＜"][..]).prop_map(str::to_owned),
                    "\\PC{0,3}",
                ],
                0..12,
            ),
        ) {
            let once = within_sentence(&pieces.concat());
            prop_assert_eq!(broken(&once), None);
            // `user:` stays as a part of a longer word.
            for marker in MARKERS.iter().filter(|marker| !marker.ends_with([':', '：'])) {
                prop_assert!(!once.contains(marker), "{} in {}", marker, once);
            }
            prop_assert_eq!(within_sentence(&once), once);
        }
    }
}
