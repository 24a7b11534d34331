//! Loading a model and writing it back changes nothing but how some defaults are spelled.
//!
//! Allowed, and applied to both sides before they are compared (see [`plain`]):
//! - a text, or a `data_location`, that is present with its default is the same as an absent one;
//! - an attribute without a type (IR version 1) gets the one of the field that is filled;
//! - nodes come in execution order where the file's order was none.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use onnxpress::ir::Model;
use onnxpress::onnx;
use onnxpress::onnx::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
};
use prost::Message;

use crate::common::{files, root, shared};

/// Empty texts and absent ones look the same.
fn text(t: &mut Option<String>) {
    *t = t.take().filter(|t| !t.is_empty());
}

fn plain_entries(entries: &mut [StringStringEntryProto]) {
    for e in entries {
        text(&mut e.key);
        text(&mut e.value);
    }
}

fn plain_tensor(t: &mut TensorProto) {
    text(&mut t.name);
    text(&mut t.doc_string);
    t.data_location = t.data_location.filter(|l| *l != 0);
    plain_entries(&mut t.metadata_props);
}

fn plain_attribute(a: &mut AttributeProto) {
    text(&mut a.name);
    text(&mut a.doc_string);
    text(&mut a.ref_attr_name);
    a.t.iter_mut().chain(&mut a.tensors).for_each(plain_tensor);
    a.g.iter_mut().chain(&mut a.graphs).for_each(plain_graph);
    let sparse = a.sparse_tensor.iter_mut().chain(&mut a.sparse_tensors);
    sparse.flat_map(|s| s.values.iter_mut().chain(&mut s.indices)).for_each(plain_tensor);
}

fn plain_node(n: &mut NodeProto) {
    [&mut n.name, &mut n.op_type, &mut n.domain, &mut n.overload, &mut n.doc_string].into_iter().for_each(text);
    plain_entries(&mut n.metadata_props);
    n.attribute.iter_mut().for_each(plain_attribute);
}

fn plain_graph(g: &mut GraphProto) {
    text(&mut g.name);
    text(&mut g.doc_string);
    plain_entries(&mut g.metadata_props);
    g.node.iter_mut().for_each(plain_node);
    g.initializer.iter_mut().for_each(plain_tensor);
    for info in g.input.iter_mut().chain(&mut g.output).chain(&mut g.value_info) {
        text(&mut info.doc_string);
        plain_entries(&mut info.metadata_props);
    }
    let sparse = g.sparse_initializer.iter_mut().flat_map(|s| s.values.iter_mut().chain(&mut s.indices));
    sparse.for_each(plain_tensor);
}

fn plain_function(f: &mut FunctionProto) {
    [&mut f.name, &mut f.domain, &mut f.overload, &mut f.doc_string].into_iter().for_each(text);
    f.opset_import.iter_mut().for_each(|o| text(&mut o.domain));
    f.node.iter_mut().for_each(plain_node);
    f.attribute_proto.iter_mut().for_each(plain_attribute);
}

fn plain(bytes: Bytes) -> ModelProto {
    let mut m = ModelProto::decode(bytes).unwrap();
    m.opset_import.iter_mut().for_each(|o| text(&mut o.domain));
    [&mut m.producer_name, &mut m.producer_version, &mut m.domain, &mut m.doc_string].into_iter().for_each(text);
    plain_entries(&mut m.metadata_props);
    m.graph.iter_mut().for_each(plain_graph);
    m.functions.iter_mut().for_each(plain_function);
    m
}

/// Equal to the bit: a NaN is equal to itself only when encoded.
fn same<T: Message + PartialEq>(a: &T, b: &T) -> bool {
    a == b || a.encode_to_vec() == b.encode_to_vec()
}

/// The first part in which two models differ, short enough to read.
fn difference(a: &ModelProto, b: &ModelProto) -> Option<String> {
    fn first<T: Message + PartialEq + std::fmt::Debug>(what: &str, a: &[T], b: &[T]) -> Option<String> {
        let cut = |t: &T| format!("{t:?}").chars().take(1500).collect::<String>();
        if a.len() != b.len() {
            return Some(format!("{} {what}, {} after", a.len(), b.len()));
        }
        let (a, b) = a.iter().zip(b).find(|(a, b)| !same(*a, *b))?;
        Some(format!("{what}\n  before {}\n  after  {}", cut(a), cut(b)))
    }
    let (ga, gb) = (a.graph.as_ref()?, b.graph.as_ref()?);
    let parts = first("nodes", &ga.node, &gb.node)
        .or_else(|| first("initializers", &ga.initializer, &gb.initializer))
        .or_else(|| first("sparse initializers", &ga.sparse_initializer, &gb.sparse_initializer))
        .or_else(|| first("inputs", &ga.input, &gb.input))
        .or_else(|| first("outputs", &ga.output, &gb.output))
        .or_else(|| first("value infos", &ga.value_info, &gb.value_info))
        .or_else(|| first("functions", &a.functions, &b.functions));
    parts.or_else(|| (!same(a, b)).then(|| "something else of the model".into()))
}

/// The bytes of a model that is written, in a folder that may be used.
type Write = fn(&Model, &Path) -> onnxpress::Result<Bytes>;

fn to_file(model: &Model, folder: &Path) -> onnxpress::Result<Bytes> {
    let out = folder.join("out.onnx");
    onnx::emit(model, &out)?;
    Ok(std::fs::read(&out).unwrap().into())
}

/// The same writer without syncing thousands of files.
fn to_memory(model: &Model, _: &Path) -> onnxpress::Result<Bytes> {
    onnx::to_bytes(model).map(Bytes::from)
}

/// What is wrong with the round trip of a file; `None` is well.
fn round_trip(path: &Path, folder: &Path, write: Write) -> Option<String> {
    let fail = |what: &str, e: onnxpress::Error| Some(format!("{}: {what}: {e}", path.display()));
    let model = match onnx::load(path) {
        Ok(model) => model,
        Err(e) => return fail("load", e),
    };
    let (once, twice) = match (write(&model, folder), write(&model, folder)) {
        (Ok(once), Ok(twice)) => (once, twice),
        (Err(e), _) | (_, Err(e)) => return fail("emit", e),
    };
    let before = Bytes::from(std::fs::read(path).unwrap());
    if once != twice {
        return Some(format!("{}: two writes differ", path.display()));
    }
    difference(&plain(before), &plain(once)).map(|d| format!("{}: {d}", path.display()))
}

fn all_round_trip(files: &[PathBuf], write: Write) {
    let folder = tempfile::tempdir().unwrap();
    let wrong: Vec<String> = files.iter().filter_map(|p| round_trip(p, folder.path(), write)).collect();
    assert!(wrong.is_empty(), "{} of {} models differ\n{}", wrong.len(), files.len(), wrong.join("\n"));
}

#[test]
fn fixtures_come_back() {
    let files = files(&root().join("fixtures"), Some("onnx"));
    assert_eq!(files.len(), 5);
    all_round_trip(&files, to_file);
}

#[test]
fn real_models_come_back() {
    let Some(folder) = shared("models") else { return };
    let files = files(&folder, Some("onnx"));
    assert_eq!(files.len(), 13);
    all_round_trip(&files, to_file);
}

#[test]
fn every_backend_case_comes_back() {
    let Some((folder, cases)) = crate::onnx_backend::cases() else { return };
    let files: Vec<PathBuf> = cases.iter().map(|case| folder.join(case).join("model.onnx")).collect();
    assert!(files.len() > 1500, "{} cases", files.len());
    all_round_trip(&files, to_memory);
}
