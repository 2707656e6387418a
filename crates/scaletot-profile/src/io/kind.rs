//! What a file is by the bytes that it begins with, whatever its name says.

/// Bytes that are looked at.
#[cfg(feature = "parquet")]
pub(super) const LOOK: u64 = 512;

/// What a file is that is no table in text; `None` if that is not known.
pub(super) fn known(first: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 11] = [
        (b"PAR1", "a Parquet file"),
        (b"PARE", "an encrypted Parquet file"),
        (b"\x1f\x8b", "a gzipped file"),
        (b"\x28\xb5\x2f\xfd", "a file compressed with zstd"),
        (b"BZh", "a file compressed with bzip2"),
        (b"PK\x03\x04", "a workbook or an archive"),
        (b"\xd0\xcf\x11\xe0", "a workbook or an archive"),
        (b"ORC", "an ORC file"),
        (b"Obj\x01", "an Avro file"),
        (b"ARROW1", "an Arrow or Feather file"),
        (b"SQLite format 3", "a database of SQLite"),
    ];
    let wide = first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff");
    KINDS.iter().find(|(begin, _)| first.starts_with(begin)).map(|(_, kind)| *kind).or_else(|| {
        (wide || first.iter().take(64).any(|&byte| byte == 0)).then_some("text in UTF-16, or no text")
    })
}

/// What a file is that should be a Parquet file; `None` if that is not known.
#[cfg(feature = "parquet")]
pub(super) fn beside_parquet(first: &[u8]) -> Option<&'static str> {
    let is_text = || {
        // The last character may be cut.
        let valid = first.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let odd = |c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\n');
        valid.len() + 3 >= first.len() && !valid.is_empty() && !valid.contains(odd)
    };
    match known(first) {
        Some(kind) if kind.contains("UTF-16") => first.starts_with(b"\xff\xfe").then_some("text in UTF-16"),
        None if is_text() => Some("text, such as CSV or JSON"),
        found => found,
    }
}

#[cfg(all(test, feature = "parquet"))]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_what_they_begin_with() {
        for (first, kind) in [
            (&b"id,x\n1,2\n"[..], Some("text, such as CSV or JSON")),
            ("id;Größe\n1;ü".as_bytes(), Some("text, such as CSV or JSON")),
            (&"id;Größe".as_bytes()[..6], Some("text, such as CSV or JSON")),
            (b"\xff\xfei\0d\0", Some("text in UTF-16")),
            (b"\x1f\x8b\x08\0", Some("a gzipped file")),
            (b"ORC\n\x0b", Some("an ORC file")),
            (b"\0\0\0\0", None),
            (b"\x89\x02\xfe\xca", None),
            (b"", None),
        ] {
            assert_eq!(beside_parquet(first), kind, "{first:?}");
        }
    }
}
