//! Where nodes stand: BLAKE3's tree over `leaves` leaves, its nodes laid out in pre-order.
//!
//! A left subtree holds the largest power of two of leaves strictly below the total, so joining
//! neighbours level by level, an odd last one rising untouched, gives the same tree.

/// Number of nodes before the node that starts at leaf `start` and spans at most `2^level` leaves.
///
/// Everything wholly to the left of `start` (`start - popcount(start)` nodes), and every ancestor that
/// is real, i.e. has a right child inside the tree.
pub fn preorder_index(start: u64, level: u32, leaves: u64) -> u64 {
    let top = u64::BITS - (leaves - 1).leading_zeros();
    let ancestors = (level + 1..=top).filter(|&up| (start >> up << up) + (1 << (up - 1)) < leaves).count() as u64;
    start - u64::from(start.count_ones()) + ancestors
}

/// Leaves in the left subtree of a tree of `count` leaves (two or more).
pub fn left_leaves(count: u64) -> u64 {
    debug_assert!(count >= 2);
    1 << (u64::BITS - 1 - (count - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(start: u64, count: u64, leaves: u64, next: &mut u64) {
        if count < 2 {
            return;
        }
        let level = u64::BITS - (count - 1).leading_zeros();
        assert_eq!(preorder_index(start, level, leaves), *next, "{start} {count} {leaves}");
        *next += 1;
        let left = left_leaves(count);
        walk(start, left, leaves, next);
        walk(start + left, count - left, leaves, next);
    }

    #[test]
    fn the_closed_form_equals_a_walk() {
        for leaves in 1..300 {
            let mut next = 0;
            walk(0, leaves, leaves, &mut next);
            assert_eq!(next, leaves - 1);
        }
    }
}
