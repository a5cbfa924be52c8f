//! Names of icmp and icmp6 types and of their codes.

use std::sync::LazyLock;

use crate::net::Family;

/// One family's types in pfctl's order, each with its codes.
type Types = Vec<(u8, &'static str, Vec<(u8, &'static str)>)>;

static TYPES: LazyLock<[Types; 2]> = LazyLock::new(|| {
    let mut families = [Types::new(), Types::new()];
    let mut family = 0;
    for line in include_str!("icmp.txt").lines() {
        match line {
            "[icmp]" => family = 0,
            "[icmp6]" => family = 1,
            _ => {
                let mut words = line.split_whitespace();
                let number = words.next().and_then(|word| word.parse().ok());
                let (Some(number), Some(name)) = (number, words.next()) else {
                    continue;
                };
                let types = &mut families[family];
                match types.last_mut().filter(|_| line.starts_with('\t')) {
                    Some((_, _, codes)) => codes.push((number, name)),
                    None => types.push((number, name, Vec::new())),
                }
            }
        }
    }
    families
});

fn types(family: Family) -> &'static Types {
    let [icmp, icmp6] = &*TYPES;
    match family {
        Family::Inet => icmp,
        Family::Inet6 => icmp6,
    }
}

/// The number of an icmp type (icmp6 for [`Family::Inet6`]).
#[must_use]
pub fn icmp_type(family: Family, name: &str) -> Option<u8> {
    types(family)
        .iter()
        .find(|&&(_, known, _)| known == name)
        .map(|&(number, ..)| number)
}

/// The name of an icmp type, pfctl's first where it knows several.
#[must_use]
pub fn icmp_type_name(family: Family, number: u8) -> Option<&'static str> {
    types(family)
        .iter()
        .find(|&&(known, ..)| known == number)
        .map(|&(_, name, _)| name)
}

/// All names of icmp types.
pub fn icmp_type_names(family: Family) -> impl Iterator<Item = &'static str> {
    types(family).iter().map(|&(_, name, _)| name)
}

/// The codes of a type that have names.
fn codes(family: Family, kind: u8) -> impl Iterator<Item = &'static (u8, &'static str)> {
    types(family)
        .iter()
        .filter(move |&&(number, ..)| number == kind)
        .flat_map(|(_, _, codes)| codes)
}

/// The number of a code of an icmp type.
#[must_use]
pub fn icmp_code(family: Family, kind: u8, name: &str) -> Option<u8> {
    codes(family, kind)
        .find(|&&(_, known)| known == name)
        .map(|&(code, _)| code)
}

/// The name of a code of an icmp type.
#[must_use]
pub fn icmp_code_name(family: Family, kind: u8, code: u8) -> Option<&'static str> {
    codes(family, kind)
        .find(|&&(known, _)| known == code)
        .map(|&(_, name)| name)
}
