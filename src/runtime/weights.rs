//! Large constants reach tract past the protobuf.
//!
//! ```text
//! W ─► MatMul                 graph input W ─► MatMul                       Const(W) ─► MatMul
//!      initializer       set_aside: the message stays small        put_back: in tract's hands, copied once
//! ```
//!
//! tract reads a model from one buffer: encoding that, decoding it and making tensors of it would copy all weights three
//! times while the mapped file holds them already, for every session anew. What tract does not pack into a form of its own, such as a table
//! that it looks up, sessions share: one is made for each shape of the inputs, and for each piece of a model.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tract_onnx::prelude::{Tensor as TractTensor, TractError, TractResult};
use tract_onnx::tract_hir::infer::InferenceFact;
use tract_onnx::tract_hir::infer::InferenceModel;
use tract_onnx::tract_hir::ops::konst::Const;

use super::convert::{datum_type, to_tract};
use crate::error::Result;
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
        let tensor = shared(&tensor).map_err(|e| TractError::msg(e.to_string()))?;
        let node = &mut model.nodes[id];
        node.outputs[0].fact = InferenceFact::try_from(&tensor)?;
        node.op = Box::new(Const::new(tensor)?);
        model.inputs.retain(|outlet| outlet.node != id);
    }
    Ok(())
}

/// The copy in tract's hands that another session has of the same bytes, else a new one.
fn shared(tensor: &Tensor) -> Result<Arc<TractTensor>> {
    /// Bytes that are held here lie at no other's address.
    static COPIES: Mutex<Vec<(Tensor, Weak<TractTensor>)>> = Mutex::new(Vec::new());
    let key = |t: &Tensor| (t.bytes().as_ptr(), t.dtype(), t.shape().to_vec());
    let mut copies = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
    copies.retain(|(_, copy)| copy.strong_count() > 0);
    let known = copies.iter().find(|(t, _)| key(t) == key(tensor)).and_then(|(_, copy)| copy.upgrade());
    if let Some(copy) = known {
        return Ok(copy);
    }
    let copy = Arc::new(to_tract(tensor)?);
    copies.push((tensor.clone(), Arc::downgrade(&copy)));
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_are_copied_once_while_a_session_has_them() {
        let tensor = Tensor::from_vec([2, 3], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let (a, b) = (shared(&tensor).unwrap(), shared(&tensor.clone()).unwrap());
        assert!(Arc::ptr_eq(&a, &b));
        let turned = tensor.clone().reshaped([3, 2]).unwrap();
        let c = shared(&turned).unwrap();
        assert!(!Arc::ptr_eq(&a, &c) && c.shape() == [3, 2]);
        let weak = Arc::downgrade(&a);
        drop((a, b));
        assert!(weak.upgrade().is_none());
        assert_eq!(shared(&tensor).unwrap().shape(), [2, 3]);
    }
}
