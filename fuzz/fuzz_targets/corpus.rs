//! Whatever a file holds, reading it as a corpus, and resuming it, gives records or an error.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use scaletot_chain::{ChainSchema, Corpus, CorpusHeader, CorpusWriter};
use scaletot_core::ContentHash;
use scaletot_core::checksum::{KEY, seal};

static SCHEMA: LazyLock<ChainSchema> = LazyLock::new(scaletot_fuzz::schema);

fuzz_target!(|data: &[u8]| {
    read(data);
    // With checksums that fit, so that what is behind them is reached.
    let mut sealed = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        let end = line.windows(KEY.len()).rposition(|window| window == KEY);
        let mut line = end.map_or(line.to_vec(), |end| [&line[..end], b"}"].concat());
        seal(&mut line);
        sealed.extend_from_slice(&line);
        sealed.push(b'\n');
    }
    read(&sealed);
});

fn read(data: &[u8]) {
    let path = std::env::temp_dir().join(format!("scaletot-fuzz-{}.jsonl", std::process::id()));
    std::fs::write(&path, data).unwrap();
    let read = Corpus::read(&path, &SCHEMA);
    let header = match &read {
        Ok(corpus) => corpus.header().clone(),
        Err(_) => CorpusHeader::new(ContentHash::of(b"p"), &SCHEMA, "t", 1),
    };
    // What can be read can be resumed, with the same records.
    match (read, CorpusWriter::resume(&path, &header)) {
        (Ok(corpus), resumed) => assert_eq!(resumed.unwrap().1, corpus.records()),
        (Err(_), _) => {}
    }
}
