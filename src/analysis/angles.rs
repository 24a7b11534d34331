//! Products whose results are angles.
//!
//! ```text
//! positions ─► MatMul(frequencies) ─► [Transpose, Concat, Mul …] ─► Sin, Cos
//! ```
//!
//! A sine tells 1 from 2 radians and nothing of 1,000: what is off by a step of 8 bits, or clipped to a range that was observed, is another
//! position, and a frequency that is zero tells none.

use crate::ir::{Model, NodeId, Use, ValueId};
use crate::ops;

/// Steps that are followed.
const MOST: usize = 64;

/// Operators that make angles of angles, beside those that rearrange.
const PASSES_ON: &[&str] = &["Add", "Cast", "Concat", "Div", "Expand", "Mul", "Neg", "Sub", "Tile"];

/// Whether all that a node makes goes into Sin and Cos.
pub fn makes_angles(model: &Model, id: NodeId) -> bool {
    let mut open: Vec<ValueId> = model.node(id).outputs().iter().flatten().copied().collect();
    let (mut seen, mut turned) = (Vec::new(), false);
    while let Some(v) = open.pop() {
        if seen.len() > MOST {
            return false;
        }
        for u in model.uses(v) {
            let Use::Node { node, input } = *u else { return false };
            let reader = model.node(node);
            let rearranges = ops::of(reader).and_then(|op| op.quant.rearranged(reader)) == Some(input);
            if reader.is_one_of(&["Sin", "Cos"]) {
                turned = true;
            } else if rearranges || reader.is_one_of(PASSES_ON) {
                let made = reader.outputs().iter().flatten().filter(|y| !seen.contains(*y));
                open.extend(made.copied().collect::<Vec<_>>());
            } else {
                return false;
            }
        }
        seen.push(v);
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    #[test]
    fn positions_are_told_from_other_products() {
        let source = r#"<ir_version: 8, opset_import: ["" : 17]> g (float[N, 5, 1] p) => (float[N, 5, 8] c, float[N, 5, 8] s, float[N, 5, 4] z)
            <float[1, 4] f = {1, 0.1, 0.01, 0.001}, float[1, 4] w = {1, 2, 3, 4}, float two = {2}> {
                [angles] a = MatMul (p, f) e = Concat <axis = 2> (a, a) d = Mul (e, two) c = Cos (d) s = Sin (d)
                [both] z = MatMul (p, w) q = Sin (z) }"#;
        let model = text::parse(source).unwrap();
        let named = |name: &str| *model.all_nodes().iter().find(|n| model.node(**n).name == name).unwrap();
        assert!(makes_angles(&model, named("angles")));
        assert!(!makes_angles(&model, named("both")));
    }
}
