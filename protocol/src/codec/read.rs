//! Reads the binary form that the encoder writes.
//!
//! It is bincode 2 `standard()`, read by what serde asks for: a number up to 250 is one byte, a
//! larger one a byte that names its width (251, 252 and 253 are 2, 4 and 8 bytes, little endian);
//! a signed number is zigzagged first; texts, byte strings and lists begin with their length; an
//! option is 0, or 1 and its value; a variant is its number; all else has no bytes of its own.
//!
//! Messages, events and rows are read all the time, and this is done in a quarter of the steps of
//! the general decoder. It refuses what that refuses, which a test shows for any bytes, and notes
//! on the way what that cannot say: whether each number has its shortest form.

use core::fmt;

use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, SeqAccess, VariantAccess, Visitor,
};

use super::DIGEST;
use crate::hash::Hash;

/// The largest number that is one byte.
const SINGLE_MAX: u8 = 250;
/// These name the width of the number that follows.
const TWO_BYTES: u8 = 251;
const FOUR_BYTES: u8 = 252;
const EIGHT_BYTES: u8 = 253;
/// What is asked for by the name of [`DIGEST`].
const DIGEST_BYTES: usize = 32;

const _: () = assert!(SINGLE_MAX + 1 == TWO_BYTES, "each first byte has one meaning");
const _: () = assert!(TWO_BYTES + 1 == FOUR_BYTES, "a width follows the next smaller");
const _: () = assert!(FOUR_BYTES + 1 == EIGHT_BYTES, "a width follows the next smaller");
const _: () = assert!(EIGHT_BYTES < u8::MAX, "wider numbers can be named, and are refused");
const _: () = assert!(DIGEST_BYTES == size_of::<Hash>(), "a digest is read whole");
const _: () = assert!(size_of::<usize>() <= size_of::<u64>(), "any length can be written");
const _: () = assert!(!DIGEST.is_empty(), "a digest is asked for by a name that no type has");

/// The bytes have another shape. No reason is kept: a caller refuses them, whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misshapen;

impl fmt::Display for Misshapen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes have another shape")
    }
}

impl core::error::Error for Misshapen {}

impl de::Error for Misshapen {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// What reading comes to.
type Read<T> = Result<T, Misshapen>;

/// The name of a structure or a field, of which the bytes hold nothing.
type Name = &'static str;

/// What is left to read.
pub(super) struct Reader<'de> {
    bytes: &'de [u8],
    /// How much may still be counted: numbers count at their full width.
    left: usize,
    shortest: bool,
}

impl<'de> Reader<'de> {
    /// Begins to read; what is read may count up to `most`.
    pub(super) const fn new(bytes: &'de [u8], most: usize) -> Self {
        Self { bytes, left: most, shortest: true }
    }

    /// Returns whether everything was read.
    pub(super) const fn is_done(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns whether each number so far has its shortest form: whether these are the bytes that
    /// the encoder would write.
    pub(super) const fn is_shortest(&self) -> bool {
        self.shortest
    }

    #[inline]
    fn count(&mut self, counted: usize) -> Read<()> {
        let left = self.left.checked_sub(counted).ok_or(Misshapen)?;
        assert!(left <= self.left, "what may be counted gets less");
        self.left = left;
        Ok(())
    }

    #[inline]
    fn byte(&mut self) -> Read<u8> {
        let (first, rest) = self.bytes.split_first().ok_or(Misshapen)?;
        assert!(rest.len() < self.bytes.len(), "a byte is read once");
        self.bytes = rest;
        Ok(*first)
    }

    /// Reads a number of up to `width` bytes.
    #[inline]
    fn number(&mut self, width: usize) -> Read<u64> {
        assert!(matches!(width, 2 | 4 | 8), "numbers have these widths");
        self.count(width)?;
        match self.byte()? {
            single @ 0..=SINGLE_MAX => Ok(u64::from(single)),
            named => self.wide(named, width),
        }
    }

    /// Reads the rest of a number whose first byte names its width.
    fn wide(&mut self, named: u8, width: usize) -> Read<u64> {
        assert!(named > SINGLE_MAX, "a small number is one byte");
        let (number, most_of_shorter) = match named {
            TWO_BYTES => (u64::from(u16::from_le_bytes(self.array()?)), u64::from(SINGLE_MAX)),
            FOUR_BYTES if width >= 4 => {
                (u64::from(u32::from_le_bytes(self.array()?)), u64::from(u16::MAX))
            }
            EIGHT_BYTES if width >= 8 => (u64::from_le_bytes(self.array()?), u64::from(u32::MAX)),
            _ => return Err(Misshapen),
        };
        assert!(width >= 8 || number >> (8 * width) == 0, "a number has room in its type");
        self.shortest &= number > most_of_shorter;
        Ok(number)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (array, rest) = self.bytes.split_first_chunk().ok_or(Misshapen)?;
        assert!(rest.len() + N == self.bytes.len(), "what was read is not left");
        self.bytes = rest;
        Ok(*array)
    }

    #[inline]
    fn length(&mut self) -> Read<usize> {
        usize::try_from(self.number(8)?).map_err(|_| Misshapen)
    }

    /// Reads bytes with their length before them.
    #[inline]
    fn run(&mut self) -> Read<&'de [u8]> {
        let length = self.length()?;
        self.count(length)?;
        let (run, rest) = self.bytes.split_at_checked(length).ok_or(Misshapen)?;
        assert!(run.len() == length, "a run is as long as it says");
        assert!(rest.len() <= self.bytes.len(), "what is left gets shorter");
        self.bytes = rest;
        Ok(run)
    }

    #[inline]
    fn text(&mut self) -> Read<&'de str> {
        core::str::from_utf8(self.run()?).map_err(|_| Misshapen)
    }

    #[inline]
    fn flag(&mut self) -> Read<bool> {
        self.count(1)?;
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Misshapen),
        }
    }

    /// Reads a signed number of up to `width` bytes.
    #[inline]
    fn signed(&mut self, width: usize) -> Read<i64> {
        let number = self.number(width)?;
        let half = (number >> 1).cast_signed();
        assert!(half >= 0, "the sign is the lowest bit");
        debug_assert!(
            width >= 8 || half >> (8 * width - 1) == 0,
            "half of it has room with a sign"
        );
        Ok(if number & 1 == 0 { half } else { !half })
    }
}

/// Reads numbers of one width.
macro_rules! numbers {
    ($($method:ident, $visit:ident, $read:ident, $type:ty;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
            let number = self.$read(size_of::<$type>())?;
            visitor.$visit(<$type>::try_from(number).map_err(|_| Misshapen)?)
        }
    )*};
}

/// Refuses what no structure of ours has. A map would have several forms: its keys in any order.
macro_rules! absent {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Read<V::Value> {
            Err(Misshapen)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Misshapen;

    numbers! {
        deserialize_u16, visit_u16, number, u16;
        deserialize_u32, visit_u32, number, u32;
        deserialize_u64, visit_u64, number, u64;
        deserialize_i16, visit_i16, signed, i16;
        deserialize_i32, visit_i32, signed, i32;
        deserialize_i64, visit_i64, signed, i64;
    }

    absent! {
        deserialize_any deserialize_identifier deserialize_ignored_any deserialize_char
        deserialize_f32 deserialize_f64 deserialize_i128 deserialize_u128 deserialize_map
    }

    #[inline]
    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.count(1)?;
        visitor.visit_u8(self.byte()?)
    }

    #[inline]
    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.count(1)?;
        visitor.visit_i8(self.byte()?.cast_signed())
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_bool(self.flag()?)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_borrowed_str(self.text()?)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_borrowed_str(self.text()?)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_borrowed_bytes(self.run()?)
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_borrowed_bytes(self.run()?)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        if self.flag()? { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: Name, visitor: V) -> Read<V::Value> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: Name, visitor: V) -> Read<V::Value> {
        if name != DIGEST {
            return visitor.visit_newtype_struct(self);
        }
        // Its bytes have no length before them, and count one each, as in a list.
        self.count(DIGEST_BYTES)?;
        let (digest, rest) = self.bytes.split_first_chunk::<DIGEST_BYTES>().ok_or(Misshapen)?;
        assert!(rest.len() + DIGEST_BYTES == self.bytes.len(), "a digest is read whole");
        self.bytes = rest;
        visitor.visit_borrowed_bytes(digest)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        let left = self.length()?;
        visitor.visit_seq(Items { reader: self, left })
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Read<V::Value> {
        visitor.visit_seq(Items { reader: self, left })
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: Name,
        left: usize,
        v: V,
    ) -> Read<V::Value> {
        v.visit_seq(Items { reader: self, left })
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: Name,
        of: &[Name],
        visitor: V,
    ) -> Read<V::Value> {
        visitor.visit_seq(Items { reader: self, left: of.len() })
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(self, _: Name, _: &[Name], visitor: V) -> Read<V::Value> {
        visitor.visit_enum(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// What is left of a list or a structure.
struct Items<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Misshapen;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Read<Option<T::Value>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        assert!(left < self.left, "each item is read once");
        self.left = left;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> EnumAccess<'de> for &mut Reader<'de> {
    type Error = Misshapen;
    type Variant = Self;

    #[inline]
    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Read<(T::Value, Self)> {
        let number = u32::try_from(self.number(4)?).map_err(|_| Misshapen)?;
        let variant = seed.deserialize(IntoDeserializer::<Misshapen>::into_deserializer(number))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Reader<'de> {
    type Error = Misshapen;

    fn unit_variant(self) -> Read<()> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Read<T::Value> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, left: usize, visitor: V) -> Read<V::Value> {
        visitor.visit_seq(Items { reader: self, left })
    }

    fn struct_variant<V: Visitor<'de>>(self, of: &[Name], visitor: V) -> Read<V::Value> {
        visitor.visit_seq(Items { reader: self, left: of.len() })
    }
}
