//! Floats of 8 bits: e4m3fn (no infinity, largest 448) and e5m2 (as float16 with 2 bits of mantissa, largest 57,344).

use std::sync::LazyLock;

use super::DType;

/// Exponent bits, mantissa bits, exponent bias.
fn layout(dtype: DType) -> Option<(u32, u32, i32)> {
    match dtype {
        DType::F8E4M3FN => Some((4, 3, 7)),
        DType::F8E5M2 => Some((5, 2, 15)),
        _ => None,
    }
}

/// The number that `byte` is; `None` where `dtype` is not one of the two.
pub fn decode(dtype: DType, byte: u8) -> Option<f32> {
    let (exponents, mantissas, bias) = layout(dtype)?;
    let sign = if byte & 0x80 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(byte & 0x7f) >> mantissas;
    let mantissa = f32::from(byte & ((1 << mantissas) - 1)) / (1 << mantissas) as f32;
    let last = (1 << exponents) - 1;
    Some(match exponent {
        0 => sign * mantissa * 2f32.powi(1 - bias),
        e if dtype == DType::F8E5M2 && e == last => {
            if mantissa == 0.0 {
                sign * f32::INFINITY
            } else {
                f32::NAN
            }
        }
        _ if byte & 0x7f == 0x7f => f32::NAN,
        e => sign * (1.0 + mantissa) * 2f32.powi(e - bias),
    })
}

/// The largest finite number.
pub fn largest(dtype: DType) -> Option<f32> {
    finite(dtype)?.last().copied()
}

/// The byte of the nearest number, ties to the even one; too large ones become the largest, what is no number becomes zero.
pub fn encode(dtype: DType, value: f32) -> Option<u8> {
    let finite = finite(dtype)?;
    let size = if value.is_nan() { 0.0 } else { value.abs() };
    let above = finite.partition_point(|v| *v < size);
    let near = match finite.get(above) {
        None => finite.len() - 1,
        Some(_) if above == 0 => 0,
        Some(high) => {
            let (down, up) = (size - finite[above - 1], high - size);
            if down < up || down == up && above % 2 == 1 { above - 1 } else { above }
        }
    };
    Some(near as u8 | if value.is_sign_negative() { 0x80 } else { 0 })
}

/// Every finite number from zero up; the place of each is its byte.
fn finite(dtype: DType) -> Option<&'static [f32]> {
    static E4M3: LazyLock<Vec<f32>> = LazyLock::new(|| all(DType::F8E4M3FN));
    static E5M2: LazyLock<Vec<f32>> = LazyLock::new(|| all(DType::F8E5M2));
    match dtype {
        DType::F8E4M3FN => Some(&E4M3),
        DType::F8E5M2 => Some(&E5M2),
        _ => None,
    }
}

fn all(dtype: DType) -> Vec<f32> {
    (0..0x80).filter_map(|byte| decode(dtype, byte)).take_while(|v| v.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_back_and_numbers_round_to_the_nearest() {
        for (dtype, most, least) in [(DType::F8E4M3FN, 448.0, 2f32.powi(-9)), (DType::F8E5M2, 57_344.0, 2f32.powi(-16))]
        {
            assert_eq!((largest(dtype), decode(dtype, 1)), (Some(most), Some(least)));
            for byte in 0..=255u8 {
                let value = decode(dtype, byte).unwrap();
                assert!(!value.is_finite() || encode(dtype, value) == Some(byte), "{dtype} {byte}");
            }
            assert_eq!(decode(dtype, encode(dtype, 1e30).unwrap()), Some(most));
            for i in 0..2000 {
                let x = (i as f32 / 100.0 - 10.0).powi(3) / 10.0;
                let back = decode(dtype, encode(dtype, x).unwrap()).unwrap();
                let step = if dtype == DType::F8E4M3FN { 1.0 / 16.0 } else { 1.0 / 8.0 };
                assert!((back - x).abs() <= x.abs() * step + least, "{dtype} {x} {back}");
            }
        }
        assert_eq!(encode(DType::F8E4M3FN, 1.0), Some(0x38));
        // Between 1 and 1.125: to the even one.
        assert_eq!(encode(DType::F8E4M3FN, 1.0625), Some(0x38));
        assert_eq!(encode(DType::F32, 1.0), None);
    }
}
