//! The known word someone probably meant.

/// The candidate nearest to `word`, upper and lower case being the same; none if all are too
/// far to be a slip of the pen: more than a third of the longer word's letters differ.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let distance = distance(&word, &candidate.to_lowercase());
            let longer = word.chars().count().max(candidate.chars().count());
            (distance * 3 <= longer).then_some((distance, candidate))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be put in, taken out, exchanged or swapped with their neighbour
/// (optimal string alignment). Of very long words only the starts are compared.
pub fn distance(a: &str, b: &str) -> usize {
    const LONG: usize = 512;
    let [a, b] = [a, b].map(|word| word.chars().take(LONG).collect::<Vec<char>>());
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(letter != other)).min(last[j + 1] + 1);
            best = best.min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *other && b[j - 1] == *letter {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_no_more() {
        let keys = ["diskSize", "diskFormat", "bootloader", "outFormat", "kind"];
        for (word, meant) in [
            ("disksize", Some("diskSize")),
            ("diskSzie", Some("diskSize")),
            ("bootLoaders", Some("bootloader")),
            ("knd", Some("kind")),
            ("sectors", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, keys), meant, "{word}");
        }
    }
}
