//! Axes split into several and merged into one.
//!
//! ```text
//! [N, C, H, W] → [N, C·H·W]      X[·, c] ~ Y[·, c·H·W … (c+1)·H·W]
//! [B, L, C]    → [B, L, H, D]    X[…, i] ~ Y[…, i ÷ D, ·]                  an attention head
//! ```
//!
//! Of several axes that are one on the other side, the outermost carries the channels; one of up to [`FEW`] positions is passed over,
//! as that of query, key and value. Sizes that are computed are written as numbers, where all but one of them are known.

use super::{Change, ChannelRule, Coupling, Kept, Map, Operands, Port, X, Y, count, same};
use crate::ir::{Attr, Dim, Tensor};

const FEW: usize = 4;
/// Query, key and value: passed over before any number of heads.
const QKV: usize = 3;

pub const RESHAPE: ChannelRule = ChannelRule::new(reshape, "splits it or merges it with others").resizes(sizes);
pub const FLATTEN: ChannelRule = ChannelRule::new(flatten, "splits it or merges it with others");

fn flatten(o: &Operands) -> Vec<Coupling> {
    couplings(o)
}

fn reshape(o: &Operands) -> Vec<Coupling> {
    if target(o).is_none() { Vec::new() } else { couplings(o) }
}

/// What Reshape is given, or what says the same.
fn target(o: &Operands) -> Option<Vec<i64>> {
    if let Some(Some(given)) = o.ints_of("shape", 1) {
        return Some(given);
    }
    let (x, y) = (o.shape(X)?, o.shape(Y)?);
    let copies = o.node.int_or("allowzero", 0) == 0;
    let number = |(axis, dim): (usize, &Dim)| match dim.known() {
        Some(n) if n > 0 => n,
        _ if copies && x.get(axis).is_some_and(|d| d.same(dim)) => 0,
        _ => -1,
    };
    let target: Vec<i64> = y.iter().enumerate().map(number).collect();
    (target.iter().filter(|n| **n == -1).count() <= 1).then_some(target)
}

fn sizes(o: &Operands, kept: &Kept) -> Option<Vec<Change>> {
    let mut target = target(o)?;
    for (axis, size) in target.iter_mut().enumerate() {
        if let Some(kept) = kept((Y, axis)).filter(|_| *size > 0) {
            *size = count(&kept) as i64;
        }
    }
    if o.node.ints("shape").is_some() {
        return Some(vec![Change::Attr("shape", Attr::Ints(target))]);
    }
    Some(vec![Change::Input(1, Tensor::from_vec([target.len()], target))])
}

/// Axes of both sides that hold the same elements.
type Segment = (Vec<usize>, Vec<usize>);

fn couplings(o: &Operands) -> Vec<Coupling> {
    let (Some(x), Some(y)) = (o.shape(X), o.shape(Y)) else { return Vec::new() };
    let front = segments(x, y);
    let taken = |side: fn(&Segment) -> &Vec<usize>| front.iter().map(|s| side(s).len()).sum::<usize>();
    let (from_x, from_y) = (taken(|s| &s.0), taken(|s| &s.1));
    // What follows a size that is not known is matched from the last axis on.
    let turned = |dims: &[Dim]| dims.iter().rev().cloned().collect::<Vec<Dim>>();
    let back = segments(&turned(&x[from_x..]), &turned(&y[from_y..]));
    let from_end = |axes: Vec<usize>, rank: usize| axes.into_iter().rev().map(|a| rank - 1 - a).collect::<Vec<usize>>();
    let back = back.into_iter().map(|(a, b)| (from_end(a, x.len()), from_end(b, y.len())));
    front.into_iter().chain(back).flat_map(|segment| meet(o, segment)).collect()
}

/// From the first axis on as long as the elements of both sides add up.
fn segments(x: &[Dim], y: &[Dim]) -> Vec<Segment> {
    let mut found = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < x.len() && j < y.len() {
        if x[i].same(&y[j]) {
            found.push((vec![i], vec![j]));
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let (begin, mut m, mut n) = ((i, j), 1, 1);
        loop {
            let grow = |product: i64, dims: &[Dim], at: &mut usize| {
                let size = dims.get(*at)?.known().filter(|n| *n > 0)?;
                *at += 1;
                product.checked_mul(size)
            };
            let left = i == begin.0 || j > begin.1 && m < n;
            let grown = if left { grow(m, x, &mut i).map(|p| m = p) } else { grow(n, y, &mut j).map(|p| n = p) };
            if grown.is_none() {
                return found;
            }
            if m == n && i > begin.0 && j > begin.1 {
                break;
            }
        }
        found.push(((begin.0..i).collect(), (begin.1..j).collect()));
    }
    found
}

fn meet(o: &Operands, (xs, ys): Segment) -> Option<Coupling> {
    let several = |port: Port, axes: Vec<usize>| {
        let one = axes.len() == 1;
        axes.into_iter().map(|a| (port, a)).filter(|a| one || o.size(*a) != Some(1)).collect::<Vec<_>>()
    };
    let (xs, ys) = (several(X, xs), several(Y, ys));
    let (whole, parts) = match (&xs[..], &ys[..]) {
        ([x], [y]) => return Some(same(*x, *y)),
        ([x], parts) => (*x, parts),
        (parts, [y]) => (*y, parts),
        _ => return None,
    };
    let sizes = parts.iter().map(|a| o.size(*a)).collect::<Option<Vec<usize>>>()?;
    let large = sizes.iter().position(|n| *n > FEW).filter(|i| *i == 0 || i + 1 < sizes.len());
    let chosen = large.unwrap_or(usize::from(sizes.len() == 3 && sizes[0] == QKV));
    let block = sizes[chosen + 1..].iter().product();
    Some(Coupling { axis: whole, with: parts[chosen], map: Map::Grid { block, turns: sizes[chosen] } })
}
