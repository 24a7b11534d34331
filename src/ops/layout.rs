//! Operators that move, select or describe values.

use super::rule::{JOINS, REARRANGES};
use super::{OpDef, QuantRule, fold, infer};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("Reshape", REARRANGES)
        .infers(infer::layout::reshape)
        .tells(infer::value::first)
        .folds(fold::layout::reshape),
    OpDef::new("Flatten", REARRANGES).infers(infer::layout::flatten).folds(fold::layout::flatten),
    OpDef::new("Transpose", REARRANGES).infers(infer::layout::transpose).folds(fold::layout::transpose),
    OpDef::new("Squeeze", REARRANGES)
        .infers(infer::layout::squeeze)
        .tells(infer::value::first)
        .folds(fold::layout::squeeze),
    OpDef::new("Unsqueeze", REARRANGES)
        .infers(infer::layout::unsqueeze)
        .tells(infer::value::first)
        .folds(fold::layout::unsqueeze),
    OpDef::new("Slice", REARRANGES).infers(infer::layout::slice).tells(infer::value::slice).folds(fold::layout::slice),
    OpDef::new("Split", REARRANGES).infers(infer::layout::split),
    OpDef::new("Expand", REARRANGES).infers(infer::layout::expand).folds(fold::layout::expand),
    OpDef::new("Tile", REARRANGES).infers(infer::layout::tile).folds(fold::layout::tile),
    OpDef::new("Pad", REARRANGES).infers(infer::layout::pad),
    OpDef::new("DepthToSpace", REARRANGES),
    OpDef::new("SpaceToDepth", REARRANGES),
    OpDef::new("GatherElements", REARRANGES),
    OpDef::new("GatherND", REARRANGES),
    OpDef::new("Identity", REARRANGES)
        .infers(infer::elementwise::same)
        .tells(infer::value::first)
        .folds(fold::layout::same),
    OpDef::new("Dropout", REARRANGES).infers(infer::elementwise::same),
    OpDef::new("Compress", REARRANGES),
    OpDef::new("ReverseSequence", REARRANGES).infers(infer::elementwise::same),
    OpDef::new("Concat", JOINS).infers(infer::layout::concat).tells(infer::value::concat).folds(fold::layout::concat),
    OpDef::new("Gather", QuantRule::Table { table: 0 })
        .infers(infer::layout::gather)
        .tells(infer::value::gather)
        .folds(fold::layout::gather),
    OpDef::new("Resize", QuantRule::Arithmetic),
    OpDef::new("Upsample", QuantRule::Arithmetic),
    OpDef::new("Shape", QuantRule::Never("carries shapes, indices or types"))
        .infers(infer::layout::shape)
        .tells(infer::value::shape),
    OpDef::new("Size", QuantRule::Never("carries shapes, indices or types"))
        .infers(infer::layout::size)
        .tells(infer::value::size),
    OpDef::new("Constant", QuantRule::Never("carries shapes, indices or types")),
    OpDef::new("ConstantOfShape", QuantRule::Never("carries shapes, indices or types"))
        .infers(infer::layout::constant_of_shape)
        .folds(fold::make::constant_of_shape),
    OpDef::new("Range", QuantRule::Never("carries shapes, indices or types"))
        .infers(infer::layout::range)
        .folds(fold::make::range),
    OpDef::new("NonZero", QuantRule::Never("carries shapes, indices or types")),
    OpDef::new("Cast", QuantRule::Never("carries shapes, indices or types"))
        .infers(infer::elementwise::cast)
        .tells(infer::value::first)
        .folds(fold::make::cast),
    OpDef::new("CastLike", QuantRule::Never("carries shapes, indices or types"))
        .infers(infer::elementwise::like_second),
    OpDef::new("TopK", QuantRule::Never("carries shapes, indices or types")),
    OpDef::new("ArgMax", QuantRule::Never("carries shapes, indices or types")).infers(infer::reduce::arg),
    OpDef::new("ArgMin", QuantRule::Never("carries shapes, indices or types")).infers(infer::reduce::arg),
    OpDef::new("OneHot", QuantRule::Never("carries shapes, indices or types")),
    OpDef::new("Unique", QuantRule::Never("carries shapes, indices or types")),
    OpDef::new("EyeLike", QuantRule::Never("carries shapes, indices or types")),
    OpDef::new("Trilu", QuantRule::Never("carries shapes, indices or types")).infers(infer::elementwise::same),
    OpDef::new("ScatterElements", QuantRule::Never("carries shapes, indices or types"))
        .infers(infer::elementwise::same),
    OpDef::new("ScatterND", QuantRule::Never("carries shapes, indices or types")).infers(infer::elementwise::same),
    OpDef::new("Scatter", QuantRule::Never("carries shapes, indices or types")).infers(infer::elementwise::same),
    OpDef::new("CumSum", QuantRule::Never("carries shapes, indices or types")).infers(infer::elementwise::same),
    OpDef::new("NonMaxSuppression", QuantRule::Never("carries shapes, indices or types")),
    OpDef::new("StringNormalizer", QuantRule::Never("carries shapes, indices or types")),
    OpDef::new("TensorScatter", QuantRule::Never("carries shapes, indices or types")),
    OpDef::new("GridSample", QuantRule::Never("interpolates at computed positions")),
    OpDef::new("RoiAlign", QuantRule::Never("interpolates at computed positions")),
    OpDef::new("AffineGrid", QuantRule::Never("interpolates at computed positions")),
    OpDef::new("MaxUnpool", QuantRule::Never("interpolates at computed positions")),
];
