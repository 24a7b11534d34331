//! Elements of small integer tensors as far as they are known: how shapes are computed in graphs.

use std::ops::Range;

use super::layout::{clamp, cuts};
use super::{Context, product};
use crate::ir::Dim;
use crate::ir::shape::axis_of;

/// Which axes Shape tells of: attributes `start` and `end`.
pub(super) fn bounds(c: &Context, rank: usize) -> Range<usize> {
    let at = |i: i64| {
        let n = rank as i64;
        let i = if i < 0 { i.saturating_add(n) } else { i };
        i.clamp(0, n) as usize
    };
    let (start, end) = (at(c.node.int_or("start", 0)), c.node.int("end").map_or(rank, at));
    start..end.max(start)
}

pub fn shape(c: &Context) -> Option<Vec<Dim>> {
    let x = c.shape(0)?;
    Some(x[bounds(c, x.len())].to_vec())
}

pub fn size(c: &Context) -> Option<Vec<Dim>> {
    Some(vec![product(c.shape(0)?)])
}

/// The elements are those of the first input in the same order.
pub fn first(c: &Context) -> Option<Vec<Dim>> {
    c.value(0).map(<[Dim]>::to_vec)
}

fn is_vector(c: &Context, input: usize) -> bool {
    c.shape(input).is_some_and(|s| s.len() == 1)
}

pub fn gather(c: &Context) -> Option<Vec<Dim>> {
    let x = c.value(0).filter(|_| is_vector(c, 0))?;
    c.ints(1)?.iter().map(|i| Some(x[axis_of(*i, x.len())?].clone())).collect()
}

pub fn slice(c: &Context) -> Option<Vec<Dim>> {
    let x = c.value(0).filter(|_| is_vector(c, 0))?;
    let [(0, start, end, step)] = cuts(c, 1)?[..] else { return None };
    let (start, count) = clamp(x.len() as i64, start, end, step)?;
    (0..count).map(|i| x.get(usize::try_from(start + i * step).ok()?).cloned()).collect()
}

pub fn concat(c: &Context) -> Option<Vec<Dim>> {
    let parts = (0..c.types.len()).map(|i| c.value(i).filter(|_| is_vector(c, i)));
    Some(parts.collect::<Option<Vec<_>>>()?.concat())
}

/// Element by element, where both are vectors of one length or one is a single element.
fn pairs(c: &Context, op: impl Fn(&Dim, &Dim) -> Option<Dim>) -> Option<Vec<Dim>> {
    let (a, b) = (c.value(0)?, c.value(1)?);
    if c.shape(0)?.len() > 1 || c.shape(1)?.len() > 1 || !(a.len() == b.len() || a.len() == 1 || b.len() == 1) {
        return None;
    }
    let n = if a.len() == 1 { b.len() } else { a.len() };
    (0..n).map(|i| op(&a[if a.len() == 1 { 0 } else { i }], &b[if b.len() == 1 { 0 } else { i }])).collect()
}

fn number(a: &Dim, b: &Dim, op: fn(i64, i64) -> Option<i64>) -> Option<Dim> {
    match (a, b) {
        (Dim::Known(a), Dim::Known(b)) => op(*a, *b).map(Dim::Known),
        _ => Some(Dim::Unknown),
    }
}

pub fn add(c: &Context) -> Option<Vec<Dim>> {
    pairs(c, |a, b| match (a, b) {
        (d, Dim::Known(0)) | (Dim::Known(0), d) => Some(d.clone()),
        _ => number(a, b, i64::checked_add),
    })
}

pub fn sub(c: &Context) -> Option<Vec<Dim>> {
    pairs(c, |a, b| if *b == Dim::Known(0) { Some(a.clone()) } else { number(a, b, i64::checked_sub) })
}

pub fn mul(c: &Context) -> Option<Vec<Dim>> {
    pairs(c, |a, b| match (a, b) {
        (_, Dim::Known(0)) | (Dim::Known(0), _) => Some(Dim::Known(0)),
        (d, Dim::Known(1)) | (Dim::Known(1), d) => Some(d.clone()),
        _ => number(a, b, i64::checked_mul),
    })
}

pub fn div(c: &Context) -> Option<Vec<Dim>> {
    pairs(c, |a, b| if *b == Dim::Known(1) { Some(a.clone()) } else { number(a, b, i64::checked_div) })
}

/// 1 where both are certainly equal, 0 where they certainly differ: a size is never below 0.
pub fn equal(c: &Context) -> Option<Vec<Dim>> {
    pairs(c, |a, b| {
        Some(match (a, b) {
            (Dim::Known(a), Dim::Known(b)) => Dim::Known(i64::from(a == b)),
            (Dim::Symbol(_), Dim::Known(n)) | (Dim::Known(n), Dim::Symbol(_)) if *n < 0 => Dim::Known(0),
            (a, b) if a.same(b) => Dim::Known(1),
            _ => Dim::Unknown,
        })
    })
}

pub fn not(c: &Context) -> Option<Vec<Dim>> {
    let flip = |d: &Dim| if let Dim::Known(n) = d { Dim::Known(i64::from(*n == 0)) } else { Dim::Unknown };
    Some(c.value(0)?.iter().map(flip).collect())
}

/// Element by element, where all three are vectors of one length.
pub fn choose(c: &Context) -> Option<Vec<Dim>> {
    let (holds, a, b) = (c.value(0)?, c.value(1)?, c.value(2)?);
    if !(0..3).all(|i| is_vector(c, i)) || a.len() != b.len() || holds.len() != a.len() {
        return None;
    }
    let pick = |i: usize| match holds[i] {
        Dim::Known(0) => b[i].clone(),
        Dim::Known(_) => a[i].clone(),
        _ if a[i].same(&b[i]) => a[i].clone(),
        _ => Dim::Unknown,
    };
    Some((0..a.len()).map(pick).collect())
}
