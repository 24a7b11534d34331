//! A Cast after a Cast that loses nothing reads the original.
//!
//! ```text
//! x: int32 ─► Cast(int64) ─► Cast(float) ─► y        x: int32 ─► Cast(float) ─► y
//! ```
//!
//! Only where every value of the first dtype is a value of the second: bool to numbers, integers to wider
//! ones, half to float to double. Anything else might round, wrap or clip in between and is no match; nor is a Cast to string, which
//! writes as many digits as the type before it has.

use crate::error::Result;
use crate::ir::{Attr, DType, GraphEdit, Model, NodeId};
use crate::passes::support::producer_of;
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("merge-casts", "let a Cast read what a lossless Cast before it reads", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Cast"], |edit, node| {
        let Some(before) = producer_of(edit, node, 0, &["Cast"]) else { return Ok(Outcome::NoMatch) };
        let Some(x) = edit.node(before).input(0) else { return Ok(Outcome::NoMatch) };
        let (from, between) = (edit.tensor_type(x).dtype, target(edit, before));
        match (from, between) {
            (Some(from), Some(between)) if is_lossless(from, between) && target(edit, node) != Some(DType::String) => {
                edit.set_input(node, 0, Some(x));
                Ok(Outcome::Applied)
            }
            _ => Ok(Outcome::NoMatch),
        }
    })
}

fn target(model: &Model, node: NodeId) -> Option<DType> {
    match model.node(node).attr("to")? {
        Attr::Int(code) => DType::from_code(i32::try_from(*code).ok()?),
        _ => None,
    }
}

/// Whether every value of `from` is one of `to`.
fn is_lossless(from: DType, to: DType) -> bool {
    // Bits of an integer beside its sign, and of a float's significand.
    let integer = |d: DType| match d {
        DType::Bool => Some((1, false)),
        DType::U8 => Some((8, false)),
        DType::U16 => Some((16, false)),
        DType::U32 => Some((32, false)),
        DType::U64 => Some((64, false)),
        DType::I8 => Some((7, true)),
        DType::I16 => Some((15, true)),
        DType::I32 => Some((31, true)),
        DType::I64 => Some((63, true)),
        _ => None,
    };
    let significand = |d: DType| match d {
        DType::F16 => Some(11),
        DType::BF16 => Some(8),
        DType::F32 => Some(24),
        DType::F64 => Some(53),
        _ => None,
    };
    match (integer(from), integer(to), significand(from), significand(to)) {
        _ if from == to => true,
        (_, Some(_), _, _) if to == DType::Bool => false,
        (Some((a, signed)), Some((b, to_signed)), _, _) => a <= b && (!signed || to_signed),
        (Some((a, _)), _, _, Some(b)) => a <= b,
        (_, _, Some(_), Some(_)) => to == DType::F64 || (to == DType::F32 && from != DType::F64),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_into_what() {
        use DType::*;
        for (from, to) in
            [(Bool, F16), (U8, F16), (I32, I64), (U32, I64), (I16, F32), (I32, F64), (F16, F32), (BF16, F64)]
        {
            assert!(is_lossless(from, to), "{from} → {to}");
        }
        for (from, to) in
            [(I64, I32), (I32, U64), (I32, F32), (I64, F64), (F32, F16), (F16, BF16), (U8, Bool), (F32, I64)]
        {
            assert!(!is_lossless(from, to), "{from} → {to}");
        }
    }

    #[test]
    fn a_cast_to_string_keeps_the_digits_of_the_type_before_it() {
        let casts = |code: i32| {
            let source = format!(
                "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N] x) => (y) {{ d = Cast <to = 11> (x) y = Cast <to = {code}> (d) }}"
            );
            let mut model = crate::ir::text::parse(&source).unwrap();
            run(&mut GraphEdit::new(&mut model)).unwrap().applied
        };
        assert_eq!([8, 10].map(casts), [0, 1]);
    }
}
