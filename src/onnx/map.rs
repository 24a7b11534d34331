//! Memory-mapped files as `Bytes`.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use memmap2::Mmap;

use crate::error::{Error, Result};

/// The file's content as slices of its map. The map lives as long as any slice.
///
/// As with every memory map, the file must not be shortened while it is in use; our own writer never
/// does (it writes another file and renames it).
#[allow(unsafe_code)]
pub fn map_file(path: &Path) -> Result<Bytes> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let meta = file.metadata().map_err(|e| Error::io(path, e))?;
    if meta.is_dir() {
        return Err(Error::input("is a folder, not a file").in_file(path));
    }
    if meta.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the map is read-only and private; see above for the one condition.
    let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io(path, e))?;
    Ok(Bytes::from_owner(map))
}
