//! Keeps a float operator between integers float.
//!
//! ONNX Runtime takes a Conv, ConvTranspose or Gemm whose input comes out of DequantizeLinear and whose output goes, but for a
//! Relu or Clip, into one QuantizeLinear for one that somebody forgot to quantize: it rounds its weights to 8 bits with one scale for all
//! channels (its `WeightBiasQuantization`, which nothing but the absence of constants stops). A bias that is dequantized is none:
//!
//! ```text
//! DQ ─► Conv(W, b) ─► Clip ─► Q        DQ ─► Conv(W, DequantizeLinear(b/s, s)) ─► Clip ─► Q        s = max|b| / 2²⁴, b/s int32
//! ```
//!
//! which changes b by less than its own rounding. An operator without bias is given one of zeros.

use super::chain::clamps;
use super::write;
use crate::error::Result;
use crate::ir::{GraphEdit, NodeId, Place, Tensor};
use crate::ops::{self, QuantRule};

/// Floats hold integers up to here exactly.
const STEPS: f32 = (1 << 24) as f32;

/// Guards every node whose operator is among `op_types`.
pub(super) fn guard(edit: &mut GraphEdit, op_types: &[&str]) -> Result<()> {
    for id in edit.all_nodes() {
        if op_types.contains(&edit.node(id).op_type.as_str()) && is_taken(edit, id) {
            bias_behind_dequantize(edit, id);
        }
    }
    Ok(())
}

/// Whether the runtime would quantize this node.
fn is_taken(edit: &GraphEdit, id: NodeId) -> bool {
    let node = edit.node(id);
    let made_by = |index: usize, op: &str| {
        let producer = node.input(index).and_then(|v| edit.producer(v));
        producer.is_some_and(|p| edit.node(p).is(op))
    };
    if !made_by(0, "DequantizeLinear") || edit.constant_input(id, 1).is_none() {
        return false;
    }
    let mut at = id;
    loop {
        let Some(y) = edit.node(at).output(0) else { return false };
        let Some(reader) = edit.single_reader(y) else { return false };
        let reader_node = edit.node(reader);
        if reader_node.is("QuantizeLinear") {
            return true;
        }
        if !clamps(reader_node) {
            return false;
        }
        at = reader;
    }
}

fn bias_behind_dequantize(edit: &mut GraphEdit, id: NodeId) {
    let Some(QuantRule::Weighted { weight, bias: Some(bias), channel_axis, .. }) =
        ops::of(edit.node(id)).map(|op| op.quant)
    else {
        return;
    };
    let Some(shape) = edit.constant_input(id, weight).map(|t| t.shape().to_vec()) else { return };
    let groups = usize::try_from(edit.node(id).int_or("group", 1)).unwrap_or(1);
    let axis = channel_axis(edit.node(id), shape.len());
    // The outputs of a transposed convolution are counted within their group.
    let channels = if axis == 0 { shape[axis] } else { shape[axis] * groups };
    let old = edit.node(id).input(bias);
    let values = match old.map(|v| edit.constant(v).and_then(|t| t.to_f32())) {
        None => vec![0f32; channels],
        Some(Some(values)) => values.into_owned(),
        // Computed: no constant, and left alone by the runtime.
        Some(None) => return,
    };
    let shape: Vec<usize> = old.and_then(|v| edit.constant(v)).map_or(vec![channels], |t| t.shape().to_vec());
    let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
    let scale = if largest > 0.0 { largest / STEPS } else { 1.0 };
    let ints: Vec<i32> = values.iter().map(|v| (v / scale).round() as i32).collect();
    let graph = edit.node(id).graph();
    let name = old.map_or_else(|| format!("{}_bias", edit.node_label(id)), |v| edit.name(v).to_string());
    let ints = edit.add_initializer(graph, &format!("{name}_guarded"), Tensor::from_vec(shape, ints));
    let scale = edit.add_initializer(graph, &format!("{name}_guarded_scale"), Tensor::scalar(scale));
    let dq = write::dequantize(edit, Place::Before(id), (ints, scale, None), &format!("{name}_guarded"), None, None);
    edit.set_input(id, bias, Some(dq));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    fn guarded(clip: &str) -> String {
        let source = format!(
            r#"<ir_version: 8, opset_import: ["" : 17]>
            g (uint8[1,1,4,4] x) => (uint8[1,2,4,4] y)
            <float s = {{0.1}}, uint8 z = {{0}}, float[2,1,1,1] w = {{1, 2}}, float[2] b = {{0.5, -0.3}}> {{
                d = DequantizeLinear (x, s, z)
                c = Conv (d, w, b)
                {clip}
                y = QuantizeLinear (r, s, z)
            }}"#
        );
        let mut model = text::parse(&source).unwrap();
        let mut edit = GraphEdit::new(&mut model);
        guard(&mut edit, &["Conv"]).unwrap();
        let conv = edit.graph(edit.main()).nodes().iter().copied().find(|n| edit.node(*n).is("Conv")).unwrap();
        let bias = edit.node(conv).input(2).unwrap();
        match edit.producer(bias) {
            None => "constant".into(),
            Some(dq) => {
                let ints = edit.constant_input(dq, 0).unwrap().to_i64().unwrap();
                let scale = edit.constant_input(dq, 1).unwrap().to_f32().unwrap()[0];
                let near = |i: usize, b: f32| ((ints[i] as f32 * scale) - b).abs() < 1e-7;
                assert!(near(0, 0.5) && near(1, -0.3), "{ints:?} {scale}");
                "dequantized".into()
            }
        }
    }

    #[test]
    fn a_float_convolution_between_integers_is_guarded() {
        assert_eq!(guarded("r = Relu (c)"), "dequantized");
        assert_eq!(guarded("r = Sigmoid (c)"), "constant");
    }
}
