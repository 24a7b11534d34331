//! The bytes of one array in a data file, read as they are wanted.
//!
//! A stored array is read from the file batch by batch. A deflated one can only be inflated from its start, so it is
//! inflated just as far as the furthest batch asked for (other threads run the model meanwhile) and kept: in memory up
//! to [`SPOOL_IN_MEMORY`], beyond that in an unnamed temporary file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use flate2::CrcReader;
use flate2::read::DeflateDecoder;
use tempfile::SpooledTempFile;

/// Inflated bytes of one array that stay in memory.
const SPOOL_IN_MEMORY: usize = 64 << 20;

/// An open data file, shared by its arrays and by threads.
#[derive(Debug)]
pub(super) struct DataFile {
    pub path: PathBuf,
    pub len: u64,
    file: Mutex<File>,
}

impl DataFile {
    pub fn open(path: &Path) -> io::Result<Arc<Self>> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Arc::new(DataFile { path: path.into(), len, file: Mutex::new(file) }))
    }

    pub fn read_at(&self, start: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut file = lock(&self.file);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(buffer)
    }
}

#[derive(Debug)]
pub(super) enum Content {
    Memory(Bytes),
    Stored { file: Arc<DataFile>, start: u64, len: u64 },
    Deflated(Box<Inflater>),
}

impl Content {
    pub fn len(&self) -> u64 {
        match self {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Stored { len, .. } => *len,
            Content::Deflated(inflater) => inflater.len,
        }
    }

    /// `len` bytes from `start` on. Allocates only what is certainly there.
    pub fn read(&self, start: u64, len: usize) -> io::Result<Bytes> {
        if start.checked_add(len as u64).is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut buffer = Vec::new();
        match self {
            Content::Memory(bytes) => return Ok(bytes.slice(start as usize..start as usize + len)),
            Content::Stored { file, start: base, .. } => {
                if base.saturating_add(start).saturating_add(len as u64) > file.len {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                buffer.resize(len, 0);
                file.read_at(base + start, &mut buffer)?;
            }
            Content::Deflated(inflater) => {
                let mut state = inflater.inflate_to(start + len as u64)?;
                buffer.resize(len, 0);
                state.spool.seek(SeekFrom::Start(start))?;
                state.spool.read_exact(&mut buffer)?;
            }
        }
        Ok(buffer.into())
    }
}

/// A deflated member of a zip file, inflated from its start as far as somebody has asked.
#[derive(Debug)]
pub(super) struct Inflater {
    len: u64,
    crc: u32,
    state: Mutex<Inflating>,
}

type Source = CrcReader<DeflateDecoder<BufReader<Take<File>>>>;

#[derive(Debug)]
struct Inflating {
    /// `None` once everything is inflated and its checksum was right, or after an error.
    source: Option<Source>,
    spool: SpooledTempFile,
    done: u64,
}

impl Inflater {
    /// The member of `path` that has `compressed` bytes at `start` and inflates to `len`.
    pub fn new(path: &Path, start: u64, compressed: u64, len: u64, crc: u32) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(start))?;
        let source = CrcReader::new(DeflateDecoder::new(BufReader::with_capacity(1 << 16, file.take(compressed))));
        let spool = SpooledTempFile::new(SPOOL_IN_MEMORY);
        Ok(Inflater { len, crc, state: Mutex::new(Inflating { source: Some(source), spool, done: 0 }) })
    }

    fn inflate_to(&self, end: u64) -> io::Result<MutexGuard<'_, Inflating>> {
        let mut state = lock(&self.state);
        if state.done < end {
            // The source is put back only after success: where one reader met an error, so do all later ones.
            let damaged = || io::Error::new(io::ErrorKind::InvalidData, "its compressed data is damaged");
            let mut source = state.source.take().ok_or_else(damaged)?;
            state.copy(&mut source, end)?;
            if state.done < self.len {
                state.source = Some(source);
            } else if source.crc().sum() != self.crc {
                state.done = 0;
                return Err(damaged());
            }
        }
        Ok(state)
    }
}

impl Inflating {
    fn copy(&mut self, source: &mut impl Read, end: u64) -> io::Result<()> {
        self.spool.seek(SeekFrom::Start(self.done))?;
        let mut chunk = vec![0; 1 << 16];
        while self.done < end {
            let room = chunk.len().min(usize::try_from(end - self.done).unwrap_or(usize::MAX));
            let n = source.read(&mut chunk[..room])?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.spool.write_all(&chunk[..n])?;
            self.done += n as u64;
        }
        Ok(())
    }
}

/// A lock whose holder cannot leave the state half-changed in a way that a later reader would trust.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
