//! Reading tensors that lie in files beside the model, and in no others.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use super::proto::StringStringEntryProto;
use crate::error::{Error, Result};
use crate::mapped::Mapped;

/// The files beside a model that its tensors lie in, each mapped once.
pub struct ExternalFiles {
    folders: Vec<PathBuf>,
    maps: HashMap<String, Mapped>,
}

impl ExternalFiles {
    /// They are looked for in the first of `folders` that holds them.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        ExternalFiles { folders, maps: HashMap::new() }
    }

    /// Those that a tensor was read from.
    pub fn into_maps(self) -> Vec<Mapped> {
        self.maps.into_values().collect()
    }

    /// The location and bytes that `external_data` names; `need` is what dtype and shape say.
    pub fn read(&mut self, entries: &[StringStringEntryProto], need: usize) -> Result<(String, Bytes)> {
        let get = |key: &str| entries.iter().find(|e| e.key() == key).map(|e| e.value());
        let number = |key: &str| {
            let parse = |text: &str| {
                let wrong = |_| Error::input(format!("external data has {key} \"{text}\", which is not a size"));
                text.parse::<usize>().map_err(wrong)
            };
            get(key).map(parse).transpose()
        };
        let location = get("location").ok_or_else(|| Error::input("external data without a location"))?;
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(need);
        if length != need {
            return Err(Error::input(format!("external data has {length} bytes, its dtype and shape need {need}")));
        }
        let file = self.file(location)?;
        match offset.checked_add(length) {
            Some(end) if end <= file.len() => Ok((location.to_string(), file.slice(offset..end))),
            _ => {
                let size = file.len();
                let message = format!(
                    "external data at {offset}, {length} bytes, lies beyond the {size} bytes of \"{location}\""
                );
                Err(Error::input(message))
            }
        }
    }

    fn file(&mut self, location: &str) -> Result<Bytes> {
        if let Some(map) = self.maps.get(location) {
            return Ok(map.bytes());
        }
        let holds = |folder: &&PathBuf| folder.join(location).exists();
        let folder = self.folders.iter().find(holds).or(self.folders.first()).ok_or_else(|| {
            Error::input(format!("external data \"{location}\" cannot be read from a model without a folder"))
        })?;
        let map = Mapped::open(&inside(folder, location)?)?;
        let bytes = map.bytes();
        self.maps.insert(location.to_string(), map);
        Ok(bytes)
    }
}

/// The path of `location` under `folder`; refuses one that leaves it by `..`, by being absolute, or by a symbolic link.
fn inside(folder: &Path, location: &str) -> Result<PathBuf> {
    let leaves = || Error::input(format!("external data \"{location}\" leaves the model's folder"));
    let relative = Path::new(location);
    if !relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(leaves());
    }
    let path = folder.join(relative);
    let real = |p: &Path| p.canonicalize().map_err(|e| Error::io(p, e));
    if real(&path)?.starts_with(real(folder)?) { Ok(path) } else { Err(leaves()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_stay_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("w.bin"), [0u8; 4]).unwrap();
        std::fs::write(dir.path().join("secret"), [0u8; 4]).unwrap();
        assert!(inside(&folder, "w.bin").is_ok());
        assert!(inside(&folder, "./w.bin").is_ok());
        assert!(inside(&folder, "../secret").is_err());
        assert!(inside(&folder, dir.path().join("secret").to_str().unwrap()).is_err());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(dir.path().join("secret"), folder.join("link")).unwrap();
            let error = inside(&folder, "link").unwrap_err();
            assert_eq!(error.to_string(), "external data \"link\" leaves the model's folder");
        }
    }
}
