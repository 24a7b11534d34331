//! Activations divided channel by channel, exactly, so that quantization hurts their products less: the part that [`super::awq`] and
//! [`super::smooth`] share. They differ in how they find the factors.

use std::fmt;

use rayon::prelude::*;

use super::products::{Seen, bytes, divide, groups_of, sample};
use super::{Alike, ROOM};
use crate::data::{Dataset, Split};
use crate::error::Result;
use crate::ir::{GraphEdit, Model};
use crate::progress::Progress;
use crate::quantize::plan::QuantPlan;
use crate::runtime::{Runtime, neighbours};

/// What was done to one activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Rescaled {
    /// In the words of the one who did it.
    done: &'static str,
    /// Its name.
    pub value: String,
    /// Products that read it.
    pub products: usize,
    /// The exponent α of the factors.
    pub strength: f64,
    /// By how much the error of the products falls.
    pub gain_db: f64,
    /// Whether what makes the activation took the factors, so that nothing more is computed.
    pub folded: bool,
}

impl fmt::Display for Rescaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rescaled { done, value, products, strength, gain_db, folded } = self;
        let folded = if *folded { ", folded" } else { "" };
        write!(f, "{done} {value} by α {strength}{folded}: its {products} products err {gain_db:.1} dB less")
    }
}

/// The factors by which the channels of an activation are divided.
pub(super) struct Found {
    pub factors: Vec<f32>,
    pub strength: f64,
    pub gain_db: f64,
}

/// How a method goes about it.
pub(super) struct Method {
    /// While it looks.
    pub doing: &'static str,
    /// When it has divided something.
    pub done: &'static str,
    /// What new values are called after those that they stand for.
    pub suffix: &'static str,
    /// What the error must fall by, in dB.
    pub least: f64,
    /// Batches that are looked at.
    pub batches: Split,
}

/// Divides the activations of the products of `plan` by what `best` finds for each, where that gains enough.
pub(super) fn rescale(
    model: &mut Model,
    plan: &QuantPlan,
    method: &Method,
    data: (&Dataset, &dyn Runtime),
    progress: &dyn Progress,
    best: impl Fn(&Model, &Alike, &Seen) -> Option<Found> + Sync,
) -> Result<Vec<Rescaled>> {
    let mut rescaled = Vec::new();
    for run in neighbours(groups_of(model, plan), bytes, ROOM) {
        let seen = sample(model, &run, &method.batches, data, (method.doing, progress))?;
        let found: Vec<Option<Found>> =
            run.par_iter().zip(&seen).map(|(group, seen)| best(model, group, seen)).collect();
        for (group, found) in run.iter().zip(found) {
            let Some(Found { factors, strength, gain_db }) = found.filter(|f| f.gain_db > method.least) else {
                continue;
            };
            let value = model.name(group[0].contraction.input).to_string();
            let folded = divide(&mut GraphEdit::new(model), group, &factors, method.suffix);
            rescaled.push(Rescaled { done: method.done, value, products: group.len(), strength, gain_db, folded });
        }
    }
    Ok(rescaled)
}
