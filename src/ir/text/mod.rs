//! The ONNX text syntax, as `onnx.parser` reads and `onnx.printer` writes it.
//!
//! ```text
//! <ir_version: 8, opset_import: ["" : 17]>
//! agraph (float[N,4] x) => (float[N,2] y)
//!    <float[4,2] w = {1,2,3,4,5,6,7,8}>
//! {
//!    [product] h = MatMul (x, w)
//!    y = Relu (h)
//! }
//! ```
//!
//! [`print()`] and [`parse`] agree: what was printed parses, and prints the same again. The syntax has no
//! place for doc strings and metadata below the model, for denotations and for quantization annotations.
//! Strings that are not UTF-8 are printed with replacement characters.
//!
//! Beyond the reference parser, which cannot read these:
//! - sparse tensors, `sparse_tensor(float[4,4]) w = {3: 1.5, 7: 2}`, or `{[0,3]: 1.5, [1,3]: 2}` where the
//!   file has one index per axis;
//! - lists of tensors, graphs and types in attributes, and graphs whose names need quotes;
//! - quotes around domains, operators and attributes whose names are no identifiers;
//! - tensors of more elements than [`PrintOptions::max_elements`] print as `{...}`, which [`parse`] refuses.
//!
//! Types narrower than a byte are written as packed bytes and 16-bit or narrower floats as their bits, as there.
//! Source: <https://onnx.ai/onnx/repo-docs/Syntax.html>.

mod build;
mod lex;
mod parse;
mod print;
mod print_tensor;

pub use print::{PrintOptions, print};

use super::Model;
use crate::error::Result;

/// Reads a model. An error begins with the `line:column` at which the text stops making sense.
pub fn parse(text: &str) -> Result<Model> {
    build::model(text, parse::model(text)?)
}

/// Names of `AttributeType`, by its code.
const ATTRIBUTE_TYPES: &[(i32, &str)] = &[
    (1, "float"),
    (2, "int"),
    (3, "string"),
    (4, "tensor"),
    (5, "graph"),
    (6, "floats"),
    (7, "ints"),
    (8, "strings"),
    (9, "tensors"),
    (10, "graphs"),
    (11, "sparse_tensor"),
    (12, "sparse_tensors"),
    (13, "type_proto"),
    (14, "type_protos"),
];

/// What begins a type and so cannot stand for a name without quotes.
fn is_type_word(word: &str) -> bool {
    matches!(word, "seq" | "map" | "optional" | "sparse_tensor" | "opaque" | "undefined")
        || super::DType::from_name(word).is_some()
}

fn is_identifier(word: &str) -> bool {
    let mut bytes = word.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests;
