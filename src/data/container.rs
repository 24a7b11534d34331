//! A data file of named arrays, whatever its format.

use std::path::{Path, PathBuf};

use super::InputSpec;
use super::array::Array;
use super::npy;
use super::npz::Npz;
use super::safetensors::Safetensors;
use crate::error::{Error, Result};
use crate::names::likely;

/// File name endings of the formats, without the dot.
pub(super) const ENDINGS: [&str; 3] = ["npz", "npy", "safetensors"];

#[derive(Debug)]
pub(super) struct Container {
    path: PathBuf,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Npz(Npz),
    Npy,
    Safetensors(Safetensors),
}

impl Container {
    /// Opens by the file's ending; `None` where it is none of [`ENDINGS`].
    pub fn open(path: &Path) -> Option<Result<Self>> {
        let format = match ending(path)?.as_str() {
            "npz" => Npz::open(path).map(Format::Npz),
            "npy" => Ok(Format::Npy),
            "safetensors" => Safetensors::open(path).map(Format::Safetensors),
            _ => return None,
        };
        Some(format.map(|format| Container { path: path.into(), format }))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> Vec<String> {
        match &self.format {
            Format::Npz(npz) => npz.names().into_iter().map(String::from).collect(),
            Format::Npy => Vec::new(),
            Format::Safetensors(file) => file.names(),
        }
    }

    pub fn optional(&self, name: &str) -> Result<Option<Array>> {
        match &self.format {
            Format::Npz(npz) => npz.array(name).transpose(),
            Format::Npy => Ok(None),
            Format::Safetensors(file) => file.array(name).transpose(),
        }
    }

    /// The array that feeds input `name`.
    pub fn array(&self, name: &str, inputs: &[InputSpec]) -> Result<Array> {
        if let Format::Npy = self.format {
            return match inputs {
                [_] => npy::open(&self.path),
                _ => {
                    let names: Vec<_> = inputs.iter().map(|i| format!("\"{}\"", i.name)).collect();
                    let message = format!(
                        "an npy file holds one array, the model has {} inputs ({}): use npz",
                        inputs.len(),
                        names.join(", ")
                    );
                    Err(Error::input(message).in_file(&self.path))
                }
            };
        }
        if let Some(array) = self.optional(name)? {
            return Ok(array);
        }
        let names = self.names();
        let there = match names.as_slice() {
            [] => "it has no arrays at all".into(),
            names => format!("it has {}", names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")),
        };
        let hint =
            likely(name, names.iter().map(String::as_str)).map_or_else(String::new, |n| format!("; is it \"{n}\"?"));
        let message = format!("there is no array \"{name}\", which is an input of the model; {there}{hint}");
        Err(Error::input(message).in_file(&self.path))
    }

    /// Arrays that nobody asks for are named in the log.
    pub fn report_unused(&self, inputs: &[InputSpec], labels: &str) {
        for name in self.names() {
            if name != labels && !inputs.iter().any(|i| i.name == name) {
                tracing::debug!(
                    "{}: array \"{name}\" is not an input of the model; it is not used",
                    self.path.display()
                );
            }
        }
    }
}

/// The ending of a file name in lower case, without the dot.
pub(super) fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}
