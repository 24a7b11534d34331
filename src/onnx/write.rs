//! Streams a model message to a writer, so that the weights are never copied as a whole.
//!
//! prost encodes a message into one buffer. Here only small messages are; of the three that hold the
//! weights (model, graph, initializer) the field keys and lengths are written by hand and the
//! tensor's bytes straight from where they lie, perhaps the mapped input file.

use std::collections::HashMap;
use std::io::{self, Write};

use bytes::Bytes;
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};

use super::proto::tensor_proto::DataLocation;
use super::proto::{GraphProto, ModelProto, StringStringEntryProto, TensorProto};

/// Field numbers of the standard (see `proto/onnx.proto`) of what is written by hand.
const MODEL_GRAPH: u64 = 7;
const GRAPH_NODE: u64 = 1;
const GRAPH_INITIALIZER: u64 = 5;
const TENSOR_RAW_DATA: u64 = 9;

/// Large tensors start at a page, so that readers can map them.
const PAGE: u64 = 4096;
const ALIGN: u64 = 64;

/// Which initializers of the main graph go to the data file, and where in it.
#[derive(Default)]
pub struct ExternalPlan {
    /// Name of the data file; it follows from what [`ExternalPlan::write`] writes.
    pub location: String,
    /// Index of the initializer → offset and length.
    places: HashMap<usize, (u64, u64)>,
    order: Vec<usize>,
}

impl ExternalPlan {
    pub fn new(p: &ModelProto, keeps_inline: impl Fn(&TensorProto) -> bool) -> Self {
        let mut plan = ExternalPlan::default();
        let mut end = 0u64;
        let initializers = p.graph.iter().flat_map(|g| &g.initializer).enumerate();
        for (index, t) in initializers {
            let Some(raw) = &t.raw_data else { continue };
            if keeps_inline(t) {
                continue;
            }
            let length = raw.len() as u64;
            let offset = end.next_multiple_of(if length >= 1 << 20 { PAGE } else { ALIGN });
            plan.places.insert(index, (offset, length));
            plan.order.push(index);
            end = offset + length;
        }
        plan
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Hands the bytes of the data file to `put`, in order.
    pub fn write(&self, p: &ModelProto, put: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let Some(graph) = &p.graph else { return Ok(()) };
        let mut at = 0u64;
        for index in &self.order {
            let (offset, length) = self.places[index];
            // Alignment leaves gaps of less than a page.
            put(&[0; PAGE as usize][..(offset - at) as usize])?;
            put(graph.initializer[*index].raw_data())?;
            at = offset + length;
        }
        Ok(())
    }

    /// The initializer's message without its bytes, and the bytes that follow it in the model file.
    fn split(&self, index: usize, t: &TensorProto) -> (TensorProto, Option<Bytes>) {
        let mut head = t.clone();
        let raw = head.raw_data.take();
        let Some((offset, length)) = self.places.get(&index) else { return (head, raw) };
        let entry = |key: &str, value: String| StringStringEntryProto { key: Some(key.into()), value: Some(value) };
        head.external_data = vec![
            entry("location", self.location.clone()),
            entry("offset", offset.to_string()),
            entry("length", length.to_string()),
        ];
        head.data_location = Some(DataLocation::External as i32);
        (head, None)
    }
}

/// Bytes of the message that [`write_model`] writes, without what goes to the data file.
pub fn model_len(p: &ModelProto, plan: &ExternalPlan) -> usize {
    let Some(graph) = &p.graph else { return p.encoded_len() };
    let functions = ModelProto { functions: p.functions.clone(), ..Default::default() };
    p.clone_shell().encoded_len() + functions.encoded_len() + field_len(graph_len(graph, &heads(graph, plan)))
}

/// Each initializer without its bytes, and the bytes that stay in the model file.
fn heads(graph: &GraphProto, plan: &ExternalPlan) -> Vec<(TensorProto, Option<Bytes>)> {
    graph.initializer.iter().enumerate().map(|(i, t)| plan.split(i, t)).collect()
}

fn graph_len(graph: &GraphProto, heads: &[(TensorProto, Option<Bytes>)]) -> usize {
    let nodes = graph.node.iter().map(|n| field_len(n.encoded_len())).sum::<usize>();
    let tensors = heads.iter().map(|(head, raw)| field_len(tensor_len(head, raw.as_ref()))).sum::<usize>();
    graph_shell(graph).encoded_len() + nodes + tensors
}

pub fn write_model(p: &ModelProto, plan: &ExternalPlan, w: &mut dyn Write) -> io::Result<()> {
    let Some(graph) = &p.graph else { return w.write_all(&p.encode_to_vec()) };
    let shell = p.clone_shell();
    w.write_all(&shell.encode_to_vec())?;
    w.write_all(&ModelProto { functions: p.functions.clone(), ..Default::default() }.encode_to_vec())?;

    let shell = graph_shell(graph);
    let heads = heads(graph, plan);
    write_key(w, MODEL_GRAPH, graph_len(graph, &heads))?;
    let mut buffer = Vec::new();
    for node in &graph.node {
        write_key(w, GRAPH_NODE, node.encoded_len())?;
        buffer.clear();
        node.encode_raw(&mut buffer);
        w.write_all(&buffer)?;
    }
    w.write_all(&shell.encode_to_vec())?;
    for (head, raw) in &heads {
        write_key(w, GRAPH_INITIALIZER, tensor_len(head, raw.as_ref()))?;
        w.write_all(&head.encode_to_vec())?;
        if let Some(raw) = raw {
            write_key(w, TENSOR_RAW_DATA, raw.len())?;
            w.write_all(raw)?;
        }
    }
    Ok(())
}

impl ModelProto {
    /// Everything but the graph and the functions.
    fn clone_shell(&self) -> ModelProto {
        ModelProto {
            ir_version: self.ir_version,
            opset_import: self.opset_import.clone(),
            producer_name: self.producer_name.clone(),
            producer_version: self.producer_version.clone(),
            domain: self.domain.clone(),
            model_version: self.model_version,
            doc_string: self.doc_string.clone(),
            graph: None,
            metadata_props: self.metadata_props.clone(),
            training_info: self.training_info.clone(),
            functions: Vec::new(),
            configuration: self.configuration.clone(),
        }
    }
}

/// Everything but the nodes and the initializers.
fn graph_shell(g: &GraphProto) -> GraphProto {
    GraphProto {
        node: Vec::new(),
        name: g.name.clone(),
        initializer: Vec::new(),
        sparse_initializer: g.sparse_initializer.clone(),
        doc_string: g.doc_string.clone(),
        input: g.input.clone(),
        output: g.output.clone(),
        value_info: g.value_info.clone(),
        quantization_annotation: g.quantization_annotation.clone(),
        metadata_props: g.metadata_props.clone(),
    }
}

fn tensor_len(head: &TensorProto, raw: Option<&Bytes>) -> usize {
    head.encoded_len() + raw.map_or(0, |raw| field_len(raw.len()))
}

/// Bytes of a length-delimited field with `content` bytes inside; the field numbers here need one byte of key.
fn field_len(content: usize) -> usize {
    1 + encoded_len_varint(content as u64) + content
}

fn write_key(w: &mut dyn Write, field: u64, length: usize) -> io::Result<()> {
    const LENGTH_DELIMITED: u64 = 2;
    let mut head = Vec::with_capacity(12);
    encode_varint(field << 3 | LENGTH_DELIMITED, &mut head);
    encode_varint(length as u64, &mut head);
    w.write_all(&head)
}
