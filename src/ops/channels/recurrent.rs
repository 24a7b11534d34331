//! Recurrent layers: inputs of the step, and hidden units, which every gate has one of.
//!
//! ```text
//! X[·, ·, i] ~ W[·, ·, i]        Y[…, h] ~ R[·, ·, h] ~ W[·, g·H + h] ~ R[·, g·H + h] ~ B[·, g·H + h] ~ P[·, g·H + h]
//! ```
//!
//! Both directions lose the same units: their states are told in one tensor.

use super::{Change, ChannelRule, Coupling, Kept, Map, Operands, Port, X, count, same};
use crate::ir::Attr;

const W: Port = Port::Input(1);
const R: Port = Port::Input(2);

pub const RECURRENT: ChannelRule = ChannelRule::new(recurrent, "goes through it step by step").resizes(hidden_size);

fn recurrent(o: &Operands) -> Vec<Coupling> {
    let Some(hidden) = o.size((R, 2)) else { return Vec::new() };
    let mut found = vec![same((X, 2), (W, 2))];
    // Gates one after the other: of the input, of the state, of biases and peepholes.
    let gates = [(W, 1), (R, 1), (Port::Input(3), 1), (Port::Input(7), 1)];
    let gates = gates.into_iter().filter(|(port, axis)| o.size((*port, *axis)).is_some());
    found.extend(gates.map(|axis| Coupling { axis, with: (R, 2), map: Map::turns(hidden) }));
    // States before and after: the last axis.
    let states = [Port::Input(5), Port::Input(6), Port::Output(0), Port::Output(1), Port::Output(2)];
    let last = states.into_iter().filter_map(|port| Some((port, o.rank(port)?.checked_sub(1)?)));
    found.extend(last.map(|axis| same(axis, (R, 2))));
    found
}

fn hidden_size(_: &Operands, kept: &Kept) -> Option<Vec<Change>> {
    let Some(kept) = kept((R, 2)) else { return Some(Vec::new()) };
    Some(vec![Change::Attr("hidden_size", Attr::Int(count(&kept) as i64))])
}
