//! The moments of layers over all nodes that share their weights, of one model walked through once.
//!
//! A node whose weight another has, too, and which reads what that one makes, cannot wait for it: a weight that a model uses again and again
//! is seen as the model stands.

use std::collections::BTreeMap;

use super::rows::{Sample, Sought, Wanted, measure};
use super::{Contraction, Layer, Moments, Order, Walk};
use crate::error::Result;
use crate::ir::Model;

/// What is added up of the rows.
pub struct Sums<'a> {
    /// How many rows.
    pub sample: Sample,
    /// Whether also what they have in common with the outputs.
    pub outputs: bool,
    /// How many parts there are, and to which a batch belongs.
    pub parts: (usize, &'a (dyn Fn(usize) -> usize + Sync)),
}

/// Hands `see` the moments of each of `layers`, by part and group, with its number, as soon as `walk` has come by all its nodes.
///
/// # Errors
/// What the data or the runtime refuse, and io.
pub fn each(
    (model, layers): (&Model, &[&Layer]),
    (walk, order): (&mut Walk, &Order),
    sums: &Sums,
    mut see: impl FnMut(usize, Vec<Vec<Moments>>),
) -> Result<()> {
    let mut places: Vec<(usize, usize, &Contraction)> = Vec::new();
    for (i, layer) in layers.iter().enumerate() {
        let nodes = layer.nodes().zip(layer.contractions());
        places.extend(nodes.filter_map(|(node, c)| Some((order.place(node)?, i, c))));
    }
    places.sort_unstable_by_key(|(place, i, _)| (*place, *i));
    // Of layers of which some nodes are still to come: how many came, and their sums.
    let mut begun: BTreeMap<usize, (usize, Vec<Vec<Moments>>)> = BTreeMap::new();
    for (place, i, read) in places {
        walk.advance(&[model], place)?;
        let wanted = sums.outputs.then(|| Wanted::of(model, read, &[]));
        let sought = Sought { read: vec![read], wanted: wanted.into_iter().collect() };
        let found = measure((walk, model), &[sought], sums.sample, sums.parts)?.pop().unwrap_or_default();
        let (came, all) = begun.entry(i).or_insert((0, Vec::new()));
        match *came {
            0 => *all = found,
            _ => all.iter_mut().flatten().zip(found.iter().flatten()).for_each(|(all, found)| all.merge(found)),
        }
        *came += 1;
        if *came > layers[i].others.len()
            && let Some((_, all)) = begun.remove(&i)
        {
            see(i, all);
        }
    }
    Ok(())
}
