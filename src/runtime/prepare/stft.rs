//! A signal of an STFT without an axis for real and imaginary parts gets one of size 1, which tract wants.
//!
//! ```text
//! x [N, T] ─► STFT(step, window) ─► y        x ─► Unsqueeze(2) ─► STFT(step, window) ─► y
//! ```
//!
//! [N, T, 1] is what the standard says of a real signal; exporters leave the axis out, and ONNX Runtime takes that.

use super::before;
use crate::analysis;
use crate::ir::{GraphEdit, NewNode, Tensor};

/// Rewrites them in every graph; returns how many.
pub(super) fn lengthen(edit: &mut GraphEdit) -> usize {
    let nodes: Vec<_> = edit.all_nodes().into_iter().filter(|n| edit.node(*n).is("STFT")).collect();
    if nodes.is_empty() {
        return 0;
    }
    analysis::infer(edit);
    let mut count = 0;
    for node in nodes {
        let Some(signal) = edit.node(node).input(0) else { continue };
        if edit.tensor_type(signal).rank() != Some(2) {
            continue;
        }
        let (graph, label) = (edit.node(node).graph(), edit.node_label(node).to_string());
        let axis = edit.add_initializer(graph, &format!("{label}_axis"), Tensor::from_vec([1], vec![2i64]));
        let longer = NewNode::new("Unsqueeze").name(format!("{label}_signal")).input(signal).input(axis);
        let longer = before(edit, node, longer.output(format!("{label}_signal"), None));
        edit.set_input(node, 0, longer);
        count += 1;
    }
    count
}
