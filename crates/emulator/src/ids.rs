//! Identifiers in the forms that AWS uses. They are made from a seed and a counter, so that the
//! same calls in the same order always yield the same identifiers.

/// One step of SplitMix64: a well-mixed 64-bit value for every input.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The kind of an identifier. Identifiers of different kinds differ even if their counters are
/// equal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Agreement = 1,
    License,
    Customer,
    Account,
    Offer,
    Product,
    Token,
    MeteringRecord,
    Request,
    Message,
    Invoice,
    Adjustment,
    Event,
    TrailFile,
}

/// A sequence of well-mixed values for one identifier.
struct Bits {
    state: u64,
}

impl Bits {
    fn new(seed: u64, kind: Kind, number: u64) -> Bits {
        Bits {
            state: mix(mix(mix(seed) ^ kind as u64) ^ number),
        }
    }

    fn next(&mut self) -> u64 {
        self.state = mix(self.state);
        self.state
    }

    fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        let size = alphabet.len() as u64;
        let mut text = String::with_capacity(length);
        for _ in 0..length {
            let index = usize::try_from(self.next() % size).unwrap_or(0);
            text.push(char::from(alphabet.get(index).copied().unwrap_or(b'0')));
        }
        text
    }
}

const BASE36: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const BASE62: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &[u8] = b"0123456789";

/// An agreement id: `agmt-` and 25 characters.
pub(crate) fn agreement(seed: u64, number: u64) -> String {
    format!(
        "agmt-{}",
        Bits::new(seed, Kind::Agreement, number).text(BASE36, 25)
    )
}

/// A license ARN in the form of License Manager. 294406891311 is AWS Marketplace's own account.
pub(crate) fn license_arn(seed: u64, number: u64) -> String {
    let mut bits = Bits::new(seed, Kind::License, number);
    format!(
        "arn:aws:license-manager::294406891311:license:l-{:016x}{:016x}",
        bits.next(),
        bits.next()
    )
}

/// A customer identifier as legacy listings have it: eleven letters and digits.
pub(crate) fn customer_identifier(seed: u64, number: u64) -> String {
    Bits::new(seed, Kind::Customer, number).text(BASE62, 11)
}

/// An AWS account id: twelve digits. The first digit is not zero.
pub(crate) fn account(seed: u64, number: u64) -> String {
    let mut bits = Bits::new(seed, Kind::Account, number);
    let first = 1 + bits.next() % 9;
    format!("{first}{}", bits.text(DIGITS, 11))
}

/// An offer id: `offer-` and 13 characters.
pub(crate) fn offer(seed: u64, number: u64) -> String {
    format!(
        "offer-{}",
        Bits::new(seed, Kind::Offer, number).text(BASE36, 13)
    )
}

/// A product id, which is not the product code: `prod-` and 13 characters.
pub(crate) fn product(seed: u64, number: u64) -> String {
    format!(
        "prod-{}",
        Bits::new(seed, Kind::Product, number).text(BASE36, 13)
    )
}

/// The id of a billing adjustment request: `ba-` and 24 characters.
pub(crate) fn adjustment(seed: u64, number: u64) -> String {
    format!(
        "ba-{}",
        Bits::new(seed, Kind::Adjustment, number).text(BASE36, 24)
    )
}

/// A registration token: 96 letters and digits without a meaning.
pub(crate) fn token(seed: u64, number: u64) -> String {
    Bits::new(seed, Kind::Token, number).text(BASE62, 96)
}

/// The unique part of the name of a trail's file: 16 letters and digits.
pub(crate) fn trail_file(seed: u64, region: &str, made: u64) -> String {
    let region = region
        .bytes()
        .fold(0, |mixed, byte| mix(mixed ^ u64::from(byte)));
    Bits::new(seed, Kind::TrailFile, made ^ region).text(BASE62, 16)
}

/// A UUID of version 4.
pub(crate) fn uuid(seed: u64, kind: Kind, number: u64) -> String {
    let mut bits = Bits::new(seed, kind, number);
    let (high, low) = (bits.next(), bits.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        8 + (low >> 62),
        (low >> 48) & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_counter_give_the_same_identifier_and_others_differ() {
        assert_eq!(agreement(7, 1), agreement(7, 1));
        assert_ne!(agreement(7, 1), agreement(7, 2));
        assert_ne!(agreement(7, 1), agreement(8, 1));
        assert_ne!(uuid(7, Kind::Request, 1), uuid(7, Kind::Message, 1));
    }

    #[test]
    fn a_uuid_has_its_five_groups() {
        let groups: Vec<usize> = uuid(1, Kind::Request, 9).split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
    }
}
