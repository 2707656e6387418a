//! The pages of a row group, each of which is looked at before it is unpacked and before it is decoded.
//!
//! A page states the sizes of what it holds, and the decoder (59.3) makes room by what is stated. Here the room is counted first: a page
//! that takes more than the budget, or claims more values than its bytes can hold, is an error and no allocation.

use std::io::{self, Read};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::budget::{Budget, Refused};
use super::chunks::Chunks;
use super::cost::Column;
use super::thrift::{PageHeader, Stop};

/// Bytes that a page's header has, most often and at most.
const HEADERS: [u64; 2] = [1 << 10, 1 << 20];
/// A byte of gzip unpacks to at most so many (the limit of deflate), one of LZ4 to at most so many.
const GZIP_RATIO: u64 = 1032;
const LZ4_RATIO: u64 = 255;

/// The wanted columns of one row group.
pub(super) struct Group {
    pub(super) file: Arc<Chunks>,
    pub(super) metadata: Arc<ParquetMetaData>,
    pub(super) group: usize,
    /// Of each column that is read, its index in the file.
    pub(super) leaves: Arc<[(usize, Column)]>,
    /// Rows of a batch.
    pub(super) rows: u64,
    pub(super) budget: Budget,
}

impl RowGroups for Group {
    fn num_rows(&self) -> usize {
        usize::try_from(self.metadata.row_group(self.group).num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, i: usize) -> Result<Box<dyn PageIterator>> {
        let damaged = |message: &str| ParquetError::General(message.to_owned());
        let (leaf, column) = self.leaves.get(i).ok_or_else(|| damaged("no such column"))?;
        let group = self.metadata.row_group(self.group);
        let chunk = group.columns().get(*leaf).ok_or_else(|| damaged("a row group lacks a column"))?;
        let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
        let range = u64::try_from(start).ok().zip(u64::try_from(chunk.compressed_size()).ok());
        let end = range.and_then(|(start, length)| start.checked_add(length));
        let (Some((start, _)), Some(end)) = (range, end.filter(|end| *end <= self.file.len())) else {
            return Err(damaged("a column's pages are outside of the file"));
        };
        let pages = SerializedPageReader::new(Arc::clone(&self.file), chunk, self.num_rows(), None)?;
        let pages = CheckedPages {
            pages,
            file: Arc::clone(&self.file),
            next: start,
            end,
            header: None,
            compression: chunk.compression(),
            index: i,
            name: chunk.column_path().string(),
            column: column.clone(),
            rows: self.rows,
            budget: self.budget.clone(),
        };
        Ok(Box::new(OneChunk(Some(pages))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.metadata.row_group(self.group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// The pages of a column in one row group.
struct OneChunk(Option<CheckedPages>);

impl Iterator for OneChunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|pages| Ok(Box::new(pages) as _))
    }
}

impl PageIterator for OneChunk {}

struct CheckedPages {
    pages: SerializedPageReader<Chunks>,
    file: Arc<Chunks>,
    /// Where the next page's header begins.
    next: u64,
    end: u64,
    /// That header, once it was looked at.
    header: Option<PageHeader>,
    compression: Compression,
    /// Among the columns that are read.
    index: usize,
    name: String,
    column: Column,
    rows: u64,
    budget: Budget,
}

impl CheckedPages {
    /// The header of the next page that holds values; `None` at the end.
    fn look(&mut self) -> Result<Option<PageHeader>> {
        if self.header.is_none() && self.next < self.end {
            let header = self.read_header()?;
            if header.length + header.packed > self.end - self.next {
                return Err(ParquetError::General("a page goes on behind the end of its column".to_owned()));
            }
            self.header = Some(header);
        }
        Ok(self.header)
    }

    fn read_header(&self) -> Result<PageHeader> {
        let mut found = Err(Stop::Lost);
        for most in HEADERS {
            let length = most.min(self.end - self.next);
            let bytes = self.file.get_bytes(self.next, length as usize)?;
            found = PageHeader::read(&bytes);
            if found.is_ok() || length < most {
                break;
            }
        }
        found.map_err(|stop| {
            ParquetError::General(match stop {
                Stop::TooMany { count, left } => {
                    format!("the header of a page has a list of {count} elements in {left} bytes")
                }
                Stop::Lost => "the header of a page cannot be followed".to_owned(),
            })
        })
    }

    /// Refuses a packed page that unpacks to more than it says and than there is room for. The other codecs stop at the stated size.
    fn check_unpacking(&self, header: PageHeader) -> Result<()> {
        let (at, limit) = (self.next + header.length, self.budget.limit());
        let packed = header.packed as usize;
        let refused = |needed: u64| self.refuse(Refused { column: self.index, needed, by_cells: false });
        match self.compression {
            Compression::GZIP(_) if header.packed.saturating_mul(GZIP_RATIO) > limit => {
                let bytes = self.file.get_bytes(at, packed)?;
                let mut unpacked = MultiGzDecoder::new(&*bytes).take(limit + 1);
                let length = io::copy(&mut unpacked, &mut io::sink())?;
                if length > limit { Err(refused(length)) } else { Ok(()) }
            }
            // Whose frames, unlike its blocks, do not state their size.
            Compression::LZ4 if header.packed.saturating_mul(LZ4_RATIO) > limit => {
                let begin = self.file.get_bytes(at, packed.min(4))?;
                let is_frame = matches!(&*begin, [0x04, 0x22, 0x4d, 0x18] | [0x02, 0x21, 0x4c, 0x18]);
                if is_frame { Err(refused(header.packed * LZ4_RATIO)) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn refuse(&self, refused: Refused) -> ParquetError {
        self.budget.refuse(refused);
        ParquetError::General(format!("expected at most {} bytes at once", self.budget.limit()))
    }

    /// Counts what the page takes when it is decoded.
    fn check_decoding(&mut self, page: &Page) -> Result<()> {
        let damaged = |message: String| ParquetError::General(format!("column {:?}: {message}", self.name));
        let taken = if let Page::DictionaryPage { buf, num_values, .. } = page {
            let bytes = self.column.dictionary(buf, u64::from(*num_values));
            let bytes = bytes.map_err(damaged)?;
            self.budget.take_dictionary(self.index, buf.len() as u64 + bytes)
        } else {
            let bytes = self.column.cells(page, self.rows, self.budget.limit()).map_err(damaged)?;
            self.budget.take_cells(self.index, bytes)
        };
        taken.map_err(|refused| self.refuse(refused))
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(header) = self.look()? else { return Ok(None) };
        self.budget
            .take_page(self.index, header.unpacked.saturating_add(header.packed))
            .map_err(|refused| self.refuse(refused))?;
        self.check_unpacking(header)?;
        let page = self.pages.get_next_page()?;
        self.next += header.length + header.packed;
        self.header = None;
        if let Some(page) = &page {
            self.check_decoding(page)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        match self.look()? {
            Some(_) => self.pages.peek_next_page(),
            None => Ok(None),
        }
    }

    fn skip_next_page(&mut self) -> Result<()> {
        let Some(header) = self.look()? else { return Ok(()) };
        self.pages.skip_next_page()?;
        self.next += header.length + header.packed;
        self.header = None;
        Ok(())
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        match self.look()? {
            Some(_) => self.pages.at_record_boundary(),
            None => Ok(true),
        }
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
