//! [`Model`] → file.
//!
//! What no pass touched is written as it came: names, docs, metadata, functions, opset imports, order.
//! The same model gives the same bytes.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use prost::Message;

use super::proto::{
    FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, SparseTensorProto, TensorAnnotation,
    TensorProto, ValueInfoProto,
};
use super::tensor::{sparse_tensor_proto, tensor_proto};
use super::write::{ExternalPlan, model_len, write_model};
use super::{attribute, entries, replaced, text, types};
use crate::error::{Error, Result};
use crate::files::{destination, filled, moved, persist, staged};
use crate::ir::{Function, GraphId, Model, NodeId, OpsetImport, Origin, Storage, ValueId};

/// Bytes below which a tensor stays in the message that is written for a reader in this process.
const SMALL: usize = 4096;
/// A protobuf message must stay below 2 GiB.
const MAX_MESSAGE: usize = i32::MAX as usize;

/// Writes the model to `path`, or to the file that it links to: to a temporary file beside that, synced, then renamed.
///
/// Where the model came with external data, or would exceed the 2 GiB of a protobuf message, the weights go to
/// `<file name>.<checksum>.data` beside it. The name follows the content, so that no data file that a model relies on
/// is ever written over: until the last rename the old model and its data are whole. Afterwards the data that only the
/// replaced model used is removed.
pub fn emit(model: &Model, path: &Path) -> Result<()> {
    // Data lie beside the model, and are called after it.
    let path = &destination(path)?;
    let p = model_proto(model);
    let mut plan = ExternalPlan::default();
    if model.external_data || p.encoded_len() > MAX_MESSAGE {
        let inline = kept_inline(model);
        plan = ExternalPlan::new(&p, |t| inline.contains(t.name()));
    }
    let mut data = None;
    if !plan.is_empty() {
        let mut sum = flate2::Crc::new();
        let file = staged(path, |w| {
            plan.write(&p, &mut |bytes| {
                sum.update(bytes);
                w.write_all(bytes)
            })
        })?;
        let name = with_suffix(path, &format!(".{:08x}.data", sum.sum()));
        plan.location = name.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        data = Some((file, name));
    }
    let len = model_len(&p, &plan);
    if len > MAX_MESSAGE {
        let message = format!("what cannot lie in a data file needs {len} bytes, one protobuf message holds 2 GiB");
        return Err(Error::input(message).in_file(path));
    }
    let file = staged(path, |w| write_model(&p, &plan, w))?;
    let replaced = replaced::data_files(path);
    let mut fresh = None;
    if let Some((data, name)) = data {
        fresh = Some(name.clone()).filter(|n| !n.exists());
        persist(data, &name)?;
    }
    if let Err(e) = persist(file, path) {
        // Nothing can use it; the error that counts is the one at hand.
        let _ = fresh.map(std::fs::remove_file);
        return Err(e);
    }
    replaced::remove_unused(path, &replaced);
    Ok(())
}

/// Gives a model that [`emit`] wrote under the same name in a folder of the same file system its place at `path`, its data first.
///
/// # Errors
/// Those of renaming.
pub fn install(from: &Path, path: &Path) -> Result<()> {
    let path = &destination(path)?;
    let replaced = replaced::data_files(path);
    for data in replaced::data_files(from) {
        moved(&from.with_file_name(&data), &path.with_file_name(&data))?;
    }
    moved(from, path)?;
    replaced::remove_unused(path, &replaced);
    Ok(())
}

/// The model as one buffer, external data inside it.
pub fn to_bytes(model: &Model) -> Result<Vec<u8>> {
    let p = model_proto(model);
    let len = p.encoded_len();
    if len > MAX_MESSAGE {
        return Err(Error::input(format!("the model needs {len} bytes, one protobuf message holds 2 GiB")));
    }
    let mut out = Vec::with_capacity(len);
    write_model(&p, &ExternalPlan::default(), &mut out).map_err(|e| Error::io("memory", e))?;
    Ok(out)
}

/// Writes the model into `folder` for a reader in this process that maps its weights, which lie beside it; nothing is synced.
///
/// # Errors
/// Io.
pub fn spill(model: &Model, folder: &Path) -> Result<PathBuf> {
    let (path, weights) = (folder.join("model.onnx"), folder.join("weights"));
    let p = model_proto(model);
    // Shape inference reads small ones, and does not look for them beside the model.
    let mut plan = ExternalPlan::new(&p, |t| t.raw_data().len() < SMALL);
    plan.location = "weights".into();
    let create = |path: &Path| File::create(path).map_err(|e| Error::io(path, e));
    filled(&create(&weights)?, |w| plan.write(&p, &mut |bytes| w.write_all(bytes)))
        .map_err(|e| Error::io(&weights, e))?;
    filled(&create(&path)?, |w| write_model(&p, &plan, w)).map_err(|e| Error::io(&path, e))?;
    Ok(path)
}

/// Tensors that were inside an externally stored model stay there if no pass made them large.
fn kept_inline(model: &Model) -> HashSet<&str> {
    let initializers = model.graph(model.main()).initializers().iter().map(|v| model.value(*v));
    let inline = initializers.filter(|v| {
        v.initializer().is_none_or(|t| !matches!(t.storage, Storage::External { .. }) && t.byte_len() < 1024)
    });
    inline.map(|v| v.name()).collect()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

fn model_proto(model: &Model) -> ModelProto {
    // What was encoded by the loader decodes again; an empty one is an empty message.
    let mut p = ModelProto::decode(model.extra.clone()).unwrap_or_default();
    let meta = model.meta.clone();
    p.ir_version = meta.ir_version.map(|v| if needs_ir_4(model) { v.max(4) } else { v });
    p.producer_name = meta.producer_name;
    p.producer_version = meta.producer_version;
    p.domain = meta.domain;
    p.model_version = meta.model_version;
    p.doc_string = meta.doc;
    p.metadata_props = entries(&meta.metadata);
    p.opset_import = model.opset_imports().iter().map(import).collect();
    // From IR version 3 on a model says its opset, which was the first before.
    if p.opset_import.is_empty() && p.ir_version.is_some_and(|v| v >= 3) {
        p.opset_import.push(OperatorSetIdProto { domain: None, version: Some(model.onnx_opset()) });
    }
    p.graph = Some(graph_proto(model, model.main()));
    p.functions = model.functions().iter().map(|f| function_proto(model, f)).collect();
    p
}

/// Below IR version 4 every initializer must be an input as well.
fn needs_ir_4(model: &Model) -> bool {
    let main = model.graph(model.main());
    main.initializers().iter().any(|v| matches!(model.value(*v).origin(), Origin::Initializer(_)))
}

fn import(o: &OpsetImport) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: text(&o.domain), version: Some(o.version) }
}

fn function_proto(model: &Model, f: &Function) -> FunctionProto {
    let g = graph_proto(model, f.body);
    let rest = FunctionProto::decode(f.extra.clone()).unwrap_or_default();
    let names = |infos: Vec<ValueInfoProto>| infos.into_iter().map(|i| i.name.unwrap_or_default()).collect();
    FunctionProto {
        name: text(&f.name),
        domain: text(&f.domain).or(rest.domain),
        overload: text(&f.overload).or(rest.overload),
        attribute: f.attributes.clone(),
        attribute_proto: f.attribute_defaults.iter().map(|a| attribute::write(model, a)).collect(),
        opset_import: f.opset_imports.iter().map(import).collect(),
        node: g.node,
        input: names(g.input),
        output: names(g.output),
        value_info: g.value_info,
        doc_string: rest.doc_string,
        metadata_props: rest.metadata_props,
    }
}

pub(super) fn graph_proto(model: &Model, id: GraphId) -> GraphProto {
    let g = model.graph(id);
    let mut p = GraphProto::decode(g.extra.clone()).unwrap_or_default();
    p.name.clone_from(&g.name);
    p.doc_string.clone_from(&g.doc);
    p.metadata_props = entries(&g.metadata);
    p.node = g.nodes().iter().map(|n| node_proto(model, *n)).collect();
    p.input = g.inputs().iter().map(|v| value_info(model, *v)).collect();
    p.output = g.outputs().iter().map(|v| value_info(model, *v)).collect();
    p.initializer = g.initializers().iter().filter_map(|v| initializer(model, *v)).collect();
    p.sparse_initializer = g.sparse_initializers().iter().filter_map(|v| sparse(model, *v)).collect();
    let listed = g.value_info().iter().map(|v| value_info(model, *v)).filter(|i| i.r#type.is_some());
    // Entries that named nothing when the file was read come last.
    p.value_info = listed.chain(std::mem::take(&mut p.value_info)).collect();
    let annotations = g.quant_annotations.iter();
    p.quantization_annotation = annotations
        .map(|a| TensorAnnotation {
            tensor_name: text(&a.tensor),
            quant_parameter_tensor_names: entries(&a.parameters),
        })
        .collect();
    p
}

fn initializer(model: &Model, v: ValueId) -> Option<TensorProto> {
    let value = model.value(v);
    value.initializer().map(|t| tensor_proto(t, Some(value.name().to_string())))
}

fn sparse(model: &Model, v: ValueId) -> Option<SparseTensorProto> {
    let value = model.value(v);
    value.sparse_initializer().map(|t| sparse_tensor_proto(t, Some(value.name())))
}

fn value_info(model: &Model, v: ValueId) -> ValueInfoProto {
    let value = model.value(v);
    ValueInfoProto {
        name: Some(value.name().to_string()),
        r#type: value.declared().map(types::to_proto),
        doc_string: value.doc.clone(),
        metadata_props: entries(&value.metadata),
    }
}

fn node_proto(model: &Model, id: NodeId) -> NodeProto {
    let n = model.node(id);
    let rest = NodeProto::decode(n.extra.clone()).unwrap_or_default();
    let name = |v: &Option<ValueId>| v.map_or(String::new(), |v| model.name(v).to_string());
    NodeProto {
        input: n.inputs().iter().map(name).collect(),
        output: n.outputs().iter().map(name).collect(),
        name: text(&n.name).or(rest.name),
        op_type: text(&n.op_type).or(rest.op_type),
        domain: text(n.raw_domain()).or(rest.domain),
        overload: text(&n.overload).or(rest.overload),
        attribute: n.attrs().iter().map(|a| attribute::write(model, a)).collect(),
        doc_string: n.doc.clone(),
        metadata_props: entries(&n.metadata),
        device_configurations: rest.device_configurations,
    }
}
