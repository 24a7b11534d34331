//! Operators that move or select values: the gradient moves back.

use super::tape::Cut;
use super::{Adjoint, Var};
use crate::ir::shape::axis_of;
use crate::ir::{Attr, DType, Tensor};

type Rule = Result<(), String>;

/// The same elements in another shape, or the same value.
pub fn reshape(a: &Adjoint) -> Rule {
    a.give_with(0, || a.dy().reshape(&a.x(0).dims()));
    Ok(())
}

/// `[0, 1, …]` reversed where none is given.
pub fn transpose(a: &Adjoint) -> Rule {
    let rank = a.x(0).rank();
    let perm: Vec<usize> = match a.node.ints("perm") {
        Some(perm) => perm.iter().filter_map(|p| axis_of(*p, rank)).collect(),
        None => (0..rank).rev().collect(),
    };
    let mut back = vec![0; rank];
    perm.iter().enumerate().for_each(|(i, p)| back[*p] = i);
    a.give(0, a.dy().transpose(&back));
    Ok(())
}

pub fn slice(a: &Adjoint) -> Rule {
    let dims = a.x(0).dims();
    let given = |name: &str, input| a.ints_of(name, input);
    let starts = given("starts", 1)?.ok_or("it has no starts")?;
    let axes = given("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = given("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    let counts = a.dy().dims();
    let mut cuts: Vec<Cut> = dims.iter().map(|d| Cut::whole(*d)).collect();
    let mut dy = a.dy();
    if counts.contains(&0) {
        return Ok(());
    }
    for ((start, axis), step) in starts.iter().zip(&axes).zip(&steps) {
        let axis = axis_of(*axis, dims.len()).ok_or("there is no such axis")?;
        let (size, count) = (dims[axis] as i64, counts[axis]);
        let start = if *start < 0 { start + size } else { *start };
        let reach = count.saturating_sub(1) as i64 * step;
        // Backwards is forwards from the other end, turned around.
        let first = if *step < 0 { start.clamp(0, size - 1) + reach } else { start.clamp(0, size) };
        cuts[axis] = Cut { start: first as usize, count, step: step.unsigned_abs() as usize };
        if *step < 0 {
            dy = dy.gather((0..count).rev(), axis);
        }
    }
    a.give(0, dy.unslice(&cuts, &dims));
    Ok(())
}

pub fn concat(a: &Adjoint) -> Rule {
    let axis = a.axis(1)?;
    let mut start = 0;
    for i in 0..a.node.inputs().len() {
        let count = a.x(i).dims()[axis];
        a.give_with(i, || {
            let mut cuts: Vec<Cut> = a.dy().dims().iter().map(|d| Cut::whole(*d)).collect();
            cuts[axis] = Cut { start, count, step: 1 };
            a.dy().slice(&cuts)
        });
        start += count;
    }
    Ok(())
}

pub fn split(a: &Adjoint) -> Rule {
    let axis = a.axis(0)?;
    let parts: Vec<Var> = (0..a.node.outputs().len()).filter_map(|i| a.gradient(i)).collect();
    a.give(0, a.tape.concat(&parts, axis));
    Ok(())
}

/// Padding with a constant.
pub fn pad(a: &Adjoint) -> Rule {
    if a.node.str("mode").is_some_and(|mode| mode != "constant") {
        return Err("it pads with its own elements".into());
    }
    let pads = a.ints_of("pads", 1)?.ok_or("it has no pads")?;
    let dims = a.x(0).dims();
    let axes = a.ints_of("axes", 3)?.unwrap_or_else(|| (0..dims.len() as i64).collect());
    let mut cuts: Vec<Cut> = dims.iter().map(|d| Cut::whole(*d)).collect();
    let mut whole = cuts.clone();
    for (i, axis) in axes.iter().enumerate() {
        let axis = axis_of(*axis, dims.len()).ok_or("there is no such axis")?;
        // What a negative pad cuts off has no gradient.
        let (before, after) = (pads[i], pads[i + axes.len()]);
        let lost = (-before).max(0) as usize + (-after).max(0) as usize;
        let count = dims[axis].saturating_sub(lost);
        cuts[axis] = Cut { start: before.max(0) as usize, count, step: 1 };
        whole[axis] = Cut { start: (-before).max(0) as usize, count, step: 1 };
    }
    a.give(0, a.dy().slice(&cuts).unslice(&whole, &dims));
    Ok(())
}

pub fn expand(a: &Adjoint) -> Rule {
    a.give(0, a.dy());
    Ok(())
}

/// Repeated along each axis: summed over the repetitions.
pub fn tile(a: &Adjoint) -> Rule {
    let (x, y) = (a.x(0).dims(), a.y().dims());
    let apart: Vec<usize> = x.iter().zip(&y).flat_map(|(x, y)| [y / (*x).max(1), *x]).collect();
    let axes: Vec<usize> = (0..x.len()).map(|i| 2 * i).collect();
    a.give(0, a.dy().reshape(&apart).sum(&axes).reshape(&x));
    Ok(())
}

/// y = x[indices]: one row of zeros and a one for each index, transposed, times dy.
pub fn gather(a: &Adjoint) -> Rule {
    let axis = a.axis(0)?;
    let x = a.x(0).dims();
    let count = a.x(1).count();
    let (outer, inner) = (x[..axis].iter().product::<usize>(), x[axis + 1..].iter().product::<usize>());
    let indices = a.node("Reshape", &[a.x(1), a.ints([count as i64])], &[], (a.dtype(1), &[count]));
    // ONNX Runtime has OneHot of floats for indices of 64 bits alone.
    let indices = a.node("Cast", &[indices], &[("to", Attr::Int(DType::I64.code().into()))], (DType::I64, &[count]));
    let depth = a.constant(Tensor::scalar(x[axis] as i64));
    let values = a.constant(Tensor::from_vec([2], vec![0f32, 1.0]));
    let rows = a.float("OneHot", &[indices, depth, values], &[("axis", Attr::Int(0))], &[x[axis], count]);
    a.give(0, rows.matmul(a.dy().reshape(&[outer, count, inner])).reshape(&x));
    Ok(())
}

/// `[N, C, H, W]` → `[N, C/b², H·b, W·b]`, and back.
pub fn depth_to_space(a: &Adjoint) -> Rule {
    let b = block(a)?;
    let y = a.y().dims();
    let (x, [n, c, h, w]) = (a.x(0).dims(), [y[0], y[1], y[2] / b, y[3] / b]);
    let apart = a.dy().reshape(&[n, c, h, b, w, b]);
    let channels_last = a.node.str("mode") == Some("CRD");
    let order = if channels_last { [0, 1, 3, 5, 2, 4] } else { [0, 3, 5, 1, 2, 4] };
    a.give(0, apart.transpose(&order).reshape(&x));
    Ok(())
}

pub fn space_to_depth(a: &Adjoint) -> Rule {
    let b = block(a)?;
    let x = a.x(0).dims();
    let [n, c, h, w] = [x[0], x[1], x[2] / b, x[3] / b];
    a.give(0, a.dy().reshape(&[n, b, b, c, h, w]).transpose(&[0, 3, 4, 1, 5, 2]).reshape(&x));
    Ok(())
}

fn block(a: &Adjoint) -> Result<usize, String> {
    usize::try_from(a.node.int_or("blocksize", 0)).ok().filter(|b| *b > 0).ok_or_else(|| "it has no blocksize".into())
}
