//! Memory-mapped files: a model's weights stay in them until something writes others.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

use crate::error::{Error, Result};

/// A file that is mapped for as long as any slice of it lives.
///
/// As with every memory map, the file must not be shortened while it is in use; our own writer never
/// does (it writes another file and renames it).
#[derive(Debug, Clone)]
pub struct Mapped(Option<Arc<Mmap>>);

impl Mapped {
    /// Maps the file at `path`; an empty one holds no map.
    ///
    /// # Errors
    /// Those of opening it, and input for a folder.
    #[allow(unsafe_code)]
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let meta = file.metadata().map_err(|e| Error::io(path, e))?;
        if meta.is_dir() {
            return Err(Error::input("is a folder, not a file").in_file(path));
        }
        if meta.len() == 0 {
            return Ok(Mapped(None));
        }
        // SAFETY: the map is read-only and private; see above for the one condition.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io(path, e))?;
        Ok(Mapped(Some(Arc::new(map))))
    }

    /// The file's content as slices of its map.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// Gives back the memory of the pages that were read: whoever reads them again gets them from the page cache.
    /// What has been copied elsewhere, into a session of a runtime say, need not be held here, too.
    #[allow(unsafe_code)]
    pub fn forget(&self) {
        #[cfg(unix)]
        if let Some(map) = &self.0 {
            // SAFETY: nothing writes to a read-only map of a file, so its pages come back from the file as they were.
            // Where the system declines the advice, they stay.
            let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |map| map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgotten_pages_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let content: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let mapped = Mapped::open(&path).unwrap();
        let slice = mapped.bytes().slice(5000..90_000);
        assert_eq!(slice, content[5000..90_000]);
        mapped.forget();
        assert_eq!(slice, content[5000..90_000]);
        std::fs::write(&path, []).unwrap();
        assert!(Mapped::open(&path).unwrap().bytes().is_empty());
    }
}
