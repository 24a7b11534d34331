//! Operators that move, select or describe values.

use super::rule::{HOMOGENEOUS, JOINS, REARRANGES};
use super::{OpDef, QuantRule, channels, fold, infer, vjp};

const DESCRIBES: QuantRule = QuantRule::Never("carries shapes, indices or types");
const INTERPOLATES: QuantRule = QuantRule::Never("interpolates at computed positions");

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("Reshape", REARRANGES)
        .backward(vjp::layout::reshape)
        .infers(infer::layout::reshape)
        .tells(infer::value::first)
        .folds(fold::layout::reshape)
        .couples(channels::reshape::RESHAPE),
    OpDef::new("Flatten", REARRANGES)
        .backward(vjp::layout::reshape)
        .infers(infer::layout::flatten)
        .folds(fold::layout::flatten)
        .couples(channels::reshape::FLATTEN),
    OpDef::new("Transpose", REARRANGES)
        .backward(vjp::layout::transpose)
        .infers(infer::layout::transpose)
        .folds(fold::layout::transpose)
        .couples(channels::layout::TRANSPOSE),
    OpDef::new("Squeeze", REARRANGES)
        .backward(vjp::layout::reshape)
        .infers(infer::layout::squeeze)
        .tells(infer::value::first)
        .folds(fold::layout::squeeze)
        .couples(channels::layout::SQUEEZE),
    OpDef::new("Unsqueeze", REARRANGES)
        .backward(vjp::layout::reshape)
        .infers(infer::layout::unsqueeze)
        .tells(infer::value::first)
        .folds(fold::layout::unsqueeze)
        .couples(channels::layout::UNSQUEEZE),
    OpDef::new("Slice", REARRANGES)
        .backward(vjp::layout::slice)
        .infers(infer::layout::slice)
        .tells(infer::value::slice)
        .folds(fold::layout::slice)
        .couples(channels::select::SLICE),
    OpDef::new("Split", REARRANGES)
        .backward(vjp::layout::split)
        .infers(infer::layout::split)
        .couples(channels::select::SPLIT),
    OpDef::new("Expand", REARRANGES)
        .backward(vjp::layout::expand)
        .takes(2)
        .infers(infer::layout::expand)
        .folds(fold::layout::expand)
        .couples(channels::layout::EXPAND),
    OpDef::new("Tile", REARRANGES)
        .backward(vjp::layout::tile)
        .takes(2)
        .infers(infer::layout::tile)
        .folds(fold::layout::tile)
        .couples(channels::layout::TILE),
    OpDef::new("Pad", REARRANGES)
        .backward(vjp::layout::pad)
        .infers(infer::layout::pad)
        .folds(fold::place::pad)
        .couples(channels::select::PAD),
    OpDef::new("DepthToSpace", REARRANGES).infers(infer::layout::depth_to_space).backward(vjp::layout::depth_to_space),
    OpDef::new("SpaceToDepth", REARRANGES).infers(infer::layout::space_to_depth).backward(vjp::layout::space_to_depth),
    OpDef::new("GatherElements", REARRANGES)
        .takes(2)
        .infers(infer::layout::gather_elements)
        .folds(fold::place::gather_elements),
    OpDef::new("GatherND", REARRANGES).takes(2).infers(infer::layout::gather_nd).folds(fold::place::gather_nd),
    OpDef::new("Identity", REARRANGES)
        .scales(HOMOGENEOUS)
        .backward(vjp::layout::reshape)
        .infers(infer::elementwise::same)
        .tells(infer::value::first)
        .folds(fold::layout::same)
        .couples(channels::elementwise::SAME),
    // It may be told to train.
    OpDef::new("Dropout", REARRANGES)
        .impure()
        .backward(vjp::layout::reshape)
        .infers(infer::elementwise::same)
        .couples(channels::elementwise::SAME),
    OpDef::new("Compress", REARRANGES).takes(2).infers(infer::layout::compress),
    OpDef::new("ReverseSequence", REARRANGES).takes(2).infers(infer::elementwise::same),
    OpDef::new("Concat", JOINS)
        .backward(vjp::layout::concat)
        .infers(infer::layout::concat)
        .tells(infer::value::concat)
        .folds(fold::layout::concat)
        .couples(channels::layout::CONCAT),
    OpDef::new("Gather", QuantRule::Table { table: 0 })
        .backward(vjp::layout::gather)
        .takes(2)
        .infers(infer::layout::gather)
        .tells(infer::value::gather)
        .folds(fold::layout::gather)
        .couples(channels::select::GATHER),
    OpDef::new("Resize", QuantRule::Arithmetic)
        .single_precision(&[1, 2])
        .infers(infer::layout::resize)
        .folds(fold::resize::nearest)
        .backward(vjp::resize::resize)
        .couples(channels::select::RESIZE),
    OpDef::new("Upsample", QuantRule::Arithmetic).single_precision(&[1]).couples(channels::select::RESIZE),
    OpDef::new("Shape", DESCRIBES)
        .backward(vjp::nothing)
        .infers(infer::layout::shape)
        .tells(infer::value::shape)
        .couples(channels::layout::SHAPE),
    OpDef::new("Size", DESCRIBES).backward(vjp::nothing).infers(infer::layout::size).tells(infer::value::size),
    OpDef::new("Constant", DESCRIBES).takes(0),
    OpDef::new("ConstantOfShape", DESCRIBES)
        .infers(infer::layout::constant_of_shape)
        .folds(fold::make::constant_of_shape),
    OpDef::new("Range", DESCRIBES).takes(3).half_from(i64::MAX).infers(infer::layout::range).folds(fold::make::range),
    OpDef::new("NonZero", DESCRIBES),
    OpDef::new("Cast", DESCRIBES)
        .backward(vjp::elementwise::cast)
        .infers(infer::elementwise::cast)
        .tells(infer::value::first)
        .folds(fold::make::cast)
        .couples(channels::elementwise::SAME),
    OpDef::new("CastLike", DESCRIBES).takes(2).infers(infer::elementwise::like_second),
    OpDef::new("TopK", DESCRIBES).infers(infer::layout::top_k),
    OpDef::new("ArgMax", DESCRIBES).infers(infer::reduce::arg).couples(channels::reduce::ARG),
    OpDef::new("ArgMin", DESCRIBES).infers(infer::reduce::arg).couples(channels::reduce::ARG),
    OpDef::new("OneHot", DESCRIBES).takes(3),
    OpDef::new("Unique", DESCRIBES),
    OpDef::new("EyeLike", DESCRIBES),
    OpDef::new("Trilu", DESCRIBES).infers(infer::elementwise::same).folds(fold::place::trilu),
    OpDef::new("ScatterElements", DESCRIBES)
        .takes(3)
        .infers(infer::elementwise::same)
        .folds(fold::place::scatter_elements),
    OpDef::new("ScatterND", DESCRIBES).takes(3).infers(infer::elementwise::same).folds(fold::place::scatter_nd),
    OpDef::new("Scatter", DESCRIBES).takes(3).infers(infer::elementwise::same),
    OpDef::new("CumSum", DESCRIBES)
        .takes(2)
        .half_from(14)
        .infers(infer::elementwise::same)
        .folds_rounded(fold::reduce::cumulated),
    OpDef::new("NonMaxSuppression", DESCRIBES).takes(2),
    OpDef::new("StringNormalizer", DESCRIBES),
    OpDef::new("TensorScatter", DESCRIBES).takes(2),
    OpDef::new("GridSample", INTERPOLATES).takes(2),
    OpDef::new("RoiAlign", INTERPOLATES).takes(3),
    OpDef::new("AffineGrid", INTERPOLATES).takes(2),
    OpDef::new("MaxUnpool", INTERPOLATES).takes(2),
];
