//! Weights of few bits or of many scales: each group that shares a scale has parameters that are searched for it.
//!
//! ```text
//! w ≈ s_g·(w_q − z_g)        s_g, z_g by the rule of the algorithm ([`Algorithm::fit`]), z_g the middle level unless the type is unsigned
//! ```

use rayon::prelude::*;

use super::algorithm::Algorithm;
use super::params::{QParams, QType, storable};
use super::plan::WeightPlan;
use super::sharing::Groups;
use super::weights::{self, QuantizedWeight};
use crate::ir::Tensor;

/// Groups that one task looks at, and that are rounded before they are put in their places.
const TASK: usize = 64;
const AT_ONCE: usize = 1 << 14;

/// The parameters of the groups with these numbers. `importance` of each element; all alike where it is empty.
pub(super) fn params(
    w: &[f32],
    importance: &[f32],
    groups: &Groups,
    which: &[usize],
    plan: &WeightPlan,
    algorithm: &Algorithm,
) -> Vec<QParams> {
    let of = |g: &usize| {
        let of_group = |all: &[f32]| groups.members(*g).filter_map(|i| all.get(i).copied()).collect::<Vec<_>>();
        let params = (algorithm.fit)(&of_group(w), &of_group(importance), plan.dtype, plan.zero_points);
        QParams { scale: storable(params.scale, plan.floats), ..params }
    };
    which.par_iter().with_min_len(TASK).map(of).collect()
}

/// Quantizes a weight of this shape by the algorithm's own parameters; with `bias` and its input's scale, where there is an int32 bias to fit.
pub(super) fn quantize(
    w: &[f32],
    shape: &[usize],
    plan: &WeightPlan,
    bias: Option<(&[f32], f32)>,
    algorithm: &Algorithm,
) -> QuantizedWeight {
    let (values, params) = levels(w, shape, plan, bias, algorithm);
    QuantizedWeight::of(plan, shape, &values, &params)
}

/// What the integers of [`quantize`] stand for.
pub(super) fn floats(w: &[f32], shape: &[usize], plan: &WeightPlan, algorithm: &Algorithm) -> Tensor {
    let (values, params) = levels(w, shape, plan, None, algorithm);
    plan.dequantized(shape, values.into_iter(), &params)
}

fn levels(
    w: &[f32],
    shape: &[usize],
    plan: &WeightPlan,
    bias: Option<(&[f32], f32)>,
    algorithm: &Algorithm,
) -> (Vec<i32>, Vec<QParams>) {
    let groups = plan.sharing().groups(shape);
    let every: Vec<usize> = (0..groups.count()).collect();
    let mut params = params(w, &[], &groups, &every, plan, algorithm);
    if let Some(bias) = bias {
        weights::make_room(&mut params, bias);
    }
    let kernel = shape.get(2..).map_or(1, |k| k.iter().product());
    let round = |g: &usize| -> Vec<i32> {
        let members: Vec<f32> = groups.members(*g).map(|i| w[i]).collect();
        // Blocks are no channels: neither kernels nor sums are whole in them.
        match plan.block {
            Some(_) => members.iter().map(|w| params[*g].quantize(*w)).collect(),
            None => (algorithm.round)(&members, &params[*g], kernel),
        }
    };
    let mut values = vec![0i32; w.len()];
    // Some groups at a time: what all round to need not be in memory twice.
    for some in every.chunks(AT_ONCE) {
        let rounded: Vec<Vec<i32>> = some.par_iter().with_min_len(TASK).map(round).collect();
        for (g, rounded) in some.iter().zip(rounded) {
            groups.members(*g).zip(rounded).for_each(|(i, q)| values[i] = q);
        }
    }
    (values, params)
}

/// The range of `weights` that clips none: zero in the middle, or where it falls with `zero_points`.
pub(super) fn whole(weights: &[f32], dtype: QType, zero_points: bool) -> QParams {
    let (low, high) = weights.iter().fold((0f32, 0f32), |(l, h), w| (l.min(*w), h.max(*w)));
    let range = crate::calibrate::Range::new(low, high);
    let made = if zero_points { QParams::asymmetric(range, dtype) } else { QParams::symmetric(range, dtype) };
    // Weights that are no number are refused before.
    made.unwrap_or(QParams { dtype, scale: 1.0, zero_point: dtype.middle() })
}
