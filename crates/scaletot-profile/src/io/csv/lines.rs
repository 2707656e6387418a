//! Watches the bytes of a CSV file on their way to the parser.

use std::collections::VecDeque;
use std::io::{self, Read};

/// Knows on which line each record begins, and whether the file ends within quotes.
///
/// The parser tells neither: its positions are a line early with CRLF line ends and before blank lines, and a quote that
/// is never closed counts as closed at the end of the file. Here the same few states run over the bytes once more.
#[derive(Debug)]
pub(super) struct Lines<R> {
    inner: R,
    state: State,
    line: u64,
    after_cr: bool,
    ended: bool,
    /// The lines of the records that were read from the file and not yet asked for; as many as fit the parser's buffer.
    starts: VecDeque<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// Before the first byte of a record; blank lines do not leave it.
    Record,
    /// Before the first byte of a further field.
    Field,
    Plain,
    Quoted,
    /// After a quote within quotes: the closing one, or the first of two.
    Quote,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, state: State::Record, line: 1, after_cr: false, ended: false, starts: VecDeque::new() }
    }

    /// The line of the next record, to be asked once per record, the header included.
    pub(super) fn next_start(&mut self) -> Option<u64> {
        self.starts.pop_front()
    }

    /// Whether the end of the file has come within quotes.
    pub(super) fn is_cut(&self) -> bool {
        self.ended && self.state == State::Quoted
    }

    fn take(&mut self, byte: u8) {
        // CRLF ends one line, as CR and LF alone do.
        let ends_line = byte == b'\r' || (byte == b'\n' && !self.after_cr);
        self.after_cr = byte == b'\r';
        if self.state == State::Record && !matches!(byte, b'\r' | b'\n') {
            self.starts.push_back(self.line);
        }
        self.line += u64::from(ends_line);
        self.state = match (self.state, byte) {
            (State::Quoted, b'"') => State::Quote,
            (State::Quoted, _) | (State::Record | State::Field | State::Quote, b'"') => State::Quoted,
            (_, b',') => State::Field,
            (_, b'\r' | b'\n') => State::Record,
            _ => State::Plain,
        };
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.ended |= read == 0 && !buffer.is_empty();
        buffer[..read].iter().for_each(|&byte| self.take(byte));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of the records and whether a quote is open, read in pieces of `step` bytes.
    fn watch(text: &str, step: usize) -> (Vec<u64>, bool) {
        let mut lines = Lines::new(text.as_bytes());
        let mut buffer = vec![0; step];
        while lines.read(&mut buffer).unwrap() > 0 {}
        let open = lines.is_cut();
        (std::iter::from_fn(|| lines.next_start()).collect(), open)
    }

    #[test]
    fn records_are_found_on_their_lines() {
        for step in [1, 2, 7, 100] {
            assert_eq!(watch("a,b\n1,2\n3,4", step), (vec![1, 2, 3], false));
            assert_eq!(watch("a,b\r\n1,2\r\n\r\n3,4\r\n", step), (vec![1, 2, 4], false));
            assert_eq!(watch("a\n\n\n1\n\"x\n\n\"\n2\n", step), (vec![1, 4, 5, 8], false));
            assert_eq!(watch("a\r1\r2", step), (vec![1, 2, 3], false));
            assert_eq!(watch("", step), (vec![], false));
        }
    }

    #[test]
    fn open_quotes_are_seen() {
        for (text, open) in [
            ("a,\"b", true),
            ("a,\"b\"", false),
            ("a,\"b\"\"", true),
            ("a,\"b\"\"\"", false),
            ("a,b\"c", false),
            ("\"a\nb", true),
            ("\"", true),
        ] {
            assert_eq!(watch(text, 3).1, open, "{text:?}");
        }
    }
}
