//! Where the tests find what they read, and how they open it.

use std::path::{Path, PathBuf};

use onnxpress::Result;
use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::Model;

/// The top folder of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn fixture(name: &str) -> PathBuf {
    root().join("fixtures").join(name)
}

/// A real model, or data, of the folder beside the project; where it is absent the test says so and skips.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = root().join("../shared").join(path);
    if !path.exists() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

/// The files of a folder in order of name, of one extension if it is given; none where there is no folder.
pub fn files(folder: &Path, extension: Option<&str>) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let wanted = |p: &PathBuf| p.is_file() && extension.is_none_or(|wanted| p.extension().is_some_and(|e| e == wanted));
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(wanted).collect();
    files.sort();
    files
}

/// The samples at `path` for `model`.
pub fn dataset(path: &Path, model: &Model, batch_size: usize) -> Result<Dataset> {
    let options = DataOptions { batch_size, ..DataOptions::new(path.to_string_lossy()) };
    Dataset::open(&options, &InputSpec::of(model))
}
