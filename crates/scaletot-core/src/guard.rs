//! Calls of other people's code on other people's files, which may panic.
//!
//! A parser that meets a damaged or hostile file may hit an index out of range or an `unwrap` of its own. For a user that is a file like
//! any other that cannot be read, so the panic becomes an error, and its message goes into the error and not to the terminal.
//! Where the program is built with `panic = "abort"`, nothing can be caught; this project's profiles unwind.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::text::printable;

/// The most characters of a panic's message that are kept.
const MAX_MESSAGE: usize = 300;

/// A library panicked. The message is the panic's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the library gave up: {message}")]
#[non_exhaustive]
pub struct Panicked {
    /// What the panic said.
    pub message: String,
}

thread_local! {
    /// How many guarded calls the thread is in.
    static GUARDED: Cell<usize> = const { Cell::new(0) };
}

/// Runs a call that may panic. What the call was working on must be dropped after a panic, so that nobody sees it half changed.
///
/// The first call puts a hook before the process's panic hook, which keeps silent about panics of guarded calls on their own thread, and
/// leaves all others to the hook that was there.
///
/// ```
/// use scaletot_core::guard::guarded;
///
/// assert_eq!(guarded(|| 3), Ok(3));
/// let none: &[u8] = &[];
/// assert!(guarded(|| none[usize::from(none.len() as u8)]).unwrap_err().to_string().contains("out of bounds"));
/// ```
///
/// # Errors
/// [`Panicked`] if it does.
pub fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    keep_silent();
    GUARDED.set(GUARDED.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(GUARDED.get() - 1);
    result.map_err(|panic| Panicked { message: printable(message(&*panic), MAX_MESSAGE) })
}

fn keep_silent() {
    static INSTALLED: Once = Once::new();
    // A thread that is panicking may not change the hook.
    if std::thread::panicking() {
        return;
    }
    INSTALLED.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if GUARDED.try_with(Cell::get).unwrap_or(0) == 0 {
                others(panic);
            }
        }));
    });
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("for no given reason")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> Panicked {
        guarded(|| panic!("{text}")).unwrap_err()
    }

    #[test]
    fn panics_become_errors_with_their_message() {
        assert_eq!(guarded(|| 3), Ok(3));
        assert_eq!(fails("width 77").to_string(), "the library gave up: width 77");
        assert_eq!(guarded(|| std::panic::panic_any(7)).unwrap_err().message, "for no given reason");
        assert_eq!(fails("\u{1b}[2Kgone\nwith it").message, "[2Kgone with it");
        assert_eq!(fails(&"x".repeat(9_000)).message.chars().count(), MAX_MESSAGE);
    }

    #[test]
    fn panics_of_guarded_calls_alone_are_silent() {
        let silent = || GUARDED.get() > 0;
        assert!(!silent());
        // Within one another, and after one that panicked.
        let inner = guarded(|| (guarded(|| -> bool { panic!("inner") }).is_err(), silent()));
        assert_eq!(inner, Ok((true, true)));
        assert!(!silent());
    }

    /// Run in a process of its own by the test below: the harness's capture of output hides what reaches a terminal.
    #[test]
    fn child_that_panics_twice() {
        if std::env::var_os("SCALETOT_GUARD_CHILD").is_some() {
            fails("kept to itself");
            let thread = std::thread::spawn(|| panic!("for everybody"));
            assert!(thread.join().is_err());
        }
    }

    #[test]
    fn the_message_of_a_guarded_call_does_not_reach_the_terminal() {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "guard::tests::child_that_panics_twice", "--nocapture"])
            .env("SCALETOT_GUARD_CHILD", "1")
            .output()
            .unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        assert!(
            child.status.success() && !text.contains("kept to itself") && text.contains("for everybody"),
            "{text}"
        );
    }
}
