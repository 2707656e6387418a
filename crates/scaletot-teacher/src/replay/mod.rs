//! Answers recorded to a file, and given again without the model.
//!
//! A recording makes a run with a real language model reproducible on a machine that has none, and free. The file
//! is JSON lines, compressed if its name ends in `.gz`: a header with the model, the format's version and the
//! prompt format's and the time it took, then one line per answer, sorted by key, so that equal recordings differ in the
//! time at most.
//!
//! ```text
//! {"format":"scaletot-replay","version":2,"prompt_format":1,"model":"smollm2-135m","answers":1,"timing":{"answers":1,"seconds":0.031},"checksum":"…"}
//! {"k":"5f0c…","p":[-1.2345,-0.9876,null],"t":48,"checksum":"…"}
//! ```
//!
//! `k` is the first 16 bytes of the [`PromptKey`](crate::PromptKey), `p` the log-probability of each label rounded
//! to 1e-4 (`null` where the model gave none), `t` the tokens the answer took and `e`, if the teacher named any, the
//! profile fields it used. Every line ends with a [checksum](scaletot_core::checksum) of itself, so that it is known which answers are damaged;
//! the first version of the format had none. Rounding keeps the file small and moves a probability by at most 0.005 %; the
//! [`Recorder`] itself returns the rounded values, so that a recording run and its replay are the same run.

mod file;
mod journal;
mod reader;
mod recorder;

pub use reader::Replay;
pub use recorder::{RecordSummary, Recorder};

/// The version of the file format that is written, and the newest that is read.
pub const REPLAY_VERSION: u32 = 2;
