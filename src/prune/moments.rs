//! Moments of the rows that layers are fed, and of what is wanted of their outputs, over batches.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use super::layer::Layer;
use crate::error::{Error, Result};
use crate::ir::Model;
use crate::second_order::moments::Centred;
use crate::second_order::walk::Values;
use crate::second_order::{Moments, Walk};

/// Rows that sums are made of, for each of the depth; and bounds of their number.
const ROWS: usize = 40;
const LEAST: usize = 16 << 10;
const MOST: usize = 64 << 10;
/// Rows that are gathered before they are multiplied.
const GATHERED: usize = 1024;
/// Bytes that all sums of a step may take, on as many lanes as go in.
const SUMS: usize = 48 << 20;
const LANES: usize = 8;

/// Moments of each layer of a step, by group; without outputs where none are wanted.
///
/// # Errors
/// What the data refuse, and io.
pub(super) fn measure(model: &Model, walk: &Walk, step: &[&Layer], wants: bool) -> Result<Vec<Vec<Centred>>> {
    let first = &step[0].contraction;
    let sums = || -> Vec<Vec<Moments>> {
        let outputs = |l: &Layer| if wants { l.contraction.outputs } else { 0 };
        let of = |l: &&Layer| (0..first.groups).map(|_| Moments::new(first.depth, outputs(l))).collect();
        step.iter().map(of).collect()
    };
    let bytes = first.groups * first.depth * first.depth * size_of::<f64>() * step.len();
    let lanes = (SUMS / bytes.max(1)).clamp(1, LANES).min(walk.batches());
    let most = (ROWS * first.depth).clamp(LEAST, MOST).div_ceil(walk.batches().max(1));
    let weights: Vec<Vec<f32>> = step.iter().filter(|_| wants).map(|l| rows_of(model, l)).collect();
    let lane = |lane: usize| -> Result<Vec<Vec<Moments>>> {
        let mut sums = sums();
        let mut gathered: Gathered = Gathered::new(step.len());
        // Fixed parts of the data, added up in a fixed order: the same on any number of threads.
        for i in lane * walk.batches() / lanes..(lane + 1) * walk.batches() / lanes {
            gathered.take(walk.values(i, model)?, step, most, &weights)?;
            if gathered.count >= GATHERED {
                gathered.add_to(&mut sums, step);
            }
        }
        gathered.add_to(&mut sums, step);
        Ok(sums)
    };
    let parts: Vec<Vec<Vec<Moments>>> = (0..lanes).into_par_iter().map(lane).collect::<Result<_>>()?;
    let mut all = sums();
    for part in &parts {
        all.iter_mut().flatten().zip(part.iter().flatten()).for_each(|(a, b)| a.merge(b));
    }
    let centred = |(layer, groups): (&&Layer, Vec<Moments>)| {
        groups.into_iter().map(|m| m.centred(layer.intercept.is_some())).collect()
    };
    Ok(step.iter().zip(all).map(centred).collect())
}

/// The float weights as rows `[channels, depth]`.
fn rows_of(model: &Model, layer: &Layer) -> Vec<f32> {
    let c = &layer.contraction;
    let values = model.constant(c.weight).and_then(|t| t.to_f32());
    let at = |i: usize| values.as_ref().map_or(0.0, |w| w[c.element(i / c.depth, i % c.depth)]);
    (0..c.channels() * c.depth).map(at).collect()
}

/// Rows of several batches, and what is wanted of each layer there.
struct Gathered {
    count: usize,
    x: Vec<f32>,
    t: Vec<Vec<f32>>,
}

impl Gathered {
    fn new(layers: usize) -> Self {
        Gathered { count: 0, x: Vec::new(), t: vec![Vec::new(); layers] }
    }

    fn take(&mut self, versions: Vec<Values>, step: &[&Layer], most: usize, weights: &[Vec<f32>]) -> Result<()> {
        let c = &step[0].contraction;
        let missing = || Error::runtime("a layer's input was not kept");
        // A single version is the float one and its own.
        let (Some(float), Some(pruned)) = (versions.first(), versions.last()) else { return Ok(()) };
        let (x, fed) = (float.get(&c.input).ok_or_else(missing)?, pruned.get(&c.input).ok_or_else(missing)?);
        let Some(((x_rows, count), (rows, _))) = c.rows(x, most).zip(c.rows(fed, most)) else { return Ok(()) };
        for ((layer, weights), t) in step.iter().zip(weights).zip(&mut self.t) {
            let mut wanted = product(&x_rows, count, layer, weights);
            if let Some((s, changed)) = layer.beside.and_then(|v| float.get(&v).zip(pruned.get(&v))) {
                let at = |s| layer.contraction.at_rows(s, x.shape(), most);
                if let Some((s, changed)) = at(s).zip(at(changed)) {
                    wanted.iter_mut().zip(s.iter().zip(&changed)).for_each(|(t, (s, c))| *t += s - c);
                }
            }
            t.extend(wanted);
        }
        self.x.extend(rows);
        self.count += count;
        Ok(())
    }

    fn add_to(&mut self, sums: &mut [Vec<Moments>], step: &[&Layer]) {
        let c = &step[0].contraction;
        if self.count == 0 {
            return;
        }
        let x = MatRef::from_row_major_slice(&self.x, self.count, c.groups * c.depth);
        for ((layer, t), sums) in step.iter().zip(&self.t).zip(sums) {
            let outputs = if t.is_empty() { 0 } else { layer.contraction.outputs };
            let t = MatRef::from_row_major_slice(t, self.count, c.groups * outputs);
            for (g, sum) in sums.iter_mut().enumerate() {
                sum.add(x.subcols(g * c.depth, c.depth), t.subcols(g * outputs, outputs));
            }
        }
        *self = Gathered::new(step.len());
    }
}

/// W·x of all groups, `[count, channels]`.
fn product(x: &[f32], count: usize, layer: &Layer, weights: &[f32]) -> Vec<f32> {
    let c = &layer.contraction;
    let x = MatRef::from_row_major_slice(x, count, c.groups * c.depth);
    let w = MatRef::from_row_major_slice(weights, c.channels(), c.depth);
    let mut y = Mat::<f32>::zeros(c.channels(), count);
    for g in 0..c.groups {
        let out = y.as_mut().subrows_mut(g * c.outputs, c.outputs);
        let (w, x) = (w.subrows(g * c.outputs, c.outputs), x.subcols(g * c.depth, c.depth));
        matmul(out, Accum::Replace, w, x.transpose(), 1.0, Par::Seq);
    }
    (0..count).flat_map(|i| y.col(i).iter().copied().collect::<Vec<_>>()).collect()
}
