//! Weights in types that tract does not read: integers below 8 bits, blocks, scales in float16, bfloat16 and 8-bit floats become what they
//! stand for.
//!
//! ```text
//! W int4 ─► DequantizeLinear ─► MatMul        W' float ─► MatMul
//! W int4 ─► Cast(int8) ─► …                  W int8 ─► …
//! W bf16 ─► Gather ─► Cast(float) ─► …       W' float ─► Gather ─► Cast(float) ─► …
//! ```

use crate::analysis::dequantized;
use crate::ir::{DType, GraphEdit, NodeId, Tensor};

/// Replaces every DequantizeLinear and Cast of such constants by its result, and short floats by float32.
pub(super) fn widen(edit: &mut GraphEdit) {
    for graph in edit.graphs_under(edit.main()) {
        for v in edit.graph(graph).initializers().to_vec() {
            let short = |t: &&Tensor| matches!(t.dtype(), DType::BF16 | DType::F8E4M3FN | DType::F8E5M2);
            let Some(t) = edit.constant(v).filter(short) else { continue };
            let floats = t.to_f32().map(|values| Tensor::from_vec(t.shape(), values.into_owned()));
            if let Some(floats) = floats {
                edit.set_initializer(v, floats);
            }
        }
    }
    for id in edit.all_nodes() {
        let Some(tensor) = wider(edit, id) else { continue };
        let Some(y) = edit.node(id).output(0) else { continue };
        let (graph, name) = (edit.node(id).graph(), format!("{}_wide", edit.name(y)));
        let value = edit.add_initializer(graph, &name, tensor);
        if edit.replace_uses(y, value).is_ok() {
            edit.remove_node(id);
        }
    }
}

fn wider(edit: &GraphEdit, id: NodeId) -> Option<Tensor> {
    let node = edit.node(id);
    let narrow = |d: DType| d.bits() < 8;
    match node.op_type.as_str() {
        "DequantizeLinear" if node.domain().is_empty() => {
            let q = edit.constant_input(id, 0).map(Tensor::dtype);
            let scales = node.input(1).and_then(|s| edit.tensor_type(s).dtype);
            let unread = node.int_or("block_size", 0) > 0 || q.is_some_and(narrow) || scales == Some(DType::F16);
            // The Cast before it is replaced first.
            unread.then(|| dequantized(edit, id))?
        }
        "Cast" => {
            let values = edit.constant_input(id, 0).filter(|t| narrow(t.dtype()))?;
            let to = DType::from_code(i32::try_from(node.int_or("to", 0)).ok()?)?;
            let ints = values.to_i64()?;
            Some(match to {
                DType::F32 | DType::F16 => Tensor::from_floats(to, values.shape(), ints.iter().map(|v| *v as f64))?,
                DType::I8 => Tensor::from_vec(values.shape(), ints.iter().map(|v| *v as i8).collect()),
                DType::U8 => Tensor::from_vec(values.shape(), ints.iter().map(|v| *v as u8).collect()),
                _ => return None,
            })
        }
        _ => None,
    }
}
