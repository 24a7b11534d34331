//! An integer convolution as a product of matrices.
//!
//! ```text
//! x ─► Pad(z) ─┬► Slice (kernel place 0) ─┐
//!              ├► Slice (kernel place 1) ─┼► Concat ─► [N, K·C, P] ─► W [M, K·C] · ─► [N, M, P] ─► [N, M, …]
//!              └► …                       ┘   K places of the kernel, C channels, P places of the output
//! ```
//!
//! The sums are those of ConvInteger, term for term: y[m, p] = Σ_k Σ_c W[m, c, k]·x[c, p·stride + k·dilation − pad], and what
//! lies outside x is the zero point. tract copies the patches of ConvInteger byte by byte; here whole rows are copied.
//!
//! Left to ConvInteger: groups, automatic padding, kernels of more than 49 places, opsets before 11 (Pad of integers).

use super::plan::WeightPlan;
use super::write::made;
use crate::error::{Error, Result};
use crate::ir::{AutoPad, GraphEdit, GraphId, NewNode, NodeId, Place, Tensor, TensorType, ValueId};

const MAX_PLACES: usize = 49;
/// The first opset whose Pad takes integers and a value to pad with.
const OPSET: i64 = 11;

/// An integer convolution to be written before the float one that it replaces.
pub(super) struct Convolution<'a> {
    pub float: NodeId,
    pub name: &'a str,
    pub x: ValueId,
    pub zero_point: ValueId,
    /// `[M, C, kernel…]`, bytes.
    pub weight: &'a Tensor,
    pub plan: &'a WeightPlan,
    pub sums: Option<TensorType>,
}

/// Where the kernel lies: one entry an axis of the image.
struct Geometry {
    channels: [usize; 2],
    kernel: Vec<usize>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    pads: Vec<i64>,
}

impl Geometry {
    fn of(edit: &GraphEdit, c: &Convolution) -> Option<Geometry> {
        let [m, channels, kernel @ ..] = c.weight.shape() else { return None };
        let node = edit.node(c.float);
        let n = kernel.len();
        let ints = |name: &str, len: usize, default: i64| {
            let given = node.ints(name).map_or_else(|| vec![default; len], <[i64]>::to_vec);
            (given.len() == len && given.iter().all(|v| *v >= default)).then_some(given)
        };
        let explicit = node.auto_pad() == AutoPad::Explicit;
        let places: usize = kernel.iter().product();
        let fits = n > 0 && (1..=MAX_PLACES).contains(&places);
        if !explicit || !fits || node.int_or("group", 1) != 1 || edit.onnx_opset() < OPSET {
            return None;
        }
        Some(Geometry {
            channels: [*m, *channels],
            kernel: kernel.to_vec(),
            strides: ints("strides", n, 1)?,
            dilations: ints("dilations", n, 1)?,
            pads: ints("pads", 2 * n, 0)?,
        })
    }

    fn places(&self) -> usize {
        self.kernel.iter().product()
    }

    /// First and last element, from the end, that the kernel's place number `place` meets, along each axis.
    fn range(&self, place: usize) -> (Vec<i64>, Vec<i64>) {
        let mut rest = place;
        let mut at = vec![0i64; self.kernel.len()];
        for (at, size) in at.iter_mut().zip(&self.kernel).rev() {
            *at = (rest % size) as i64;
            rest /= size;
        }
        let starts = at.iter().zip(&self.dilations).map(|(a, d)| a * d).collect();
        let ends =
            at.iter().zip(&self.kernel).zip(&self.dilations).map(|((a, size), d)| match (a + 1 - *size as i64) * d {
                0 => i64::MAX,
                before => before,
            });
        (starts, ends.collect())
    }

    /// `[M, C, K]` → `[M, K·C]`: channels innermost, as Concat lays them.
    fn matrix(&self, weight: &Tensor) -> Result<Tensor> {
        let ([m, c], k) = (self.channels, self.places());
        let bytes = weight.bytes();
        let turned: Vec<u8> = (0..m * k * c).map(|i| bytes[(i / (k * c) * c + i % c) * k + i / c % k]).collect();
        Tensor::from_bytes(weight.dtype(), [m, k * c], turned)
    }
}

/// The sums as int32, or nothing where ConvInteger has to make them.
pub(super) fn as_matrices(edit: &mut GraphEdit, c: &Convolution) -> Result<Option<ValueId>> {
    let Some(g) = Geometry::of(edit, c) else { return Ok(None) };
    let (graph, at, name) = (edit.node(c.float).graph(), Place::Before(c.float), c.name);
    let mut part = |edit: &mut GraphEdit, what: &str, node: NewNode| {
        made(edit, at, node.name(format!("{name}_{what}")).output(format!("{name}_{what}_out"), None))
    };
    let mut padded = c.x;
    if g.pads.iter().any(|p| *p != 0) {
        let (before, after) = g.pads.split_at(g.kernel.len());
        let pads = numbers(edit, graph, name, [&[0, 0], before, &[0, 0], after].concat());
        padded = part(edit, "pad", NewNode::new("Pad").input(c.x).input(pads).input(c.zero_point));
    }
    let whole = g.places() == 1 && g.strides.iter().all(|s| *s == 1);
    let mut met = vec![padded];
    if !whole {
        let axes = numbers(edit, graph, name, (2..2 + g.kernel.len() as i64).collect());
        let steps = numbers(edit, graph, name, g.strides.clone());
        met.clear();
        for place in 0..g.places() {
            let (starts, ends) = g.range(place);
            let (starts, ends) = (numbers(edit, graph, name, starts), numbers(edit, graph, name, ends));
            let slice = NewNode::new("Slice").inputs([padded, starts, ends, axes, steps].map(Some));
            met.push(part(edit, &format!("place_{place}"), slice));
        }
    }
    let [first, ..] = met[..] else { return Err(Error::internal("a kernel without places")) };
    let size = output_size(edit, graph, c, &g, first, &mut part);
    let patches = match met.len() {
        1 => first,
        _ => part(edit, "patches", NewNode::new("Concat").inputs(met.into_iter().map(Some)).attr("axis", 1i64)),
    };
    let columns = numbers(edit, graph, name, vec![0, (g.places() * g.channels[1]) as i64, -1]);
    let columns = part(edit, "columns", NewNode::new("Reshape").input(patches).input(columns));
    let weight = g.matrix(c.weight)?;
    let zero = c.plan.dtype.wide().tensor(&[], &[c.plan.dtype.middle()]);
    let zero = edit.add_initializer(graph, &format!("{}_zero_point", c.plan.name), zero);
    let weight = edit.add_initializer(graph, &format!("{}_quantized", c.plan.name), weight);
    let product = NewNode::new("MatMulInteger").inputs([weight, columns, zero, c.zero_point].map(Some));
    let product = part(edit, "integer", product);
    let sums = NewNode::new("Reshape").name(format!("{name}_image")).input(product).input(size);
    Ok(Some(made(edit, at, sums.output(format!("{name}_sums"), c.sums.clone()))))
}

/// `[N, M, …]`: the numbers where they are known, else those of a slice, whose places are the output's.
fn output_size(
    edit: &mut GraphEdit,
    graph: GraphId,
    c: &Convolution,
    g: &Geometry,
    slice: ValueId,
    part: &mut impl FnMut(&mut GraphEdit, &str, NewNode) -> ValueId,
) -> ValueId {
    let channels = [0, g.channels[0] as i64];
    let dims = c.sums.as_ref().and_then(|t| t.shape.as_ref()).filter(|s| s.len() == 2 + g.kernel.len());
    let known: Option<Vec<i64>> = dims.and_then(|s| s.iter().skip(2).map(|d| d.known()).collect());
    if let Some(known) = known {
        return numbers(edit, graph, c.name, [&channels[..], &known].concat());
    }
    let [start, end] = [2, i64::MAX].map(|n| numbers(edit, graph, c.name, vec![n]));
    let shape = part(edit, "slice_size", NewNode::new("Shape").input(slice));
    let places = part(edit, "places_size", NewNode::new("Slice").inputs([shape, start, end].map(Some)));
    let channels = numbers(edit, graph, c.name, channels.to_vec());
    part(edit, "size", NewNode::new("Concat").input(channels).input(places).attr("axis", 0i64))
}

fn numbers(edit: &mut GraphEdit, graph: GraphId, name: &str, values: Vec<i64>) -> ValueId {
    edit.add_initializer(graph, &format!("{name}_sizes"), Tensor::from_vec([values.len()], values))
}
