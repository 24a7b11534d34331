//! The floats that a DequantizeLinear, or a Cast before it, makes of constants.

use crate::ir::{DType, Model, NodeId, Tensor, ValueId};

/// What the DequantizeLinear `id` makes; `None` where its inputs are not constant, or not integers.
pub fn dequantized(model: &Model, id: NodeId) -> Option<Tensor> {
    let node = model.node(id);
    let q = integers(model, node.input(0)?)?;
    let axis = crate::ir::shape::axis_of(node.int_or("axis", 1), q.rank());
    let size = usize::try_from(node.int_or("block_size", 0)).ok().filter(|size| *size > 0);
    let one = model.constant_input(id, 1)?.len() == 1 && size.is_none();
    floats(model, q, node.input(1)?, node.input(2), axis.filter(|_| !one), size)
}

/// One scale without an axis, one for each place along it without blocks, else one for each block.
fn floats(
    model: &Model,
    q: &Tensor,
    scale: ValueId,
    zero_point: Option<ValueId>,
    axis: Option<usize>,
    block: Option<usize>,
) -> Option<Tensor> {
    let scale = model.constant(scale)?;
    let scales = scale.to_f32()?;
    let zeros = zero_point.map_or(Some(Vec::new()), |v| model.constant(v)?.to_i64())?;
    let (length, inner) = axis.map_or((1, q.len()), |a| (q.shape()[a], q.shape()[a + 1..].iter().product()));
    let (length, inner) = (length.max(1), inner.max(1));
    let group = |i: usize| match (axis, block) {
        (None, _) => 0,
        (Some(_), None) => i / inner % length,
        (Some(_), Some(size)) => {
            (i / (inner * length) * length.div_ceil(size) + i / inner % length / size) * inner + i % inner
        }
    };
    let value = |(i, q): (usize, i64)| {
        let g = group(i);
        let zero = zeros.get(g).or(zeros.first()).copied().unwrap_or(0);
        Some((q - zero) as f32 * scales.get(g)?)
    };
    let values: Vec<f32> = q.to_i64()?.into_iter().enumerate().map(value).collect::<Option<_>>()?;
    match scale.dtype() {
        DType::F32 => Some(Tensor::from_vec(q.shape(), values)),
        // The result has the type of the scale.
        dtype => Tensor::from_floats(dtype, q.shape(), values.into_iter().map(f64::from)),
    }
}

/// A constant, or the Cast of one: integers stay as they are.
fn integers(model: &Model, v: ValueId) -> Option<&Tensor> {
    if let Some(tensor) = model.constant(v) {
        return Some(tensor);
    }
    let cast = model.producer(v).filter(|n| model.node(*n).is("Cast"))?;
    let narrow = |d: DType| matches!(d, DType::I4 | DType::U4 | DType::I2 | DType::U2);
    model.constant_input(cast, 0).filter(|t| narrow(t.dtype()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    #[test]
    fn the_result_has_the_type_of_the_scale() {
        let source = r#"<ir_version: 10, opset_import: ["" : 21]>
            g () => (float16[2] y) <int8[2] q = {3, -4}, float16 s = {16128}> { y = DequantizeLinear (q, s) }"#;
        let model = text::parse(source).unwrap();
        let id = model.all_nodes()[0];
        let floats = dequantized(&model, id).unwrap();
        assert_eq!((floats.dtype(), floats.to_f32().unwrap().as_ref()), (DType::F16, &[5.25f32, -7.0][..]));
    }

    #[test]
    fn blocks_channels_and_casts_are_read() {
        let floats = |nodes: &str, given: &str| {
            let source =
                format!(r#"<ir_version: 10, opset_import: ["" : 21]> g () => (float[4,2] y) <{given}> {{ {nodes} }}"#);
            let model = text::parse(&source).unwrap();
            let id = model.all_nodes().into_iter().find(|n| model.node(*n).is("DequantizeLinear")).unwrap();
            dequantized(&model, id).unwrap().to_f32().unwrap().into_owned()
        };
        let blocks = floats(
            "y = DequantizeLinear <axis = 0, block_size = 2> (q, s, z)",
            "int8[4,2] q = {1,2,3,4,5,6,7,8}, float[2,2] s = {1,10,100,1000}, int8[2,2] z = {0,1,0,0}",
        );
        assert_eq!(blocks, [1.0, 10.0, 3.0, 30.0, 500.0, 6000.0, 700.0, 8000.0]);
        let channels = floats(
            "c = Cast <to = 3> (q) y = DequantizeLinear <axis = 1> (c, s)",
            "int4[4,2] q = {241, 32, 3, 4}, float[2] s = {1, 2}",
        );
        assert_eq!(channels, [1.0, -2.0, 0.0, 4.0, 3.0, 0.0, 4.0, 0.0]);
    }
}
