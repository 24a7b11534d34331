//! The layers of a plan that are solved anew, in the order of the walk.

use std::collections::BTreeMap;

use super::Data;
use super::plan::TensorPlan;
use crate::error::Result;
use crate::ir::{Model, ValueId};
use crate::second_order::moments::Centred;
use crate::second_order::rows::{self, Sample, Sought, Wanted};
use crate::second_order::{self, Moments, Order, Walk, places};

const SAMPLE: Sample = Sample { each: 40, least: 16 << 10, most: 64 << 10 };

/// A layer that is solved anew.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// Its place in the plan's tensors.
    pub tensor: usize,
    pub solved: second_order::Layer,
    /// For each node that shares its weight the other operands of the sums that its output goes into, made before it.
    pub beside: Vec<Vec<ValueId>>,
}

impl Layer {
    /// Those of `tensors` that are pruned, and why the others of these cannot be solved anew, by place.
    pub fn all(model: &Model, order: &Order, tensors: &[TensorPlan]) -> (Vec<Layer>, Vec<(usize, String)>) {
        let (mut layers, mut refused) = (Vec::new(), Vec::new());
        for (tensor, t) in tensors.iter().enumerate().filter(|(_, t)| t.kept.is_none()) {
            match second_order::Layer::of(model, t.id).unwrap_or_else(|| Err("it is no contraction".into())) {
                Ok(solved) => {
                    let beside = solved.beside(model, order);
                    layers.push(Layer { tensor, solved, beside });
                }
                Err(why) => refused.push((tensor, why)),
            }
        }
        (layers, refused)
    }
}

/// Layers in the order of the walk, with the place where it stops for them: those together that are fed the same rows.
pub(super) fn steps<'a>(order: &Order, layers: &'a [Layer]) -> Vec<(usize, Vec<&'a Layer>)> {
    // Every layer is in the main graph, all of whose nodes have a place.
    let mut sorted: Vec<(usize, &Layer)> =
        layers.iter().filter_map(|l| Some((order.place(l.solved.node)?, l))).collect();
    sorted.sort_by_key(|(place, _)| *place);
    let mut steps: Vec<(usize, Vec<&Layer>)> = Vec::new();
    for (place, layer) in sorted {
        let alone = !layer.solved.is_together(order);
        match steps.iter_mut().filter(|_| !alone).find(|(_, s)| s[0].solved.reads_as(&layer.solved)) {
            // What stands beside it must be there when the first of the step runs.
            Some((_, step)) if layer.beside.iter().flatten().all(|v| order.is_there(*v, step[0].solved.node)) => {
                step.push(layer)
            }
            _ => steps.push((place, vec![layer])),
        }
    }
    steps
}

/// What is added up of the rows of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sums {
    /// Second moments of the inputs.
    Inputs,
    /// Those, and what they have in common with the wanted outputs.
    All,
    /// Means of inputs and wanted outputs.
    Means,
}

/// The moments of layers, as a walk comes to them.
pub(super) struct Measure<'a> {
    model: &'a Model,
    sums: Sums,
    /// Those of layers that read what they made before, by tensor.
    early: BTreeMap<usize, Vec<Centred>>,
}

impl<'a> Measure<'a> {
    /// What a walk through `layers` asks for; those that read what they made before are seen now, as the model stands.
    ///
    /// # Errors
    /// What the data or the runtime refuse, and io.
    pub fn new(
        (model, layers): (&'a Model, &[Layer]),
        order: &Order,
        (data, batches): (Data, &[usize]),
        sums: Sums,
    ) -> Result<Self> {
        let mut early = BTreeMap::new();
        let again: Vec<&Layer> = layers.iter().filter(|l| !l.solved.is_together(order)).collect();
        if !again.is_empty() {
            let mut walk = Walk::new((model, 1), order, (data.dataset, data.runtime), batches.to_vec())?;
            let solved: Vec<&second_order::Layer> = again.iter().map(|l| &l.solved).collect();
            let asked = places::Sums { sample: SAMPLE, outputs: sums != Sums::Inputs, parts: (1, &|_| 0) };
            places::each((model, &solved), (&mut walk, order), &asked, |i, parts| {
                early.insert(again[i].tensor, centred(again[i], parts));
            })?;
        }
        Ok(Measure { model, sums, early })
    }

    /// Moments of each layer of a step, by group; each step comes once.
    ///
    /// # Errors
    /// What the data refuse, and io.
    pub fn of(&mut self, walk: &Walk, step: &[&Layer]) -> Result<Vec<Vec<Centred>>> {
        if let [layer] = step
            && let Some(moments) = self.early.remove(&layer.tensor)
        {
            return Ok(vec![moments]);
        }
        let sought: Vec<Sought> = step.iter().map(|l| self.sought(l)).collect();
        let sums = rows::measure((walk, self.model), &sought, SAMPLE, (1, &|_| 0))?;
        Ok(step.iter().zip(sums).map(|(l, parts)| centred(l, parts)).collect())
    }

    fn sought<'l>(&self, layer: &'l Layer) -> Sought<'l> {
        let places = layer.solved.contractions().zip(&layer.beside);
        let wanted = places.map(|(c, beside)| Wanted::of(self.model, c, beside));
        let wanted = match self.sums {
            Sums::Inputs => Vec::new(),
            Sums::All => wanted.collect(),
            Sums::Means => wanted.map(Wanted::means).collect(),
        };
        Sought { read: layer.solved.contractions().collect(), wanted }
    }
}

fn centred(layer: &Layer, parts: Vec<Vec<Moments>>) -> Vec<Centred> {
    parts.into_iter().flatten().map(|m| m.centred(layer.solved.bias.is_some())).collect()
}
