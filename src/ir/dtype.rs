//! Element types of the ONNX standard, by name, code and size.

use std::fmt;

macro_rules! dtypes {
    ($($variant:ident = $code:literal, $name:literal, $bits:literal;)*) => {
        /// An element type of the ONNX standard (`TensorProto.DataType`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum DType { $(#[doc = concat!("`", $name, "`")] $variant = $code),* }

        impl DType {
            /// Every type, in the standard's order.
            pub const ALL: &[DType] = &[$(DType::$variant),*];

            /// From the standard's code; `None` for UNDEFINED and codes it does not define.
            pub fn from_code(code: i32) -> Option<Self> {
                match code { $($code => Some(DType::$variant),)* _ => None }
            }

            /// The name in ONNX text syntax.
            pub fn name(self) -> &'static str {
                match self { $(DType::$variant => $name),* }
            }

            /// Bits of one element in raw data; 0 for strings, which have no fixed size.
            pub fn bits(self) -> usize {
                match self { $(DType::$variant => $bits),* }
            }
        }
    };
}

dtypes! {
    F32 = 1, "float", 32;
    U8 = 2, "uint8", 8;
    I8 = 3, "int8", 8;
    U16 = 4, "uint16", 16;
    I16 = 5, "int16", 16;
    I32 = 6, "int32", 32;
    I64 = 7, "int64", 64;
    String = 8, "string", 0;
    Bool = 9, "bool", 8;
    F16 = 10, "float16", 16;
    F64 = 11, "double", 64;
    U32 = 12, "uint32", 32;
    U64 = 13, "uint64", 64;
    Complex64 = 14, "complex64", 64;
    Complex128 = 15, "complex128", 128;
    BF16 = 16, "bfloat16", 16;
    F8E4M3FN = 17, "float8e4m3fn", 8;
    F8E4M3FNUZ = 18, "float8e4m3fnuz", 8;
    F8E5M2 = 19, "float8e5m2", 8;
    F8E5M2FNUZ = 20, "float8e5m2fnuz", 8;
    U4 = 21, "uint4", 4;
    I4 = 22, "int4", 4;
    F4E2M1 = 23, "float4e2m1", 4;
    F8E8M0 = 24, "float8e8m0", 8;
    U2 = 25, "uint2", 2;
    I2 = 26, "int2", 2;
    F6E2M3 = 27, "float6e2m3", 6;
    F6E3M2 = 28, "float6e3m2", 6;
}

impl DType {
    /// The number of the type in ONNX files (`TensorProto.DataType`).
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The type that the text form calls so, as in `float` and `int8`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|d| d.name() == name)
    }

    /// Bytes of `count` elements in raw data (sub-byte types are packed); `None` on overflow.
    pub fn byte_len(self, count: usize) -> Option<usize> {
        Some(count.checked_mul(self.bits())?.div_ceil(8))
    }

    /// Whether it is a type that models compute in: no float of 8 bits or fewer.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
    }

    /// Whether it is an integer of 8 bits or fewer.
    pub fn is_quantized(self) -> bool {
        matches!(self, DType::U8 | DType::I8 | DType::U4 | DType::I4 | DType::U2 | DType::I2)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_standard_is_known() {
        assert_eq!(DType::ALL.len(), 28);
        for (i, d) in DType::ALL.iter().enumerate() {
            assert_eq!(d.code(), i as i32 + 1);
            assert_eq!(DType::from_code(d.code()), Some(*d));
            assert_eq!(DType::from_name(d.name()), Some(*d));
        }
        assert_eq!(DType::from_code(0), None);
        assert_eq!(DType::from_code(29), None);
    }

    #[test]
    fn sub_byte_types_are_packed() {
        assert_eq!(DType::I4.byte_len(5), Some(3));
        assert_eq!(DType::U2.byte_len(5), Some(2));
        assert_eq!(DType::F6E2M3.byte_len(4), Some(3));
        assert_eq!(DType::F64.byte_len(usize::MAX), None);
    }
}
