//! ONNX files: the only code that sees protobuf.
//!
//! [`load`] maps the file and decodes it in place, so that every initializer is a slice of the map
//! and loading costs nodes, not bytes. [`emit`] streams the model to a temporary file and renames it,
//! so that there is the whole output or none.

mod attribute;
mod emit;
mod external;
mod load;
mod replaced;
mod shadow;
mod tensor;
mod types;
mod write;

pub use emit::{emit, install, spill, to_bytes};
pub use load::{load, load_bytes};

/// The messages of the standard, generated from `proto/onnx.proto`.
#[doc(hidden)]
#[allow(missing_docs, clippy::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
}

use proto::StringStringEntryProto;

use crate::ir::Props;

fn props(entries: Vec<StringStringEntryProto>) -> Props {
    entries.into_iter().map(|e| (e.key.unwrap_or_default(), e.value.unwrap_or_default())).collect()
}

fn entries(props: &Props) -> Vec<StringStringEntryProto> {
    props
        .iter()
        .map(|(key, value)| StringStringEntryProto { key: Some(key.clone()), value: Some(value.clone()) })
        .collect()
}

/// `Some` of a text that is not empty.
fn text(s: &str) -> Option<String> {
    if s.is_empty() { None } else { Some(s.to_string()) }
}
