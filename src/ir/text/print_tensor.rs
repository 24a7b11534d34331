//! Tensors and numbers as text.

use std::fmt::{Display, LowerExp};

use super::print::{Printer, id, put, quoted};
use crate::ir::{DType, SparseTensor, Tensor};

/// `float[2] name = {1,2}`; in attributes there is a name only where the file had one.
pub(super) fn dense(p: &mut Printer, t: &Tensor, name: Option<&str>) {
    put!(p, "{}", t.dtype());
    if !t.shape().is_empty() {
        let dims: Vec<_> = t.shape().iter().map(usize::to_string).collect();
        put!(p, "[{}]", dims.join(","));
    }
    match name.filter(|n| !n.is_empty()) {
        Some(name) => {
            put!(p, " {} = ", id(name));
        }
        None => p.out.push(' '),
    }
    if p.options.max_elements.is_some_and(|max| t.len() > max) {
        p.out.push_str("{...}");
        return;
    }
    p.out.push('{');
    for (i, v) in elements(t).enumerate() {
        p.separate(i, ",");
        p.out.push_str(&v);
    }
    p.out.push('}');
}

/// `sparse_tensor(float[4,4]) name = {3: 1.5}`, or `{[0,3]: 1.5}`.
pub(super) fn sparse(p: &mut Printer, t: &SparseTensor, name: Option<&str>) {
    let dtype = t.values.as_ref().map_or("undefined", |v| v.dtype().name());
    let dims: Vec<_> = t.dims.iter().map(i64::to_string).collect();
    put!(p, "sparse_tensor({dtype}[{}]) ", dims.join(","));
    if let Some(name) = name {
        put!(p, "{} = ", id(name));
    }
    let (Some(values), Some(indices)) = (&t.values, &t.indices) else {
        p.out.push_str("{}");
        return;
    };
    if p.options.max_elements.is_some_and(|max| values.len() > max) {
        p.out.push_str("{...}");
        return;
    }
    let places = indices.to_i64().unwrap_or_default();
    let axes = if indices.rank() == 2 { indices.shape()[1] } else { 1 };
    p.out.push('{');
    for (i, (place, v)) in places.chunks(axes.max(1)).zip(elements(values)).enumerate() {
        p.separate(i, ", ");
        let place: Vec<_> = place.iter().map(i64::to_string).collect();
        let place = place.join(",");
        if indices.rank() == 2 {
            put!(p, "[{place}]: {v}");
        } else {
            put!(p, "{place}: {v}");
        }
    }
    p.out.push('}');
}

/// The values as the text has them: complex numbers as two, 16-bit floats as bits, narrow types as packed bytes.
fn elements(t: &Tensor) -> Box<dyn Iterator<Item = String> + '_> {
    if let Some(strings) = t.strings() {
        return Box::new(strings.iter().map(|s| quoted(&String::from_utf8_lossy(s))));
    }
    let b = t.bytes();
    macro_rules! each {
        ($t:ty, $print:expr) => {{
            const SIZE: usize = size_of::<$t>();
            Box::new(b.chunks_exact(SIZE).map(|c| {
                let mut bytes = [0; SIZE];
                bytes.copy_from_slice(c);
                $print(<$t>::from_le_bytes(bytes))
            }))
        }};
    }
    match t.dtype() {
        DType::F32 | DType::Complex64 => each!(f32, float),
        DType::F64 | DType::Complex128 => each!(f64, float),
        DType::I64 => each!(i64, |v| i64::to_string(&v)),
        DType::U64 => each!(u64, |v| u64::to_string(&v)),
        DType::I32 => each!(i32, |v| i32::to_string(&v)),
        DType::U32 => each!(u32, |v| u32::to_string(&v)),
        DType::I16 => each!(i16, |v| i16::to_string(&v)),
        DType::U16 | DType::F16 | DType::BF16 => each!(u16, |v| u16::to_string(&v)),
        DType::I8 => each!(i8, |v| i8::to_string(&v)),
        _ => each!(u8, |v| u8::to_string(&v)),
    }
}

/// The shortest text that reads back as the same number: `1`, `0.1`, `1e-07`, `nan`.
pub(super) fn float<T: Display + LowerExp>(v: T) -> String {
    let plain = v.to_string();
    if !plain.bytes().any(|b| b.is_ascii_digit()) {
        return plain.to_ascii_lowercase();
    }
    let scientific = format!("{v:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return plain };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    let scientific = format!("{mantissa}e{sign}{digits:0>2}");
    if scientific.len() < plain.len() { scientific } else { plain }
}
