//! Normalizations and softmaxes: channels that are normalized together stay together.

use super::{ChannelRule, Coupling, Operands, Port, X, Y, same};
use crate::ir::shape::axis_of;

pub const BATCH_NORM: ChannelRule = ChannelRule::new(batch_norm, "does not say how its axes meet");
pub const INSTANCE_NORM: ChannelRule = ChannelRule::new(instance_norm, "normalizes over it");
/// What is normalized is `axis` and all after it.
pub const LAYER_NORM: ChannelRule = ChannelRule::new(before_last, "normalizes over it");
/// What is normalized is one axis alone, or in old opsets all after it too.
pub const SOFTMAX: ChannelRule = ChannelRule::new(softmax, "normalizes over it");

fn batch_norm(o: &Operands) -> Vec<Coupling> {
    let axes = (0..o.rank(X).unwrap_or(0)).map(|axis| same((X, axis), (Y, axis)));
    axes.chain((1..5).map(|i| same((Port::Input(i), 0), (X, 1)))).collect()
}

fn instance_norm(_: &Operands) -> Vec<Coupling> {
    let axes = [0, 1].map(|axis| same((X, axis), (Y, axis)));
    axes.into_iter().chain([1, 2].map(|i| same((Port::Input(i), 0), (X, 1)))).collect()
}

fn before_last(o: &Operands) -> Vec<Coupling> {
    (0..o.axis(-1).unwrap_or(0)).map(|axis| same((X, axis), (Y, axis))).collect()
}

fn softmax(o: &Operands) -> Vec<Coupling> {
    let Some(rank) = o.rank(X) else { return Vec::new() };
    let alone = o.model.onnx_opset() >= 13;
    let Some(over) = axis_of(o.node.int_or("axis", if alone { -1 } else { 1 }), rank) else { return Vec::new() };
    let free = |axis: &usize| if alone { *axis != over } else { *axis < over };
    (0..rank).filter(free).map(|axis| same((X, axis), (Y, axis))).collect()
}
