//! Whole files or none: written under a temporary name in the same folder, synced, then renamed.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};
use zstd::stream::write::Encoder;

use crate::error::{Error, Result};

/// The folder that `path` lies in; `.` for a bare name.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Links from one to the next that a path may take, as many as Linux follows.
const MOST_LINKS: usize = 40;

/// The file that is written where an output is called `path`: what a symbolic link points to, which need not exist.
///
/// # Errors
/// Usage where a folder, a device, a pipe or a socket is there, none of which a file may replace.
pub fn destination(path: &Path) -> Result<PathBuf> {
    // Follows links that are not written out, too, as those of open files in /proc.
    if let Ok(there) = std::fs::metadata(path)
        && !there.is_file()
    {
        let what = if there.is_dir() { "a folder" } else { "a device, a pipe or a socket" };
        return Err(Error::usage(format!("is {what}, not a file to write")).in_file(path));
    }
    let mut at = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&at) {
            Ok(target) => at = folder_of(&at).join(target),
            // No link, or nothing yet.
            Err(_) => return Ok(at),
        }
    }
    Err(Error::usage("is a link to a link that never ends at a file").in_file(path))
}

/// How the names of all that this process writes for the time being begin.
fn prefix() -> String {
    format!(".onnxpress-{}-", std::process::id())
}

/// Removes what this process wrote for the time being in `folder`, where it ends before that has its name or is dropped.
pub fn sweep(folder: &Path) {
    let own = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&prefix());
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().filter(own) {
        // What cannot be removed stays, and takes room.
        let path = entry.path();
        let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
}

/// A folder beside an output, in which that is tried before it takes its place; gone when dropped.
#[derive(Debug)]
pub struct Trial {
    folder: TempDir,
    name: PathBuf,
}

impl Trial {
    /// Beside `path`, or the file that it links to.
    ///
    /// # Errors
    /// Those of [`destination`], and io.
    pub fn beside(path: &Path) -> Result<Self> {
        let written = destination(path)?;
        let folder = tempfile::Builder::new().prefix(&prefix()).tempdir_in(folder_of(&written));
        let name = written.file_name().map(PathBuf::from).unwrap_or_default();
        Ok(Trial { folder: folder.map_err(|e| Error::io(path, e))?, name })
    }

    /// A file in it, of the same name as the output.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }
}

/// Writes a temporary file in the folder of `path`, or of the file that it links to; it vanishes if it is not [`persist`]ed.
///
/// # Errors
/// Those of [`destination`], and of writing.
pub fn staged(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<NamedTempFile> {
    let at = |e: std::io::Error| Error::io(path, e);
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // An ordinary file, as the user's umask leaves it.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let written = destination(path)?;
    let temporary = builder.prefix(&prefix()).tempfile_in(folder_of(&written)).map_err(at)?;
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

/// Gives a [`staged`] file its name, in one step; a link of that name stays, and points to it.
///
/// # Errors
/// Those of [`destination`], and of renaming.
pub fn persist(temporary: NamedTempFile, path: &Path) -> Result<()> {
    let path = &destination(path)?;
    takes_rights(temporary.as_file(), path)?;
    temporary.persist(path).map_err(|e| Error::io(path, e.error))?;
    sync_folder(path);
    Ok(())
}

/// Gives a whole file in a [`Trial`] the name `path`, as [`persist`] does.
///
/// # Errors
/// Those of [`destination`], and of renaming.
pub fn moved(from: &Path, path: &Path) -> Result<()> {
    let path = &destination(path)?;
    takes_rights(&File::open(from).map_err(|e| Error::io(from, e))?, path)?;
    std::fs::rename(from, path).map_err(|e| Error::io(path, e))?;
    sync_folder(path);
    Ok(())
}

/// Gives a file the rights of the one at `path`, which it replaces, if there is one.
fn takes_rights(file: &File, path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if let Ok(replaced) = std::fs::metadata(path) {
            let mode = replaced.permissions().mode();
            file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(|e| Error::io(path, e))?;
        }
    }
    Ok(())
}

/// Not every file system can sync a folder; the rename itself is done.
fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(folder_of(path)) {
        let _ = folder.sync_all();
    }
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

    #[test]
    fn a_link_stays_and_what_it_points_to_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("far")).unwrap();
        std::os::unix::fs::symlink("far/real", at("near")).unwrap();
        std::os::unix::fs::symlink(at("near"), at("nearer")).unwrap();
        // The first time there is nothing yet where the link points to.
        for text in ["one", "two"] {
            let temporary = staged(&at("nearer"), |w| w.write_all(text.as_bytes())).unwrap();
            assert_eq!(temporary.path().parent(), Some(&*at("far")));
            persist(temporary, &at("nearer")).unwrap();
            assert_eq!(std::fs::read_to_string(at("far/real")).unwrap(), text);
        }
        assert_eq!(std::fs::read_link(at("near")).unwrap(), Path::new("far/real"));
        assert_eq!(std::fs::read_link(at("nearer")).unwrap(), at("near"));
        assert_eq!(std::fs::read_dir(at("far")).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("folder")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("socket", at("link")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        for (name, why) in [
            ("folder", "is a folder, not a file to write"),
            ("socket", "is a device, a pipe or a socket, not a file to write"),
            ("link", "is a device, a pipe or a socket, not a file to write"),
            ("loop", "is a link to a link that never ends at a file"),
        ] {
            let error = staged(&at(name), |w| w.write_all(b"x")).unwrap_err();
            assert_eq!(error.to_string(), format!("{}: {why}", at(name).display()));
            assert_eq!(error.exit_code(), 2);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
        assert!(!std::fs::metadata(at("socket")).unwrap().is_file());
    }
}
