//! Which elements of a weight share a scale.
//!
//! ```text
//! tensor       all                                              scales []
//! channel      those at one place of the channel axis           scales [C]
//! block:B      B in a row along the axis that is summed over     scales as the weight, that axis ⌈K/B⌉ long
//! ```

/// How scales are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sharing {
    Tensor,
    Channel(usize),
    Block { axis: usize, size: usize },
}

/// The groups of a weight of one shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Groups {
    sharing: Sharing,
    outer: usize,
    /// Length of the axis.
    length: usize,
    inner: usize,
}

impl Sharing {
    /// Shape of the scales of a weight of this shape, as DequantizeLinear takes them.
    pub fn scale_shape(self, weight: &[usize]) -> Vec<usize> {
        match self {
            Sharing::Tensor => Vec::new(),
            Sharing::Channel(axis) => vec![weight[axis]],
            Sharing::Block { axis, size } => {
                let mut shape = weight.to_vec();
                shape[axis] = shape[axis].div_ceil(size);
                shape
            }
        }
    }

    /// The groups of a weight of this shape.
    pub fn groups(self, weight: &[usize]) -> Groups {
        let (outer, length, inner) = match self {
            Sharing::Tensor => (1, 1, weight.iter().product()),
            Sharing::Channel(a) | Sharing::Block { axis: a, .. } => {
                (weight[..a].iter().product(), weight[a], weight[a + 1..].iter().product())
            }
        };
        Groups { sharing: self, outer, length, inner }
    }
}

impl Groups {
    pub fn count(&self) -> usize {
        match self.sharing {
            Sharing::Tensor => 1,
            Sharing::Channel(_) => self.length,
            Sharing::Block { size, .. } => self.outer * self.length.div_ceil(size) * self.inner,
        }
    }

    /// The group that element `i` is in.
    pub fn of(&self, i: usize) -> usize {
        match self.sharing {
            Sharing::Tensor => 0,
            Sharing::Channel(_) => i / self.inner % self.length,
            Sharing::Block { size, .. } => {
                let blocks = self.length.div_ceil(size);
                let (outer, at) = (i / (self.inner * self.length), i / self.inner % self.length);
                (outer * blocks + at / size) * self.inner + i % self.inner
            }
        }
    }

    /// The elements of group `g`, in their order.
    pub fn members(&self, g: usize) -> impl Iterator<Item = usize> + use<> {
        let Groups { length, inner, .. } = *self;
        let (outer, along, across) = match self.sharing {
            Sharing::Tensor | Sharing::Channel(_) => (0..self.outer, g..g + 1, 0..inner),
            Sharing::Block { size, .. } => {
                let blocks = length.div_ceil(size);
                let (o, block, i) = (g / (inner * blocks), g / inner % blocks, g % inner);
                (o..o + 1, block * size..length.min((block + 1) * size), i..i + 1)
            }
        };
        outer.flat_map(move |o| {
            let across = across.clone();
            along.clone().flat_map(move |k| across.clone().map(move |i| (o * length + k) * inner + i))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_in_one_group_and_knows_it() {
        let shape = [3, 10, 4];
        let all = [
            (Sharing::Tensor, 1, vec![]),
            (Sharing::Channel(0), 3, vec![3]),
            (Sharing::Channel(2), 4, vec![4]),
            (Sharing::Block { axis: 1, size: 4 }, 36, vec![3, 3, 4]),
            (Sharing::Block { axis: 0, size: 2 }, 80, vec![2, 10, 4]),
        ];
        for (sharing, count, scales) in all {
            let groups = sharing.groups(&shape);
            assert_eq!((groups.count(), sharing.scale_shape(&shape)), (count, scales));
            let mut seen = vec![0; 120];
            for g in 0..count {
                for i in groups.members(g) {
                    assert_eq!(groups.of(i), g, "{sharing:?} {i}");
                    seen[i] += 1;
                }
            }
            assert!(seen.iter().all(|n| *n == 1), "{sharing:?}");
        }
    }
}
