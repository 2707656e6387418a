//! Ctrl-C and the other signals that ask the program to end.

use std::io;
use std::sync::Arc;

use scaletot_core::progress::Bars;

use crate::exit::AT_ONCE;
use crate::terminal::note;

/// Listens to the signals that stop the work, but for those that are ignored when the program starts: `nohup` keeps a hang-up away, and a shell
/// without job control keeps Ctrl-C from what runs in the background. What is ignored is known on Linux.
#[cfg(unix)]
pub(crate) fn listen(bars: Arc<Bars>) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let ignored = ignored();
    let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = Signals::new(heard.collect::<Vec<_>>())?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        signals.forever().for_each(|_| interrupt(&bars));
    })?;
    Ok(())
}

/// Elsewhere the system ends the program.
#[cfg(not(unix))]
pub(crate) fn listen(_bars: Arc<Bars>) -> io::Result<()> {
    Ok(())
}

/// The signals that this process ignores, the first in the lowest bit.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Stops the work under way; asked a second time, ends the program at once.
fn interrupt(bars: &Bars) {
    if bars.stop() {
        // What stands under its final name is whole, so nothing is lost but the work in hand.
        std::process::exit(i32::from(AT_ONCE));
    }
    note("stopping at the next safe point; press Ctrl-C again to stop at once");
}
