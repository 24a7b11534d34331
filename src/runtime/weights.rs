//! Large constants reach tract past the protobuf.
//!
//! ```text
//! W ─► MatMul                 graph input W ─► MatMul                       Const(W) ─► MatMul
//!      initializer       set_aside: the message stays small        put_back: in tract's hands, copied once
//! ```
//!
//! tract reads a model from one buffer: encoding that, decoding it and making tensors of it would copy all weights three
//! times while the mapped file holds them already, for every session anew.

use std::sync::Arc;

use tract_onnx::prelude::{TractError, TractResult};
use tract_onnx::tract_hir::infer::InferenceFact;
use tract_onnx::tract_hir::infer::InferenceModel;
use tract_onnx::tract_hir::ops::konst::Const;

use super::convert::{datum_type, to_tract};
use crate::ir::{DType, GraphEdit, Model, Tensor, TensorType, Type, ValueId};

/// Bytes from which on a constant is large.
const LARGE: usize = 1 << 16;

/// Makes inputs of the large initializers of the main graph; their names and values.
pub(super) fn set_aside(model: &mut Model) -> Vec<(String, Tensor)> {
    let mut edit = GraphEdit::new(model);
    let main = edit.main();
    let plain = |t: &Tensor| t.dtype() != DType::String && datum_type(t.dtype()).is_some() && t.byte_len() >= LARGE;
    let large: Vec<(ValueId, Tensor)> = edit
        .graph(main)
        .initializers()
        .iter()
        .filter(|v| !edit.graph(main).inputs().contains(v) && !edit.is_output(**v))
        .filter_map(|v| Some((*v, edit.value(*v).initializer().filter(|t| plain(t))?.clone())))
        .collect();
    let aside = |(value, tensor): (ValueId, Tensor)| {
        let ty = TensorType::new(tensor.dtype(), tensor.shape().iter().copied());
        edit.set_declared(value, Some(Type::tensor(&ty)));
        edit.add_graph_input(main, value);
        edit.drop_default(main, value);
        (edit.name(value).to_string(), tensor)
    };
    large.into_iter().map(aside).collect()
}

/// Makes constants of those inputs.
pub(super) fn put_back(model: &mut InferenceModel, aside: Vec<(String, Tensor)>) -> TractResult<()> {
    for (name, tensor) in aside {
        let id = model.node_id_by_name(&name)?;
        let tensor = Arc::new(to_tract(&tensor).map_err(|e| TractError::msg(e.to_string()))?);
        let node = &mut model.nodes[id];
        node.outputs[0].fact = InferenceFact::try_from(&tensor)?;
        node.op = Box::new(Const::new(tensor)?);
        model.inputs.retain(|outlet| outlet.node != id);
    }
    Ok(())
}
