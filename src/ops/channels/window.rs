//! Convolutions and pools: channels are axis 1.
//!
//! ```text
//! one group     X[·, c] ~ W[·, c]           Y[·, m] ~ W[m] ~ b[m]                      W [M, C/g, k…]
//! depthwise     X[·, m ÷ (M/C)] ~ W[m] ~ Y[·, m]                                       g = C, and becomes what stays
//! g groups      X[·, c] ~ W[·, c mod C/g]   W[m] ~ W[m mod M/g] ~ Y[·, m]              the same of every group, g stays
//! ```

use super::{Axis, Change, ChannelRule, Coupling, Kept, Map, Operands, Port, X, Y, count, same};
use crate::ir::Attr;

const W: Port = Port::Input(1);
const BIAS: Port = Port::Input(2);
const FIXED: &str = "moves a window along it";

pub const CONV: ChannelRule = ChannelRule::new(conv, FIXED).resizes(groups);
pub const CONV_TRANSPOSE: ChannelRule = ChannelRule::new(conv_transpose, FIXED).resizes(groups);
pub const POOL: ChannelRule = ChannelRule::new(pool, FIXED);

/// How the inputs of the channels, `c` of them, and the outputs meet the weight.
fn conv(o: &Operands) -> Vec<Coupling> {
    let (x, y): (Axis, Axis) = ((X, 1), (Y, 1));
    let mut found = vec![same(y, (W, 0)), same((X, 0), (Y, 0))];
    if o.node.input(2).is_some() {
        found.push(same((BIAS, 0), (W, 0)));
    }
    match (o.node.int_or("group", 1), o.size((W, 0)), o.size((W, 1)), o.size(x)) {
        (1, ..) => found.push(same(x, (W, 1))),
        (_, Some(m), Some(1), Some(c)) if c > 0 && m % c == 0 => {
            found.push(Coupling { axis: (W, 0), with: x, map: Map::blocks(m / c) });
        }
        (g, Some(m), Some(c), _) if usize::try_from(g).is_ok_and(|g| g > 0 && m % g == 0) => {
            found.push(Coupling { axis: x, with: (W, 1), map: Map::turns(c) });
            found.push(Coupling { axis: (W, 0), with: (W, 0), map: Map::turns(m / g as usize) });
        }
        _ => return Vec::new(),
    }
    found
}

fn conv_transpose(o: &Operands) -> Vec<Coupling> {
    let (x, y): (Axis, Axis) = ((X, 1), (Y, 1));
    let mut found = vec![same((X, 0), (Y, 0))];
    if o.node.input(2).is_some() {
        found.push(same((BIAS, 0), y));
    }
    match (o.node.int_or("group", 1), o.size((W, 0)), o.size((W, 1))) {
        (1, ..) => found.extend([same(x, (W, 0)), same(y, (W, 1))]),
        (g, Some(c), Some(1)) if usize::try_from(g) == Ok(c) => found.extend([same(x, (W, 0)), same(y, (W, 0))]),
        (g, Some(c), Some(m)) if usize::try_from(g).is_ok_and(|g| g > 0 && c % g == 0) => {
            found.push(same(x, (W, 0)));
            found.push(Coupling { axis: y, with: (W, 1), map: Map::turns(m) });
            found.push(Coupling { axis: (W, 0), with: (W, 0), map: Map::turns(c / g as usize) });
        }
        _ => return Vec::new(),
    }
    found
}

/// Of a depthwise convolution there are as many groups as channels.
fn groups(o: &Operands, kept: &Kept) -> Option<Vec<Change>> {
    let group = o.node.int_or("group", 1);
    let depthwise = o.size((W, 1)) == Some(1) && o.size((X, 1)).is_some_and(|c| usize::try_from(group) == Ok(c));
    if group == 1 || !depthwise {
        return Some(Vec::new());
    }
    let Some(kept) = kept((X, 1)) else { return Some(Vec::new()) };
    Some(vec![Change::Attr("group", Attr::Int(count(&kept) as i64))])
}

fn pool(_: &Operands) -> Vec<Coupling> {
    vec![same((X, 0), (Y, 0)), same((X, 1), (Y, 1))]
}
