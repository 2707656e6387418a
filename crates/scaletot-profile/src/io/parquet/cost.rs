//! What a page takes when it is decoded, known from its unpacked bytes.

use parquet::basic::{Encoding, Type};
use parquet::column::page::Page;
use parquet::schema::types::ColumnDescriptor;

use super::delta::{self, Extent};

/// Bytes of a cell that is no text: as Arrow has it, converted, and in the table.
const CELL: u64 = 24;
/// Bytes of a text's place in an array and in a table.
const TEXT: u64 = 40;
/// A text as it is decoded, converted, and in the table.
const TEXT_COPIES: u64 = 3;
/// The lengths of what a text shares with the one before and of what follows, as the decoder and [`delta::extent`] hold them.
const LENGTHS: u64 = 12;
/// Levels and offsets of an item of a list.
const ITEM: u64 = 8;

/// A column of the file with what is known of it so far.
#[derive(Debug, Clone)]
pub(super) struct Column {
    kind: Type,
    width: u64,
    definition: i16,
    repetition: i16,
    /// Whether texts of a dictionary stay in it.
    as_dictionary: bool,
    dictionary: Option<Extent>,
}

impl Column {
    pub(super) fn new(descriptor: &ColumnDescriptor, as_dictionary: bool) -> Self {
        let kind = descriptor.physical_type();
        let width = match kind {
            Type::BOOLEAN => 1,
            Type::INT32 | Type::FLOAT => 4,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::BYTE_ARRAY => 0,
            Type::FIXED_LEN_BYTE_ARRAY => u64::try_from(descriptor.type_length()).unwrap_or(0),
        };
        let (definition, repetition) = (descriptor.max_def_level(), descriptor.max_rep_level());
        Self { kind, width, definition, repetition, as_dictionary, dictionary: None }
    }

    /// Whether a row may have several values.
    pub(super) fn is_list(&self) -> bool {
        self.repetition > 0
    }

    /// Bytes that a dictionary takes beside its page. Its page is from now on what later ones refer to.
    ///
    /// # Errors
    /// If it has fewer values than its header says.
    pub(super) fn dictionary(&mut self, page: &[u8], values: u64) -> Result<u64, String> {
        let short = || Err(format!("a dictionary that claims {values} values in {} bytes", page.len()));
        if self.kind != Type::BYTE_ARRAY {
            self.dictionary = Some(Extent { total: 0, longest: self.width });
            return match values.checked_mul(self.width) {
                Some(bytes) if bytes <= page.len() as u64 => Ok(bytes),
                _ => short(),
            };
        }
        let (texts, extent) = plain(page);
        if values > texts {
            return short();
        }
        self.dictionary = Some(extent);
        Ok(TEXT_COPIES * extent.total + TEXT * values)
    }

    /// Bytes that the page's cells take in a batch of at most so many rows; more than the limit need not be known exactly.
    ///
    /// # Errors
    /// If the page claims more than it can hold.
    pub(super) fn cells(&self, page: &Page, rows: u64, limit: u64) -> Result<u64, String> {
        let values = u64::from(page.num_values());
        // How many values of a list belong to one row is not known before they are decoded.
        let here = if self.is_list() { values } else { values.min(rows) };
        let cells = here * (CELL + self.width + if self.is_list() { ITEM } else { 0 });
        let bytes = self.values(page)?;
        let is_text = self.kind == Type::BYTE_ARRAY;
        let texts = match page.encoding() {
            Encoding::DELTA_BINARY_PACKED => {
                delta::count(bytes, values)?;
                0
            }
            // The lengths of all texts of a page are decoded at once.
            Encoding::DELTA_LENGTH_BYTE_ARRAY => {
                delta::count(bytes, values)?;
                4 * values + TEXT_COPIES * bytes.len() as u64
            }
            Encoding::DELTA_BYTE_ARRAY => {
                let lengths = LENGTHS * delta::count(bytes, values)?;
                // More lengths than there is room for are not looked at.
                let extent = if lengths <= limit { delta::extent(bytes, values)? } else { Extent::default() };
                // To write out milliards of bytes batch by batch would take no room, but its time.
                lengths + if extent.total > limit { extent.total } else { self.texts(extent, here) }
            }
            Encoding::PLAIN if is_text => {
                let (_, extent) = plain(bytes);
                // Cells that refer to a dictionary are written out when others of their batch do not.
                self.texts(extent, here) + self.referred(here)
            }
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY if is_text && !self.as_dictionary => {
                self.referred(here)
            }
            _ => 0,
        };
        Ok(cells.saturating_add(texts).saturating_add(if is_text { TEXT * here } else { 0 }))
    }

    /// Texts of the page itself, of which so many go into a batch.
    fn texts(&self, extent: Extent, here: u64) -> u64 {
        extent.total.min(extent.longest.saturating_mul(here)).saturating_mul(TEXT_COPIES)
    }

    /// So many texts of the dictionary.
    fn referred(&self, here: u64) -> u64 {
        let longest = self.dictionary.map_or(0, |extent| extent.longest);
        longest.saturating_mul(here).saturating_mul(TEXT_COPIES)
    }

    /// The page's bytes behind its levels.
    fn values<'a>(&self, page: &'a Page) -> Result<&'a [u8], String> {
        let short = || "a page ends within its levels".to_owned();
        let mut bytes: &[u8] = page.buffer();
        match page {
            Page::DataPage { num_values, rep_level_encoding, def_level_encoding, .. } => {
                for (most, encoding) in
                    [(self.repetition, rep_level_encoding), (self.definition, def_level_encoding)]
                {
                    if most == 0 {
                        continue;
                    }
                    let length = match encoding {
                        Encoding::RLE => {
                            let (length, rest) = bytes.split_first_chunk().ok_or_else(short)?;
                            bytes = rest;
                            u64::from(u32::from_le_bytes(*length))
                        }
                        // So many bits for each level.
                        _ => (u64::from(*num_values) * u64::from(16 - most.leading_zeros())).div_ceil(8),
                    };
                    let length = usize::try_from(length).map_err(|_| short())?;
                    bytes = bytes.get(length..).ok_or_else(short)?;
                }
            }
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                let levels = u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len);
                let levels = usize::try_from(levels).map_err(|_| short())?;
                bytes = bytes.get(levels..).ok_or_else(short)?;
            }
            Page::DictionaryPage { .. } => {}
        }
        Ok(bytes)
    }
}

/// Texts that stand one after the other, each behind its length: how many, and what they take. What is cut off is left to the decoder.
fn plain(mut bytes: &[u8]) -> (u64, Extent) {
    let (mut texts, mut extent) = (0, Extent::default());
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = u32::from_le_bytes(*length);
        let Some(rest) = rest.get(length as usize..) else { break };
        extent.add(length.into());
        (texts, bytes) = (texts + 1, rest);
    }
    (texts, extent)
}
