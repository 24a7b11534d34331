//! The `.npz` format: a zip file with one `.npy` member per array, stored or deflated.
//!
//! Only the directory is read on opening. Members are looked at when the model asks for them by name.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use zip::{CompressionMethod, ZipArchive};

use super::array::Array;
use super::content::{Content, DataFile, Inflater};
use super::npy;
use crate::error::{Error, Result};

/// Deflate cannot make more than 1,032 bytes out of one.
const HIGHEST_RATIO: u64 = 1032;

#[derive(Debug)]
pub(super) struct Npz {
    file: Arc<DataFile>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    name: String,
    method: CompressionMethod,
    start: u64,
    compressed: u64,
    len: u64,
    crc: u32,
    encrypted: bool,
}

impl Npz {
    pub fn open(path: &Path) -> Result<Self> {
        let broken = |e: zip::result::ZipError| {
            Error::input(format!("is not a readable npz (zip) file: {e}")).in_file(path).caused_by(e)
        };
        let file = DataFile::open(path).map_err(|e| Error::io(path, e))?;
        let reader = BufReader::new(File::open(path).map_err(|e| Error::io(path, e))?);
        let mut zip = ZipArchive::new(reader).map_err(broken)?;
        let mut members = Vec::new();
        for i in 0..zip.len() {
            let entry = zip.by_index_raw(i).map_err(broken)?;
            let Some(name) = entry.name().strip_suffix(".npy") else { continue };
            members.push(Member {
                name: name.into(),
                method: entry.compression(),
                start: entry.data_start(),
                compressed: entry.compressed_size(),
                len: entry.size(),
                crc: entry.crc32(),
                encrypted: entry.encrypted(),
            });
        }
        Ok(Npz { file, members })
    }

    /// Names of the arrays, in file order.
    pub fn names(&self) -> Vec<&str> {
        self.members.iter().map(|m| m.name.as_str()).collect()
    }

    pub fn array(&self, name: &str) -> Option<Result<Array>> {
        let member = self.members.iter().find(|m| m.name == name)?;
        Some(self.content(member).and_then(|content| npy::array(&self.file.path, name.into(), content)))
    }

    fn content(&self, m: &Member) -> Result<Content> {
        let bad = |why: &str| Err(Error::input(format!("array \"{}\" {why}", m.name)).in_file(&self.file.path));
        if m.encrypted {
            return bad("is encrypted");
        }
        if m.start.checked_add(m.compressed).is_none_or(|end| end > self.file.len) {
            return bad("lies beyond the end of the file: the file is truncated");
        }
        match m.method {
            CompressionMethod::Stored if m.len == m.compressed => {
                Ok(Content::Stored { file: self.file.clone(), start: m.start, len: m.len })
            }
            CompressionMethod::Deflated if m.len <= m.compressed.saturating_mul(HIGHEST_RATIO) => {
                let inflater = Inflater::new(&self.file.path, m.start, m.compressed, m.len, m.crc);
                Ok(Content::Deflated(Box::new(inflater.map_err(|e| Error::io(&self.file.path, e))?)))
            }
            CompressionMethod::Stored | CompressionMethod::Deflated => bad("has sizes that contradict each other"),
            other => bad(&format!("is compressed by {other}; numpy writes stored and deflated arrays only")),
        }
    }
}
