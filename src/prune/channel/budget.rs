//! What is left of MACs and parameters when so many channels of each group are gone.

use std::collections::{BTreeSet, HashMap};

use super::allocate::Cost;
use crate::analysis::Costs;
use crate::analysis::dependency::Group;
use crate::ir::{Model, NodeId, ValueId};

/// What is left of multiply-accumulates and bytes when channels go.
pub struct Budget {
    costs: Costs,
    /// Group and member of an axis.
    at: HashMap<(ValueId, usize), (usize, usize)>,
    /// For each group and member: positions left after so many steps of the group's order.
    left: Vec<Vec<Vec<usize>>>,
    /// The nodes that cost less when a group loses channels.
    nodes: Vec<Vec<NodeId>>,
    /// Constants with at least one axis in a group, and all sizes.
    constants: Vec<(ValueId, Vec<usize>)>,
    /// Numbers in the others.
    others: usize,
}

impl Budget {
    pub fn of(model: &Model, inputs: &[(String, Vec<usize>)], groups: &[Group], orders: &[&[usize]]) -> Budget {
        let costs = Costs::of(model, inputs);
        let mut at = HashMap::new();
        let mut left = Vec::new();
        for (g, (group, order)) in groups.iter().zip(orders).enumerate() {
            group.members.iter().enumerate().for_each(|(m, member)| {
                at.insert((member.value, member.axis), (g, m));
            });
            left.push(group.members.iter().map(|m| after_steps(&m.channels, order, group.stays.len())).collect());
        }
        let touched = |n: &NodeId| -> BTreeSet<usize> {
            let values = model.node(*n).inputs().iter().chain(model.node(*n).outputs()).flatten();
            values.flat_map(|v| (0..8).filter_map(|axis| Some(at.get(&(*v, axis))?.0)).collect::<Vec<_>>()).collect()
        };
        let mut nodes = vec![Vec::new(); groups.len()];
        for n in costs.nodes() {
            touched(n).into_iter().for_each(|g| nodes[g].push(*n));
        }
        let (mut constants, mut others) = (Vec::new(), 0);
        let stored: BTreeSet<ValueId> =
            model.all_nodes().iter().flat_map(|n| model.node(*n).inputs().iter().flatten()).copied().collect();
        for v in stored {
            let Some(t) = model.constant(v).filter(|t| t.dtype().is_float()) else { continue };
            match (0..t.rank()).any(|axis| at.contains_key(&(v, axis))) {
                true => constants.push((v, t.shape().to_vec())),
                false => others += t.len(),
            }
        }
        Budget { costs, at, left, nodes, constants, others }
    }

    /// Nodes whose MACs are not counted, since only running them tells.
    pub fn uncounted(&self) -> &[NodeId] {
        self.costs.unknown()
    }

    fn size(&self, gone: &[usize], value: ValueId, axis: usize) -> Option<usize> {
        let (g, m) = self.at.get(&(value, axis))?;
        Some(self.left[*g][*m][gone[*g]])
    }

    /// As a cost of which the whole model has 1.
    pub fn by(&self, unit: Unit) -> Share<'_> {
        let none = vec![0; self.left.len()];
        let whole = match unit {
            Unit::Macs => self.macs(&none),
            Unit::Parameters => self.parameters(&none) as f64,
        };
        Share { budget: self, unit, whole: whole.max(1.0) }
    }

    /// MACs of one run.
    pub fn macs(&self, gone: &[usize]) -> f64 {
        self.costs.macs(&|v, axis| self.size(gone, v, axis)) as f64
    }

    /// Numbers in the float constants.
    pub fn parameters(&self, gone: &[usize]) -> usize {
        let of = |(v, shape): &(ValueId, Vec<usize>)| -> usize {
            shape.iter().enumerate().map(|(axis, n)| self.size(gone, *v, axis).unwrap_or(*n)).product()
        };
        self.others + self.constants.iter().map(of).sum::<usize>()
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Macs,
    Parameters,
}

/// The share of the whole model.
pub struct Share<'a> {
    budget: &'a Budget,
    unit: Unit,
    whole: f64,
}

impl Cost for Share<'_> {
    fn total(&self, gone: &[usize]) -> f64 {
        let sum = match self.unit {
            Unit::Macs => self.budget.macs(gone),
            Unit::Parameters => self.budget.parameters(gone) as f64,
        };
        sum / self.whole
    }

    fn saved(&self, gone: &[usize], g: usize, stop: usize) -> f64 {
        let b = self.budget;
        let mut next = gone.to_vec();
        next[g] = stop;
        if self.unit == Unit::Parameters {
            return self.total(gone) - self.total(&next);
        }
        let of = |gone: &[usize], n: NodeId| b.costs.node(n, &|v, axis| b.size(gone, v, axis)).unwrap_or(0) as f64;
        b.nodes[g].iter().map(|n| of(gone, *n) - of(&next, *n)).sum::<f64>() / self.whole
    }
}

/// How many positions are left after 0, 1, … steps.
fn after_steps(channels: &[usize], order: &[usize], count: usize) -> Vec<usize> {
    let mut positions = vec![0; count];
    channels.iter().for_each(|c| positions[*c] += 1);
    let mut left = vec![channels.len()];
    for c in order {
        left.push(left[left.len() - 1] - positions[*c]);
    }
    left
}
