use std::fmt::Display;

use scaletot_core::guard;
use scaletot_core::text::printable;

/// Why the decoder does not give what it should.
#[derive(Debug, PartialEq)]
pub(super) enum Failure {
    /// The file does not hold what it says.
    Damaged(String),
    /// The file may be sound; the decoder does not know what it holds.
    Unsupported(String),
}

/// Runs a step of the Parquet decoder and turns its error, or its panic, into a failure.
///
/// Of 4,000 copies of a small file with one to four random bytes changed, the decoder (59.3) refused most with an error
/// and panicked on eight, for example on an integer type of an impossible width in the schema. A damaged file is input
/// like any other. After a panic the step's state must be dropped, so that nobody sees it half changed.
pub(super) fn guarded<T, E: Display>(step: impl FnOnce() -> Result<T, E>) -> Result<T, Failure> {
    match guard::guarded(step) {
        Ok(result) => result.map_err(|error| failure(error.to_string())),
        Err(panic) => Err(Failure::Damaged(format!("the decoder gave up: {}", panic.message))),
    }
}

/// On its way through Arrow the decoder's error becomes a text, in which "not yet implemented" is still to be seen.
fn failure(mut message: String) -> Failure {
    for prefix in ["Parquet argument error: ", "Parquet error: "] {
        if let Some(rest) = message.strip_prefix(prefix) {
            message = rest.to_owned();
        }
    }
    let mut message = printable(&message, 400);
    // Some writers put texts of any encoding where UTF-8 is due.
    if message.contains("non UTF-8") {
        message.push_str(
            "; if the file is as it was written, its texts are in another encoding: write them in UTF-8",
        );
    }
    let unsupported = message.contains("NYI: ") || message.contains("encryption feature is disabled");
    if unsupported { Failure::Unsupported(message) } else { Failure::Damaged(message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_become_messages() {
        let damaged = |message: &str| Err(Failure::Damaged(message.to_owned()));
        assert_eq!(guarded(|| Ok::<_, String>(3)), Ok(3));
        assert_eq!(guarded(|| Err::<i32, _>("no footer")), damaged("no footer"));
        let width = 77;
        let fail = || -> Result<i32, String> { panic!("width {width}") };
        assert_eq!(guarded(fail), damaged("the decoder gave up: width 77"));
        let fail = || -> Result<i32, String> { panic!("plain") };
        assert_eq!(guarded(fail), damaged("the decoder gave up: plain"));
    }

    #[test]
    fn what_the_decoder_does_not_know_is_no_damage() {
        let error = parquet::errors::ParquetError::NYI("Encoding 9".to_owned());
        assert!(matches!(guarded(|| Err::<(), _>(error)), Err(Failure::Unsupported(_))));
    }
}
