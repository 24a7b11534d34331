//! Data files of a model that is replaced: removed once nothing reads them.

use std::collections::HashSet;
use std::path::Path;

use prost::Message;

use super::proto::ModelProto;
use super::proto::tensor_proto::DataLocation;
use crate::files::folder_of;
use crate::mapped::Mapped;

/// The data files of our naming that the model at `path` uses; none where there is no readable model.
pub fn data_files(path: &Path) -> HashSet<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let own = |file: &String| {
        let middle = file.strip_prefix(&format!("{name}.")).and_then(|rest| rest.strip_suffix(".data"));
        middle.is_some_and(|m| m.len() == 8 && m.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    locations(path).unwrap_or_default().into_iter().filter(own).collect()
}

/// Removes those of `files` that no model in the folder of `path` uses now. What cannot be told or removed stays.
pub fn remove_unused(path: &Path, files: &HashSet<String>) {
    if files.is_empty() {
        return;
    }
    let folder = folder_of(path);
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut used = HashSet::new();
    for entry in entries {
        let Ok(entry) = entry else { return };
        let neighbour = entry.path();
        if neighbour.extension().is_some_and(|e| e == "onnx") || neighbour.file_name() == path.file_name() {
            // A model that cannot be read may use any of them.
            let Some(found) = locations(&neighbour) else { return };
            used.extend(found);
        }
    }
    for file in files.difference(&used) {
        // Only space is lost if it stays.
        let _ = std::fs::remove_file(folder.join(file));
    }
}

/// The data files that a model's main graph names.
fn locations(path: &Path) -> Option<HashSet<String>> {
    let p = ModelProto::decode(Mapped::open(path).ok()?.bytes()).ok()?;
    let tensors = p.graph.iter().flat_map(|g| &g.initializer);
    let outside = tensors.filter(|t| t.data_location == Some(DataLocation::External as i32));
    let entries = outside.flat_map(|t| &t.external_data).filter(|e| e.key() == "location");
    Some(entries.map(|e| e.value().trim_start_matches("./").to_string()).collect())
}
