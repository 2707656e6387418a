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

use super::value::{Kind, Value};

const MAGIC: [u8; 4] = *b"GGUF";
const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_DIMS: u32 = 4;
/// Deeper arrays of arrays than this are refused, so that a crafted file cannot exhaust the stack.
const MAX_NESTING: usize = 4;

/// Where a tensor lies and how it is coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorInfo {
    /// Row-major dimensions, slowest first (the file has them the other way round).
    pub(super) dims: Vec<u64>,
    kind: u32,
    offset: u64,
}

/// An open GGUF file. All errors are messages; the caller knows the path.
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
    pub(super) fn read(reader: R) -> Result<Self, String> {
        let mut source = Source::new(reader)?;
        let magic: [u8; 4] = source.array("the magic number").map_err(|_| not_gguf("fewer than 4 bytes"))?;
        if magic != MAGIC {
            return Err(not_gguf(&format!("{:?}", String::from_utf8_lossy(&magic))));
        }
        let version = source.u32("the version")?;
        match version {
            2 | 3 => {}
            version if matches!(version.swap_bytes(), 1..=3) => {
                return Err("expected a little-endian GGUF file, found a big-endian one".to_owned());
            }
            version => return Err(format!("expected GGUF version 2 or 3, found {version}")),
        }
        let tensor_count = source.u64("the number of tensors")?;
        let entry_count = source.u64("the number of metadata entries")?;
        // Nothing is reserved for these counts: a lie runs into the end of the file.
        let mut metadata = BTreeMap::new();
        for index in 0..entry_count {
            let key = source.text(&format!("the key of metadata entry {index} of {entry_count}"))?;
            let what = format!("metadata `{key}`");
            let kind = Kind::from_code(source.u32(&what)?).map_err(|e| format!("{what}: {e}"))?;
            let value = read_value(&mut source, kind, &what, 0)?;
            metadata.insert(key, value);
        }
        let mut tensors = BTreeMap::new();
        for index in 0..tensor_count {
            let name = source.text(&format!("the name of tensor {index} of {tensor_count}"))?;
            let what = format!("the entry of tensor `{name}`");
            let n_dims = source.u32(&what)?;
            if n_dims > MAX_DIMS {
                return Err(format!("{what}: expected at most {MAX_DIMS} dimensions, found {n_dims}"));
            }
            let mut dims = (0..n_dims).map(|_| source.u64(&what)).collect::<Result<Vec<_>, _>>()?;
            dims.reverse();
            let kind = source.u32(&what)?;
            let offset = source.u64(&what)?;
            tensors.insert(name, TensorInfo { dims, kind, offset });
        }
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(Value::Int(a)) if (1..=1 << 20).contains(a) => *a as u64,
            Some(other) => {
                return Err(format!("metadata `general.alignment`: expected 1 to 1048576, found {other}"));
            }
        };
        let data = source.at.div_ceil(alignment) * alignment;
        Ok(Self { source, metadata, tensors, data })
    }

    /// Reads one tensor and decodes it to `f32`, row-major. `dims` is what the architecture needs.
    pub(super) fn tensor(&mut self, name: &str, dims: &[usize]) -> Result<Vec<f32>, String> {
        let info = self.tensors.get(name).ok_or_else(|| format!("tensor `{name}` is missing"))?;
        if !info.dims.iter().copied().eq(dims.iter().map(|&d| d as u64)) {
            return Err(format!("tensor `{name}`: expected dimensions {dims:?}, found {:?}", info.dims));
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
        let decoded = qtensor_from_ggml(dtype, &raw, dims.to_vec(), &Device::Cpu)
            .and_then(|tensor| tensor.dequantize(&Device::Cpu))
            .and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>());
        let values = decoded.map_err(|e| format!("tensor `{name}` ({dtype:?}): {e}"))?;
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(values),
            Some(at) => {
                Err(format!("tensor `{name}`: expected finite numbers, found {} at element {at}", values[at]))
            }
        }
    }
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
) -> Result<Value, String> {
    match kind {
        Kind::Text => return source.text(what).map(Value::Text),
        Kind::Array => {}
        _ => return Ok(kind.decode(&source.bytes(kind.size(), what)?)),
    }
    if nesting == MAX_NESTING {
        return Err(format!("{what}: expected arrays nested at most {MAX_NESTING} deep"));
    }
    let item = Kind::from_code(source.u32(what)?).map_err(|e| format!("{what}: {e}"))?;
    let len = source.u64(what)?;
    match item {
        Kind::Text => (0..len).map(|_| source.text(what)).collect::<Result<_, _>>().map(Value::Texts),
        Kind::Array => {
            for _ in 0..len {
                read_value(source, Kind::Array, what, nesting + 1)?;
            }
            Ok(Value::Unread)
        }
        _ => {
            let raw = source.bytes(len.saturating_mul(item.size()), what)?;
            let items: Vec<Value> = raw.chunks_exact(item.size() as usize).map(|c| item.decode(c)).collect();
            let ints = items.iter().map(|v| if let Value::Int(i) = v { Some(*i) } else { None }).collect();
            Ok(Option::map_or(ints, Value::Unread, Value::Ints))
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
    fn new(mut reader: R) -> Result<Self, String> {
        let len = reader.seek(SeekFrom::End(0)).map_err(|e| e.to_string())?;
        reader.seek(SeekFrom::Start(0)).map_err(|e| e.to_string())?;
        Ok(Self { reader, at: 0, len })
    }

    fn seek(&mut self, to: u64) -> Result<(), String> {
        self.at = self.reader.seek(SeekFrom::Start(to)).map_err(|e| format!("byte {to}: {e}"))?;
        Ok(())
    }

    /// The next `n` bytes. Checked against the file's length before memory is taken.
    fn bytes(&mut self, n: u64, what: &str) -> Result<Vec<u8>, String> {
        self.check(n, what)?;
        let mut bytes = vec![0; n as usize];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        self.check(N as u64, what)?;
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    fn check(&self, n: u64, what: &str) -> Result<(), String> {
        if n <= self.len.saturating_sub(self.at) {
            return Ok(());
        }
        Err(format!(
            "truncated: {what} needs {n} bytes at byte {}, but the file ends at byte {}",
            self.at, self.len
        ))
    }

    fn fill(&mut self, bytes: &mut [u8], what: &str) -> Result<(), String> {
        self.reader.read_exact(bytes).map_err(|e| format!("{what}, at byte {}: {e}", self.at))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn u32(&mut self, what: &str) -> Result<u32, String> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64, String> {
        self.array(what).map(u64::from_le_bytes)
    }

    fn text(&mut self, what: &str) -> Result<String, String> {
        let len = self.u64(what)?;
        let at = self.at;
        String::from_utf8(self.bytes(len, what)?).map_err(|_| format!("{what}: expected UTF-8 at byte {at}"))
    }
}
