//! Arithmetic modulo [`PRIME`], the largest prime below 2^28: what the cells are made of.
//!
//! In a field a cell that holds one item can be divided by its version, which is how the item is
//! read back. Every argument and result is below [`PRIME`].

/// 2^28 - 57.
pub(super) const PRIME: u32 = (1 << BITS) - FOLD;

/// The bits of an element.
pub(super) const BITS: u32 = 28;

/// What 2^28 leaves when divided by [`PRIME`].
const FOLD: u32 = 57;

const _: () = assert!(PRIME <= u32::MAX / 2, "the sum of two elements fits in 32 bits");
const _: () = assert!(
    FOLD * FOLD + (1 << BITS) <= 2 * PRIME,
    "a product that was folded twice is below twice the prime"
);
const _: () = assert!(multiply(PRIME - 1, PRIME - 1) == 1, "minus one squared is one");
const _: () = assert!(multiply(2, invert(2)) == 1, "two halves are one");

/// Returns the lowest 28 bits of `word`, modulo [`PRIME`].
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "28 bits are left")]
pub(super) const fn element(word: u64) -> u32 {
    less((word & ((1 << BITS) - 1)) as u32)
}

/// Returns the sum.
#[must_use]
pub(super) const fn add(a: u32, b: u32) -> u32 {
    assert!(a < PRIME && b < PRIME, "sums are made of elements");
    less(a + b)
}

/// Returns the number that added to `a` makes zero.
#[must_use]
pub(super) const fn negate(a: u32) -> u32 {
    assert!(a < PRIME, "an element has a negative");
    let negative = if a == 0 { 0 } else { PRIME - a };
    debug_assert!(add(a, negative) == 0, "a number and its negative are nothing");
    negative
}

/// Returns the product.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "below twice the prime when it is cast")]
pub(super) const fn multiply(a: u32, b: u32) -> u32 {
    // 2^28 is 57 here, so what is above counts 57 times: 56 bits become 34, then fewer than 29.
    const LOW: u64 = (1 << BITS) - 1;
    assert!(a < PRIME && b < PRIME, "products are made of elements");
    let wide = a as u64 * b as u64;
    let once = (wide >> BITS) * FOLD as u64 + (wide & LOW);
    let twice = (once >> BITS) * FOLD as u64 + (once & LOW);
    less(twice as u32)
}

/// Returns the number that multiplied with `a` makes one: `a` to the power of `PRIME - 2`
/// (Fermat).
///
/// # Panics
/// If `a` is zero, which has none.
#[must_use]
pub(super) const fn invert(a: u32) -> u32 {
    assert!(a != 0, "zero has no inverse");
    // PRIME - 2 is 2^28 - 59, in binary 22 ones, then 0001, then 01.
    let ones2 = shifted(a, 1, a);
    let ones3 = shifted(ones2, 1, a);
    let ones5 = shifted(ones3, 2, ones2);
    let ones10 = shifted(ones5, 5, ones5);
    let ones11 = shifted(ones10, 1, a);
    let ones22 = shifted(ones11, 11, ones11);
    let inverse = shifted(shifted(ones22, 4, a), 2, a);
    assert!(multiply(a, inverse) == 1, "a number times its inverse is one");
    inverse
}

/// Returns `a` squared `times` times, multiplied with `b`: shifts the exponent and adds to it.
const fn shifted(mut a: u32, times: u32, b: u32) -> u32 {
    assert!(times < BITS, "an exponent has fewer bits than the prime");
    let mut done = 0;
    while done < times {
        a = multiply(a, a);
        done += 1;
    }
    multiply(a, b)
}

/// Returns `value`, which is below twice [`PRIME`], modulo it.
const fn less(value: u32) -> u32 {
    assert!(value < 2 * PRIME, "one subtraction is enough");
    let element = if value >= PRIME { value - PRIME } else { value };
    debug_assert!(element < PRIME, "what is left is an element");
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [u32; 9] = [0, 1, 2, 57, 0x7ff_ffff, 0x800_0000, PRIME / 2, PRIME - 2, PRIME - 1];

    fn modulo(wide: u64) -> u32 {
        u32::try_from(wide % u64::from(PRIME)).expect("a remainder is smaller than the divisor")
    }

    #[test]
    fn sums_and_products_are_those_of_wide_integers() {
        let check = |a: u32, b: u32| {
            assert_eq!(add(a, b), modulo(u64::from(a) + u64::from(b)), "{a} + {b}");
            assert_eq!(multiply(a, b), modulo(u64::from(a) * u64::from(b)), "{a} * {b}");
            assert_eq!(add(a, negate(a)), 0, "{a} and its negative");
        };
        for a in EDGES {
            EDGES.into_iter().for_each(|b| check(a, b));
        }
        let mut x = 1_u64;
        for _ in 0..10_000 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            check(modulo(x >> 32), modulo(x & 0xffff_ffff));
        }
    }

    #[test]
    fn a_number_times_its_inverse_is_one() {
        for a in EDGES.into_iter().filter(|a| *a != 0) {
            assert_eq!(multiply(a, invert(a)), 1, "{a}");
        }
    }

    #[test]
    fn an_element_is_below_the_prime() {
        for (word, expected) in [
            (0, 0),
            (u64::from(PRIME), 0),
            (u64::from(PRIME) + 1, 1),
            (u64::MAX, FOLD - 1),
            (1 << BITS, 0),
        ] {
            assert_eq!(element(word), expected, "{word}");
        }
    }

    #[test]
    fn the_prime_is_prime() {
        assert!((2..1 << 14).all(|divisor| !PRIME.is_multiple_of(divisor)));
        const { assert!((1 << 14) * (1 << 14) > PRIME, "all possible divisors were tried") };
    }

    #[test]
    #[should_panic = "zero has no inverse"]
    fn zero_is_not_inverted() {
        let _ = invert(0);
    }
}
