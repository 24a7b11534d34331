//! The `.npy` format: a magic, a version, a Python dictionary with `descr`, `fortran_order` and `shape`, the numbers.
//!
//! Source: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. Python objects, records and text
//! are refused by name; `V2` is read as bfloat16, which is how numpy stores the type of `ml_dtypes`.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::array::{Array, Header};
use super::content::{Content, DataFile};
use crate::error::{Error, Result};
use crate::ir::DType;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header that is read; those of plain arrays have 118 bytes.
const LONGEST: usize = 1 << 16;

/// A file that holds one array.
pub(super) fn open(path: &Path) -> Result<Array> {
    let file = DataFile::open(path).map_err(|e| Error::io(path, e))?;
    let content = Content::Stored { start: 0, len: file.len, file };
    let name = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    array(path, name, content)
}

/// The array whose `.npy` bytes are `content`.
pub(super) fn array(path: &Path, name: String, content: Content) -> Result<Array> {
    let (header, start) =
        read_header(&content).map_err(|why| Error::input(format!("array \"{name}\": {why}")).in_file(path))?;
    Array::new(path.into(), name, header, content, start)
}

fn read_header(content: &Content) -> Result<(Header, u64), String> {
    let read = |start, len| match content.read(start, len) {
        Ok(bytes) => Ok(bytes),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err("ends within its header".to_string()),
        Err(e) => Err(e.to_string()),
    };
    let lead = read(0, 10)?;
    if !lead.starts_with(MAGIC) {
        return Err("is not in npy format".into());
    }
    let (start, len) = match lead[6] {
        1 => (10, u16::from_le_bytes([lead[8], lead[9]]) as usize),
        2 | 3 => {
            let tail = read(8, 4)?;
            (12, u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]) as usize)
        }
        version => return Err(format!("has npy version {version}, known are 1 to 3")),
    };
    if len > LONGEST {
        return Err(format!("has a header of {len} bytes, more than {LONGEST}"));
    }
    let text = read(start, len)?;
    Ok((parse_header(&String::from_utf8_lossy(&text))?, start + len as u64))
}

fn parse_header(text: &str) -> Result<Header, String> {
    static ORDER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"'fortran_order'\s*:\s*(True|False)").ok());
    static SHAPE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"'shape'\s*:\s*\(([0-9L,\s]*)\)").ok());
    static DESCR: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"'descr'\s*:\s*'([^']*)'").ok());
    let find = |pattern: &Option<Regex>| Some(pattern.as_ref()?.captures(text)?.get(1)?.as_str());
    let descr = find(&DESCR).ok_or("holds records or an unreadable type; only plain numbers can be fed")?;
    let (dtype, big_endian) =
        parse_descr(descr).ok_or_else(|| format!("holds {}; only numbers can be fed", descr_in_words(descr)))?;
    let shape = find(&SHAPE)
        .and_then(|dims| {
            let dims = dims.split(',').map(|d| d.trim().trim_end_matches('L')).filter(|d| !d.is_empty());
            dims.map(|d| d.parse().ok()).collect::<Option<Vec<usize>>>()
        })
        .ok_or("has no readable shape in its header")?;
    let order = find(&ORDER).ok_or("does not say fortran_order in its header")?;
    Ok(Header { dtype, big_endian, fortran_order: order == "True", shape })
}

/// From numpy's array-interface type string, such as `<f4`; whether it is big-endian.
fn parse_descr(descr: &str) -> Option<(DType, bool)> {
    let big_endian = descr.starts_with('>');
    let dtype = match descr.trim_start_matches(['<', '>', '=', '|']) {
        "f2" => DType::F16,
        "f4" => DType::F32,
        "f8" => DType::F64,
        "i1" => DType::I8,
        "i2" => DType::I16,
        "i4" => DType::I32,
        "i8" => DType::I64,
        "u1" => DType::U8,
        "u2" => DType::U16,
        "u4" => DType::U32,
        "u8" => DType::U64,
        "b1" => DType::Bool,
        "c8" => DType::Complex64,
        "c16" => DType::Complex128,
        "V2" => DType::BF16,
        _ => return None,
    };
    Some((dtype, big_endian))
}

fn descr_in_words(descr: &str) -> String {
    match descr.trim_start_matches(['<', '>', '=', '|']).chars().next() {
        Some('O') => "Python objects".into(),
        Some('U' | 'S') => format!("text ({descr})"),
        Some('M' | 'm') => format!("times ({descr})"),
        _ => format!("elements of type {descr}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_numpy_are_read() {
        let header =
            parse_header("{'descr': '<f4', 'fortran_order': False, 'shape': (100, 3, 224, 224), }   \n").unwrap();
        let shape = vec![100, 3, 224, 224];
        assert_eq!(header, Header { dtype: DType::F32, big_endian: false, fortran_order: false, shape });
        let header = parse_header("{'descr': '>i8', 'fortran_order': True, 'shape': (), }").unwrap();
        assert_eq!((header.big_endian, header.fortran_order, header.shape.len()), (true, true, 0));
        assert_eq!(parse_header("{'descr': '|b1', 'fortran_order': False, 'shape': (7L,), }").unwrap().shape, [7]);
    }

    #[test]
    fn what_is_no_number_is_refused_by_name() {
        let refused = |descr: &str| {
            parse_header(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (3,), }}")).unwrap_err()
        };
        assert_eq!(refused("'|O'"), "holds Python objects; only numbers can be fed");
        assert_eq!(refused("'<U12'"), "holds text (<U12); only numbers can be fed");
        assert!(refused("[('a', '<f4')]").starts_with("holds records"));
        assert!(
            parse_header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,), }").is_err()
        );
    }
}
