//! Addresses without the credentials in them.

/// What stands for credentials that were taken out.
const MARK: &str = "[credentials]";

/// The text without the user names and passwords of addresses in it: of `http://user:password@host` and of `user:password@host` the
/// host is left. Where a text could be either, more is taken out rather than less.
///
/// ```
/// use scaletot_teacher::without_credentials;
///
/// assert_eq!(without_credentials("openai:http://bob:secret@10.0.0.7/v1#m"), "openai:http://[credentials]@10.0.0.7/v1#m");
/// assert_eq!(without_credentials("http://10.0.0.7/v1, ask bob@example.org"), "http://10.0.0.7/v1, ask bob@example.org");
/// ```
#[must_use]
pub fn without_credentials(text: &str) -> String {
    let is_border = |c: char| c.is_whitespace() || matches!(c, '"' | '`' | '<' | '>');
    let mut shown = String::with_capacity(text.len());
    for run in text.split_inclusive(is_border) {
        // A password may hold an `@` itself, so the last one ends it.
        let Some(at) = run.rfind('@') else {
            shown.push_str(run);
            continue;
        };
        let before = &run[..at];
        let begin = match before.find("://") {
            Some(scheme) => Some(scheme + "://".len()),
            None => before.contains(':').then_some(0),
        };
        match begin {
            Some(begin) => shown.extend([&run[..begin], MARK, &run[at..]]),
            None => shown.push_str(run),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_credential_stays() {
        for text in ["", "a@b", "http://x/v1", "12:30", "model `a/b:c`", "\"http://x\" @ 3"] {
            assert_eq!(without_credentials(text), text);
        }
        assert_eq!(without_credentials("see `u:p@h:80`."), "see `[credentials]@h:80`.");
    }

    proptest! {
        /// Whatever the password is made of and the address stands in.
        #[test]
        fn no_password_is_left(password in "[a-zA-Z0-9@:/#?%!~.,;=&']{6,20}", around in "[ \"`<>]{0,1}") {
            prop_assume!(!"http://user:@host/v1[credentials]".contains(&password));
            for address in [format!("http://user:{password}@host/v1"), format!("user:{password}@host")] {
                let shown = without_credentials(&format!("of {around}{address}{around} nothing"));
                prop_assert!(!shown.contains(&password), "{}", shown);
                prop_assert!(shown.contains("@host"));
            }
        }
    }
}
