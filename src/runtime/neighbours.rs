//! What is held in memory at the same time, of things that come one after the other.

/// Neighbours that take at most `room` bytes together; what takes more is alone.
pub fn neighbours<T>(items: Vec<T>, bytes: impl Fn(&T) -> usize, room: usize) -> Vec<Vec<T>> {
    let mut packs: Vec<(usize, Vec<T>)> = Vec::new();
    for item in items {
        let size = bytes(&item);
        match packs.last_mut() {
            Some((sum, pack)) if *sum + size <= room => {
                *sum += size;
                pack.push(item);
            }
            _ => packs.push((size, vec![item])),
        }
    }
    packs.into_iter().map(|(_, pack)| pack).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_alone() {
        let packs = neighbours(vec![3, 4, 3, 11, 2], |n| *n, 10);
        assert_eq!(packs, [vec![3, 4, 3], vec![11], vec![2]]);
        assert!(neighbours(Vec::<usize>::new(), |n| *n, 10).is_empty());
    }
}
