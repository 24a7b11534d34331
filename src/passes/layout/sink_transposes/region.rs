//! The nodes around a Transpose that could compute in its other layout, and which of them should.

use std::collections::{BTreeMap, BTreeSet};

use super::carry::{Carry, Layout, Side, carry, inverse, is_identity};
use super::cut::{Cut, MOVES, STAYS};
use crate::analysis::permutation;
use crate::ir::{GraphId, Model, NodeId, Origin, Use, ValueId};
use crate::passes::layout::transpose_rows;

/// One Transpose, to which the elements that it moves are added: fewer come first, then smaller.
const ONE: u64 = 1 << 40;

/// Elements count up to here.
const MOST_ELEMENTS: u64 = 1 << 20;

/// Values with the layout that each could have, and the nodes that could compute so.
pub struct Region {
    graph: GraphId,
    pub layouts: BTreeMap<ValueId, Layout>,
    pub nodes: BTreeMap<NodeId, Carry>,
}

/// The order of the axes of a Transpose.
pub fn order(model: &Model, node: NodeId) -> Option<Layout> {
    if !model.node(node).is("Transpose") {
        return None;
    }
    let order: Layout =
        permutation(model, node)?.into_iter().map(|a| usize::try_from(a).ok()).collect::<Option<_>>()?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    sorted.into_iter().eq(0..order.len()).then_some(order)
}

impl Region {
    /// Everything that can follow `value` into `layout`.
    pub fn grow(model: &Model, graph: GraphId, value: ValueId, layout: Layout) -> Region {
        let mut region = Region { graph, layouts: BTreeMap::from([(value, layout)]), nodes: BTreeMap::new() };
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            let layout = region.layouts[&value].clone();
            let producer = model.producer(value).map(|n| (n, None));
            let readers = model.uses(value).iter().filter_map(|u| match u {
                Use::Node { node, input } => Some((*node, Some(*input))),
                Use::Output { .. } => None,
            });
            for (node, input) in readers.chain(producer).collect::<Vec<_>>() {
                region.join(model, node, input, &layout, &mut open);
            }
        }
        region
    }

    /// Takes `node` in where it can compute so and agrees with what is known of its values.
    fn join(&mut self, model: &Model, node: NodeId, input: Option<usize>, layout: &Layout, open: &mut Vec<ValueId>) {
        let n = model.node(node);
        if n.graph() != self.graph || self.nodes.contains_key(&node) {
            return;
        }
        let side = if input.is_some() { Side::Input } else { Side::Output };
        let Some(found) = carry(model, node, side, layout) else { return };
        if input.is_some_and(|i| !found.data.contains(&i)) {
            return;
        }
        let data = found.data.iter().filter_map(|i| n.input(*i)).map(|v| (v, &found.from));
        let made = n.outputs().iter().flatten().map(|v| (*v, &found.to));
        let values: Vec<_> = data.chain(made).collect();
        let agrees = |(value, layout): &(ValueId, &Layout)| match self.layouts.get(value) {
            Some(present) => present == *layout,
            None => true,
        };
        // What one node reads in two layouts disagrees with itself.
        let alike = values.iter().all(|(v, l)| values.iter().all(|(w, m)| v != w || l == m));
        if !alike || !values.iter().all(agrees) {
            return;
        }
        for (value, layout) in values {
            if !is_identity(layout) && self.layouts.insert(value, layout.clone()).is_none() {
                open.push(value);
            }
        }
        self.nodes.insert(node, found);
    }

    /// The nodes that should move, where that leaves fewer Transposes.
    pub fn choose(&self, model: &Model) -> Option<BTreeSet<NodeId>> {
        let mut cut = Cut::new();
        let points: BTreeMap<NodeId, usize> = self.nodes.keys().map(|n| (*n, cut.point())).collect();
        let mut before = 0;
        for (value, layout) in &self.layouts {
            let readers = self.readers(model, *value, layout, &points);
            let cost = ONE + elements(model, *value);
            let moved = |p: &usize| *p == MOVES;
            match self.maker(model, *value, layout, &points) {
                Some(maker) => {
                    before += if readers.iter().any(|r| moved(r) != moved(&maker)) { cost } else { 0 };
                    cut.shared(maker, &readers, cost);
                }
                None => {
                    before += [true, false].iter().filter(|side| readers.iter().any(|r| moved(r) == **side)).count()
                        as u64
                        * cost;
                    cut.made_for_each(&readers, cost);
                }
            }
        }
        if cut.solve() / ONE >= before / ONE {
            return None;
        }
        let moved = cut.moved();
        Some(points.into_iter().filter(|(_, p)| moved[*p]).map(|(n, _)| n).collect())
    }

    /// Where a value comes from: a node, or a side; `None` for a Transpose of something else, which can make either.
    fn maker(&self, model: &Model, value: ValueId, layout: &Layout, points: &BTreeMap<NodeId, usize>) -> Option<usize> {
        let Origin::Node { node, .. } = model.value(value).origin() else { return Some(STAYS) };
        match (points.get(&node), order(model, node)) {
            (Some(point), _) => Some(*point),
            (None, Some(order)) if order == inverse(layout) => Some(MOVES),
            (None, Some(_)) => None,
            (None, None) => Some(STAYS),
        }
    }

    /// Who reads a value, and on which side; not those that are as well off with either.
    fn readers(&self, model: &Model, value: ValueId, layout: &Layout, points: &BTreeMap<NodeId, usize>) -> Vec<usize> {
        let side = |u: &Use| {
            let Use::Node { node, input } = *u else { return Some(STAYS) };
            match self.nodes.get(&node) {
                Some(carry) if carry.data.contains(&input) => return points.get(&node).copied(),
                Some(_) => return Some(STAYS),
                None => {}
            }
            match order(model, node) {
                // Its own result may take its input for what it is in the other layout.
                Some(_) if model.node(node).output(0).is_some_and(|v| self.layouts.contains_key(&v)) => Some(STAYS),
                Some(order) if order == *layout => Some(MOVES),
                Some(_) => None,
                None if transpose_rows::takes(model, node, &inverse(layout)) => None,
                None => Some(STAYS),
            }
        };
        model.uses(value).iter().filter_map(side).collect()
    }

    /// What the value is a Transpose of, and in which order, where one makes it.
    pub fn source(&self, model: &Model, value: ValueId) -> Option<(ValueId, Layout)> {
        let node = model.producer(value).filter(|n| !self.nodes.contains_key(n))?;
        Some((model.node(node).input(0)?, order(model, node)?))
    }
}

/// Elements of a value as far as they are known.
fn elements(model: &Model, value: ValueId) -> u64 {
    let shape = model.tensor_type(value).shape.unwrap_or_default();
    let known = shape.iter().filter_map(|d| u64::try_from(d.known()?).ok());
    known.fold(1u64, u64::saturating_mul).min(MOST_ELEMENTS)
}

/// Transposes and what they read and make, where neighbours may be moved across them.
pub fn seeds(model: &Model, node: NodeId) -> Option<[(ValueId, Layout); 2]> {
    let order = order(model, node)?;
    let (x, y) = (model.node(node).input(0)?, model.node(node).output(0)?);
    Some([(y, inverse(&order)), (x, order)])
}
