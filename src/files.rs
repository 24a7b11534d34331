//! Whole files or none: written under a temporary name in the same folder, synced, then renamed.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use tempfile::NamedTempFile;
use zstd::stream::write::Encoder;

use crate::error::{Error, Result};

/// The folder that `path` lies in; `.` for a bare name.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a temporary file in the folder of `path`; it vanishes if it is not [`persist`]ed.
pub fn staged(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<NamedTempFile> {
    let at = |e: std::io::Error| Error::io(path, e);
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // An ordinary file, as the user's umask leaves it.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let temporary = builder.prefix(".onnxpress-").tempfile_in(folder_of(path)).map_err(at)?;
    filled(temporary.as_file(), fill).map_err(at)?;
    temporary.as_file().sync_all().map_err(at)?;
    Ok(temporary)
}

/// Writes what `fill` writes through a buffer.
///
/// # Errors
/// Those of writing.
pub fn filled(file: &File, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    fill(&mut writer).and_then(|()| writer.flush())
}

/// Bytes of the file once zstd has compressed it at its default level: what a package or a download of it weighs.
pub fn compressed(path: &Path) -> Result<u64> {
    let at = |e: std::io::Error| Error::io(path, e);
    compressed_size(BufReader::with_capacity(1 << 20, File::open(path).map_err(at)?)).map_err(at)
}

/// Bytes of what `from` reads once zstd has compressed it at its default level.
pub fn compressed_size(mut from: impl Read) -> std::io::Result<u64> {
    let mut encoder = Encoder::new(Counted(0), zstd::DEFAULT_COMPRESSION_LEVEL)?;
    std::io::copy(&mut from, &mut encoder)?;
    Ok(encoder.finish()?.0)
}

/// Counts what is written.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Gives a [`staged`] file its name, in one step.
pub fn persist(temporary: NamedTempFile, path: &Path) -> Result<()> {
    let at = |e: std::io::Error| Error::io(path, e);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The output has the rights of the file that it replaces.
        if let Ok(replaced) = std::fs::metadata(path) {
            let mode = replaced.permissions().mode();
            temporary.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).map_err(at)?;
        }
    }
    temporary.persist(path).map_err(|e| at(e.error))?;
    if let Ok(folder) = File::open(folder_of(path)) {
        // Not every file system can sync a folder; the rename itself is done.
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_output_has_the_rights_of_an_ordinary_file_or_of_the_one_it_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let [ordinary, ours] = ["a", "b"].map(|name| folder.path().join(name));
        File::create(&ordinary).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        let write = || persist(staged(&ours, |w| w.write_all(b"x")).unwrap(), &ours).unwrap();
        write();
        assert_eq!(mode(&ours), mode(&ordinary));
        std::fs::set_permissions(&ours, std::fs::Permissions::from_mode(0o640)).unwrap();
        write();
        assert_eq!(mode(&ours) & 0o777, 0o640);
    }
}
