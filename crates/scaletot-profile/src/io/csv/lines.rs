//! Watches the bytes of a CSV file on their way to the parser.

use std::collections::VecDeque;
use std::io::{self, Read};

/// Bytes that one row has at most: a quote that is never closed would else take the rest of the file into memory.
pub(super) const MAX_ROW: u64 = 4 << 20;

/// Knows on which line each record begins, whether the file ends within quotes, and what the parser takes without a word: text
/// behind a closing quote.
///
/// The parser tells none of it: its positions are a line early with CRLF line ends and before blank lines, a quote that is never closed
/// counts as closed at the end of the file, and `"a\"b"` is read as `a\b"`. Here the same few states run over the bytes once more.
#[derive(Debug)]
pub(super) struct Lines<R> {
    inner: R,
    delimiter: u8,
    state: State,
    line: u64,
    after_cr: bool,
    ended: bool,
    /// Bytes of the record so far.
    length: u64,
    /// The line on which the record begins that the parser cannot be trusted with, and what is wrong with it.
    fault: Option<(u64, Fault)>,
    /// The line of the record that the bytes are in.
    start: u64,
    /// The lines of the records that were read from the file and not yet asked for; as many as fit the parser's buffer.
    starts: VecDeque<u64>,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// Text behind a closing quote, on that line.
    BehindQuote(u64),
    /// More than [`MAX_ROW`] bytes.
    TooLong,
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
    pub(super) fn new(inner: R, delimiter: u8) -> Self {
        Self {
            inner,
            delimiter,
            state: State::Record,
            line: 1,
            after_cr: false,
            ended: false,
            length: 0,
            fault: None,
            start: 1,
            starts: VecDeque::new(),
        }
    }

    /// The line of the next record, to be asked once per record, the header included.
    pub(super) fn next_start(&mut self) -> Option<u64> {
        self.starts.pop_front()
    }

    /// Whether the end of the file has come within quotes.
    pub(super) fn is_cut(&self) -> bool {
        self.ended && self.state == State::Quoted
    }

    /// What is wrong with the record that begins on that line.
    pub(super) fn fault(&self, start: Option<u64>) -> Option<Fault> {
        self.fault.filter(|(at, _)| Some(*at) == start).map(|(_, fault)| fault)
    }

    fn take(&mut self, byte: u8) {
        // CRLF ends one line, as CR and LF alone do.
        let ends_line = byte == b'\r' || (byte == b'\n' && !self.after_cr);
        self.after_cr = byte == b'\r';
        if self.state == State::Record && !matches!(byte, b'\r' | b'\n') {
            self.starts.push_back(self.line);
            (self.start, self.length) = (self.line, 0);
        }
        self.length += 1;
        let line = self.line;
        self.line += u64::from(ends_line);
        self.state = match (self.state, byte) {
            (State::Quoted, b'"') => State::Quote,
            (State::Quoted, _) | (State::Record | State::Field | State::Quote, b'"') => State::Quoted,
            (_, byte) if byte == self.delimiter => State::Field,
            (_, b'\r' | b'\n') => State::Record,
            (State::Quote, _) => {
                self.find(Fault::BehindQuote(line));
                State::Plain
            }
            _ => State::Plain,
        };
        if self.length > MAX_ROW && self.state != State::Record {
            self.find(Fault::TooLong);
        }
    }

    /// The first fault stays.
    fn find(&mut self, fault: Fault) {
        self.fault.get_or_insert((self.start, fault));
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // No more of a row without end.
        if matches!(self.fault, Some((_, Fault::TooLong))) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let read = self.inner.read(buffer)?;
        self.ended |= read == 0 && !buffer.is_empty();
        buffer[..read].iter().for_each(|&byte| self.take(byte));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(text: &str, step: usize) -> Lines<&[u8]> {
        let mut lines = Lines::new(text.as_bytes(), b',');
        let mut buffer = vec![0; step];
        while lines.read(&mut buffer).unwrap() > 0 {}
        lines
    }

    /// Lines of the records and whether a quote is open, read in pieces of `step` bytes.
    fn watch(text: &str, step: usize) -> (Vec<u64>, bool) {
        let mut lines = watched(text, step);
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

    #[test]
    fn text_behind_a_closing_quote_is_seen_on_its_line() {
        for (text, fault) in [
            ("a,b\n\"x\"y,2\n", Some((2, Fault::BehindQuote(2)))),
            ("a,b\n1,\"x\n\\\"y\"\n", Some((2, Fault::BehindQuote(3)))),
            ("a,b\n\"x\"\"y\",\"2\"\r\n", None),
            ("a,b\nx\"y,2\n", None),
        ] {
            assert_eq!(watched(text, 3).fault, fault, "{text:?}");
        }
    }
}
