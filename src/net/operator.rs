//! The comparisons of ports, users and groups.

/// One comparison with a number: pf.conf(5)'s unary and binary operators, `pf_match` in pf.c.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator<T> {
    /// `= a`.
    Equal(T),
    /// `!= a`.
    NotEqual(T),
    /// `< a`.
    Less(T),
    /// `<= a`.
    LessOrEqual(T),
    /// `> a`.
    Greater(T),
    /// `>= a`.
    GreaterOrEqual(T),
    /// `a:b`: from a to b.
    Range(T, T),
    /// `a >< b`: strictly between.
    Between(T, T),
    /// `a <> b`: strictly outside.
    Outside(T, T),
}

impl<T: Copy + Ord> Operator<T> {
    /// Whether the number passes the comparison.
    #[must_use]
    pub fn matches(self, value: T) -> bool {
        match self {
            Self::Equal(a) => value == a,
            Self::NotEqual(a) => value != a,
            Self::Less(a) => value < a,
            Self::LessOrEqual(a) => value <= a,
            Self::Greater(a) => value > a,
            Self::GreaterOrEqual(a) => value >= a,
            Self::Range(a, b) => value >= a && value <= b,
            Self::Between(a, b) => value > a && value < b,
            Self::Outside(a, b) => value < a || value > b,
        }
    }

    /// The number that is compared with, the first of two.
    #[must_use]
    pub fn first(self) -> T {
        match self {
            Self::Equal(a)
            | Self::NotEqual(a)
            | Self::Less(a)
            | Self::LessOrEqual(a)
            | Self::Greater(a)
            | Self::GreaterOrEqual(a)
            | Self::Range(a, _)
            | Self::Between(a, _)
            | Self::Outside(a, _) => a,
        }
    }
}
