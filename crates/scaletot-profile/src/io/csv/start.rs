//! What a CSV file begins with: a mark of its encoding, and a header that shows what stands between cells.

use std::io::{self, Cursor, Read};

use super::super::kind;

/// Bytes that are looked at. A header line that is longer is taken to be separated by commas.
const LOOK: u64 = 64 << 10;

/// The bytes of a table, from behind the mark of their encoding on.
pub(super) struct Start<R> {
    pub(super) bytes: io::Chain<Cursor<Vec<u8>>, R>,
    /// What stands between cells.
    pub(super) delimiter: u8,
}

/// What a file is that is no text in UTF-8, and what was expected in its place.
type Other = (&'static str, &'static str);

/// Looks at the first bytes.
pub(super) fn look<R: Read>(mut source: R) -> io::Result<Result<Start<R>, Other>> {
    let mut first = Vec::new();
    source.by_ref().take(LOOK).read_to_end(&mut first)?;
    if let Some(found) = other(&first) {
        return Ok(Err(found));
    }
    if first.starts_with(b"\xef\xbb\xbf") {
        first.drain(..3);
    }
    if matches!(first.as_slice(), [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', _, b'\r' | b'\n', ..]) {
        return Ok(Err((
            "a first line `sep=` as Excel reads it",
            "the names of the columns in the first line: remove the one before them",
        )));
    }
    let delimiter = delimiter(&first);
    Ok(Ok(Start { bytes: Cursor::new(first).chain(source), delimiter }))
}

/// What the file is, if that is known and no text in UTF-8.
fn other(first: &[u8]) -> Option<Other> {
    let found = kind::known(first)?;
    let expected = match found {
        "a Parquet file" => "a comma-separated table, or a file name that ends in .parquet",
        "a gzipped file" => {
            "a comma-separated table, or a file name that ends in .csv.gz where such are read"
        }
        _ => "a comma-separated table in UTF-8: save it as such",
    };
    Some((found, expected))
}

/// A comma if the header line has one outside of quotes, else which of the others it has most of.
fn delimiter(first: &[u8]) -> u8 {
    const OTHERS: [u8; 3] = [b';', b'\t', b'|'];
    let mut counts = [0; 3];
    let mut quoted = false;
    let blank = first.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    for &byte in &first[blank..] {
        match byte {
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b',' => return b',',
            b'\r' | b'\n' => break,
            _ => OTHERS
                .iter()
                .zip(&mut counts)
                .for_each(|(other, count)| *count += usize::from(byte == *other)),
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let found = OTHERS.iter().zip(counts).find(|(_, count)| *count == most);
    found.filter(|_| most > 0).map_or(b',', |(other, _)| *other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_shows_what_stands_between_cells() {
        for (header, expected) in [
            ("id,age\n1;2;3", b','),
            ("id;age\n1,5;2", b';'),
            ("\n\nid\tage|x\tb", b'\t'),
            ("id|age", b'|'),
            ("\"a,b\";c", b';'),
            ("id", b','),
            ("", b','),
            ("a;b,c", b','),
        ] {
            assert_eq!(delimiter(header.as_bytes()), expected, "{header:?}");
        }
    }
}
