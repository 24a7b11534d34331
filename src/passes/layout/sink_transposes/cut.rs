//! The cheapest way to put points on one of two sides: a minimum cut, by augmenting along shortest paths.

use std::collections::VecDeque;

/// The side that stays as it is.
pub const STAYS: usize = 0;
/// The side that is transposed.
pub const MOVES: usize = 1;

/// More than any cut of finite edges costs.
const NEVER: u64 = 1 << 62;

struct Edge {
    to: usize,
    room: u64,
}

/// Points joined by what it costs to have the first on the side [`STAYS`] and the second on [`MOVES`].
pub struct Cut {
    /// Each edge is followed by the one that takes its flow back.
    edges: Vec<Edge>,
    from: Vec<Vec<usize>>,
}

impl Cut {
    pub fn new() -> Self {
        Cut { edges: Vec::new(), from: vec![Vec::new(), Vec::new()] }
    }

    pub fn point(&mut self) -> usize {
        self.from.push(Vec::new());
        self.from.len() - 1
    }

    fn edge(&mut self, from: usize, to: usize, cost: u64) {
        for (from, to, room) in [(from, to, cost), (to, from, 0)] {
            self.from[from].push(self.edges.len());
            self.edges.push(Edge { to, room });
        }
    }

    /// One thing made on each of `makers` sides and read by all `readers`: it costs `cost` once if any reader is on the other side.
    pub fn shared(&mut self, maker: usize, readers: &[usize], cost: u64) {
        self.shared_by(maker, maker, readers, cost);
    }

    /// The same for a thing that is on neither side: `cost` for each side that has a reader.
    pub fn made_for_each(&mut self, readers: &[usize], cost: u64) {
        self.shared_by(STAYS, MOVES, readers, cost);
    }

    fn shared_by(&mut self, stays: usize, moves: usize, readers: &[usize], cost: u64) {
        let (moved, kept) = (self.point(), self.point());
        self.edge(stays, moved, cost);
        self.edge(kept, moves, cost);
        for reader in readers {
            self.edge(moved, *reader, NEVER);
            self.edge(*reader, kept, NEVER);
        }
    }

    /// What the cheapest cut costs.
    pub fn solve(&mut self) -> u64 {
        let mut total = 0;
        loop {
            let mut by = vec![None; self.from.len()];
            let mut queue = VecDeque::from([STAYS]);
            while let Some(at) = queue.pop_front() {
                for edge in &self.from[at] {
                    let Edge { to, room } = self.edges[*edge];
                    if room > 0 && to != STAYS && by[to].is_none() {
                        by[to] = Some(*edge);
                        queue.push_back(to);
                    }
                }
            }
            let path: Vec<usize> = std::iter::successors(by[MOVES], |edge| by[self.edges[edge ^ 1].to]).collect();
            let Some(flow) = path.iter().map(|edge| self.edges[*edge].room).min() else { return total };
            for edge in path {
                self.edges[edge].room -= flow;
                self.edges[edge ^ 1].room += flow;
            }
            total += flow;
        }
    }

    /// Which points move in the solved cut that moves fewest.
    pub fn moved(&self) -> Vec<bool> {
        let mut moved = vec![false; self.from.len()];
        moved[MOVES] = true;
        let mut open = vec![MOVES];
        while let Some(at) = open.pop() {
            for edge in &self.from[at] {
                let before = self.edges[*edge].to;
                if self.edges[edge ^ 1].room > 0 && !moved[before] {
                    moved[before] = true;
                    open.push(before);
                }
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_cut_agrees_with_all_cuts_tried() {
        let mut state = 7u64;
        let mut next = |n: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        for _ in 0..200 {
            let points = 2 + next(5);
            let things: Vec<(Option<usize>, Vec<usize>, u64)> = (0..1 + next(8))
                .map(|_| {
                    let maker = if next(4) == 0 { None } else { Some(next(points + 2)) };
                    (maker, (0..1 + next(3)).map(|_| next(points + 2)).collect(), 1 + next(9) as u64)
                })
                .collect();
            let mut cut = Cut::new();
            (0..points).for_each(|_| assert!(cut.point() > MOVES));
            for (maker, readers, cost) in &things {
                match maker {
                    Some(maker) => cut.shared(*maker, readers, *cost),
                    None => cut.made_for_each(readers, *cost),
                }
            }
            let price = |moves: &dyn Fn(usize) -> bool| -> u64 {
                let one = |(maker, readers, cost): &(Option<usize>, Vec<usize>, u64)| {
                    let on = |side: bool| readers.iter().any(|r| moves(*r) == side);
                    let times = match maker {
                        Some(maker) => usize::from(on(!moves(*maker))),
                        None => usize::from(on(true)) + usize::from(on(false)),
                    };
                    times as u64 * cost
                };
                things.iter().map(one).sum()
            };
            let side = |bits: usize| move |p: usize| p == MOVES || (p > MOVES && bits >> (p - 2) & 1 == 1);
            let least = (0..1 << points).map(|bits| price(&side(bits))).min().unwrap();
            assert_eq!(cut.solve(), least);
            let moved = cut.moved();
            assert_eq!(price(&|p| moved[p]), least);
        }
    }
}
