//! Points (value, axis, position) in a union-find forest, with a reason where one must stay.

use std::collections::HashMap;

use crate::ir::{Model, ValueId};
use crate::ops::channels::Map;

/// Longer axes are not gone through one by one.
const LONGEST: usize = 1 << 17;

/// A file can declare any sizes: when there are so many points, those of further axes count as not known.
const MOST: usize = 1 << 25;

type At = (ValueId, usize);

#[derive(Debug)]
pub(super) struct Points {
    /// How many there may be.
    most: usize,
    parent: Vec<u32>,
    /// Why a root stays, as a number of `reasons`.
    stays: Vec<Option<u32>>,
    reasons: Vec<String>,
    /// First point and count of each axis, by the order in which they came up.
    axes: HashMap<At, (usize, usize)>,
    order: Vec<At>,
    /// Sizes that are known, looked up once.
    shapes: HashMap<ValueId, Option<Vec<Option<usize>>>>,
}

impl Default for Points {
    fn default() -> Self {
        Points::of_at_most(MOST)
    }
}

impl Points {
    fn of_at_most(most: usize) -> Self {
        Points {
            most,
            parent: Vec::new(),
            stays: Vec::new(),
            reasons: Vec::new(),
            axes: HashMap::new(),
            order: Vec::new(),
            shapes: HashMap::new(),
        }
    }

    fn size(&mut self, model: &Model, (value, axis): At) -> Option<usize> {
        let shape = self.shapes.entry(value).or_insert_with(|| {
            let shape = model.tensor_type(value).shape?;
            Some(shape.iter().map(|d| usize::try_from(d.known()?).ok()).collect())
        });
        shape.as_ref()?.get(axis).copied()?.filter(|n| (1..=LONGEST).contains(n))
    }

    /// First point of an axis and their count; `None` where its size is not known.
    fn axis(&mut self, model: &Model, at: At) -> Option<(usize, usize)> {
        let size = self.size(model, at)?;
        if let Some(known) = self.axes.get(&at) {
            return Some(*known);
        }
        let first = self.parent.len();
        if first + size > self.most {
            return None;
        }
        self.parent.extend(first as u32..(first + size) as u32);
        self.stays.resize(first + size, None);
        self.axes.insert(at, (first, size));
        self.order.push(at);
        if size == 1 {
            self.stay(first, || format!("the axis of {} that they meet has size 1", model.name(at.0)));
        }
        Some((first, size))
    }

    pub fn root(&mut self, mut point: usize) -> usize {
        while self.parent[point] as usize != point {
            // Halve the path.
            let up = self.parent[self.parent[point] as usize];
            self.parent[point] = up;
            point = up as usize;
        }
        point
    }

    fn stay(&mut self, point: usize, reason: impl FnOnce() -> String) {
        let root = self.root(point);
        if self.stays[root].is_none() {
            self.reasons.push(reason());
            self.stays[root] = Some(self.reasons.len() as u32 - 1);
        }
    }

    fn union(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        // The earlier reason is told.
        let reason = match (self.stays[a], self.stays[b]) {
            (Some(x), Some(y)) => Some(x.min(y)),
            (x, y) => x.or(y),
        };
        let (root, child) = if a < b { (a, b) } else { (b, a) };
        self.parent[child] = root as u32;
        self.stays[root] = reason;
    }

    /// Joins position i of `a` with position `map(i)` of `b`; `because` makes a reason of what keeps one from another.
    pub fn join(&mut self, model: &Model, a: At, b: At, map: Map, because: impl Fn(&str) -> String) {
        let unknown = || because("the size of an axis that meets it is not known");
        let differs = || because("an axis that meets it has another size");
        match (self.axis(model, a), self.axis(model, b)) {
            (Some((first, size)), Some((other, count))) => {
                for i in 0..size {
                    match map.at(i) {
                        to if to < count => self.union(first + i, other + to),
                        _ => self.stay(first + i, differs),
                    }
                }
                // What of the other side is met by nothing has no place to go with.
                let whole = matches!(map, Map::Same) && size < count;
                (if whole { size..count } else { 0..0 }).for_each(|i| self.stay(other + i, differs));
            }
            (Some((first, size)), None) | (None, Some((first, size))) => {
                // One reason for all of them.
                self.stay(first, unknown);
                let root = self.root(first);
                let reason = self.stays[root];
                for point in first..first + size {
                    let root = self.root(point);
                    self.stays[root] = self.stays[root].or(reason);
                }
            }
            (None, None) => {}
        }
    }

    pub fn fix(&mut self, model: &Model, at: At, reason: impl Fn() -> String) {
        let Some((first, size)) = self.axis(model, at) else { return };
        self.reasons.push(reason());
        let number = Some(self.reasons.len() as u32 - 1);
        for point in first..first + size {
            let root = self.root(point);
            self.stays[root] = self.stays[root].or(number);
        }
    }

    pub fn fix_all(&mut self, model: &Model, value: ValueId, reason: impl Fn() -> String) {
        for axis in 0..model.tensor_type(value).rank().unwrap_or(0) {
            self.fix(model, (value, axis), &reason);
        }
    }

    pub fn reason(&self, root: usize) -> Option<&str> {
        self.stays[root].map(|i| self.reasons[i as usize].as_str())
    }

    /// Value, axis, first point and count of every axis.
    pub fn axes(&self) -> Vec<(ValueId, usize, usize, usize)> {
        let of = |at: &At| self.axes.get(at).map(|(first, size)| (at.0, at.1, *first, *size));
        self.order.iter().filter_map(of).collect()
    }

    /// For each of these axes a number that those have in common whose channels share an axis.
    pub fn groups(&mut self, axes: &[(ValueId, usize, usize, usize)]) -> Vec<usize> {
        let mut joined: Vec<usize> = (0..axes.len()).collect();
        fn top(joined: &mut [usize], mut i: usize) -> usize {
            while joined[i] != i {
                joined[i] = joined[joined[i]];
                i = joined[i];
            }
            i
        }
        let mut seen: HashMap<usize, usize> = HashMap::new();
        for (i, (_, _, first, size)) in axes.iter().enumerate() {
            for point in *first..first + size {
                let root = self.root(point);
                let other = *seen.entry(root).or_insert(i);
                let (a, b) = (top(&mut joined, i), top(&mut joined, other));
                joined[a.max(b)] = a.min(b);
            }
        }
        (0..axes.len()).map(|i| top(&mut joined, i)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    #[test]
    fn axes_beyond_the_most_points_count_as_not_known() {
        let source =
            "<ir_version: 8, opset_import: [\"\" : 17]> g (float[6] a, float[6] b) => (float[6] y) { y = Add (a, b) }";
        let model = text::parse(source).unwrap();
        let [a, b] = model.graph(model.main()).inputs() else { unreachable!() };
        let mut points = Points::of_at_most(10);
        points.join(&model, (*a, 0), (*b, 0), Map::Same, str::to_string);
        assert_eq!(points.axes(), [(*a, 0, 0, 6)]);
        assert_eq!(points.reason(5), Some("the size of an axis that meets it is not known"));
    }
}
