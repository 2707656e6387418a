//! Breaks the markers of chats and of models' control in a text.
//!
//! Behind a prompt stands a tokenizer, and behind a server often a template: to both, `<|im_end|>` in a user's profile can be the
//! end of a turn, and `<think>` the beginning of a thought. So what such markers are made of becomes blanks. They are known by
//! their form more than by their names, as every family of models adds some: tags in angle brackets, bars beside brackets, capitals in
//! square brackets, the words of a turn before a colon, and the fences and headings of templates. Characters that a normalising
//! tokenizer makes the same, such as full-width ones, count as the same. A comparison (`<35K`, `a < b`), an interval (`[18,25)`) and a
//! number (`#1`) are none of these.

/// Who speaks, or what follows, in the plain-text templates of chats and instructions, before a colon.
const TURNS: [&str; 20] = [
    "human",
    "user",
    "assistant",
    "system",
    "developer",
    "ai",
    "bot",
    "chatbot",
    "instruction",
    "instructions",
    "input",
    "output",
    "response",
    "question",
    "answer",
    "prompt",
    "用户",
    "助手",
    "系统",
    "人类",
];

/// Names in square brackets that are markers without two capitals in a row.
const BRACKETED: [&str; 9] =
    ["inst", "sys", "system", "user", "assistant", "think", "multimodal", "img", "pad"];

/// The text with blanks in the place of what makes a marker; `None` if there is none. Blanks may join what were parts of two.
pub(crate) fn broken(text: &str) -> Option<String> {
    let letters: Vec<char> = text.chars().collect();
    let folded: Vec<char> = letters.iter().map(|c| fold(*c)).collect();
    let mut blank = vec![false; letters.len()];
    for at in 0..folded.len() {
        match folded[at] {
            '<' => tag(&folded, at, &mut blank),
            '>' if folded[at..].starts_with(&['>', '>']) => title(&folded, at, &mut blank),
            '[' => bracket(&folded, at, &mut blank),
            '|' => bar(&folded, at, &mut blank),
            ':' => turn(&folded, at, &mut blank),
            c @ ('#' | '`' | '~' | '"' | '\'') if at == 0 || folded[at - 1] != c => {
                run(&folded, at, &mut blank);
            }
            _ => {}
        }
    }
    let with_blanks = letters.iter().zip(&blank).map(|(c, blank)| if *blank { ' ' } else { *c });
    blank.contains(&true).then(|| with_blanks.collect())
}

/// What stands between `<` and the next `>`, begun like the name of a tag.
fn tag(text: &[char], open: usize, blank: &mut [bool]) {
    let inner = &text[open + 1..];
    let Some(length) = inner.iter().position(|c| *c == '>').filter(|end| !inner[..*end].contains(&'<'))
    else {
        return;
    };
    let named = |c: &char| c.is_alphabetic() || matches!(c, '_' | '@' | '/' | '\\' | '!' | '?' | '\u{2581}');
    let byte = length == 4 && inner.starts_with(&['0', 'x']);
    if byte || inner[..length].first().is_some_and(named) {
        (blank[open], blank[open + 1 + length]) = (true, true);
    }
}

/// `>>QUESTION<<`.
fn title(text: &[char], at: usize, blank: &mut [bool]) {
    let inner = &text[at + 2..];
    let length = inner.iter().take_while(|c| c.is_ascii_uppercase() || **c == '_').count();
    if length > 0 && inner[length..].starts_with(&['<', '<']) {
        let end = at + 2 + length;
        for at in [at, at + 1, end, end + 1] {
            blank[at] = true;
        }
    }
}

/// `[INST]`, `[/INST]`, `[@BOS@]`, `[gMASK]`.
fn bracket(text: &[char], open: usize, blank: &mut [bool]) {
    let inner = &text[open + 1..];
    let length =
        inner.iter().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '@')).count();
    if inner.get(length) != Some(&']') {
        return;
    }
    let name = &inner[..length];
    let capitals = name.windows(2).any(|pair| pair.iter().all(char::is_ascii_uppercase));
    let lower: String = name.iter().filter(|c| **c != '/').map(char::to_ascii_lowercase).collect();
    if capitals || BRACKETED.contains(&lower.as_str()) {
        (blank[open], blank[open + 1 + length]) = (true, true);
    }
}

/// `<|`, `|>`, `[|`, `|]`, and three bars.
fn bar(text: &[char], at: usize, blank: &mut [bool]) {
    let before = at.checked_sub(1);
    if let Some(before) = before.filter(|before| matches!(text[*before], '<' | '[')) {
        (blank[before], blank[at]) = (true, true);
    }
    if text.get(at + 1).is_some_and(|c| matches!(c, '>' | ']')) {
        (blank[at], blank[at + 1]) = (true, true);
    }
    if before.is_none_or(|before| text[before] != '|') {
        run(text, at, blank);
    }
}

/// A colon after a word of a turn, alone or with a capital behind other letters (`RomeHuman:`, but not `superuser:`).
fn turn(text: &[char], colon: usize, blank: &mut [bool]) {
    let end = text[..colon].iter().rposition(|c| !c.is_whitespace()).map_or(0, |last| last + 1);
    let start = text[..end].iter().rposition(|c| !c.is_alphanumeric()).map_or(0, |last| last + 1);
    let is_turn = |from: usize| {
        let word: String = text[from..end].iter().flat_map(|c| c.to_lowercase()).collect();
        TURNS.contains(&word.as_str())
    };
    blank[colon] |= is_turn(start) || (start..end).any(|from| text[from].is_uppercase() && is_turn(from));
}

/// `###`, back-ticks and quotes of fences: so many of the same that they are no heading's number, apostrophe or inch.
fn run(text: &[char], at: usize, blank: &mut [bool]) {
    let length = text[at..].iter().take_while(|c| **c == text[at]).count();
    if length >= if text[at] == '#' { 2 } else { 3 } {
        blank[at..at + length].fill(true);
    }
}

/// The ASCII character that a tokenizer may make of one.
fn fold(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{fe64}' | '◁' => '<',
        '\u{fe65}' | '▷' => '>',
        '\u{fe5f}' => '#',
        '\u{fe55}' | '\u{fe13}' => ':',
        '\u{fe47}' => '[',
        '\u{fe48}' => ']',
        _ => c,
    }
}
