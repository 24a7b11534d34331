//! Moments of the rows that layers are fed, and of what is wanted of their outputs, over the batches of a walk.
//!
//! ```text
//! x ─► W·x (+ s)      float model        rows x̂, wanted t = W·x + (s − ŝ): what the float model made of its own input, and
//! x̂ ─► Ŵ·x̂ (+ ŝ)     changed model      what the other operands of residual sums have lost by then
//! ```

use std::collections::BTreeSet;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use super::walk::Values;
use super::{Contraction, Moments, Walk};
use crate::error::{Error, Result};
use crate::ir::{Model, Tensor, ValueId};

/// Rows that are gathered before they are multiplied.
const GATHERED: usize = 1024;
/// Bytes that all sums of a step may take, on as many lanes as go in.
const SUMS: usize = 48 << 20;
const LANES: usize = 8;

/// How many rows sums are made of: so many for each of the depth, within bounds.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Rows for each of the depth.
    pub each: usize,
    /// Rows at least.
    pub least: usize,
    /// Rows at most.
    pub most: usize,
}

impl Sample {
    fn a_batch(self, depth: usize, batches: usize) -> usize {
        (self.each * depth).clamp(self.least, self.most).div_ceil(batches.max(1))
    }
}

/// A layer, and what is wanted of it.
pub struct Sought<'a> {
    /// Where its rows come from, in the model that changed: one place, or several that share the weight.
    pub read: Vec<&'a Contraction>,
    /// What is wanted at each of them; none where its inputs alone are of interest.
    pub wanted: Vec<Wanted<'a>>,
}

impl Sought<'_> {
    /// Those of a group that are of interest.
    fn outputs(&self) -> usize {
        if self.wanted.is_empty() { 0 } else { self.read[0].outputs }
    }
}

/// What the float model makes where the layer stands.
pub struct Wanted<'a> {
    contraction: &'a Contraction,
    /// `[channels, depth]`.
    weights: Vec<f32>,
    /// Which of its output channels the layer still has; empty where it has all.
    stays: Vec<bool>,
    beside: &'a [ValueId],
    /// Whether means are enough.
    means: bool,
    /// A value of the float model as far as the other one still has it.
    cut: &'a (dyn Fn(&Tensor, ValueId) -> Option<Tensor> + Sync),
}

impl<'a> Wanted<'a> {
    /// Of a contraction of the float `model`, with the other operands of the sums behind it.
    pub fn of(model: &Model, contraction: &'a Contraction, beside: &'a [ValueId]) -> Self {
        let values = model.constant(contraction.weight).and_then(|t| t.to_f32());
        let (c, whole) = (contraction, &|t: &Tensor, _| Some(t.clone()));
        let at = |i: usize| values.as_ref().map_or(0.0, |w| w[c.element(i / c.depth, i % c.depth)]);
        let weights = (0..c.channels() * c.depth).map(at).collect();
        Wanted { contraction, weights, stays: Vec::new(), beside, means: false, cut: whole }
    }

    /// Of which, and of the rows, the means alone are added up.
    #[must_use]
    pub fn means(self) -> Self {
        Wanted { means: true, ..self }
    }

    /// Of a model that has lost channels, these among them.
    #[must_use]
    pub fn cut(self, stays: Vec<bool>, cut: &'a (dyn Fn(&Tensor, ValueId) -> Option<Tensor> + Sync)) -> Self {
        Wanted { stays, cut, ..self }
    }

    /// t at some positions, `[count, channels]`; `None` where a value has another shape than the layer says.
    fn outputs(&self, (float, changed): (&Values, &Values), read: &Contraction, most: usize) -> Option<Vec<f32>> {
        let c = self.contraction;
        let x = float.get(&c.input)?;
        let (rows, count) = c.rows(x, most)?;
        let mut t = self.product(&rows, count);
        // Positions are those of what the layer is fed, which may have lost channels.
        let fed = changed.get(&read.input)?.shape();
        let at = |s: &Tensor| read.at_rows(s, fed, most);
        for v in self.beside {
            let (s, now) = (float.get(v)?, changed.get(v)?);
            let s = (self.cut)(s, *v)?;
            if s == *now {
                continue;
            }
            let (s, now) = (at(&s)?, at(now)?);
            t.iter_mut().zip(s.iter().zip(&now)).for_each(|(t, (s, now))| *t += s - now);
        }
        Some(t)
    }

    /// W·x of all groups, of the channels that stay.
    fn product(&self, x: &[f32], count: usize) -> Vec<f32> {
        let c = self.contraction;
        let x = MatRef::from_row_major_slice(x, count, c.groups * c.depth);
        let w = MatRef::from_row_major_slice(&self.weights, c.channels(), c.depth);
        let mut y = Mat::<f32>::zeros(c.channels(), count);
        for g in 0..c.groups {
            let out = y.as_mut().subrows_mut(g * c.outputs, c.outputs);
            let (w, x) = (w.subrows(g * c.outputs, c.outputs), x.subcols(g * c.depth, c.depth));
            matmul(out, Accum::Replace, w, x.transpose(), 1.0, Par::Seq);
        }
        let stays = |o: &usize| self.stays.get(*o).copied().unwrap_or(true);
        let left: Vec<usize> = (0..c.channels()).filter(stays).collect();
        (0..count).flat_map(|i| left.iter().map(move |o| (*o, i))).map(|at| y[at]).collect()
    }
}

/// Moments of each layer of a step, all of which read the same rows at the same places, by part and group. `part` says to which of `parts` a batch belongs.
///
/// # Errors
/// What the data refuse, and io.
pub fn measure(
    (walk, model): (&Walk, &Model),
    step: &[Sought],
    sample: Sample,
    (parts, part): (usize, &(dyn Fn(usize) -> usize + Sync)),
) -> Result<Vec<Vec<Vec<Moments>>>> {
    let places = step.first().map_or(&[][..], |s| &s.read);
    let Some(first) = places.first() else { return Ok(Vec::new()) };
    let of = |s: &Sought| -> Vec<Vec<Moments>> {
        let made = if s.wanted.iter().any(|w| w.means) { Moments::means } else { Moments::new };
        let outputs = s.outputs();
        let groups = || (0..first.groups).map(|_| made(first.depth, outputs)).collect();
        (0..parts).map(|_| groups()).collect()
    };
    let bytes = parts * first.groups * first.depth * first.depth * size_of::<f64>() * step.len();
    let lanes = (SUMS / bytes.max(1)).clamp(1, LANES).min(walk.batches()).max(1);
    let most = sample.a_batch(first.depth, walk.batches() * places.len());
    let wanted = step.iter().flat_map(|s| &s.wanted);
    let read: BTreeSet<ValueId> = wanted
        .flat_map(|w| w.beside.iter().copied().chain([w.contraction.input]))
        .chain(places.iter().map(|c| c.input))
        .collect();
    let lane = |lane: usize| -> Result<Vec<Vec<Vec<Moments>>>> {
        let mut sums: Vec<Vec<Vec<Moments>>> = step.iter().map(of).collect();
        let mut gathered: Vec<Gathered> = (0..parts).map(|_| Gathered::new(step.len())).collect();
        let add = |gathered: &mut Gathered, part: usize, sums: &mut Vec<Vec<Vec<Moments>>>| {
            gathered.add_to(sums.iter_mut().map(|of| &mut of[part]), step);
        };
        // Fixed parts of the data, added up in a fixed order: the same on any number of threads.
        for i in lane * walk.batches() / lanes..(lane + 1) * walk.batches() / lanes {
            let part = part(i);
            gathered[part].take(walk.values(i, model, &read)?, step, most)?;
            if gathered[part].count >= GATHERED {
                add(&mut gathered[part], part, &mut sums);
            }
        }
        gathered.iter_mut().enumerate().for_each(|(part, g)| add(g, part, &mut sums));
        Ok(sums)
    };
    // As many at a time as run, merged in their order: no more sums than these wait.
    let mut merged: Option<Vec<Vec<Vec<Moments>>>> = None;
    for some in (0..lanes).collect::<Vec<_>>().chunks(rayon::current_num_threads()) {
        let found: Vec<Vec<Vec<Vec<Moments>>>> = some.par_iter().map(|i| lane(*i)).collect::<Result<_>>()?;
        for found in found {
            match &mut merged {
                None => merged = Some(found),
                Some(all) => {
                    let each = all.iter_mut().flatten().flatten().zip(found.iter().flatten().flatten());
                    each.for_each(|(a, b)| a.merge(b));
                }
            }
        }
    }
    Ok(merged.unwrap_or_default())
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

    fn take(&mut self, versions: Vec<Values>, step: &[Sought], most: usize) -> Result<()> {
        // A single version is the float one and its own.
        let (Some(float), Some(changed)) = (versions.first(), versions.last()) else { return Ok(()) };
        for (place, c) in step[0].read.iter().enumerate() {
            let x = changed.get(&c.input).ok_or_else(|| Error::runtime("a layer's input was not kept"))?;
            let Some((rows, count)) = c.rows(x, most) else { continue };
            let wanted = step.iter().map(|s| match s.wanted.get(place) {
                Some(wanted) => wanted.outputs((float, changed), s.read[place], most),
                None => Some(Vec::new()),
            });
            let Some(wanted) = wanted.collect::<Option<Vec<Vec<f32>>>>() else { continue };
            self.t.iter_mut().zip(wanted).for_each(|(t, wanted)| t.extend(wanted));
            self.x.extend(rows);
            self.count += count;
        }
        Ok(())
    }

    fn add_to<'a>(&mut self, sums: impl Iterator<Item = &'a mut Vec<Moments>>, step: &[Sought]) {
        let c = step[0].read[0];
        if self.count == 0 {
            return;
        }
        let x = MatRef::from_row_major_slice(&self.x, self.count, c.groups * c.depth);
        for ((s, t), sums) in step.iter().zip(&self.t).zip(sums) {
            let outputs = s.outputs();
            let t = MatRef::from_row_major_slice(t, self.count, c.groups * outputs);
            for (g, sum) in sums.iter_mut().enumerate() {
                sum.add(x.subcols(g * c.depth, c.depth), t.subcols(g * outputs, outputs));
            }
        }
        *self = Gathered::new(step.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    /// y = x·W + s with weights of one, and its product.
    fn model(depth: usize) -> Model {
        let ones = vec!["1"; 2 * depth].join(",");
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,{depth}] x, float[N,2] s) => (float[N,2] y)
             <float[{depth},2] w = {{{ones}}}> {{ m = MatMul (x, w) y = Add (m, s) }}"
        );
        text::parse(&source).unwrap()
    }

    #[test]
    fn a_product_that_lost_inputs_makes_up_for_its_shortcut() {
        let (float, cut) = (model(3), model(2));
        let node = float.graph(float.main()).nodes()[0];
        let contraction = Contraction::of(&float, node).unwrap().unwrap();
        let read = Contraction::of(&cut, node).unwrap().unwrap();
        let x = contraction.input;
        let s = float.user_inputs()[1];
        let values = |fed: Vec<f32>, shortcut: [f32; 2]| -> Values {
            let shortcut = Tensor::from_vec([1, 2], shortcut.to_vec());
            [(x, Tensor::from_vec([1, fed.len()], fed)), (s, shortcut)].into()
        };
        let before = values(vec![1.0, 2.0, 3.0], [10.0, 20.0]);
        let beside = [s];
        let wanted = Wanted::of(&float, &contraction, &beside);
        let of = |now: &Values| wanted.outputs((&before, now), &read, 8);
        // 1 + 2 + 3, and what the shortcut has lost.
        assert_eq!(of(&values(vec![1.0, 2.0], [9.0, 22.0])), Some(vec![7.0, 4.0]));
        assert_eq!(of(&values(vec![1.0, 2.0], [10.0, 20.0])), Some(vec![6.0, 6.0]));
        // A shortcut of another shape is no reason to leave what it lost out.
        let mut other = values(vec![1.0, 2.0], [9.0, 22.0]);
        other.insert(s, Tensor::from_vec([2], vec![9.0, 22.0]));
        assert_eq!(of(&other).map(|t| t.len()), Some(2));
        other.insert(s, Tensor::from_vec([2, 2], vec![9.0; 4]));
        assert_eq!(of(&other), None);
    }
}
