//! Reads GGUF files: the header, the metadata and single tensors as `f32`.
//!
//! candle reads GGUF too, but divides by the file's own `general.alignment` and multiplies its dimensions
//! unchecked, so a damaged file could panic; and its errors do not name where the file ends. The header is simple,
//! so it is read here, with every length checked against the file before memory is taken for it, and candle
//! decodes the quantised blocks. The format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>,
//! versions 2 and 3, little-endian.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;

use scaletot_core::guard::guarded;
use scaletot_core::text::printable;
use scaletot_core::{ContentHash, ContentHasher};

use super::failure::Failure;
use super::value::{Kind, Value};

const MAGIC: [u8; 4] = *b"GGUF";
const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_DIMS: u32 = 4;
/// Deeper arrays of arrays than this are refused, so that a crafted file cannot exhaust the stack.
const MAX_NESTING: usize = 4;
/// Bounds that no model comes near, so that a file that says otherwise, and has gigabytes of nothing to show for it, is refused at once.
const MAX_TENSORS: u64 = 100_000;
const MAX_ENTRIES: u64 = 10_000;
/// Of an array; the largest vocabularies have a few hundred thousand.
const MAX_ITEMS: u64 = 1 << 22;
/// Bytes after the last tensor; the largest alignment that is taken.
const MAX_PADDING: u64 = 1 << 20;
/// Bytes of a text.
const MAX_TEXT: u64 = 1 << 26;
/// Bytes of a key or of a tensor's name, as the format has it.
const MAX_NAME: u64 = 65_535;

/// Where a tensor lies and how it is coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorInfo {
    /// Row-major dimensions, slowest first (the file has them the other way round).
    pub(super) dims: Vec<u64>,
    kind: u32,
    offset: u64,
}

/// An open GGUF file. No failure names it; the caller knows the path.
#[derive(Debug)]
pub(super) struct GgufFile<R> {
    source: Source<R>,
    /// Metadata by key.
    pub(super) metadata: BTreeMap<String, Value>,
    /// Tensors by name.
    pub(super) tensors: BTreeMap<String, TensorInfo>,
    data: u64,
}

impl<R: Read + Seek> GgufFile<R> {
    /// Reads the header, the metadata and the table of tensors.
    pub(super) fn read(reader: R) -> Result<Self, Failure> {
        let mut source = Source::new(reader)?;
        let magic: [u8; 4] = source.array("the magic number").map_err(|_| not_gguf("fewer than 4 bytes"))?;
        if magic != MAGIC {
            return Err(not_gguf(&format!("{:?}", String::from_utf8_lossy(&magic))).into());
        }
        let version = source.u32("the version")?;
        match version {
            2 | 3 => {}
            version if matches!(version.swap_bytes(), 1..=3) => {
                return Err("expected a little-endian GGUF file, found a big-endian one".into());
            }
            version => return Err(format!("expected GGUF version 2 or 3, found {version}").into()),
        }
        let tensor_count = source.u64("the number of tensors")?;
        let entry_count = source.u64("the number of metadata entries")?;
        // Nothing is reserved for these counts: a lie runs into the end of the file, of which a sparse one has no near one.
        for (what, count, least_bytes, most) in [
            ("the number of tensors", tensor_count, 24, MAX_TENSORS),
            ("the number of metadata entries", entry_count, 13, MAX_ENTRIES),
        ] {
            source.check(count.saturating_mul(least_bytes), &format!("{what}, {count},"))?;
            expect_at_most(what, count, most)?;
        }
        let mut metadata = BTreeMap::new();
        for index in 0..entry_count {
            let key = source.name(&format!("the key of metadata entry {index} of {entry_count}"))?;
            let what = format!("metadata `{}`", printable(&key, 100));
            let kind = Kind::from_code(source.u32(&what)?).map_err(|e| format!("{what}: {e}"))?;
            let value = read_value(&mut source, kind, &what, 0)?;
            if metadata.insert(key, value).is_some() {
                return Err(format!("{what}: expected it once, found it twice").into());
            }
        }
        let mut tensors = BTreeMap::new();
        for index in 0..tensor_count {
            let name = source.name(&format!("the name of tensor {index} of {tensor_count}"))?;
            let what = format!("the entry of tensor `{}`", printable(&name, 100));
            let n_dims = source.u32(&what)?;
            if n_dims > MAX_DIMS {
                return Err(format!("{what}: expected at most {MAX_DIMS} dimensions, found {n_dims}").into());
            }
            let mut dims = (0..n_dims).map(|_| source.u64(&what)).collect::<Result<Vec<_>, _>>()?;
            dims.reverse();
            let kind = source.u32(&what)?;
            let offset = source.u64(&what)?;
            if tensors.insert(name, TensorInfo { dims, kind, offset }).is_some() {
                return Err(format!("{what}: expected it once, found it twice").into());
            }
        }
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(Value::Int(a)) if (1..=1 << 20).contains(a) => *a as u64,
            Some(other) => {
                return Err(
                    format!("metadata `general.alignment`: expected 1 to 1048576, found {other}").into()
                );
            }
        };
        let data = source.at.div_ceil(alignment) * alignment;
        Ok(Self { source, metadata, tensors, data })
    }

    /// Reads one tensor and decodes it to `f32`, row-major. `dims` is what the architecture needs.
    pub(super) fn tensor(&mut self, name: &str, dims: &[usize]) -> Result<Vec<f32>, Failure> {
        let info = self.tensors.get(name).ok_or_else(|| format!("tensor `{name}` is missing"))?;
        if !info.dims.iter().copied().eq(dims.iter().map(|&d| d as u64)) {
            return Err(
                format!("tensor `{name}`: expected dimensions {dims:?}, found {:?}", info.dims).into()
            );
        }
        let dtype = block_type(info.kind).ok_or_else(|| {
            format!("tensor `{name}`: its type (number {}) is not one that can be decoded", info.kind)
        })?;
        let elements = dims.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
        let row = dims.last().copied().unwrap_or(1);
        let bytes = elements
            .filter(|_| row.is_multiple_of(dtype.block_size()))
            .and_then(|n| (n / dtype.block_size()).checked_mul(dtype.type_size()))
            .ok_or_else(|| {
                format!(
                    "tensor `{name}`: dimensions {dims:?} cannot be coded as {dtype:?} (blocks of {})",
                    dtype.block_size()
                )
            })?;
        let start = self.data.saturating_add(info.offset);
        self.source.seek(start)?;
        let raw = self.source.bytes(bytes as u64, &format!("tensor `{name}`"))?;
        let decode = || {
            qtensor_from_ggml(dtype, &raw, dims.to_vec(), &Device::Cpu)?
                .dequantize(&Device::Cpu)?
                .flatten_all()?
                .to_vec1::<f32>()
        };
        let message = || format!("tensor `{name}`: cannot be decoded as {dtype:?}");
        let values = guarded(decode).map_err(Failure::of(message()))?.map_err(Failure::of(message()))?;
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(values),
            Some(at) => {
                let found = values[at];
                Err(format!("tensor `{name}`: expected finite numbers, found {found} at element {at}").into())
            }
        }
    }

    /// Refuses a table of tensors that reaches beyond the file, and a file that goes on after the last of them: nobody looks at the rest, but
    /// it would be read whole for the file's hash. Tensors of a type that is not known are left to their [reader](Self::tensor).
    pub(super) fn check_extent(&self) -> Result<(), Failure> {
        let mut end = self.data;
        for (name, info) in &self.tensors {
            let Some(dtype) = block_type(info.kind) else { continue };
            let elements = info.dims.iter().try_fold(1_u64, |n, &d| n.checked_mul(d));
            let blocks = elements.map(|n| n.div_ceil(dtype.block_size() as u64));
            let bytes = blocks.and_then(|n| n.checked_mul(dtype.type_size() as u64)).unwrap_or(u64::MAX);
            let start = self.data.saturating_add(info.offset);
            let last = start.saturating_add(bytes);
            if last > self.source.len {
                let (name, length) = (printable(name, 100), self.source.len);
                let needs = format!("tensor `{name}` needs {bytes} bytes at byte {start}");
                return Err(format!("truncated: {needs}, but the file ends at byte {length}").into());
            }
            end = end.max(last);
        }
        let most = end.saturating_add(MAX_PADDING);
        if self.source.len > most {
            let found = self.source.len;
            return Err(format!(
                "expected the file to end by byte {most}, after its last tensor, found {found} bytes"
            )
            .into());
        }
        Ok(())
    }

    /// The hash of the whole file.
    pub(super) fn hash(&mut self) -> Result<ContentHash, Failure> {
        let mut hasher = ContentHasher::new();
        self.source.seek(0)?;
        hasher
            .update_reader(&mut self.source.reader)
            .map_err(Failure::of("cannot read the file to hash it"))?;
        Ok(hasher.finish())
    }
}

fn expect_at_most(what: &str, found: u64, most: u64) -> Result<(), Failure> {
    if found <= most { Ok(()) } else { Err(format!("{what}: expected at most {most}, found {found}").into()) }
}

fn not_gguf(found: &str) -> String {
    format!("not a GGUF file: expected it to begin with \"GGUF\", found {found}")
}

/// The codes of <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md> that candle can decode.
fn block_type(code: u32) -> Option<GgmlDType> {
    Some(match code {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

fn read_value<R: Read + Seek>(
    source: &mut Source<R>,
    kind: Kind,
    what: &str,
    nesting: usize,
) -> Result<Value, Failure> {
    match kind {
        Kind::Text => return source.text(what).map(Value::Text),
        Kind::Array => {}
        _ => return Ok(kind.decode(&source.bytes(kind.size(), what)?)),
    }
    if nesting == MAX_NESTING {
        return Err(format!("{what}: expected arrays nested at most {MAX_NESTING} deep").into());
    }
    let item = Kind::from_code(source.u32(what)?).map_err(|e| format!("{what}: {e}"))?;
    let len = source.u64(what)?;
    expect_at_most(what, len, MAX_ITEMS)?;
    match item {
        Kind::Text => (0..len).map(|_| source.text(what)).collect::<Result<_, _>>().map(Value::Texts),
        Kind::Array => {
            for _ in 0..len {
                read_value(source, Kind::Array, what, nesting + 1)?;
            }
            Ok(Value::Unread)
        }
        Kind::F32 | Kind::F64 | Kind::Bool => {
            source.bytes(len.saturating_mul(item.size()), what)?;
            Ok(Value::Unread)
        }
        _ => {
            let raw = source.bytes(len.saturating_mul(item.size()), what)?;
            let ints = raw.chunks_exact(item.size() as usize).map(|bytes| match item.decode(bytes) {
                Value::Int(int) => Some(int),
                _ => None,
            });
            Ok(ints.collect::<Option<_>>().map_or(Value::Unread, Value::Ints))
        }
    }
}

/// A reader that knows where it is and how long the file is.
#[derive(Debug)]
struct Source<R> {
    reader: R,
    at: u64,
    len: u64,
}

impl<R: Read + Seek> Source<R> {
    fn new(mut reader: R) -> Result<Self, Failure> {
        let len = reader.seek(SeekFrom::End(0)).map_err(Failure::of("cannot find the end of the file"))?;
        reader.seek(SeekFrom::Start(0)).map_err(Failure::of("cannot go to the beginning of the file"))?;
        Ok(Self { reader, at: 0, len })
    }

    fn seek(&mut self, to: u64) -> Result<(), Failure> {
        self.at =
            self.reader.seek(SeekFrom::Start(to)).map_err(Failure::of(format!("cannot go to byte {to}")))?;
        Ok(())
    }

    /// The next `n` bytes. Checked against the file's length before memory is taken.
    fn bytes(&mut self, n: u64, what: &str) -> Result<Vec<u8>, Failure> {
        self.check(n, what)?;
        let mut bytes = vec![0; n as usize];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Failure> {
        self.check(N as u64, what)?;
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    fn check(&self, n: u64, what: &str) -> Result<(), Failure> {
        if n <= self.len.saturating_sub(self.at) {
            return Ok(());
        }
        Err(format!(
            "truncated: {what} needs {n} bytes at byte {}, but the file ends at byte {}",
            self.at, self.len
        )
        .into())
    }

    fn fill(&mut self, bytes: &mut [u8], what: &str) -> Result<(), Failure> {
        self.reader
            .read_exact(bytes)
            .map_err(Failure::of(format!("cannot read {what} at byte {}", self.at)))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn u32(&mut self, what: &str) -> Result<u32, Failure> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64, Failure> {
        self.array(what).map(u64::from_le_bytes)
    }

    fn text(&mut self, what: &str) -> Result<String, Failure> {
        let len = self.u64(what)?;
        let at = self.at;
        expect_at_most(&format!("the bytes of {what}"), len, MAX_TEXT)?;
        String::from_utf8(self.bytes(len, what)?)
            .map_err(Failure::of(format!("{what}: expected UTF-8 at byte {at}")))
    }

    /// The text of a key or of a tensor's name.
    fn name(&mut self, what: &str) -> Result<String, Failure> {
        let text = self.text(what)?;
        expect_at_most(&format!("the bytes of {what}"), text.len() as u64, MAX_NAME)?;
        Ok(text)
    }
}
